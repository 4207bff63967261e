# make run   the dashboard        make test   everything that CI runs
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export STREAMLIT_BROWSER_GATHER_USAGE_STATS := false

.PHONY: run test check unit test-browser test-slow test-spark build train bench clean

run: $(VENV)/.installed-run
	$(BIN)/routelens serve

# --- installation: a stamp a requirements file, so that nothing is installed twice -------------------------------
$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)

$(VENV)/.installed-run: requirements.txt pyproject.toml setup.py $(wildcard moe_core/*/*.c) | $(VENV)/bin/python
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements.txt
	$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps -e .
	touch $@

$(VENV)/.installed-dev: requirements-dev.txt requirements-train.txt $(VENV)/.installed-run
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements-dev.txt
	$(BIN)/python -m pip install --disable-pip-version-check -q --no-deps -r requirements-train.txt
	touch $@

$(VENV)/.installed-spark: requirements-spark.txt $(VENV)/.installed-dev
	$(BIN)/python -m pip install --disable-pip-version-check -q -r requirements-spark.txt
	touch $@

build: $(VENV)/.installed-dev
	$(BIN)/python -m moe_core.dashboard.i18n

# --- checks ------------------------------------------------------------------------------------------------------
test: check unit test-browser

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/mypy

# one thread a worker, so that two of them do not take four
unit: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist worksteal

test-browser: $(VENV)/.installed-dev
	@bash tests/browser/ensure_chromium.sh
	$(BIN)/python -m pytest -m browser tests/browser

test-slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m slow

# Needs Java 17 or newer; without it the tests are skipped and say so.
test-spark: $(VENV)/.installed-spark
	$(BIN)/python -m pytest -m spark -rs

# --- the reference model, made again (about 4 hours on one core) ----------------------------------------------
train: $(VENV)/.installed-dev
	$(BIN)/routelens data get corpus
	$(BIN)/routelens train data/configs/reference_first.toml --state data/cache/training/first \
	  --out data/cache/training/first-model
	$(BIN)/routelens train data/configs/reference_second.toml --state data/cache/training/second \
	  --out data/cache/training/second-model
	$(BIN)/routelens train data/configs/reference.toml --out data/models/mine

# --- times, FLOPs and quality on this machine (about 15 minutes; keep the machine quiet meanwhile) -----------------
bench: $(VENV)/.installed-run
	$(BIN)/routelens bench model --markdown docs/benchmarks.md --record

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis
