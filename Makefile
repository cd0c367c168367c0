# Each target makes the environment it needs: `make demo` installs the program alone, the others its tools as well.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test check format bench guard torture audit clean

demo: $(VENV)/.core
	$(BIN)/select2reason demo --force

test: $(VENV)/.dev
	$(BIN)/python -m pytest

check: $(VENV)/.dev
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev
	$(BIN)/ruff format src tests benchmarks
	$(BIN)/ruff check --fix src tests benchmarks

bench: $(VENV)/.dev
	$(BIN)/python benchmarks/select_speed.py --write

guard: $(VENV)/.dev
	$(BIN)/python benchmarks/guard.py

torture: $(VENV)/.dev # over an hour: every test of tests/torture as often as docs/reliability.md says, its figures in torture.jsonl
	rm -f torture.jsonl
	SELECT2REASON_TORTURE=$(CURDIR)/torture.jsonl $(BIN)/python -m pytest tests/torture
	cat torture.jsonl

audit: $(VENV)/.core # asks a database on the network which pinned versions have known holes; without a network it fails
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip-audit
	$(BIN)/pip-audit --strict --requirement constraints.txt --no-deps --disable-pip

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.core
	$(PIP) --editable '.[dev]'
	touch $@
