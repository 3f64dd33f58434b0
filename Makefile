# Batchpay: `make` lists what there is. Every target sets up what it needs.

.DEFAULT_GOAL := help
SHELL := /bin/sh
BIN := .venv/bin
# One worker for each core, and at least four: most tests wait for servers, not for the processor.
WORKERS ?= $(shell n=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 4); [ $$n -gt 4 ] && echo $$n || echo 4)

# Where an environment forbids it, every process of ours compiles every module anew: half of the second that it takes to
# start. What is written lies in .venv and in __pycache__, which `make clean` removes.
export PYTHONDONTWRITEBYTECODE =

.PHONY: help
help: ## List the targets
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: running ## Prepare this machine: .venv from uv.lock, RabbitMQ, Chromium and npm if they are missing
	@.ci/browser
	@.ci/node

# What it takes to run the system; the tests' browser and npm are not needed for that.
.PHONY: running
running: .venv/.synced
	@.ci/rabbitmq

.venv/.synced: uv.lock pyproject.toml .ci/python
	@.ci/python
	@touch $@

.PHONY: demo
demo: running ## Charge sample batches at both simulated processors and compare the ledgers
	@$(BIN)/batchpay demo

.PHONY: demo-day
demo-day: running ## A whole day of both processors on their own clocks, reconciled at its end
	@$(BIN)/batchpay demo-day

.PHONY: up
up: running ## Run the whole system here, with simulated processors, until Ctrl-C
	@$(BIN)/batchpay up

.PHONY: check
check: .venv/.synced ## Format, lint, types and import contracts
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: test
test: setup check ## Everything that must pass: check, then all tests on real servers
	@# A file stays on one worker, because its tests may share servers that they stop and kill.
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: schemas
schemas: .venv/.synced ## Write the JSON Schemas, the AsyncAPI and the OpenAPI document from the code
	@$(BIN)/python -m schemas.export
	@$(BIN)/python -m services.submit.openapi

.PHONY: browser
browser: setup ## The console in Chromium: the journey, axe, pictures into docs/screenshots
	@BATCHPAY_SCREENSHOTS=docs/screenshots $(BIN)/pytest tests/browser

.PHONY: crash-points
crash-points: running ## Kill processes at every named place, under load
	@BATCHPAY_CRASH_POINTS=all $(BIN)/pytest tests/chaos/test_crash_points.py

ONLY ?=
.PHONY: protections
protections: setup ## Take each protection out of a copy of the code and see its test fail: make protections ONLY=relay
	@$(BIN)/python -m tests.protections $(ONLY)

MUTANTS ?=
.PHONY: mutation
mutation: setup ## Change what decides about money and see tests fail, all of it or MUTANTS='shared.domain.taken*'
	@.ci/python --group mutation
	@$(BIN)/mutmut run $(MUTANTS)
	@$(BIN)/mutmut results

SEEDS ?= 1000
.PHONY: simulate
simulate: running ## Drive the code through SEEDS seeded worlds of faults: make simulate SEEDS=10000
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS)

MINUTES ?= 10
SEED ?= 1
.PHONY: chaos
chaos: running ## Kill, pause and cut off everything for MINUTES, by SEED, then compare with the ledgers
	@$(BIN)/python -m tests.chaos --minutes $(MINUTES) --seed $(SEED)

ROUNDS ?= 5
.PHONY: bench
bench: running ## Measure beside the baselines, ROUNDS times, into tests/bench/results/
	@.ci/python --group bench
	@$(BIN)/python -m tests.bench --rounds $(ROUNDS)

.PHONY: clean
clean: ## Remove what was made here: environment, tools and caches
	rm -rf .venv .tools mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist run
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
