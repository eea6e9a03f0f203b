# What there is to do in this repository. Each target first installs what it needs.

.DEFAULT_GOAL := help
.PHONY: help demo test soak check lint types layers cov dashboards format crewai bench bench-quick bench-check lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/stamp ## the bridge, a NATS server and sample crews, in one process group
	@.venv/bin/crew-bridge demo

# A file's tests share what they started, and mostly wait for it. In one process, as for a debugger: ARGS=-n0.
PARALLEL = --dist loadfile --tx '3*popen//python=.venv/bin/python$(if $(CI), -X dev)'

# With CI set, the one run of the tests is also measured: every tool is there, so nothing is skipped and the
# thresholds mean something. A laptop without Chromium or Prometheus skips tests and must not fail for that.
ifdef CI
test: cov
else
test: .venv/stamp ## the tests; pass options with ARGS, as in: make test ARGS="-k cursor"
	.venv/bin/python -m pytest $(PARALLEL) $(ARGS)
endif

# What the tests do in seconds, for many minutes: faults under load, crowds, and the laws of the core.
# One run, so that nothing is left out when something fails. SOAK is the share of the full length.
soak: .venv/stamp ## faults, crowds and properties for about half an hour; SOAK=0.2 a fifth, ARGS="-k herd" chooses
	SOAK=$(or $(SOAK),1) HYPOTHESIS_PROFILE=soak .venv/bin/python -m pytest -q -o timeout=0 -o log_cli=true \
		-o log_cli_level=INFO tests/e2e/chaos tests/core/test_promise.py $(ARGS)

check: lint types layers test ## everything that a change has to pass

lint: .venv/stamp ## style of the code, the Dockerfile and the compose file
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/hadolint Dockerfile
	.venv/bin/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

types: .venv/stamp ## mypy, strict
	.venv/bin/mypy

layers: .venv/stamp ## who may import whom
	.venv/bin/python -m pytest -q tests/test_layers.py

# The overall threshold is fail_under in pyproject.toml; contracts and the core are complete or not done.
cov: .venv/stamp ## the tests, measured: fails below the coverage thresholds
	.venv/bin/python -m pytest $(PARALLEL) --cov $(ARGS)
	.venv/bin/coverage report --include='contracts/*,bridge/core/*' --fail-under=100

dashboards: .venv/stamp ## writes grafana/dashboards from grafana/boards
	.venv/bin/python -m grafana.generate

format: .venv/stamp ## rewrites the code in the house format
	.venv/bin/ruff check --fix
	.venv/bin/ruff format

crewai: .venv-crewai/stamp .venv-crewai-1.14.7/stamp ## the real CrewAI, newest and oldest, for the tests in tests/crew

bench: .venv/bench-stamp ## every scenario against two other servers, 15 minutes; writes tests/bench/results
	.venv/bin/python -m tests.bench.full $(ARGS)

bench-quick: .venv/stamp ## the main scenarios, under 3 minutes
	.venv/bin/crew-bridge bench $(ARGS)

bench-check: .venv/stamp ## fails where this bridge has lost half of its lead over nats-server
	.venv/bin/python -m tests.bench.check

lock: .venv/stamp ## renews the lock files from pyproject.toml; ARGS=--upgrade takes newer versions
	$(COMPILE) pyproject.toml --extra embedded --group dev -o requirements.lock
	$(COMPILE) pyproject.toml --constraint requirements.lock -o requirements-runtime.lock
	$(COMPILE) --group build --constraint requirements.lock -o requirements-build.lock
	$(COMPILE) --group bench --constraint requirements.lock -o tests/bench/requirements.lock
	$(COMPILE) pyproject.toml --group crew -o tests/crew/requirements.lock
	$(COMPILE) pyproject.toml --group crew-oldest -o tests/crew/requirements-1.14.7.lock

clean: ## removes the environments, caches and reports
	rm -rf .venv .venv-crewai .venv-crewai-1.14.7 .hypothesis .mypy_cache .pytest_cache .ruff_cache dist htmlcov .coverage .coverage.*
	find bridge contracts grafana tests -name __pycache__ -prune -exec rm -rf {} +

# For Python 3.11 and later on every platform: names, versions and hashes, and no registry's address.
COMPILE = .venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate $(ARGS)

# The first Python of PYTHONS that suits, or one line about what is missing.
OLDEST = (3, 11)
NEWEST = (3, 99)
PYTHONS = $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11)
NEED = Crew Bridge needs Python 3.11 or newer with its venv module
SUITS = import ensurepip, sys, venv; sys.exit(not $(OLDEST) <= sys.version_info[:2] <= $(NEWEST))
SUITABLE = $(shell for python in $(PYTHONS); do \
	$$python -c '$(SUITS)' >/dev/null 2>&1 && echo $$python && break; done)
python = $(or $(SUITABLE),$(error $(NEED): not found as $(PYTHONS). Install it, or run make with PYTHON=/path/to/it))
# A lock is complete: pip is not to resolve anything anew (an old pip would, for extras, and fail on the hashes).
PIP = python -m pip --disable-pip-version-check install -qq --no-deps
# And so it has to be: what is installed must find all that it asks for.
COMPLETE = python -m pip --disable-pip-version-check check >$(@D)/check.log || { cat $(@D)/check.log; exit 1; }

# The stamps, not the directories, say that an installation went through to its end.
.venv: .venv/stamp ;
.venv/stamp: requirements.lock pyproject.toml
	@echo "Installing into .venv with $(python)"
	@$(python) -m venv --clear .venv
	@.venv/bin/$(PIP) --require-hashes -r requirements.lock
	@.venv/bin/$(PIP) --no-build-isolation -e .
	@.venv/bin/$(COMPLETE)
	@touch $@

.venv/bench-stamp: tests/bench/requirements.lock .venv/stamp
	@.venv/bin/$(PIP) --require-hashes -r tests/bench/requirements.lock
	@.venv/bin/$(COMPLETE)
	@touch $@

# Apart from .venv, because CrewAI holds pydantic and Python back: the newest, and the oldest that the tap is for.
CREWAI = .venv-crewai/stamp .venv-crewai-1.14.7/stamp
.venv-crewai: .venv-crewai/stamp ;
.venv-crewai-1.14.7: .venv-crewai-1.14.7/stamp ;
.venv-crewai/stamp: tests/crew/requirements.lock pyproject.toml
.venv-crewai-1.14.7/stamp: tests/crew/requirements-1.14.7.lock pyproject.toml
$(CREWAI): NEWEST = (3, 13)
$(CREWAI): NEED = CrewAI needs Python 3.11 to 3.13 with its venv module
$(CREWAI):
	@echo "Installing into $(@D) with $(python)"
	@$(python) -m venv --clear $(@D)
	@$(@D)/bin/$(PIP) --require-hashes -r $<
	@$(@D)/bin/$(PIP) --no-build-isolation -e .
	@$(@D)/bin/$(COMPLETE)
	@touch $@
