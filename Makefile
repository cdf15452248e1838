# Everything runs from .venv; the first target that needs it installs it.
# Options go in ARGS: make demo ARGS=--once, make test ARGS="-k settings".

STAMP := .venv/.installed
BIN := .venv/bin
# The first interpreter that is new enough and can make virtual environments.
CANDIDATES := python3 python3.13 python3.12 python3.11 python3.14
NEW_ENOUGH := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

.DEFAULT_GOAL := help
.PHONY: help install demo test test-kafka test-docker test-registry test-browser wheel sbom image lint format types imports check bench chaos clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 22

install: $(STAMP) ## create .venv with the exact versions of constraints.txt

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python -a -x $(BIN)/pip || { \
	  for python in $(PYTHON) $(CANDIDATES); do \
	    $$python -c '$(NEW_ENOUGH)' 2>/dev/null && exec $$python -m venv .venv; \
	  done; \
	  echo "Python 3.11 or newer with its venv module is needed: install python3 and" \
	    "python3-venv, or name one: make PYTHON=/path/to/python3" >&2; exit 2; }
	@echo "Installing into .venv; this is done once and takes some minutes."
	@# As a variable the versions hold for what builds the project, too.
	@PIP_CONSTRAINT=constraints.txt $(BIN)/pip install --quiet --disable-pip-version-check \
	  --no-warn-script-location -e '.[embedded,dev]'
	@touch $(STAMP)

demo: $(STAMP) ## run the whole pipeline on this machine, on sample sessions
	@$(BIN)/streams demo $(ARGS)

test: $(STAMP) ## run the tests that need no Docker, except the slow ones
	$(BIN)/pytest -n 3 --dist worksteal $(ARGS)

test-slow: $(STAMP) ## run the slow tests: many kills, outages, logins that expire, the whole demo
	$(BIN)/pytest -m slow -n 3 --dist worksteal $(ARGS)

test-kafka: $(STAMP) ## run only the tests on a real broker
	$(BIN)/pytest -m kafka $(ARGS)

test-docker: $(STAMP) ## run only the tests of docker-compose.yml; fails if Docker does not answer
	$(BIN)/pytest -m docker tests/docker $(ARGS)

test-registry: $(STAMP) ## run only the tests on a real schema registry, 160 MB from Maven Central
	$(BIN)/pytest -m registry tests/registry $(ARGS)

test-browser: $(STAMP) ## run only the tests of the dashboard in Chromium; skipped without Chromium
	$(BIN)/pytest -m browser tests/web $(ARGS)

wheel: $(STAMP) ## build dist/*.whl, install it into an empty environment, run the demo from there
	rm -rf build dist/*.whl dist/empty
	$(BIN)/pip wheel --quiet --disable-pip-version-check --no-deps --wheel-dir dist .
	$(BIN)/python -m venv dist/empty
	@# Without constraints.txt: the newest versions that pyproject.toml allows.
	dist/empty/bin/pip install --quiet --disable-pip-version-check dist/*.whl
	cd dist/empty && bin/streams demo --once $(ARGS)

sbom: $(STAMP) ## write dist/sbom.cdx.json: the Python packages of the image, as CycloneDX
	rm -rf dist/image dist/cyclonedx
	$(BIN)/python -m venv --without-pip dist/image
	$(BIN)/pip --python dist/image/bin/python install --quiet --disable-pip-version-check \
	  --constraint constraints.txt '.[alerts]'
	$(BIN)/python -m venv dist/cyclonedx
	dist/cyclonedx/bin/pip install --quiet --disable-pip-version-check cyclonedx-bom==7.5.0
	dist/cyclonedx/bin/cyclonedx-py environment --pyproject pyproject.toml \
	  --output-reproducible --output-file dist/sbom.cdx.json dist/image/bin/python

image: ## build the image clickstream-relay; ARGS="--build-arg EXTRAS=msk"
	docker build --file deploy/Dockerfile --tag clickstream-relay \
	  --build-arg VERSION="$$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)" \
	  --build-arg REVISION="$$(git rev-parse HEAD)" $(ARGS) .

lint: $(STAMP) ## check style and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(STAMP) ## correct style and formatting
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(STAMP) ## check types
	$(BIN)/mypy

imports: $(STAMP) ## check that imports point downwards only
	$(BIN)/lint-imports

check: lint types imports ## check style, types and imports

bench: $(STAMP) ## run the benchmarks; some compare with a plain Faust app
	@for each in enrich deliver recovery; do $(BIN)/python benchmarks/$$each.py $(ARGS) || exit; done

chaos: $(STAMP) ## kill workers and brokers and break vendors, then check that nothing is missing; ARGS="--rounds 100 --seed 1"
	@$(BIN)/python -m tests.chaos $(ARGS)

clean: ## remove .venv, builds and caches
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
