# Every target sets up what it needs by itself: Python 3.11 or newer and make are enough.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
BENCH_READY := $(VENV)/.bench-ready
MUTATION_READY := $(VENV)/.mutation-ready
# KAFKA_BROKERS=3 runs all that starts a stack on three nodes of Kafka. `up`, `demo` and
# `kafka-up` install Kafka by themselves, and only if they start one.
SERVERS := $(READY) kafka-files

.PHONY: help up down status demo check lint quick fast unit component test properties test-faults test-comfyui servers chaos chaos-short chaos-broken outages mutation kafka-up \
	kafka-down kafka-files bench bench-check bench-redis contracts format clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "imagegen needs Python 3.11 or newer; set PYTHON=python3.x")'
	@echo "setting up $(VENV) (about a minute, once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[local,dev,modal]'
	@touch $@

up: $(READY)  ## start the local stack: broker, stores, provider simulators, all services
	@$(BIN)/imagegen up

down: $(READY)  ## stop it
	@$(BIN)/imagegen down

status: $(READY)  ## what runs, and where
	@$(BIN)/imagegen status || [ $$? -eq 3 ]  # no stack is no error here

demo: $(READY)  ## one request of each type over Kafka and HTTP; images in out/demo/index.html
	@$(BIN)/imagegen demo

check: lint quick  ## lint, types, import rules, quick tests (no server needed)

test: quick properties test-faults servers  ## everything, on servers that it starts itself

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache | tail -n 12
	@$(BIN)/python -m tests.language

quick: fast
	@$(BIN)/pytest -q -n 2 -m 'not stack and not hypothesis' tests/contract tests/modal_app tests/tools tests/docs

fast: $(READY)  ## unit and component tests, side by side (no server, about a minute on 2 cores)
	@$(MAKE) --no-print-directory --jobs 2 --output-sync=target unit component

unit component: $(READY)
	@$(BIN)/pytest -q --capture sys -m 'not hypothesis' tests/$@

properties: $(READY)
	@$(BIN)/pytest -q -n 2 -m hypothesis --hypothesis-profile=thorough

servers: $(SERVERS)
	@$(BIN)/pytest -q -n 2 --dist loadfile --no-loadscope-reorder --timeout 600 -m stack tests/e2e tests/integration

test-comfyui: $(READY)  ## the gateway against a real ComfyUI, which COMFYUI_URL names (COMFYUI_COMMAND: restarts too)
	@if [ -n "$$COMFYUI_URL" ]; then $(BIN)/pytest -q tests/comfyui; else \
		echo "test-comfyui: skipped, COMFYUI_URL is not set (COMFYUI_URL=http://127.0.0.1:8188 make test-comfyui)"; fi

test-faults: $(READY)  ## what each provider can do to us, as a table (no server needed)
	@$(BIN)/pytest -q -n 2 --no-header tests/faults

chaos: $(SERVERS)  ## break everything under 1 000 jobs, then check that nothing is lost or doubled (< 30 min)
	@$(BIN)/python -m tests.chaos

chaos-short: $(SERVERS)  ## the same with 60 jobs (about 3 min)
	@$(BIN)/python -m tests.chaos --jobs 60 --seed 1 --minutes 8

chaos-broken: $(SERVERS)  ## builds with a fault each, and two without: the checker has to tell them apart
	@$(BIN)/python -m tests.chaos.broken_builds

outages: $(SERVERS)  ## broker, MongoDB and S3 away for a minute each, under load
	@$(BIN)/python -m tests.chaos --outages 60 --jobs 250 --minutes 14

mutation: $(MUTATION_READY)  ## change the rules at MUTANTS=500 places drawn by SEED=1; 85 % must fail a test (about 25 min)
	@$(BIN)/python -m tests.mutation --mutants $(or $(MUTANTS),500) --seed $(or $(SEED),1) $(if $(ONLY),--only '$(ONLY)')

$(MUTATION_READY): $(READY)
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[local,dev,modal,mutation]'
	@touch $@

kafka-up: $(READY)  ## start Kafka alone (KAFKA_BROKERS=3: a cluster)
	@$(BIN)/python -m deploy.local up --only broker --ports fixed --state .imagegen/kafka

kafka-down: $(READY)  ## stop it
	@$(BIN)/python -m deploy.local down --state .imagegen/kafka

kafka-files: $(READY)
	@$(BIN)/python -m deploy.local.apache_kafka

# ONLY=ours,floor leaves the other contestants out, PARTS=rounds,latency the other measurements;
# QUICK=1 shows that all of it works, and writes nothing into docs.
BENCH := $(BIN)/python -m bench $(if $(QUICK),--quick) $(if $(ONLY),--only $(ONLY)) $(if $(PARTS),--parts $(PARTS))

bench: $(SERVERS) $(BENCH_READY) bench-redis  ## measure beside Celery, Temporal and the floor; docs/performance.md
	@$(BENCH)

bench-check: $(SERVERS) $(BENCH_READY) bench-redis  ## the same; fails when a ratio is 20 % worse than in bench/recorded.json, or that is of another broker
	@$(BENCH) --check

$(BENCH_READY): $(READY)
	@$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[local,dev,modal,bench]'
	@touch $@

REDIS_FOR := $(if $(ONLY),$(findstring celery,$(ONLY))$(findstring temporal,$(ONLY)),all)
INSTALL_REDIS := { apt-get update -qq && apt-get install -y -qq --no-install-recommends redis-server; }
bench-redis:
	@[ -z "$(REDIS_FOR)" ] || command -v redis-server > /dev/null || $(INSTALL_REDIS) > /dev/null 2>&1 || { \
		echo "redis-server is missing and cannot be installed here: install it (apt-get install redis-server)," \
			"or leave out what needs it: make bench ONLY=ours,floor"; exit 1; }

contracts: $(READY)  ## write JSON Schemas and the AsyncAPI document from the code
	@$(BIN)/python -m contracts

format: $(READY)  ## format and fix what can be fixed
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean:  ## remove the virtual environment, caches and outputs
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis out build *.egg-info
