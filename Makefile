# Two commands do everything: `make dev` (a live cluster) and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

MINUTES ?= 10

.PHONY: dev test soak coverage peers verify bench lint clean

dev: $(STAMP)
	$(BIN)/quorate dev

# A stock Debian lacks ensurepip, so the environment is made without pip and filled from outside.
$(VENV)/bin/python:
	$(PYTHON) -m venv --without-pip $(VENV)

$(STAMP): $(VENV)/bin/python pyproject.toml
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/.tested: $(STAMP)
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --disable-pip-version-check pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev
	touch $@

lint: $(VENV)/.tested
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/public_types.py

test: lint
	$(BIN)/pytest -n 2 --dist worksteal --durations=10

# Every line and branch of the protocol, by its own tests and the scenarios.
coverage: $(VENV)/.tested
	$(BIN)/coverage run -m pytest -q tests/protocol tests/scenarios
	$(BIN)/coverage report

# Servers of other projects, for the benchmark and the tests against real peers.
peers:
	sh tools/peers.sh

# Everything: lint, tests, the long forms (marked soak), the benchmarks' floors.
verify: $(VENV)/.tested
	sh tools/verify.sh

# Real nodes under real faults, judged by the simulator's checkers.
soak: $(VENV)/.tested
	$(BIN)/python -m tests.system.soak --minutes $(MINUTES)

bench: $(VENV)/.tested
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group bench
	$(BIN)/python -m benchmarks.coordination
	$(BIN)/python -m benchmarks.recipes
	$(BIN)/python -m benchmarks.grpc_servers

clean:
	rm -rf $(VENV) .quorate .coverage dist build
