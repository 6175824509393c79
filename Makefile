# make demo: install and run the default comparison. make test: the whole suite. make ci: what .ci/run calls.
# make test CONSTRAINTS= : with the newest packages instead of the pinned ones.
PYTHON ?= python3
CONSTRAINTS ?= constraints.txt
PINNED := $(addprefix --constraint ,$(CONSTRAINTS))
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

.PHONY: demo test browser coverage lint types wheel docs ci speed gpu clean

$(STAMP): pyproject.toml setup.py $(CONSTRAINTS)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet $(PINNED) --editable '.[dev]'
	touch $@

demo: $(STAMP)
	$(BIN)/quantdg run experiment=demo

test: $(STAMP)
	$(BIN)/python -m pytest -n 2

browser: $(STAMP)
	$(BIN)/python -c 'import playwright' 2>/dev/null || $(BIN)/pip install --quiet $(PINNED) --editable '.[browser]'
	$(BIN)/python -m pytest -m browser -rs

coverage: $(STAMP)
	rm -f .coverage .coverage.*
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy
	$(BIN)/basedpyright

wheel: $(STAMP)
	rm -rf dist build
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .
	CONSTRAINTS="$(CONSTRAINTS)" bash tests/wheel.sh dist/quantdg-*.whl

docs: $(STAMP)
	$(BIN)/python -c 'import mkdocs, material, mkdocstrings' 2>/dev/null || $(BIN)/pip install --quiet $(PINNED) --editable '.[docs]'
	$(BIN)/mkdocs build --strict --quiet

ci: lint types wheel test docs

speed: $(STAMP)
	$(BIN)/python -m pytest -m speed --benchmark-columns=median,iqr,rounds

gpu: $(STAMP)
	timeout 600 $(BIN)/python -m pytest -m gpu tests/bench/gpu -q --tb=short -p no:cacheprovider

clean:
	rm -rf $(VENV) build dist site runs
