# Everything runs in .venv, which the first target that needs it sets up.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DATA ?= data
DEMO ?= outputs/demo
TORCH_INDEX ?=
comma := ,
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal --durations 15

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all test-slow lint format options docs wheel learning metrics speed threads estimate clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: $(VENV)/.ready  ## make .venv with gan_cli and what its tests need

$(VENV)/.ready: pyproject.toml
	@echo "Setting up $(VENV): $(if $(TORCH_INDEX),torch from $(TORCH_INDEX),torch with what its package brings; on Linux"\
	  "x86-64 that is CUDA$(comma) 3 GB to download and 6 GB on disk. Without a GPU: make setup TORCH_INDEX=URL (README))"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --upgrade pip
	$(if $(TORCH_INDEX),$(BIN)/python -m pip install --index-url '$(TORCH_INDEX)' torch torchvision)
	$(BIN)/python -m pip install --editable '.[dev]'
	@touch $@

demo: setup  ## train a conditional DCGAN on the embedded digits (under 2 minutes on 2 cores) and show what it learned
	$(BIN)/gan-train experiment=demo hydra.run.dir=$(DEMO)
	$(BIN)/gan-sample checkpoint=$(DEMO) count=100 output=$(DEMO)/digits.png overwrite=true
	$(BIN)/gan-sample checkpoint=$(DEMO) mode=history output=$(DEMO)/learned.png overwrite=true
	@echo "Look at $(DEMO)/digits.png, a digit to a row, and at $(DEMO)/learned.png, how it learned them."
	@echo "These commands are in $(BIN): put it on your PATH with   source $(BIN)/activate"

test: setup  ## run the tests, but for the slow ones (GAN_TEST_DATA: a folder with real data sets, to run theirs too)
	$(PYTEST) -m 'not slow'

test-slow: setup  ## run the slow tests: a browser, the wheel, every form of an export, learning on real data
	$(PYTEST) -m slow

test-all: setup  ## run all tests
	$(PYTEST)

lint: setup  ## formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: setup  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

options: setup  ## write docs/options.md: every group, option and key, from conf/
	$(BIN)/python -m gan_cli.cli.options_page docs/options.md

docs: setup  ## build the site of docs/ in site/, strictly: a broken link or a page that nothing leads to fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

wheel: setup  ## build the wheel in dist/
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

learning: setup  ## train and judge the tables of docs/results.md (needs DATA=folder with the data sets; hours)
	$(BIN)/python benchmarks/learning.py --data $(DATA)

metrics: setup  ## time and memory of an FID beside other tools, and which score sees which fault
	$(BIN)/python -m pip install --quiet torch-fidelity pytorch-fid
	$(BIN)/python benchmarks/metrics.py
	$(BIN)/python benchmarks/metric_faults.py

speed: setup  ## start-up times and steps per second, side by side
	$(BIN)/python benchmarks/speed.py

threads: setup  ## images a second by threads, idle and beside other work (half an hour; leave the machine to it)
	$(BIN)/python benchmarks/threads.py

estimate: setup  ## what dry_run=true says, beside what then happens
	$(BIN)/python benchmarks/estimate.py

clean:  ## remove .venv and caches; outputs/ stays
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache dist build site
