# Each target sets up .venv if it must, and does nothing twice.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
CODE := src tests docs examples
# Tests side by side, whole files to a process; each of them is one thread's work.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

.PHONY: demo test test-reference test-all lint format bench sanitize docs clean

demo: .venv/.runtime  ## train on real handwritten digits and report
	@$(BIN)/lipschitz-rnn demo

test: .venv/.dev  ## the tests, without those marked slow
	$(PYTEST) -m "not slow"

test-reference: .venv/.dev  ## the tests of ops and layers on the reference path, without the kernel
	LIPSCHITZ_RNN_BACKEND=reference $(PYTEST) -m "not slow and not native" tests/ops tests/nn

test-all: .venv/.dev  ## every test
	$(BIN)/python -m pytest

lint: .venv/.dev  ## formatting, lint, types
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/ruff check $(CODE)
	$(BIN)/mypy

format: .venv/.dev  ## mend what can be mended
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

bench: .venv/.runtime  ## time the kernel against other layers and the machine's peak
	$(BIN)/lipschitz-rnn bench --output benchmarks/results/recurrence.json

sanitize:  ## the kernel under sanitizers, and for AArch64 under emulation
	csrc/test/sanitize.sh

docs: .venv/.docs  ## the documentation, into site/
	$(BIN)/mkdocs build --strict

clean:  ## remove what the targets above made; never a run or data
	rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis site build
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# A virtual environment is begun anew when it was made for another place or Python.
.venv/.runtime: pyproject.toml constraints.txt CMakeLists.txt $(wildcard csrc/*)
	@echo "Setting up .venv (a few minutes the first time) ..."
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@$(PIP) --editable .
	@touch $@

.venv/.dev: .venv/.runtime
	@$(PIP) --editable '.[dev]'
	@touch $@

.venv/.docs: .venv/.runtime
	@$(PIP) --editable '.[docs]'
	@touch $@
