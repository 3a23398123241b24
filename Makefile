# Two commands: `make demo` and `make test`. Each first builds .venv, and nothing outside the tree.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules --no-print-directory

# Two single-threaded processes beat one that fights itself for two cores.
export OMP_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export XDG_CACHE_HOME := $(CURDIR)/.venv/cache
export MPLCONFIGDIR := $(CURDIR)/.venv/cache/matplotlib

BIN := $(CURDIR)/.venv/bin
READY := .venv/ready
PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard leakpro_jax/pyproject.toml plugins/*/pyproject.toml))
# Optional parts that the tests play for real.
EXTRA_leakpro_sdv := [sdv]
EXTRA_leakpro_fl := [flower]
SUITES := $(addprefix test/,. $(PLUGINS))
PROJECTS := pyproject.toml $(PLUGINS:%=%/pyproject.toml)
JOBS ?= 2

.PHONY: help
help:
	@echo "make demo      audit a small model, a synthetic table and a federated client, and write the reports"
	@echo "make test      the tests of every distribution"
	@echo "make apart     the few tests that take long, leakpro_jax beside the core wheel alone among them"
	@echo "make lint      ruff and mypy"
	@echo "make docs      the documentation, warnings are errors"
	@echo "make bench     measure speed and memory"
	@echo "make evidence  run the simulations in full, for the documentation"
	@echo "make wheels    build every distribution, and a registry that approves exactly these"

$(READY): constraints.txt $(PROJECTS)
	@python="$(PYTHON)"; \
	for candidate in $${python:-python3.11 python3.12 python3.13 python3}; do \
	  "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	    && { python="$$candidate"; ready=yes; break; }; \
	done; \
	[ "$${ready:-}" = yes ] || { \
	  echo "LeakPro needs Python 3.11 or later, and none was found." \
	    "Install one, or name it: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }; \
	"$$python" -m venv .venv
	@echo "Setting up .venv (some minutes the first time)"
	@$(BIN)/python -m pip install -q --no-cache-dir -c constraints.txt hatchling editables
	@$(BIN)/python -m pip install -q --no-cache-dir -c constraints.txt --no-build-isolation \
	  -e '.[dev]' $(foreach plugin,$(PLUGINS),-e './$(plugin)$(EXTRA_$(notdir $(plugin)))')
	@touch $@

# Exit codes 1 (a leak) and 2 (inconclusive) are verdicts: the demo is meant to leak.
.PHONY: demo
demo: $(READY)
	@$(BIN)/leakpro audit examples/digits/audit.toml --out runs/digits || [ $$? -le 2 ]
	@$(BIN)/leakpro audit examples/synthetic/audit.toml --out runs/synthetic || [ $$? -le 2 ]
	@$(BIN)/leakpro audit examples/federated/audit.toml --out runs/federated || [ $$? -le 2 ]

# One pytest process a distribution, so that none sees what another imported.
.PHONY: test
test: $(READY)
	@$(MAKE) -k -j$(JOBS) --output-sync=target $(SUITES) \
	  || { echo "Tests failed: see above." >&2; exit 1; }

.PHONY: $(SUITES)
$(SUITES): test/%: $(READY)
	@echo "== $*"; cd $* && $(BIN)/python -m pytest --color=no

# Among them: what third parties copy is copied out of the tree, built, and tested beside the core
# wheel alone.
.PHONY: apart
apart: $(READY)
	@$(BIN)/python -m pytest --color=no -m apart

.PHONY: lint
lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy leakpro_core $(PLUGINS:%=%/src)

.PHONY: docs
docs: $(READY)
	@$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

# Every script of bench/ writes its figures to bench/results/, with a hash of what it measured.
# bench/cifar10.py needs a GPU; a slice of it shows on any machine that it works.
SPEED := $(wildcard bench/speed*.py)
GPU := bench/cifar10.py
.PHONY: bench
bench: $(READY)
	@for script in $(SPEED); do echo "== $$script"; $(BIN)/python "$$script"; done
	@echo "== $(GPU) --slice"; $(BIN)/python $(GPU) --slice

.PHONY: evidence
evidence: $(READY)
	@for script in $(filter-out bench/evidence.py $(SPEED) $(GPU),$(wildcard bench/*.py)); do \
	  echo "== $$script"; $(BIN)/python "$$script" || echo "== $$script: not measured" >&2; \
	done

# The same bytes for the same commit: a pinned builder, and no time but the commit's.
.PHONY: wheels
wheels: export SOURCE_DATE_EPOCH = $(shell git log -1 --format=%ct)
wheels: $(READY)
	@rm -rf dist
	@for project in . $(PLUGINS); do \
	  $(BIN)/python -m build --no-isolation --wheel --outdir dist "$$project" >/dev/null; \
	done
	@{ printf 'schema = 1\nmode = "enforce"\n\n'; \
	  $(BIN)/leakpro plugins pin --approved-by "make wheels" \
	    --approved-on "$$(git log -1 --format=%cs)" \
	    $(foreach plugin,$(PLUGINS),dist/$(notdir $(plugin))-*.whl); } > dist/registry.toml
	@ls dist/*
