# The one door for chores. `make` alone lists them.
#
# Everything happens in .venv, which is made on first use and made anew when pyproject.toml changes.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest

SUITES = $(patsubst %/,%,$(sort $(dir $(wildcard tests/stage?/test_*.py))))
NODE := tests/reference/node
NODE_CLIENTS := $(NODE)/node_modules/.package-lock.json

.PHONY: help tour test clients node-clients coverage check lint format prove prove-long bench versions clean
.DEFAULT_GOAL := help

help:  ## List the chores
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

tour: $(VENV)/run.stamp  ## Set up, and see the database at work on real data, in about a minute
	@$(BIN)/kvs tour

test: $(VENV)/test.stamp  ## Set up, and run every test
	$(PYTEST) -q tests

clients: $(VENV)/test.stamp node-clients  ## Try the field's clients on the server: redis-cli, redis-py, Node's …
	$(PYTEST) -q -rs $(wildcard tests/reference/test_clients_*.py)

node-clients: $(if $(shell command -v npm),$(NODE_CLIENTS))

coverage: $(VENV)/test.stamp  ## See that the tests reach every branch of the log
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q tests/reference -k 'log or crash or errno'
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --include='kvs/log/*' --fail-under=100

check: lint test prove  ## What CI runs: linters, types, every test, the proof, the tour
	$(BIN)/kvs tour > /dev/null

lint: $(VENV)/check.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: $(VENV)/check.stamp  ## Lay out the code, and mend what ruff can mend
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

prove: $(VENV)/test.stamp  ## Prove the promises on disk: crashes, faults, rot, kills, planted bugs
	$(BIN)/python tests/reference/prove.py

prove-long: $(VENV)/test.stamp  ## The same for an hour
	$(BIN)/python tests/reference/prove.py --share long --seconds 3600

bench: $(VENV)/compare.stamp  ## Measure the goals, then every engine and lock beside RocksDB and LMDB
	$(BIN)/kvs bench goals
	$(BIN)/kvs bench
	$(BIN)/kvs bench locks
	$(BIN)/kvs bench rust

versions:  ## Run the course's suites on each supported Python that is installed
	@for version in 3.11 3.12 3.13; do \
	  if python$$version --version > /dev/null 2>&1; then \
	    $(MAKE) --no-print-directory $(VENV)-$$version/test.stamp VENV=$(VENV)-$$version PYTHON=python$$version && \
	    $(VENV)-$$version/bin/python -m pytest -q $(SUITES) || exit 1; \
	  else echo "python$$version is not here: left out"; fi; \
	done

$(NODE_CLIENTS): $(NODE)/package-lock.json
	npm ci --silent --prefix $(NODE)
	@touch $@

clean:  ## Remove what the chores made
	rm -rf $(NODE)/node_modules .venv .venv-* dist .mypy_cache .ruff_cache .hypothesis .coverage .coverage.*
	find . -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "kvs needs Python 3.11 or newer: make PYTHON=python3.12 …")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/test.stamp: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(VENV)/run.stamp

$(VENV)/check.stamp: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test,lint]'
	@touch $@ $(VENV)/test.stamp $(VENV)/run.stamp

$(VENV)/compare.stamp: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[compare]'
	@touch $@ $(VENV)/run.stamp
