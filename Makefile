# `make help` tells what there is. Every command does its own set-up.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.PHONY: help install demo test check format coverage e2e kafka docs screenshots system audit changelog dist sbom test-oldest clean
BIN := .venv/bin
WORKERS ?= 2

help:            ## this list
	@grep -hE '^[a-z%-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/' | expand -t 18

install:         ## .venv with mlhealth (editable) and the tools
	@sh scripts/install

demo: install    ## the whole loop on a generated year (HEADLESS=1, ARGS="--data FILE --target COLUMN")
	$(BIN)/mlhealth demo $(if $(HEADLESS),--headless) $(ARGS)

system:          ## system packages for the full test run (root on Debian or Ubuntu)
	@sh scripts/setup-system

check: install   ## format, lint, types, layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

test: system install  ## everything but the long stories, with the real servers
	@sh scripts/kafka fetch || [ "$$CI" != true ]
	$(MAKE) --no-print-directory check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile -m 'not story' $(ARGS)

audit: install   ## known weaknesses of the installed packages, and secrets in the files that git knows
	$(BIN)/python -m scripts.secrets_scan
	$(BIN)/python -m scripts.audit $(ARGS)

format: install  ## format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

coverage: install  ## the tests in one process, and which lines they leave out
	$(BIN)/coverage run -m pytest && $(BIN)/coverage combine -q && $(BIN)/coverage report

e2e: system install  ## stories with real parts: make e2e STORY=loop, or all of them
	$(BIN)/python -m pytest -q -m story -p no:cacheprovider $(if $(STORY),tests/e2e/test_story_$(STORY).py,tests/e2e) $(ARGS)

bench-%: install  ## a benchmark: make bench-startup, prints a table and writes benchmarks/results/startup.json
	$(BIN)/python -m benchmarks.$* $(ARGS)

kafka: install   ## a real broker on 127.0.0.1:9092 until Ctrl-C (ARGS="--port 9093 --nodes 3")
	@sh scripts/kafka run $(ARGS)

docs: install    ## write the reference from the code, build the site into site/, run every example of the documents
	$(BIN)/python -m scripts.docs_reference
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict
	$(BIN)/python -m pytest -q tests/docs $(ARGS)

screenshots: system install  ## docs/images/*.png from the demo, in real Chromium
	$(BIN)/python -m scripts.screenshots

changelog:       ## what the next release would say; with VERSION=0.2.0 it is written into CHANGELOG.md
	$(BIN)/towncrier build $(if $(VERSION),--yes --version $(VERSION),--draft --version next)

dist: install    ## wheel, sdist and bill of materials in dist/, checked: contents, metadata, and that the sdist builds the same wheel
	@sh scripts/dist
	@sh scripts/sbom

sbom: dist       ## the same: dist/mlhealth-VERSION.cdx.json (CycloneDX) names what an installation of the wheel holds

test-oldest: install  ## unit, property and contract tests on the lowest supported versions (warnings, of which old libraries have many, let be)
	@sh scripts/oldest
	OMP_NUM_THREADS=1 .cache/oldest/bin/python -m pytest -q -n $(WORKERS) -p no:cacheprovider -o filterwarnings=default tests/unit tests/property tests/contract $(ARGS)

clean:           ## remove caches and builds, keep .venv and .cache
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage* htmlcov
