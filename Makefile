# `make help` lists the targets. Set-up is two commands on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
# --no-compile: of 22 000 modules most are never imported; those that are compile themselves then.
PIP    := $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt
RTX_VERSION := 1.7.1.116
RTX         := libs==$(RTX_VERSION) bindings==$(RTX_VERSION)
# Extras of what a server is installed from, and where the lock of that is installed to be looked at.
SERVER      := embedded gateway caches replicas
LOCK        := deploy/requirements-server.txt
LOCKED      := .pixelis/locked
# Tests without a server, some of which wait more than they work; those of a file share fixtures, so they stay together.
SPREAD := --numprocesses 3 --dist loadfile
# Tests on real servers, two at a time: tests/beside.py says what stays together.
SERVERS := --numprocesses auto --maxprocesses 2 --dist loadgroup
# Told at the end, so that who makes one slower sees it.
SLOWEST := --durations 20 --durations-min 10
# Every process gets a thread budget; idle threads must not spin.
export OMP_NUM_THREADS ?= 1
export OMP_WAIT_POLICY ?= PASSIVE
export HF_HUB_OFFLINE ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup setup-dev setup-formats build demo serve test test-long rehearse chaos soak fuzz test-fast lint format docs lock sbom audit clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

setup: $(VENV)/.setup  ## create .venv with what the demo needs (idempotent)

$(VENV)/.setup: pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "No $(PYTHON): install Python 3.10 or newer, or say PYTHON=..."; exit 1; }
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	@echo "Installing Triton, PyTorch and the builder into $(VENV) (about 2 GB on disk) ..."
	@$(PIP) --editable '.[embedded,build,gateway]' torch==2.13.0
	@# rapidocr brings a second build of OpenCV over the contrib one: put that back where it was lost.
	@$(BIN)/python -c 'import cv2; cv2.legacy.TrackerMedianFlow_create' 2>/dev/null || $(PIP) --force-reinstall --no-deps opencv-contrib-python-headless==4.11.0.86
	@touch $@

setup-dev: $(VENV)/.setup-dev $(VENV)/.setup-formats  ## add what tests, lint and benchmarks need

$(VENV)/.setup-dev: $(VENV)/.setup deploy/helm/get-helm
	@$(PIP) --editable '.[dev,bench,gateway,load,perf]'
	@# The outlined photograph of python -m perf.ops.segment_quality: its files are read, its other OpenCV is not wanted.
	@$(PIP) --no-deps imgaug || echo "imgaug cannot be installed here: its photograph is not measured."
	@$(PIP) --editable '.[hnswlib]' || echo "hnswlib cannot be compiled here: pixelis bench knn goes without it."
	@command -v redis-server >/dev/null || { apt-get update && apt-get install --yes redis-server; } >/dev/null 2>&1 \
	  || echo "redis-server cannot be installed here (apt-get install redis-server): tests of replicas are skipped."
	@command -v chromium >/dev/null || { apt-get update && apt-get install --yes --no-install-recommends chromium; } >/dev/null 2>&1 \
	  || echo "chromium cannot be installed here (apt-get install chromium): the page is not tested."
	@deploy/helm/get-helm $(BIN)
	@tests/deploy/debian-tools >/dev/null 2>&1 \
	  || echo "Not all of $$(tests/deploy/debian-tools --list) can be installed here: what needs them in tests/deploy is skipped."
	@touch $@

setup-formats: $(VENV)/.setup-formats  ## add OpenVINO, Core ML and TensorRT-RTX, to build those formats

$(VENV)/.setup-formats: $(VENV)/.setup
	@$(PIP) --editable '.[openvino,coreml,tensorrt]'
	@# The meta-package names its parts in a way that pip does not resolve: libraries and bindings first, then it alone.
	@$(PIP) $(RTX:%=tensorrt-rtx-cu13-%) && $(PIP) --no-deps tensorrt-rtx-cu13==$(RTX_VERSION) \
	  || echo "TensorRT-RTX cannot be installed here: TensorRT plans are not built, and their tests are skipped."
	@$(BIN)/python -c 'import cv2, numpy; cv2.legacy.TrackerMedianFlow_create; assert numpy.__version__ < "2"' \
	  || { echo "A package has replaced numpy 1.26 or OpenCV's contrib build: remove $(VENV) and run make setup-dev."; exit 1; }
	@touch $@

