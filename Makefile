# Two commands are all the set-up: `make demo` and `make test`. Both make .venv from hashed locks first, without root.

.DEFAULT_GOAL := demo
.PHONY: demo test check install serve soak bench docs lock

BIN := .venv/bin
HOME_DIR ?= build/demo
PYTEST_WORKERS ?= 2

# Two test processes on two cores: one BLAS thread each. The compiled loops of the second backtest engine are kept between runs.
export OMP_NUM_THREADS ?= 1
export OPENBLAS_NUM_THREADS ?= 1
export NUMBA_CACHE_DIR ?= $(CURDIR)/build/numba

demo:
	@sh scripts/bootstrap.sh run
	@rm -rf build/demo
	@$(BIN)/crowdalpha demo --home build/demo

install:
	@sh scripts/bootstrap.sh dev

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/docs tests/architecture

test: check
	$(BIN)/python -m pytest -m "not soak" -n auto --maxprocesses $(PYTEST_WORKERS) --dist loadfile \
		--ignore tests/docs --ignore tests/architecture tests

soak: install
	$(BIN)/python -m pytest -m soak --timeout 7200 tests

# Ratios to peers on this machine, as docs/benchmarks.md shows them; it passes or fails nothing.
bench: install
	$(BIN)/python -m benchmarks

# What `make demo` made, in a browser; HOME_DIR names another home.
serve:
	@sh scripts/bootstrap.sh run
	$(BIN)/crowdalpha serve --home $(HOME_DIR)

# Writes the tables of docs/ that come from the code: error codes, settings, commands, HTTP routes.
docs: install
	$(BIN)/python scripts/generate_docs.py

lock:
	@sh scripts/bootstrap.sh lock
