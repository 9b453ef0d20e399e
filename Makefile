# The few things that a person does here. `make help` lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
export YOLO_AUTOINSTALL := false
export YOLO_OFFLINE := true

.DEFAULT_GOAL := help
.PHONY: help setup demo test engines lint bench gate-bench drift-bench soak endurance clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.demo ## the whole story on this machine, no GPU, no torch: build/demo/report.html
	@$(BIN)/python -m deploy.demo.run $(ARGS)

test: $(VENV)/.test ## the whole test suite (adds torch and ultralytics as the reference)
	@$(BIN)/python -m pytest $(ARGS)

engines: $(VENV)/.test ## every variant compiled by TensorRT-RTX for every GPU that it knows (minutes, x86-64)
	@$(BIN)/python -m pytest -m engines $(ARGS) tests/builder

setup: $(VENV)/.test ## only the environment, for developers

lint: $(VENV)/.test ## ruff, and mypy in strict mode on the three packages
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

bench: $(VENV)/.test ## our figures beside their peers, in one run: build/bench.json
	@$(BIN)/python -m benchmarks $(ARGS)

soak: $(VENV)/.test ## ten million frames through the agent: does memory stay flat? (2 to 3 hours)
	@$(BIN)/python -m benchmarks.soak $(ARGS)

gate-bench: $(VENV)/.test ## how well the input check knows faults: AUC per fault, 200 clips each
	@$(BIN)/python -m benchmarks.gate $(ARGS)

drift-bench: $(VENV)/.test ## false alarms of drift in 1,000 device-months without a change (minutes)
	@for rho in 0 0.9 0.99 0.997; do \
	  $(BIN)/python -m benchmarks.drift --rho $$rho --device-months 200 --trials 0 $(ARGS) || exit 1; done
	@$(BIN)/python -m benchmarks.drift --clips --device-months 200 $(ARGS)

endurance: $(VENV)/.test ## 100,000 messages, 50 killed devices, 10 killed brokers; then a day without one (10 min)
	@$(BIN)/python -m benchmarks.endurance $(ARGS)
	@$(BIN)/python -m benchmarks.outage

clean: ## remove the environment and everything that was built
	rm -rf $(VENV) build

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	@echo "making $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: $(VENV)/.python setup.py constraints.txt
	@echo "installing Outpost and what the demo needs (no torch) ..."
	@$(PIP) -e '.[demo,cpu]'
	@touch $@

$(VENV)/.test: $(VENV)/.demo
	@echo "installing the test tools and the reference (torch, ultralytics) ..."
	@$(PIP) -e '.[demo,cpu,reference,test]'
	@touch $@
