.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
OUT ?= reproduction
# Test processes that run side by side.
JOBS ?= 2

.PHONY: help demo quick test lint format clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/train ## Install, then reproduce the published experiment on the sample
	$(BIN)/gliner-distill reproduce --out $(OUT)

quick: .venv/dev ## Install, then run the unit tests, which take about a minute
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow and not ray"

test: .venv/dev ## Install, then run all tests
	$(BIN)/python -m pytest -n $(JOBS)

lint: .venv/dev ## Check the format, the style and the types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/dev ## Fix the format and the style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## Remove the virtual environment and the caches
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache

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
