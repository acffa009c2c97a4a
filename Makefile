.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
OUT ?= reproduction
# Versions of huggingface_hub that the base install allows, and `train` in part.
HUB_VERSIONS := 0.36.2 1.33.0 2.4.0
# Test processes that run side by side.
JOBS ?= 2
# Each file of tests in one process, so that its fixtures are made once; see tests/conftest.py.
# A process that crashes ends the run: pytest-xdist would start another one, and wait without end.
PARALLEL := -n $(JOBS) --dist loadfile --no-loadscope-reorder --max-worker-restart=0
# `make lock` leaves these out. They are installed before the rest, as constraints.txt says: torch's build for CPUs needs
# none of the others.
NOT_LOCKED := torch triton cuda-bindings cuda-pathfinder cuda-toolkit nvidia-cublas nvidia-cuda-cupti \
  nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cudnn-cu13 nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver \
  nvidia-cusparse nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvjitlink nvidia-nvshmem-cu13 nvidia-nvtx
# Seconds for which `make fuzz` runs.
FUZZ_SECONDS ?= 600

# The kernel with checks of each access to memory and of undefined behavior.
SANITIZE := gcc -O1 -g -std=gnu11 -ffp-contract=off -Wno-psabi \
  -fsanitize=address,undefined -fno-sanitize-recover=all

.PHONY: help demo quick coverage test ray integrations hub browser wasm fuzz sanitize emulate lowest pythons lint format \
  docs notebooks lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/train ## Install, then reproduce the published experiment on the sample
	$(BIN)/gliner-distill reproduce --out $(OUT)

quick: .venv/dev ## Install, then run the unit tests, which take about a minute
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow and not ray and not fuzz"

coverage: .venv/dev ## Install, then measure how much of the package the unit tests run
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow and not ray and not fuzz" --cov --cov-report term

test: .venv/dev ## Install, then run all tests but those that start Ray
	$(BIN)/python -m pytest $(PARALLEL) -m "not ray and not fuzz"

# A cluster needs all cores: beside other tests, it may take longer than a test may.
ray: .venv/dev ## Install, then run the tests that start Ray
	$(BIN)/python -m pytest -n 0 -m ray tests

# There, a missing package is an error; `make test` skips the tests that need it.
integrations: .venv-integrations/test ## Install what the integrations need, then test them
	INTEGRATIONS=required .venv-integrations/bin/python -m pytest $(PARALLEL) tests/integrations

# The plugin skips the tests that need more than the base install.
hub: $(HUB_VERSIONS:%=.venv-hub-%/test) ## Test the hub with three versions of huggingface_hub
	for version in $(HUB_VERSIONS); do \
	  PYTHONPATH=tests .venv-hub-$$version/bin/python -m pytest -p base_install $(PARALLEL) \
	    tests/hub tests/runtime/sharing || exit 1; \
	done

# Chromium comes from Debian, where it needs root; elsewhere, install it beforehand.
browser: .venv-browser/test ## Install Chromium, then test the pages in it
	command -v chromium || (apt-get update && apt-get install --yes --no-install-recommends chromium)
	BROWSER=required .venv-browser/bin/python -m pytest -n 0 tests/web/browser tests/serve/browser

wasm: .venv/zig ## Install the pinned compiler, then compile the kernel to WebAssembly
	$(BIN)/python -m gliner_distill.web.kernel_build

# FUZZ_SEED=N repeats a run, and FUZZ_ONLY=KIND/NUMBER with it a single case.
fuzz: .venv/dev ## Install, then test damaged files and random texts for FUZZ_SECONDS=600
	FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/python -m pytest -n 0 -m fuzz tests/fuzz

# Random networks of random lengths in buffers of exactly the sizes that the kernel may use, then
# its tests. Python itself leaves memory behind.
sanitize: .venv/dev ## Install, then test the kernel with AddressSanitizer and UBSan
	mkdir -p build
	$(SANITIZE) tests/kernel/fuzz_kernel.c -o build/fuzz_kernel
	build/fuzz_kernel 60 1
	$(SANITIZE) -shared -fPIC src/gliner_distill/kernel/kernel.c -o build/_kernel.so
	ASAN_OPTIONS=detect_leaks=0 LD_PRELOAD=$$(gcc -print-file-name=libasan.so) \
	  TESTED_KERNEL=build/_kernel.so $(BIN)/python -m pytest -n 0 tests/kernel/test_compiled.py

