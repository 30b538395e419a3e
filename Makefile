# One Makefile; `make` alone lists what it can do.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
FUZZ_STAMP := $(VENV)/.fuzz
FUZZ_S ?= 720
# Where this is set, each of some hundred processes that the tests start would compile its imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup run test tests lint format types proto lock bench bench-query fault fuzz interop clean

help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv with the `otlpg` command in it

$(STAMP): requirements/dev.txt pyproject.toml
	@echo "[1/3] virtual environment in $(VENV)"
	@$(PYTHON) -c 'import sys; sys.exit("otlpg needs Python 3.11 or newer") if sys.version_info < (3, 11) else None'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "[2/3] pinned packages (requirements/dev.txt)"
	@$(BIN)/python -m pip install --disable-pip-version-check --progress-bar on --require-hashes -r requirements/dev.txt
	@echo "[3/3] otlpg itself"
	@$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps --no-build-isolation -e .
	@touch $@

run: $(STAMP) ## start otlpg with an embedded PostgreSQL on this machine
	@exec $(BIN)/otlpg dev

lint: $(STAMP) ## format, lint, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types: $(STAMP) ## pyright, strict
	$(BIN)/pyright

test: lint ## every check and every test
	@$(MAKE) --no-print-directory -j 2 types tests  # pyright takes one core and most of a minute

tests: $(STAMP) ## every test but the long ones
	$(BIN)/pytest -n 4 --dist loadfile --no-loadscope-reorder -m "not long and not interop and not pgbouncer"

format: $(STAMP) ## rewrite the code in the one format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

proto: $(STAMP) ## generate collector/wire from proto/
	$(BIN)/python proto/generate.py

lock: $(STAMP) ## pin the packages anew, with hashes and without any address
	$(BIN)/python -m uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --all-extras --group dev -q pyproject.toml -o requirements/dev.txt
	$(BIN)/python -m uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --extra fast -q pyproject.toml -o requirements/serve.txt
	$(BIN)/python -m uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --group build -q -o requirements/build.txt
	$(BIN)/python -m uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --group fuzz -q -o requirements/fuzz.txt
	$(BIN)/python -m uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --group interop -q -o requirements/interop.txt

bench: $(STAMP) ## measure throughput, latency and memory against raw COPY
	$(BIN)/otlpg bench --local

bench-query: $(STAMP) ## measure how soon questions are answered, of a week of telemetry (8 minutes, 17 GB)
	$(BIN)/otlpg bench --query

fault: $(STAMP) ## the long runs: kills, outages, a bad network, pgbouncer; thousands of round trips; all of the catalogue
	$(BIN)/pytest tests/fault tests/db tests/fuzz tests/bench tests/catalogue -m "long or pgbouncer" -s

fuzz: $(FUZZ_STAMP) ## mutate requests by coverage for FUZZ_S seconds (720); exit status 1 on a finding
	$(BIN)/python -m tests.fuzz.run --seconds $(FUZZ_S)

$(FUZZ_STAMP): requirements/fuzz.txt $(STAMP)
	@$(BIN)/python -m pip install --disable-pip-version-check -q --require-hashes -r requirements/fuzz.txt
	@touch $@

interop: $(STAMP) ## real otel-collector, telemetrygen, JavaScript SDK and Jaeger against otlpg
	$(BIN)/python -m tests.interop.binaries
	$(BIN)/pytest -n 4 --dist loadfile tests/interop -m interop

clean: ## remove what the targets above made, but no data
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis
