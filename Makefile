# Two commands: `make demo` and `make test`. Both set everything up first, in .venv, from package registries.
SHELL := /bin/bash
PYTHON ?= python3
WORLD ?= carmaker
HOST ?= 127.0.0.1
PORT ?= 3000
BIN := .venv/bin
PIN := $(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --no-header --no-annotate --generate-hashes
export MLFLOW_DISABLE_TELEMETRY := true
export BENTOML_DO_NOT_TRACK := True

.PHONY: help demo serve test check fast slow faults sbom bento bento-proof catalogue constraints advisories clean
.DEFAULT_GOAL := help

help: ## list what can be made
	@grep -hE '^[a-z-]+[%a-zA-Z-]*:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | awk -F'\t' '{printf "make %-14s %s\n", $$1, $$2}'

demo: .venv/ready ## set up, then load, train, score and report on a world (WORLD=carmaker, cdnow, journey, motor, bank)
	@$(BIN)/python -m worlds.demo --world $(WORLD)

serve: .venv/ready ## start the scoring service on what the demo promoted (HOST, PORT)
	@$(BIN)/bentoml serve serving.service:Propensity --host $(HOST) --port $(PORT)

test: check fast slow ## set up, then check style and types and run all tests

check: .venv/ready ## style and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check -q . && $(BIN)/mypy

# Two processes of one thread each: more threads would only wait for one another (twice the time, measured on two cores).
TESTS = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

fast: .venv/ready ## the fast tests
	@$(TESTS) -m "not slow"

slow: .venv/ready ## the slow tests
	@$(TESTS) -m slow --dist loadfile

faults: .venv/ready ## hostile questions, signals under load; the batch killed, starved and corrupted; withdrawals while it works; erasures killed; personal values in every place; an audit trail tampered with: in numbers, seeds printed
	@PROPENSITY_CASES=2000 PROPENSITY_SIGNALS=20 $(BIN)/python -m pytest --timeout 0 tests/serving/test_generated.py tests/serving/test_under_signals.py tests/serving/edge
	@$(BIN)/python -m tests.faults.runs
	@$(BIN)/python -m tests.faults.consents
	@$(BIN)/python -m tests.faults.erasures
	@$(BIN)/python -m tests.faults.leaks
	@$(BIN)/python -m tests.faults.audits

sbom: .venv/ready ## the bill of materials of the environment: CycloneDX, in var/sbom.json
	@$(BIN)/python -m tests.supply.sbom var/sbom.json

bento: .venv/ready ## build a bento of the scoring service; its folder holds the Dockerfile (bentoml containerize propensity:latest)
	@$(BIN)/bentoml build

bento-proof: .venv/ready ## build it, install it into an environment of its own, start it there and compare its answers
	@folder=$$(mktemp -d) && $(BIN)/python -m tests.serving.bento_proof $$folder && rm -rf $$folder

bench-%: .venv/ready ## a table of ratios against peers, e.g. bench-quality; also in var/bench
	@$(BIN)/python -m benchmarks.$*

catalogue: .venv/ready ## print every feature
	@$(BIN)/python -m features

constraints: .venv/ready ## pin today's versions anew, each with its hashes
	@$(PIN) --extra dev pyproject.toml -o constraints.txt
	@$(PIN) -c constraints.txt serving/requirements.in -o serving/requirements.txt

advisories: .venv/ready ## ask whether any pinned version is known to be vulnerable; fails when nobody answers (needs a network)
	@$(BIN)/pip-audit --strict --require-hashes --disable-pip --progress-spinner off -r constraints.txt

clean: ## remove what the product wrote (var/), not the environment
	@rm -rf var

# uv where it is or can be had, pip where not; only files whose hash is in the constraints. Byte-code is compiled now rather than at
# every start. We ourselves have no hash, nor may anything be fetched to build us: setuptools is among the pinned.
.venv/ready: pyproject.toml constraints.txt worlds/data-packages.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@command -v uv >/dev/null || $(BIN)/python -m pip --version >/dev/null 2>&1 || $(BIN)/python -m ensurepip >/dev/null
	@command -v uv >/dev/null || test -x $(BIN)/uv || $(BIN)/python -m pip install -q --require-hashes -r <(sed -n '/^uv==/,/[^\\]$$/p' constraints.txt) \
	  || echo "uv is not to be had; pip will do"
	@install="$$(command -v uv || ls $(BIN)/uv 2>/dev/null)"; \
	if [ -n "$$install" ]; then install="$$install pip install -q --python $(BIN)/python --compile-bytecode"; \
	else install="$(BIN)/python -m pip install -q"; fi; \
	echo "installing with: $$install"; \
	$$install --require-hashes -r constraints.txt \
	  && $$install --no-deps --no-build-isolation --require-hashes -r worlds/data-packages.txt \
	  && $$install --no-deps --no-build-isolation -e .
	@touch $@
