# Algosat's verbs. `make` alone lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
VERB := $(BIN)/python -m tools
CHECKS = $(VERB).checks $(if $(TIMES),--times $(TIMES))
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONPATH := $(CURDIR)
# Without compiled modules every start of Python takes twice as long, and the tests start hundreds.
unexport PYTHONDONTWRITEBYTECODE
# Which image a throw-away machine is made of.
DISTRO ?= debian-12
# Which situation `make molecule` goes through: a directory of molecule/; without it those of `make test`.
export SCENARIO

.PHONY: help
help: ## List the verbs
	@awk '/^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  match($$0, /^[a-z-]+:.*## /) { split($$0, part, /:.*## /); printf "  make %-13s %s\n", part[1], part[2] }' $(MAKEFILE_LIST)

##@ Try it
.PHONY: up down clean serve
up: ops ## Make a throw-away server, provision it, place a paper order over HTTPS (DISTRO=debian-12|debian-13|ubuntu-24.04|ubuntu-26.04)
	@$(VERB).up --distro $(DISTRO)

down: ops ## Remove the throw-away server and what was made for it
	@$(VERB).down

clean: ops ## The same, and what makes the next one quick: images and downloaded packages
	@$(VERB).down --caches

serve: ops ## Run the API and the engine on this machine: no container, SQLite, the paper broker
	@$(VERB).serve

##@ Prove it
.PHONY: test lint unit chaos molecule
test: deps ## Run lint, all tests, a short chaos and three molecule scenarios, and print a summary (TIMES=3 repeats it all and names what failed by chance)
	@$(CHECKS) lint unit slow chaos molecule

lint: deps ## Check formatting, types and rules of Python, Ansible, YAML and shell
	@$(CHECKS) lint

unit: deps ## Run the tests that need no machine, without the slow ones (TIMES=…)
	@$(CHECKS) unit

chaos: deps ## 2,000 orders under every fault while API and engine are killed 200 times: nothing lost, doubled or exceeded (SEED=…)
	@$(BIN)/python -m tests.chaos --orders 2000 --kills 200 $(if $(SEED),--seed $(SEED))

molecule: deps ## The whole site on fresh machines: Debian 12 and 13 (SCENARIO=default: as it comes; alternative: most values changed; operations: a server's years; ubuntu: 24.04 and 26.04; vm: a kernel of its own, on QEMU)
	@$(CHECKS) molecule

.PHONY: prove
prove: deps ## Run the full sizes of what `make test` proves at small ones, and write docs/proofs.md (PART="chaos vm"; LIST=yes names the parts)
	@$(VERB).prove $(if $(LIST),--list) $(PART)

.PHONY: bench
bench: deps ## Measure what Algosat costs beside bare parts in the same run (SAVE=yes writes docs/benchmarks.md)
	@$(VERB).bench $(if $(SAVE),--save)

.PHONY: bench-provision audit
bench-provision: deps ## Tasks and seconds of a first run and of one without changes, beside a plain script (DISTRO=…, BESIDE=playbook, SAVE=yes)
	@$(VERB).bench.provision --distro $(DISTRO) $(if $(BESIDE),--beside $(abspath $(BESIDE))) $(if $(SAVE),--save)

audit: deps ## Look at `make up`'s server as lynis, CIS, ssh-audit, testssl and systemd do (SAVE=yes writes docs/hardening.md)
	@$(VERB).audit $(if $(SAVE),--save)

##@ Operate it
.PHONY: no-change
no-change: ops ## Provision `make up`'s server again: nothing may change; prints tasks and seconds
	@$(VERB).no_change

.PHONY: drift
drift: ops ## Compare servers with their inventory, name every difference, tell it to /health and /metrics (ENV=…, LIMIT=host)
	@$(VERB).drift $(or $(ENV),$(error say which environment: make $@ ENV=staging)) $(if $(LIMIT),--limit $(LIMIT))

.PHONY: new-inventory
new-inventory: ops ## Describe new servers, with fresh secrets of their own (ENV=…, HOSTS=name=address,…, LOGIN=operator, FROM=your address)
	@$(VERB).new_inventory $(or $(ENV),$(error say which environment: make $@ ENV=mine)) $(if $(HOSTS),--hosts $(HOSTS)) $(if $(LOGIN),--user $(LOGIN)) $(if $(FROM),--from $(FROM))

.PHONY: vault-edit vault-new vault-rekey
vault-edit: ops ## Edit an environment's secrets, encrypted again when the editor closes (ENV=staging|production|…)
	@$(VERB).vault edit $(or $(ENV),$(error say which environment: make $@ ENV=staging))

vault-new: ops ## Make fresh secrets for an environment that has none (ENV=…)
	@$(VERB).vault new $(or $(ENV),$(error say which environment: make $@ ENV=staging))

vault-rekey: ops ## Give an environment's vault a new password; the documented one of an example goes away (ENV=…)
	@$(VERB).vault rekey $(or $(ENV),$(error say which environment: make $@ ENV=staging))

##@ Develop it
.PHONY: deps ops docs lock
deps: $(VENV)/.done ## Install the app and everything that tests need into .venv, from the lock files

# What the verbs that operate servers need: less, so that a first `make up` waits less.
ops: $(VENV)/.ops-done

LOCKS := requirements-ops.lock app/requirements.lock app/pyproject.toml .config/uv.lock.txt
$(VENV)/.ops-done: $(LOCKS)
	@$(PYTHON) -m tools.deps ops

$(VENV)/.done: requirements-dev.lock $(LOCKS)
	@$(PYTHON) -m tools.deps

docs: deps ## Write what is generated: README.md of each role, docs/samples/prices.csv, the answers in docs/api.md
	@$(VERB).role_docs
	@$(VERB).sample_prices
	@SAVE=yes $(BIN)/pytest -q -n 0 tests/app/api/test_guide.py

COMPILE := $(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command 'make lock'
lock: ## Resolve every lock file from its list: app/pyproject.toml, requirements-*.in, .config/venvs/*.in (LOCKFLAGS=--upgrade)
	$(COMPILE) app/pyproject.toml -o app/requirements.lock $(LOCKFLAGS)
	$(COMPILE) requirements-ops.in -c app/requirements.lock -o requirements-ops.lock $(LOCKFLAGS)
	$(COMPILE) requirements-dev.in requirements-ops.in -c app/requirements.lock -c requirements-ops.lock -o requirements-dev.lock $(LOCKFLAGS)
	echo uv | $(COMPILE) - -c requirements-ops.lock -o .config/uv.lock.txt
	for list in .config/venvs/*.in; do $(COMPILE) $$list -o $${list%.in}.txt $(LOCKFLAGS); done
