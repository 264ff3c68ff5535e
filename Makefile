PYTHON ?= python3
BIN = .venv/bin
READY = .venv/.ready
BROWSER := $(or $(CHROMIUM),$(shell command -v chromium || command -v chromium-browser || command -v google-chrome))
STRACE := $(shell strace -o /dev/null true 2>/dev/null && echo works)

# Processes that share the tests: one computes while jobs of the other wait. See tests/schedule.py.
WORKERS ?= 2
# A test that hangs ends its process, with where it stood.
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) -o faulthandler_timeout=3600 -o faulthandler_exit_on_timeout=true

# The pages as a site, in build/docs; fails at a link or an anchor that leads nowhere.
DOCS = NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

.PHONY: setup demo test test-long chaos check docs tables bench gpu-check clean

setup: $(READY)

$(READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[cpu,openvino,cluster,export,docs,test]'
	touch $(READY)

demo: $(READY)
	$(BIN)/python scripts/demo.py

test: $(READY)
	$(if $(BROWSER),,@echo "no Chromium at CHROMIUM or on the PATH: the tests marked browser are left out")
	$(if $(STRACE),,@echo "no strace that works here: the test marked strace is left out")
	CHROMIUM='$(BROWSER)' $(PYTEST) -m 'not long and not chaos$(if $(BROWSER),, and not browser)$(if $(STRACE),, and not strace)'

test-long: $(READY)
	$(BIN)/python -m pytest -m long -s

chaos: $(READY)
	$(BIN)/python -m pytest -m chaos -s

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	cd scripts && MYPYPATH=.. ../$(BIN)/mypy --config-file ../pyproject.toml *.py
	$(BIN)/python scripts/docs_tables.py --check
	$(DOCS)

docs: $(READY)
	$(BIN)/python scripts/docs_tables.py
	$(DOCS)

tables: $(READY)
	$(BIN)/python scripts/docs_tables.py

bench: $(READY)
	$(BIN)/python -m export bench

gpu-check: $(READY)
	$(BIN)/python -m export gpu-check

clean:
	rm -rf .venv build *.egg-info
