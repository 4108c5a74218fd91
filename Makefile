# Algosat's verbs. `make` without one lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
# The distribution's Python, as on servers: it needs a sixth less CPU time than one that is compiled without options.
PYTHON ?= $(shell /usr/bin/python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo /usr/bin/python3 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
UV := $(BIN)/uv
VERB := $(BIN)/python -m tools
CHECKS = $(VERB).checks $(if $(TIMES),--times $(TIMES))
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PYTHONPATH := $(CURDIR)
# Without compiled modules every start of Python takes twice as long, and the tests start hundreds of processes.
unexport PYTHONDONTWRITEBYTECODE
# The distribution of the trial server.
DISTRO ?= debian-12
# The scenarios of `make molecule`: names of directories in molecule/; by default those of `make test`.
export SCENARIO

.PHONY: help
help: ## List the verbs
	@awk '/^##@/ { printf "\n%s\n", substr($$0, 5) } \
	  match($$0, /^[a-z-]+:.*## /) { split($$0, part, /:.*## /); printf "  make %-15s %s\n", part[1], part[2] }' $(MAKEFILE_LIST)

##@ Try it
.PHONY: up down clean serve
up: ops ## Create a trial server in a container, provision it, place a paper order over HTTPS (DISTRO=debian-12|debian-13|ubuntu-24.04|ubuntu-26.04)
	@$(VERB).up --distro $(DISTRO)

down: ops ## Remove the trial server, its inventory and its secrets
	@$(VERB).down

clean: ops ## Remove the trial server, its images and the downloaded packages
	@$(VERB).down --caches

serve: ops ## Run API, engine and strategies on this machine, with SQLite and the paper broker
	@$(VERB).serve

##@ Prove it
.PHONY: test lint unit chaos molecule
test: deps ## Run lint, all tests, a short chaos run and three molecule scenarios side by side (TIMES=3 repeats them)
	@$(CHECKS) lint unit slow chaos molecule

lint: deps ## Check Python, Ansible, YAML and shell: format, types, rules, security (bandit), licences, and the words of .config/language.toml
	@$(CHECKS) lint

unit: deps ## Run the quick tests of app, roles and tools; no server is needed (TIMES=…)
	@$(CHECKS) unit

chaos: deps ## Place 2,000 orders under all faults and 200 kills: none may be lost, doubled or beyond a limit (SEED=…)
	@$(BIN)/python -m tests.chaos --orders 2000 --kills 200 $(if $(SEED),--seed $(SEED))

molecule: deps ## Provision and test new machines (SCENARIO=default|alternative|operations on Debian 12 and 13, ubuntu, or vm on QEMU)
	@$(CHECKS) molecule

.PHONY: drill
drill: deps ## Inject each fault into the trial server under load: a person is told in time, exits get through, nothing is lost (FAULT=…)
	@$(BIN)/python -m tests.drill $(if $(FAULT),"$(FAULT)")

.PHONY: prove
prove: deps ## Prove at full size what `make test` proves at a small one; writes docs/proofs.md (PART="chaos vm"; LIST=yes)
	@$(VERB).prove $(if $(LIST),--list) $(PART)

.PHONY: bench
bench: deps ## Measure Algosat's parts against bare equivalents (SAVE=yes writes docs/benchmarks.md; BEFORE=revision compares with it)
	@$(if $(BEFORE),$(VERB).bench.pairs $(BEFORE) $(if $(PAIRS),--pairs $(PAIRS)),$(VERB).bench $(if $(SAVE),--save))

.PHONY: bench-provision audit
bench-provision: deps ## Measure a first provisioning run and one without changes, against a plain script (DISTRO=…, BESIDE=playbook, SAVE=yes)
	@$(VERB).bench.provision --distro $(DISTRO) $(if $(BESIDE),--beside $(abspath $(BESIDE))) $(if $(SAVE),--save)

audit: deps ## Audit the trial server with lynis, CIS, ssh-audit, testssl and systemd (SAVE=yes writes docs/hardening.md)
	@$(VERB).audit $(if $(SAVE),--save)

##@ Operate it
.PHONY: no-change
no-change: ops ## Provision the trial server again and fail if anything changes
	@$(VERB).no_change

.PHONY: drift
drift: ops ## Compare servers with their inventory; report differences here, in /health and in /metrics (ENV=…, LIMIT=host)
	@$(VERB).drift $(or $(ENV),$(error name the environment: make $@ ENV=staging)) $(if $(LIMIT),--limit $(LIMIT))

.PHONY: test-alert
test-alert: ops ## Send a test alert from the servers through every channel; fail unless each accepts it (ENV=…; by default the trial server)
	@$(VERB).test_alert $(ENV) $(if $(LIMIT),--limit $(LIMIT))

.PHONY: new-inventory
new-inventory: ops ## Create the inventory of new servers, with new secrets (ENV=…, HOSTS=name=address,…, LOGIN=operator, FROM=your address)
	@$(VERB).new_inventory $(or $(ENV),$(error name the environment: make $@ ENV=mine)) $(if $(HOSTS),--hosts $(HOSTS)) $(if $(LOGIN),--user $(LOGIN)) $(if $(FROM),--from $(FROM))

.PHONY: vault-edit vault-new vault-rekey
vault-edit: ops ## Edit an environment's secrets (ENV=staging|production|…)
	@$(VERB).vault edit $(or $(ENV),$(error name the environment: make $@ ENV=staging))

vault-new: ops ## Create the secrets of an environment that has none (ENV=…)
	@$(VERB).vault new $(or $(ENV),$(error name the environment: make $@ ENV=staging))

vault-rekey: ops ## Encrypt an environment's secrets with a new password (ENV=…)
	@$(VERB).vault rekey $(or $(ENV),$(error name the environment: make $@ ENV=staging))

##@ Develop it
.PHONY: deps ops docs lock audit-deps
deps: $(VENV)/.done ## Install the app and everything that tests need into .venv, from the lock files

# The smaller set that the verbs for servers need, so that a first `make up` starts sooner.
ops: $(VENV)/.ops-done

LOCKS := requirements-ops.lock app/requirements.lock app/pyproject.toml .config/uv.lock.txt
$(VENV)/.ops-done: $(LOCKS)
	@$(PYTHON) -m tools.deps ops

$(VENV)/.done: requirements-dev.lock $(LOCKS)
	@$(PYTHON) -m tools.deps

docs: deps ## Write the generated documents: each role's README.md, docs/metrics.md, the routes in docs/security.md, docs/samples/prices.csv, the answers in docs/api.md
	@$(VERB).role_docs
	@$(VERB).metric_docs
	@$(VERB).access_docs
	@$(VERB).sample_prices
	@SAVE=yes $(BIN)/pytest -q -n 0 tests/app/api/test_guide.py

audit-deps: deps ## Report known vulnerabilities of the locked packages; never fails (needs a network)
	@$(VERB).audit_deps

COMPILE := $(UV) pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --custom-compile-command 'make lock'
lock: ## Resolve the lock files of app/pyproject.toml, requirements-*.in and .config/venvs/*.in (LOCKFLAGS=--upgrade)
	$(COMPILE) app/pyproject.toml -o app/requirements.lock $(LOCKFLAGS)
	$(COMPILE) requirements-ops.in -c app/requirements.lock -o requirements-ops.lock $(LOCKFLAGS)
	$(COMPILE) requirements-dev.in requirements-ops.in -c app/requirements.lock -c requirements-ops.lock -o requirements-dev.lock $(LOCKFLAGS)
	echo uv | $(COMPILE) - -c requirements-ops.lock -o .config/uv.lock.txt
	for list in .config/venvs/*.in; do $(COMPILE) $$list -o $${list%.in}.txt $(LOCKFLAGS); done
