# make demo    sets up and runs the main job: the embedded model on real web pages
# make test    sets up and passes the tests
# make check   what a commit must pass besides: style and types

PYTHON ?= python3
BIN := .venv/bin
SETUP := .venv/.set-up

.PHONY: demo test check setup clean

demo: setup
	$(BIN)/mmi eval --suite miniwob-unseen --policy small --policy small:base --policy random --policy first-element \
		--seeds 3 --max-steps 10 --workers 2 --out runs/demo

test: setup check
	$(BIN)/python -m pytest

check: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

setup: $(SETUP)
	@environments/gui/find_chromium.sh

$(SETUP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $$($(PYTHON) --version) is too old: Python 3.11 or later is needed (make PYTHON=python3.12 ...)" >&2; exit 1; }
	@$(PYTHON) -m venv .venv || \
		{ echo "error: no virtual environment could be made: install the package python3-venv" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all,dev]'
	@touch $@

clean:
	rm -rf .venv runs
