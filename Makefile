# make demo: install and run the quick comparison.  make test: install and run the tests, but for the slow ones (make slow) and those of a browser.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# A file of tests stays in one process, so that what its tests share is made once.
# As in the workers: processes that test side by side do not share the cores once more.
ONE_THREAD := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
# Tests that pytest has rewritten are kept for the next command, also where the environment asks Python to keep nothing.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo reports test slow test-minimum browser docs mutation bench lint clean

demo: $(VENV)/installed
	$(BIN)/xai-bench run quick --out build/demo

# make reports SUITES="quick standard": run them into runs/, pack them, draw reports/SUITE anew. SUITES= : marks and list only.
SUITES ?= quick standard
reports: $(VENV)/installed
	$(BIN)/python -m benchmarks.committed_reports $(SUITES)

test: $(VENV)/installed
	$(ONE_THREAD) $(BIN)/pytest -n auto --dist loadfile

slow: $(VENV)/installed
	$(BIN)/pytest -n auto -m "slow and not browser"

# The essential tests with the lowest versions that pyproject.toml allows (of torch: see constraints-minimum.txt).
MINIMUM ?= $(VENV)-minimum
ESSENTIAL := $(patsubst %,tests/test_%.py,private_imports suite store rank_tests golden)
test-minimum: $(MINIMUM)/installed
	$(ONE_THREAD) $(MINIMUM)/bin/python -m pytest -W error:Field:UserWarning $(ESSENTIAL)

# The pages in a real browser; where there is no chromium, the tests are skipped and say so.
browser: $(VENV)/installed-browser
	$(ONE_THREAD) $(BIN)/pytest -n 0 -m browser tests/test_report_browser.py

# The manual, into build/docs; the code of its tutorials is run.
docs: $(VENV)/installed-docs
	$(ONE_THREAD) NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

SEED ?= 0
mutation: $(VENV)/installed
	$(BIN)/python benchmarks/mutation.py --seed $(SEED)

bench: $(VENV)/installed
	mkdir -p .benchmarks
	OMP_NUM_THREADS=1 $(BIN)/pytest benchmarks -o addopts= --benchmark-only --benchmark-columns=median,min,max,rounds \
	  --benchmark-json=.benchmarks/speed.json
	$(BIN)/python benchmarks/speed_report.py .benchmarks/speed.json

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

$(VENV)/installed-browser: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[browser]'
	touch $@

$(VENV)/installed-docs: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $@

$(MINIMUM)/installed: pyproject.toml constraints-minimum.txt
	$(PYTHON) -m venv $(MINIMUM)
	$(MINIMUM)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints-minimum.txt \
	  -e '.[selectors]' pytest hypothesis
	touch $@

clean:
	rm -rf $(VENV) $(MINIMUM) runs build *.egg-info .pytest_cache .mypy_cache .ruff_cache
