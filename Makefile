# The one task runner. It needs make and a Python >= 3.11. All that it installs is in .venv, what `make demo` needs in .demo.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lowest coverage mutation check matrix nightly docs wheel release bench fuzz clean

# Which example `make demo` runs.
APP ?= flask

VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
STAMP := $(VENV)/installed

# The demo has an environment of its own, because it needs an eighth of what the tests need.
DEMO := $(CURDIR)/.demo
DEMO_STAMP := $(DEMO)/installed-$(APP)

# make PYTHON=/path/to/python uses that one; otherwise the first of these that is new enough.
PYTHON ?=
CANDIDATES := $(if $(PYTHON),$(PYTHON),python3 python3.14 python3.13 python3.12 python3.11)

# Which of the mutants `make mutation` draws.
SAMPLE ?= 500
SEED ?= 1

# The oldest versions are in an environment of their own. Some of them close their sockets late, which is not our doing.
LOWEST := $(VENV)/lowest
BENCH := $(VENV)/bench
RELEASE := $(VENV)/release
OLD := -W ignore::ResourceWarning
LOWEST_TESTS := tests/flask_door tests/asgi_door tests/wsgi_door tests/login tests/sessions tests/cli \
	$(addprefix tests/stores/test_,redis_faults.py sqlalchemy_contract.py sqlalchemy_faults.py) \
	$(addprefix tests/accounts/test_,linking.py hooks.py linkers.py profile.py) \
	$(addprefix tests/attacks/test_,shared_caches.py cookies.py person_from_a_request.py)
LOWEST_OAUTH_TESTS := tests/oauth2/test_oauth_answers.py tests/oauth2/test_id_tokens.py tests/sandbox/test_oauth_login.py

help: ## list these targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 12

demo: $(DEMO_STAMP) ## the example app beside a local XWMS (APP=flask, starlette or fastapi; CHECK=1 logs in, prints who, ends)
	@echo "Starting the example '$(APP)' beside a local XWMS ..." >&2
	@cd examples/$(APP)_app && exec $(DEMO)/bin/xwms-auth dev app:app $(if $(filter-out 0,$(CHECK)),--check)

test: $(STAMP) ## the whole suite (ARGS="-k cookie -x" goes to pytest)
	$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

lowest: $(STAMP) ## the tests of the doors with the oldest versions that the package accepts
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(LOWEST)
	$(BIN)/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct \
		--group lowest --editable '.[flask,fastapi,redis,sqlalchemy,sandbox,cli]'
	$(LOWEST)/bin/python -m pytest -n auto $(OLD) -m "not more_packages" $(LOWEST_TESTS) $(ARGS)
	$(BIN)/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct \
		--group lowest --editable '.[all]'
	$(LOWEST)/bin/python -m pytest -n auto $(OLD) $(LOWEST_OAUTH_TESTS) $(ARGS)

coverage: $(STAMP) ## the suite without browsers, and which branches of the package it runs
	$(BIN)/python -m pytest -n auto -m "not browser" --cov --cov-context=test --cov-report=term:skip-covered $(ARGS)
	$(BIN)/python -m tests.mutation.branches .coverage

# It reads what the last `make coverage` has found, which has to be of the same source.
mutation: $(STAMP) ## small changes to the security modules, of which tests notice 95 % (SAMPLE=500 SEED=1)
	@test -e .coverage || $(MAKE) coverage
	$(BIN)/python -m tests.mutation --coverage .coverage --sample $(SAMPLE) --seed $(SEED) --fail-under 95 $(ARGS)

check: $(STAMP) ## lint, format, types, import rules
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports

# uv makes the environments of the matrix; it is no part of .venv, because nothing else needs it.
UV := $(CURDIR)/.matrix/uv

matrix: $(STAMP) $(UV) ## the login on every framework, server, proxy, store and version (ARGS="nginx-strip", ARGS="--list")
	PATH="$(UV)/bin:$$PATH" $(BIN)/python -m tests.matrix $(ARGS)

nightly: $(STAMP) ## what takes long: the matrix, mutations, fuzzing, a secret replaced under load, the benchmarks, the models
	.ci/nightly

$(UV):
	$(BIN)/python -m venv $@
	$@/bin/pip install --quiet --disable-pip-version-check uv

