PYTHON ?= python3
BIN = .venv/bin
READY = .venv/.ready
BROWSER := $(or $(CHROMIUM),$(shell command -v chromium || command -v chromium-browser || command -v google-chrome))

.PHONY: setup demo test test-long chaos check bench clean

setup: $(READY)

$(READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[cpu,openvino,cluster,export,test]'
	touch $(READY)

demo: $(READY)
	$(BIN)/python scripts/demo.py

test: $(READY)
ifeq ($(BROWSER),)
	@echo "no Chromium at CHROMIUM or on the PATH: the tests marked browser are left out"
	$(BIN)/python -m pytest -m 'not long and not chaos and not browser'
else
	CHROMIUM='$(BROWSER)' $(BIN)/python -m pytest
endif

test-long: $(READY)
	$(BIN)/python -m pytest -m long -s

chaos: $(READY)
	$(BIN)/python -m pytest -m chaos -s

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python -m export bench

clean:
	rm -rf .venv build *.egg-info
