.DEFAULT_GOAL := help
SHELL := /bin/sh

PYTHON ?= python3
PORT ?= 8000
ARGS ?=
ONLY ?=

BIN := .venv/bin
MANAGE := $(BIN)/python manage.py
UV := $(shell uv --version >/dev/null 2>&1 && echo uv)

# Without its dependencies: pandas and pyarrow are never imported by the server.
CHDB := chdb==3.7.2

ifeq ($(UV),uv)
  INSTALL := uv pip install --quiet --compile-bytecode --python $(BIN)/python
else
  INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
endif

# Under CI a skipped test fails the run.
NO_SKIPS := $(if $(CI),-p tests.no_skips)

.PHONY: help
help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: .venv/.runtime ## run everything with the demo coalition: make run [PORT=8000]; Ctrl-C stops it
	@exec $(MANAGE) run --port $(PORT)

.PHONY: services
services: .venv/.runtime ## start the embedded servers and bring the databases up to date
	@$(MANAGE) services start && $(MANAGE) prepare

.PHONY: stop
stop: ## stop the embedded servers; the data stay
	@if [ -x $(BIN)/python ]; then $(MANAGE) services stop; fi

.PHONY: test
test: .venv/.development ## run every test against real servers: make test [ARGS="tests/loyalty -k tier"]
	@$(MANAGE) services exec -- $(BIN)/python -m pytest -n 2 $(NO_SKIPS) $(ARGS)

.PHONY: cluster-test
cluster-test: .venv/.development ## run the pipeline's tests on a ClickHouse cluster of two (needs Debian's zookeeper)
	@$(MANAGE) services exec -- $(BIN)/python -m pytest -p tests.cluster.plugin $(NO_SKIPS) \
	  $(or $(ARGS),tests/cluster tests/analytics/test_sync.py tests/analytics/test_reconcile.py tests/analytics/test_cross_promo.py)

.PHONY: prove
prove: .venv/.development ## prove the ledger, the API and the pipeline at length, by random lives, races and kills; an hour
	@PROVE=full $(MANAGE) services exec -- $(BIN)/python -m pytest -n 2 --dist worksteal tests/model tests/races tests/crashes tests/analytics \
	  tests/svoykrug/test_api_fuzz.py tests/svoykrug/test_schemathesis.py $(ARGS)

.PHONY: bench
bench: .venv/.runtime ## measure speed beside a yardstick of the same run: make bench [ONLY=NAME,NAME]
	@$(MANAGE) services exec -- $(BIN)/python -m tests.bench --only "$(ONLY)"

.PHONY: scaling
scaling: .venv/.runtime ## measure how the analytics grow, the tables of docs/scaling.md: make scaling [ARGS="--up-to 5000000"]
	@$(MANAGE) services exec -- $(BIN)/python -m tests.bench.scaling $(ARGS)

.PHONY: lint
lint: .venv/.development ## check style, types and missing migrations
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@# No server is needed, so neither the checks nor the warning about an absent database.
	@$(BIN)/python -W ignore manage.py makemigrations --check --dry-run --skip-checks

.PHONY: browser
browser: ## install Chromium for the browser tests (Debian, as root)
	@if command -v chromium chromium-browser google-chrome >/dev/null; then \
	  echo "A browser is here already."; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; \
	else \
	  echo "Install Chromium by your system's means, on Debian: sudo apt-get install chromium" >&2; exit 1; \
	fi

.PHONY: clean
clean: stop ## remove .venv and everything the embedded servers keep, data included
	rm -rf .local .mypy_cache .ruff_cache .pytest_cache .hypothesis staticfiles
	rm -rf .venv

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 …" >&2; exit 1; }
ifeq ($(UV),uv)
	@uv venv --quiet --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" .venv
else
	@$(PYTHON) -m venv .venv || \
	  { echo "Python's venv module is missing, on Debian: apt-get install python3-venv" >&2; rm -rf .venv; exit 1; }
endif

.venv/.runtime: requirements.txt requirements-embedded.txt Makefile | $(BIN)/python
	@echo "Installing what the product runs on …"
	@$(INSTALL) -r requirements.txt -r requirements-embedded.txt
	@$(INSTALL) --no-deps $(CHDB)
	@touch $@

.venv/.development: .venv/.runtime requirements-dev.txt | $(BIN)/python
	@echo "Installing what the tests need …"
	@$(INSTALL) -r requirements-dev.txt
	@touch $@