# Also needs qemu-user, which has qemu-aarch64, and node.
emulate: .venv/zig ## Install, then test the kernel's paths for ARM and WebAssembly
	EMULATION=required $(BIN)/python -m pytest -n 0 tests/kernel/emulation

# The plugin skips the tests that need more than the base install.
lowest: .venv-lowest/test ## Install the base at its lower bounds, then run the unit tests there
	PYTHONPATH=tests .venv-lowest/bin/python -m pytest -p base_install $(PARALLEL) \
	  -m "not slow and not ray and not fuzz" tests

# A version that is not installed is left out, with a line that says so.
pythons: ## Install the base with each Python from 3.11 to 3.13, then run the unit tests there
	for version in 3.11 3.12 3.13; do \
	  if python$$version -c '' 2> /dev/null; then \
	    $(MAKE) .venv-base-$$version/test && \
	    PYTHONPATH=tests .venv-base-$$version/bin/python -m pytest -p base_install $(PARALLEL) \
	      -m "not slow and not ray and not fuzz" tests || exit 1; \
	  else echo "python$$version is not installed, so its tests were left out"; fi; \
	done

lint: .venv/dev ## Check the format, the style and the types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/dev ## Fix the format and the style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Warnings are errors. The line about MkDocs 2 that Material prints is not one.
docs: .venv-docs/site ## Install what the docs site needs, then build it into site/
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --quiet

notebooks: .venv/notebooks ## Install, then run the notebooks again, with TEACHER=a folder or hub id
	rm -rf notebooks/workshop-student
	cd notebooks && PYTHONWARNINGS=ignore OMP_NUM_THREADS=1 ../$(BIN)/jupyter execute --inplace *.ipynb
	$(BIN)/ruff format --quiet notebooks

lock: .venv-tools/uv ## Write requirements-dev.lock: the development environment with hashes
	.venv-tools/bin/uv pip compile pyproject.toml --extra train --extra ray --extra dev \
	  --constraint constraints.txt --universal --python-version 3.11 --generate-hashes --quiet \
	  --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
	  $(NOT_LOCKED:%=--no-emit-package %) --output-file requirements-dev.lock

clean: ## Remove the virtual environments and the caches
	rm -rf build .venv .venv-lowest .venv-base-* .venv-integrations .venv-hub-* .venv-browser .venv-docs .venv-tools \
	  .mypy_cache .pytest_cache .ruff_cache site

.venv/pip:
	$(PYTHON) -m venv .venv
	touch $@

# Install torch first and by its exact version, which has a CPU build without CUDA packages.
.venv/train: .venv/pip pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[train]'
	touch $@

.venv/dev: .venv/train
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[train,ray,dev]'
	touch $@

.venv/zig: .venv/dev
	$(BIN)/pip install --quiet --constraint constraints.txt ziglang
	touch $@

.venv/notebooks: .venv/dev
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[notebooks]'
	touch $@

.venv-lowest/test: pyproject.toml constraints-lowest.txt
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/pip install --quiet --constraint constraints-lowest.txt --editable '.[test]'
	touch $@

.venv-base-%/test: pyproject.toml constraints.txt
	python$* -m venv .venv-base-$*
	.venv-base-$*/bin/pip install --quiet --constraint constraints.txt --editable '.[test]'
	touch $@

.venv-hub-%/test: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-hub-$*
	grep -v '^huggingface_hub==' constraints.txt > .venv-hub-$*/constraints.txt
	.venv-hub-$*/bin/pip install --quiet --constraint .venv-hub-$*/constraints.txt \
	  --editable '.[test]' huggingface_hub==$*
	touch $@

.venv-browser/test: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-browser
	.venv-browser/bin/pip install --quiet --constraint constraints.txt --editable '.[browser]'
	touch $@

.venv-integrations/test: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-integrations
	.venv-integrations/bin/pip install --quiet --constraint constraints.txt torch
	.venv-integrations/bin/pip install --quiet --constraint constraints.txt \
	  --editable '.[integrations]'
	touch $@

.venv-docs/site: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/pip install --quiet --constraint constraints.txt --editable '.[docs]'
	touch $@

.venv-tools/uv: constraints.txt
	$(PYTHON) -m venv .venv-tools
	.venv-tools/bin/pip install --quiet --constraint constraints.txt uv
	touch $@
