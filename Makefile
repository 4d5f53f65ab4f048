# joulegate: `make demo` to try it, `make test` to trust it. Both do all their own set-up.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DEVICES ?= 200
PYTEST_ARGS ?= -n logical --maxprocesses 4 --dist worksteal
CHAOS_ARGS ?=
FUZZ_ARGS ?=
RIVALS_ARGS ?=

.PHONY: help install demo test check audit dashboard chaos fuzz bench-check rivals figures fmt lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 22

$(STAMP): requirements/dev.txt pyproject.toml scripts/bootstrap scripts/apt
	PYTHON="$(PYTHON)" scripts/bootstrap "$(VENV)"
	@touch $@

install: $(STAMP) ## put everything into .venv/ (and mosquitto on the machine, where apt can)

demo: install ## everything on this machine with a simulated fleet: broker, database, gateway, HTTP
	$(BIN)/joulegate up --devices $(DEVICES)

$(VENV)/.browser: scripts/bootstrap-browser $(STAMP)
	scripts/bootstrap-browser
	@touch $@

$(VENV)/.pooler: scripts/bootstrap-pooler $(STAMP)
	scripts/bootstrap-pooler
	@touch $@

test: install $(VENV)/.browser $(VENV)/.pooler ## the whole suite, on a real broker and a real PostgreSQL
	$(BIN)/pytest $(PYTEST_ARGS)

check: install ## lint, formatting, types, imports, lock files, the built dashboard, known vulnerabilities (told, not failed on)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	scripts/check-lock $(BIN)
	scripts/check-dashboard
	$(BIN)/python scripts/audit $(BIN)

audit: install ## known vulnerabilities of what the lock files pin: exit code 1 when there are some, or when nobody can be asked
	$(BIN)/python scripts/audit $(BIN) --strict

dashboard: ## build the dashboard again from http/dashboard/ (needs Node 18 or newer; users do not)
	@command -v npm >/dev/null || { echo "there is no npm on this machine: install Node 18 or newer (as root on Debian: apt-get install npm)" >&2; exit 1; }
	cd http/dashboard && npm ci --silent && npm run --silent check && npm run --silent build

chaos: install ## break everything under load, compare what was acknowledged with what was kept (about five minutes)
	PYTHONPATH=bench $(BIN)/python -m chaos $(CHAOS_ARGS)

fuzz: install ## a million payloads to the decoder and to a second reading of the contract (about five minutes)
	PYTHONPATH=bench $(BIN)/python -m fuzz $(FUZZ_ARGS)

bench-check: install ## every bench, small: ratios within limits, or exit code 1 (a minute or two)
	$(BIN)/joulegate bench check

rivals: install ## joulegate beside what others do instead: rates, CPU, and what is lost when they are killed (about ten minutes)
	PYTHONPATH=bench $(BIN)/python -m rivals $(RIVALS_ARGS)

figures: install ## docs/performance.md's tables and plots from the records in bench/*.json
	PYTHONPATH=bench $(BIN)/python -m figures

fmt: install ## format and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: install ## resolve the dependencies again, with hashes and without hosts
	scripts/lock $(BIN)

clean: ## remove everything that make and joulegate created here
	@if [ -e .joulegate/processes.jsonl ] && ! flock -n .joulegate/processes.jsonl true; then \
		echo "joulegate up is running here: stop it first (Ctrl-C), or its data would be deleted under it" >&2; exit 1; fi
	rm -rf $(VENV) .joulegate .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
