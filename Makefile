# Each target works on a fresh checkout; they need Python 3.10+, make and a package index.
PYTHON ?= python3
VENV ?= .venv
TRAIN_VENV ?= .venv-train
DOCS_VENV ?= .venv-docs
RAY_VENV ?= .venv-ray
MATRIX_VENV ?= .venv-matrix
SECONDS ?= 60
# What to install and test: this folder, or a built wheel.
PACKAGE ?= .
# The CPU build of torch is enough for the tests; choose your own for training.
TORCH ?= torch
# --cov measures the coverage of asmnet/ outside of training, which must not fall.
PYTEST_OPTIONS ?=
# These need the training extra.
TRAINING_TESTS = tests/datasets tests/evaluation tests/training tests/synthetic tests/benchmarks

.PHONY: help demo test fuzz test-matrix test-training test-ray web-files test-web docs check format bench clean

help:
	@echo "make demo           analyse two NASA photos; pictures and JSON land in demo-output/"
	@echo "make test           run the test suite (no torch needed)"
	@echo "make fuzz           feed damaged images to the decoders for a minute (SECONDS=60)"
	@echo "make test-matrix    run most of it on the oldest versions allowed, and on the newest"
	@echo "make test-training  run the tests of the training extra (installs torch)"
	@echo "make test-ray       run the tests of the adapter for Ray Data (installs ray)"
	@echo "make test-web       compare the browser's side with Python, in Chromium (installs Node and it)"
	@echo "make docs           build the documentation into site/ and run its code blocks"
	@echo "make check          linter, types and the direction of imports"
	@echo "make format         format the code"
	@echo "make bench          time the networks on this machine"

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

demo: $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check "$(PACKAGE)"
	$(VENV)/bin/asmnet detect examples/photos/astronaut.png examples/photos/apollo11_crew.jpg \
		--json demo-output/faces.json --draw demo-output --overwrite
	@echo "Pictures: demo-output/astronaut.jpg, demo-output/apollo11_crew.jpg"
	@echo "JSON:     demo-output/faces.json"

test: $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check "$(PACKAGE)[dev]"
	$(VENV)/bin/pytest $(PYTEST_OPTIONS) $(TRAINING_TESTS:%=--ignore=%)

$(MATRIX_VENV)/bin/uv:
	$(PYTHON) -m venv $(MATRIX_VENV)
	$(MATRIX_VENV)/bin/python -m pip install --quiet --disable-pip-version-check "uv>=0.8"

test-matrix: $(MATRIX_VENV)/bin/uv
	bash tests/matrix.sh $(MATRIX_VENV)/bin/uv "$(PACKAGE)" $(MATRIX_VENV)

# Damaged image files for a minute, or for as long as SECONDS says.
fuzz: $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check "$(PACKAGE)[dev]"
	cd tests && $(abspath $(VENV))/bin/python -m fuzz.images --seconds $(SECONDS) --findings ../fuzz-findings

$(TRAIN_VENV)/bin/python:
	$(PYTHON) -m venv $(TRAIN_VENV)

test-training: $(TRAIN_VENV)/bin/python
	$(TRAIN_VENV)/bin/python -m pip install --quiet --disable-pip-version-check "$(TORCH)" "$(PACKAGE)[train,dev]"
	$(TRAIN_VENV)/bin/pytest $(TRAINING_TESTS)

$(RAY_VENV)/bin/python:
	$(PYTHON) -m venv $(RAY_VENV)

test-ray: $(RAY_VENV)/bin/python
	$(RAY_VENV)/bin/python -m pip install --quiet --disable-pip-version-check "$(PACKAGE)[ray,dev]"
	$(RAY_VENV)/bin/pytest tests/cluster tests/test_docs.py -k cluster

web/node_modules: web/package-lock.json
	bash web/setup.sh node
	cd web && npm ci --ignore-scripts --no-audit --no-fund
	touch $@

# ONNX Runtime, the weights and pictures, where modules and page look for them.
web-files: web/node_modules
	cd web && npm run --silent vendor

test-web: web-files $(VENV)/bin/python
	bash web/setup.sh chromium
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check "$(PACKAGE)[dev]"
	$(VENV)/bin/python web/test/pictures.py web/artefacts
	cd web && npm run --silent check && PYTHON=$(abspath $(VENV))/bin/python npm run --silent test

$(DOCS_VENV)/bin/python:
	$(PYTHON) -m venv $(DOCS_VENV)

docs: web-files $(DOCS_VENV)/bin/python
	$(DOCS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check "$(PACKAGE)[docs,dev,parquet]"
	$(DOCS_VENV)/bin/mkdocs build --quiet --strict
	$(DOCS_VENV)/bin/pytest tests/test_docs.py

check: $(TRAIN_VENV)/bin/python
	$(TRAIN_VENV)/bin/python -m pip install --quiet --disable-pip-version-check "$(TORCH)" "$(PACKAGE)[train,dev,check]"
	$(TRAIN_VENV)/bin/ruff check
	$(TRAIN_VENV)/bin/ruff format --check
	$(TRAIN_VENV)/bin/mypy
	$(TRAIN_VENV)/bin/lint-imports

format: $(TRAIN_VENV)/bin/python
	$(TRAIN_VENV)/bin/python -m pip install --quiet --disable-pip-version-check "ruff>=0.9"
	$(TRAIN_VENV)/bin/ruff format
	$(TRAIN_VENV)/bin/ruff check --fix

bench: $(VENV)/bin/python
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check "$(PACKAGE)[dev]"
	$(VENV)/bin/python benchmarks/speed.py
	$(VENV)/bin/python benchmarks/table.py

clean:
	rm -rf $(VENV) $(MATRIX_VENV) $(TRAIN_VENV) $(RAY_VENV) $(DOCS_VENV) site build dist demo-output *.egg-info fuzz-findings \
		web/node_modules web/vendor web/types web/artefacts web/page/photos
