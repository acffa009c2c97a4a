.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
OUT ?= reproduction

.PHONY: help demo test lint format clean

help: ## Say what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/train ## Install, then reproduce the report on the sample that comes with the package
	$(BIN)/gliner-distill reproduce --out $(OUT)

test: .venv/dev ## Install, then run the tests
	$(BIN)/python -m pytest

lint: .venv/dev ## Check format, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: .venv/dev ## Mend format and style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## Remove the virtual environment and caches
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache

.venv/pip:
	$(PYTHON) -m venv .venv
	touch $@

# torch first and by its exact version: that version has a CPU build without CUDA packages.
.venv/train: .venv/pip pyproject.toml constraints.txt
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[train]'
	touch $@

.venv/dev: .venv/train
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[train,ray,dev]'
	touch $@
