# Everything a newcomer runs. A fresh machine has python3, make and pip; nothing else is assumed.
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

help:  ## what can be made
	@sed -n 's/^\([a-z-]*\):.*##/\1\t/p' $(MAKEFILE_LIST) | expand -t 12

$(STAMP): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("tsfarm needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; name another: make PYTHON=python3.12 …" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

venv: $(STAMP)  ## install into .venv

demo: $(STAMP)  ## a farm lives through the whole story, every step observed
	@$(BIN)/python -m tests.demo

lab: $(STAMP)  ## a farm in the foreground, until Ctrl-C
	@$(BIN)/tsfarm lab up --foreground

test: $(STAMP)  ## all tests
	$(BIN)/python -m pytest -q

check: $(STAMP)  ## style, types, architecture
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/test_architecture.py

bench: $(STAMP)  ## the product beside its peers; make bench ONLY="directory echo" for some
	$(BIN)/python -m bench $(ONLY) --json bench.json

generate: $(STAMP)  ## write what is derived: PROTOCOL.md, tsfarm.lua, EVENTS.md, test vectors
	$(BIN)/python -m tsproto.reference
	$(BIN)/python -m daemons.reference
	$(BIN)/python -m tests.conformance.vectors

lock: $(STAMP)  ## resolve requirements.txt anew
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile pyproject.toml --all-extras --group dev --group bench --generate-hashes --universal --python-version 3.11 --no-header --quiet -o requirements.txt

clean:  ## remove what make made
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

.PHONY: help venv demo lab test check generate bench lock clean