docs: $(STAMP) ## the documentation, into site/
	$(BIN)/zensical build --clean --strict --config-file mkdocs.yml

wheel: $(STAMP) ## the source and binary distributions, into dist/
	rm -rf dist
	SOURCE_DATE_EPOCH=$${SOURCE_DATE_EPOCH-$$(git log -1 --format=%ct 2>/dev/null || echo 1580601600)} $(BIN)/python -m build

# Nothing here publishes: that is for .github/workflows/release.yml, which holds no secret that could be lost.
# The shell has TAG from its environment: the name of a tag may be a command, and would be one in the text of a recipe.
release: $(if $(filter-out 0,$(CHECK)),$(STAMP)) ## with CHECK=1: builds and checks what a release would publish (TAG=v1.2.3)
ifeq ($(filter-out 0,$(CHECK)),)
	@echo "Nothing is published from a developer's machine: a tag is, by .github/workflows/release.yml." >&2; \
	echo "'make release CHECK=1' builds and checks all of it here. See docs/releasing.md." >&2; exit 1
else
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(RELEASE)
	@$(BIN)/uv pip install --quiet --python $(RELEASE)/bin/python --group release
	@$(RELEASE)/bin/python -m tests.release $${TAG:+--tag "$$TAG"}
endif

# The peers have an environment of their own, because they hold back what the rest of .venv should have in its newest version.
bench: $(STAMP) ## what it costs, beside others (ARGS=--write fills the pages, ARGS=--quick only tries it, ARGS=--all)
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(BENCH)
	$(BIN)/uv pip install --quiet --python $(BENCH)/bin/python --group bench --editable '.[all]'
	$(BENCH)/bin/python benchmarks/run.py $(ARGS)

# atheris has an environment of its own, because it is not built for every system.
FUZZ := $(VENV)/fuzz

fuzz: $(STAMP) ## a million `next` values and the like, guided by coverage (ARGS="next_rule --seed 2", ARGS=--list)
	$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python $(FUZZ)
	$(BIN)/uv pip install --quiet --python $(FUZZ)/bin/python --group fuzz --editable '.[all]'
	$(FUZZ)/bin/python -m tests.fuzz $(ARGS)

clean: ## remove all that these targets made, .venv too
	rm -rf $(VENV) $(DEMO) build dist site .coverage .import_linter_cache .mypy_cache .pytest_cache .ruff_cache .hypothesis .matrix .fuzz

# Sets $$found to the first Python that will do, or ends with what to do.
define find_python
old=; bare=; \
	for python in $(CANDIDATES); do \
		"$$python" -c '' 2>/dev/null || continue; \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { old="$$old $$python"; continue; }; \
		"$$python" -c 'import ensurepip, venv' 2>/dev/null || { bare="$$bare $$python"; continue; }; \
		found=$$python; break; \
	done; \
	if [ -z "$$found" ] && [ -n "$$bare" ]; then \
		echo "This Python cannot make virtual environments:$$bare. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; \
	elif [ -z "$$found" ]; then \
		echo "Python 3.11 or newer is needed$${old:+; too old:$$old}. Name one with: make PYTHON=/path/to/python3" >&2; exit 1; \
	fi;
endef

$(STAMP): pyproject.toml
	@$(find_python) \
	echo "Installing all that the tests need into .venv with $$("$$found" --version) ..." >&2; \
	$(BIN)/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || "$$found" -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[all,dev]'
	@touch $@

$(DEMO_STAMP): pyproject.toml examples/$(APP)_app/requirements.txt
	@$(find_python) \
	echo "Installing what the example '$(APP)' needs into .demo with $$("$$found" --version) ..." >&2; \
	$(DEMO)/bin/python -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || "$$found" -m venv --clear $(DEMO)
	@list=examples/$(APP)_app/requirements.txt; grep -v '^xwms-auth' "$$list" > $(DEMO)/requirements.txt; \
	$(DEMO)/bin/python -m pip install --quiet --disable-pip-version-check \
		--editable ".[oauth2,$$(sed -n 's/^xwms-auth\[\(.*\)\]/\1/p' "$$list")]" --requirement $(DEMO)/requirements.txt
	@touch $@

# No example has this name.
examples/%_app/requirements.txt:
	@echo "There is no example '$*': APP=flask, APP=starlette or APP=fastapi." >&2; exit 1
