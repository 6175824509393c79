# make demo: install and run the default comparison. make test: the whole suite. make ci: what .ci/run calls.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

.PHONY: demo test lint types wheel ci speed clean

$(STAMP): pyproject.toml setup.py constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(STAMP)
	$(BIN)/quantdg run experiment=demo

test: $(STAMP)
	$(BIN)/python -m pytest -n 2

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy
	$(BIN)/basedpyright

wheel: $(STAMP)
	rm -rf dist build
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .
	bash tests/wheel.sh dist/quantdg-*.whl

ci: test lint types wheel

speed: $(STAMP)
	$(BIN)/python -m pytest -m speed --benchmark-columns=median,iqr,rounds

clean:
	rm -rf $(VENV) build dist runs
