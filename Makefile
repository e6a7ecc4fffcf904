.DEFAULT_GOAL := help
.PHONY: help run setup setup-build setup-test setup-bench test unit soak check fix dev bench bench-gate claims migration lock build
PYTHON := .venv/bin/python
ESLINT := node tests/clients/node_modules/eslint/bin/eslint.js
JAVASCRIPT_TESTS := $(wildcard tests/unit/javascript/*.test.mjs)
# each worker has a PostgreSQL of its own; a server that is given is not shared between them
PARALLEL := $(if $(GEOSVC_TEST_DATABASE_URL),,-n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder)

help: ## lists the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: setup ## everything a bare machine needs, then the demo on http://127.0.0.1:8080
	@exec .venv/bin/geosvc demo

setup: ## installs what serving needs: PostgreSQL + PostGIS, the locked packages, the map library
	@scripts/setup run

setup-build: ## installs what building the wheel needs
	@scripts/setup build

setup-test: ## installs what the tests need as well
	@scripts/setup test

setup-bench: setup-test ## installs what the benchmarks need as well
	@scripts/setup bench

test: setup-test ## everything the tests need, then all tests but those of `make check`
	@node --test --test-reporter=spec $(JAVASCRIPT_TESTS)
	@$(PYTHON) -m pytest $(PARALLEL) --ignore tests/test_tidy.py

unit: setup-test ## the tests that need no database: seconds
	@node --test --test-reporter=spec $(JAVASCRIPT_TESTS)
	@$(PYTHON) -m pytest tests/unit -q

soak: setup-test ## a service among strangers for ten minutes, then the long forms of the randomised tests: half an hour
	@$(PYTHON) -m tests.soak --picture docs/images/soak.svg
	@GEOSVC_TEST_CHANGES_SECONDS=300 $(PYTHON) -m pytest -q --timeout 900 tests/test_changes_randomly.py tests/test_changes_on_standby.py

check: setup-test ## ruff, mypy, import-linter, eslint, tidy
	@.venv/bin/ruff format --check .
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/lint-imports
	@$(ESLINT)
	@$(PYTHON) -m pytest tests/test_tidy.py -q

fix: setup-test ## formats, and mends what ruff and eslint can mend
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .
	@$(ESLINT) --fix

dev: setup-test ## serves, and starts again whenever the code changes
	@$(PYTHON) scripts/dev.py

bench: setup-bench ## the benchmarks: ratios against limits and peers in one run
	@$(PYTHON) -m benchmarks

bench-gate: setup-bench ## the benchmarks, against the ratios that the repository keeps
	@$(PYTHON) -m benchmarks --gate

claims: setup-bench ## measures the claims of docs/claims.md again and writes the numbers there: a quarter of an hour
	@$(PYTHON) -m benchmarks.claims --write

migration: setup-test ## a new migration: make migration NAME=add-something
	@$(PYTHON) -c 'import sys; from geosvc.database.migrations import new_migration; print(new_migration(sys.argv[1]))' "$(NAME)"

lock: ## pins the newest versions with their hashes (needs uv and npm)
	@npm install --package-lock-only --save-exact --silent maplibre-gl@latest swagger-ui-dist@latest
	@uv pip compile -q -U --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header pyproject.toml -o requirements.lock
	@uv pip compile -q -U --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --group build -o requirements-build.lock
	@uv pip compile -q -U --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --extra load --extra otel --group dev pyproject.toml -o requirements-dev.lock
	@uv pip compile -q -U --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header benchmarks/peers/requirements.in -o benchmarks/peers/requirements.lock

build: setup-build ## the wheel, in dist/
	@$(PYTHON) -m hatchling build -t wheel
