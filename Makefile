# make demo    sets up and runs the main job: the embedded model on real web pages
#              WORLD=minecraft: builds a fence on a real server from a sentence, and opens the page that proves it
# make test    sets up and passes the tests
# make check   what a commit must pass besides: style and types

PYTHON ?= python3
WORLD ?= web
BIN := .venv/bin
SETUP := .venv/.set-up

.PHONY: demo demo-web demo-minecraft test check setup clean

demo: demo-$(WORLD)

demo-minecraft: setup
	$(BIN)/mmi minecraft build "oak fence 9 by 7 with a gate" --page runs/demo-fence.html --open

demo-web: setup
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
