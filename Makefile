.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo extra test test-core check bench faults fuzz soak zoo lock tree reference licences demo-clips clean

export PYTHON
BIN := .venv/bin
COMPILE := $(BIN)/uv pip compile --quiet --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
	--generate-hashes --no-emit-index-url --no-header --override requirements/headless.txt
WORKERS ?= logical
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --maxprocesses 4 --dist loadfile --no-loadscope-reorder $(ARGS)

help:  ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{printf "%-16s %s\n", $$1, $$2}'

demo:  ## find six enrolled people in three streams; leaves build/demo/report.html
	@requirements/install core
	@$(BIN)/musewatch demo

extra:  ## install extras beside the core: make extra NAMES=lab,train (lab train mllm mqtt openvino agpl gpu dev)
	@requirements/install core
	@requirements/install extra "$(NAMES)"

test:  ## install what the tests need (as root: system packages too) and run them all, on all cores (WORKERS=0: one after the other)
	@requirements/install test
	@$(BIN)/python -m tests.servers.install
	@$(PYTEST)

test-core:  ## the tests without torch
	@requirements/install test-core
	@$(PYTEST) -m "not torch" --doctest-ignore-import-errors

check:  ## format, lint, types, layers
	@requirements/install test-core
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench:  ## print figures
	@requirements/install test
	@$(BIN)/python -m tests.bench.stream
	@$(BIN)/python -m tests.bench.rerank market
	@$(BIN)/python -m tests.bench.rerank sliding
	@$(BIN)/python -m tests.bench.differences
	@$(BIN)/python -m tests.bench.latency

faults:  ## the long fault campaign, as a table (N=200 SEED=1; goes on where it was cut off)
	@requirements/install test
	@$(BIN)/python -m tests.servers.install
	@$(BIN)/python -m tests.faults $(if $(N),-n $(N)) $(if $(SEED),--seed $(SEED)) $(ARGS)

fuzz:  ## changed inputs of every kind, as a table (KIND="zip npz" N=100000 SEED=1)
	@requirements/install test
	@$(BIN)/python -m tests.fuzz $(KIND) $(if $(N),-n $(N)) $(if $(SEED),--seed $(SEED))

soak:  ## two hours of four streams with faults (MINUTES=30), as a plot in build/soak
	@requirements/install test
	@$(BIN)/python -m tests.servers.install
	@$(BIN)/python -m tests.tools.soak $(if $(MINUTES),--minutes $(MINUTES))

lock:  ## resolve requirements/*.txt again (ARGS=--upgrade for newer versions)
	@requirements/install test-core
	@$(COMPILE) $(ARGS) --override requirements/slim.txt pyproject.toml requirements/core.in -o requirements/core.txt
	@$(COMPILE) $(ARGS) pyproject.toml requirements/core.in requirements/test.in -c requirements/core.txt \
		--extra lab --extra mqtt --extra train --extra openvino --extra agpl --extra dev -o requirements/test.txt
	@$(COMPILE) $(ARGS) pyproject.toml requirements/core.in -c requirements/test.txt \
		--extra lab --extra mqtt --extra openvino --extra dev -o requirements/test-core.txt
	@$(COMPILE) $(ARGS) pyproject.toml requirements/core.in -c requirements/test.txt --extra mllm -o requirements/mllm.txt
	@$(COMPILE) $(ARGS) pyproject.toml requirements/gpu.in -c requirements/core.txt \
		--override requirements/slim.txt --override requirements/gpu-override.txt -o requirements/gpu.txt
	@$(COMPILE) $(ARGS) requirements/uv.in -c requirements/test.txt -o requirements/uv.txt

zoo:  ## make the bundled engines again: pictures, training, export (hours; goes on where it was cut off)
	@requirements/install test
	@configs/training/zoo.sh

tree:  ## write docs/tree.md again
	@requirements/install core
	@$(BIN)/python -m tests.tree

reference:  ## write docs/config.md again
	@requirements/install test
	@$(BIN)/python -m tests.tools.config_reference

demo-clips:  ## draw the demo's clips again: three cameras of a simulated hall, twelve people, six of them enrolled
	@requirements/install core
	@$(BIN)/musewatch world clips build/demo_clips --domain hall --cameras 3 --people 12 --enrolled 6 --seed 7 --seconds 44
	@rm -rf configs/demo_clips/*
	@cp -r build/demo_clips/* configs/demo_clips
	@rm configs/demo_clips/world.json

licences:  ## write docs/licences.md again
	@requirements/install test
	@$(BIN)/python -m tests.tools.licences

clean:  ## remove what was built, but not .venv
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