build: setup  ## export, check and publish every model into model_repository/
	@$(BIN)/pixelis build --jobs 2

demo: setup  ## from nothing to an answer about a real picture, then stop
	@$(BIN)/pixelis build --jobs 2
	@$(BIN)/python -m perf.demo

serve: build  ## serve on loopback until Ctrl-C
	@$(BIN)/pixelis serve

test: setup-dev build  ## everything, on a real Triton
	@$(BIN)/python -m pytest -m 'not triton and not long' $(SPREAD) $(SLOWEST)
	@$(BIN)/python -m pytest -m 'triton and not long' --ignore tests/chaos $(SERVERS) $(SLOWEST)
	@# By themselves: they say within how many seconds something is mended.
	@$(BIN)/python -m pytest -m 'triton and not long' tests/chaos $(SLOWEST)

test-long: setup-dev build  ## what takes minutes a test, beside `make test`
	@$(BIN)/python -m pytest -m 'long'

rehearse: setup-dev build  ## what each page of docs/runbook.md is about, for real, and its own commands against it
	@$(BIN)/python -m pytest tests/rehearsal

chaos: setup-dev build  ## kill every model of a server, then break a fleet in every way, under load
	@PIXELIS_CHAOS=all $(BIN)/python -m pytest -s tests/chaos/test_chaos.py
	@$(BIN)/pixelis bench chaos --strict

soak: setup-dev build  ## half an hour under load: does anything grow?
	@$(BIN)/pixelis bench soak --strict

fuzz: setup-dev  ## 100 000 generated cases of every parser of outside bytes
	@PIXELIS_FUZZ_CASES=$${PIXELIS_FUZZ_CASES:-100000} $(BIN)/python -m pytest tests/fuzz --numprocesses auto --dist loadfile --timeout 0

test-fast: setup-dev  ## what needs no server
	@$(BIN)/python -m pytest -m 'not triton and not slow and not long' $(SPREAD)

lint: setup-dev  ## ruff, mypy --strict, import contract, spelling
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache >/dev/null || $(BIN)/lint-imports --no-cache
	@$(BIN)/codespell
	@echo "lint: clean"

format: setup-dev  ## let ruff rewrite what it can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: setup-dev  ## write docs/schema.json, docs/api.md and docs/licenses.md from what they are about
	@$(BIN)/python -m pixelis.schema > docs/schema.json
	@$(BIN)/python -m clients.gateway.reference > docs/api.md
	@$(BIN)/python -m tests.supply.report > docs/licenses.md

lock: setup-dev  ## write deploy/requirements-server.txt: what a server is installed from, with hashes
	@CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe \
	  --no-emit-index-url --no-emit-options --no-emit-find-links --no-emit-trusted-host \
	  --constraint constraints.txt $(SERVER:%=--extra %) --output-file $(LOCK) pyproject.toml

sbom: setup-dev  ## write build/sbom-server.json (the lock, installed afresh) and build/sbom-environment.json (CycloneDX)
	@mkdir -p build && rm -rf $(LOCKED) && $(PYTHON) -m venv $(LOCKED)
	@$(LOCKED)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --requirement $(LOCK)
	@$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible -o build/sbom-server.json $(LOCKED)
	@$(BIN)/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible -o build/sbom-environment.json $(VENV)
	@rm -rf $(LOCKED) && echo "build/sbom-server.json, build/sbom-environment.json"

audit: setup-dev  ## ask a database of faults about the lock; exit 1 where it knows one, and said where none answers
	@$(BIN)/python -m tests.supply.audit

clean:  ## remove built versions, caches and logs (keeps .venv)
	@rm -rf .pixelis model_repository/*/[2-9] model_repository/*/[1-9][0-9]*
