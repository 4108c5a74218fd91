# Algosat's verbs. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
UV := $(VENV)/bin/uv
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help
help: ## List the verbs
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

.PHONY: lock
lock: ## Resolve the lock files anew from app/pyproject.toml and requirements-dev.in
	$(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command 'make lock' \
	  app/pyproject.toml -o app/requirements.lock $(LOCKFLAGS)
	$(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command 'make lock' \
	  requirements-dev.in -c app/requirements.lock -o requirements-dev.lock $(LOCKFLAGS)

.PHONY: deps
deps: $(VENV)/.done ## Install the developer's tools and the app into .venv, from the lock files

$(VENV)/.done: requirements-dev.lock app/requirements.lock app/pyproject.toml
	python3 -m venv $(VENV)
	$(BIN)/pip install -q uv
	$(UV) pip sync -q --require-hashes requirements-dev.lock app/requirements.lock
	$(UV) pip install -q --no-deps --no-build-isolation -e app
	touch $@
