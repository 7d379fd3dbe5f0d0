# Everything runs in .venv, which the first target that needs it sets up.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DATA ?= data

.DEFAULT_GOAL := help
.PHONY: help setup demo test lint format wheel learning metrics speed estimate clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: $(VENV)/.ready  ## make .venv with gan_cli and what its tests need

$(VENV)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

demo: setup  ## train DCGAN on the embedded digits (under 2 minutes on 2 cores) and write a grid
	$(BIN)/gan-train
	@echo "These commands are in $(BIN): put it on your PATH with   source $(BIN)/activate"

test: setup  ## run the tests (set GAN_TEST_DATA to a folder with real data sets to run those too)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist worksteal

lint: setup  ## formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: setup  ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

wheel: setup  ## build the wheel in dist/
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

learning: setup  ## train and judge the tables of results in the README (needs DATA=folder with the data sets; hours)
	$(BIN)/python benchmarks/learning.py --data $(DATA)

metrics: setup  ## time and memory of an FID beside other tools, and which score sees which fault
	$(BIN)/python -m pip install --quiet torch-fidelity pytorch-fid
	$(BIN)/python benchmarks/metrics.py
	$(BIN)/python benchmarks/metric_faults.py

speed: setup  ## start-up times and steps per second, side by side
	$(BIN)/python benchmarks/speed.py

estimate: setup  ## what dry_run=true says, beside what then happens
	$(BIN)/python benchmarks/estimate.py

clean:  ## remove .venv and caches; outputs/ stays
	rm -rf $(VENV) .pytest_cache .ruff_cache .mypy_cache dist build
