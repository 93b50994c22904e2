# For a new machine: `make demo` and `make test`, which set up .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# One thread a process, because threads of several processes only wait for each other. One process more than there are
# cores, because some tests wait for programs and time-outs.
# Bytecode is kept: without it each process compiles all code, and rewrites all assertions, again.
PYTEST := PYTHONDONTWRITEBYTECODE= OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $$(expr $$(getconf _NPROCESSORS_ONLN) + 1) --dist loadscope
PLUGINS := $(wildcard plugins/mashkit-*)
# With what rendering needs: it is tested too.
EDITABLE := $(patsubst %-mashnet-train,%-mashnet-train[render],$(addprefix -e ./,$(PLUGINS)))

.PHONY: help demo test test-slow check core lint docs bench dist clean
.DEFAULT_GOAL := help

help:
	@echo "make demo       make three mashups of the songs in examples/songs, and prove the analysis against their labels"
	@echo "make test       run the tests (under 15 minutes on two cores)"
	@echo "make test-slow  run the tests that take longer"
	@echo "make check      ruff, strict mypy, and the core's quick tests, without plugins"
	@echo "make lint       ruff and strict mypy"
	@echo "make docs       build the documentation site into build/site and check its links, without a network"
	@echo "make bench      measure again what benchmarks/ claims"
	@echo "make dist       build the wheel and the source of every distribution into dist/"
	@echo "make clean      remove .venv and what the demo made"

# What pip cannot bring: as root on Debian it is installed, otherwise what needs it reports itself unavailable.
$(VENV)/.system:
	@$(PYTHON) -c "import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))" \
	  || { echo "mashkit needs Python 3.11, 3.12 or 3.13: name one, as in make demo PYTHON=python3.12"; exit 2; }
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  missing=""; \
	  command -v rubberband >/dev/null || missing="$$missing rubberband-cli"; \
	  command -v ffmpeg >/dev/null || missing="$$missing ffmpeg"; \
	  $(PYTHON) -c "import ensurepip, venv" 2>/dev/null || missing="$$missing python3-venv"; \
	  if [ -n "$$missing" ]; then \
	    (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing) \
	      || echo "not installed:$$missing; what needs them will say so"; \
	  fi; \
	fi
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.installed: $(VENV)/.system pyproject.toml mashkit/VERSION constraints.txt $(addsuffix /pyproject.toml,$(PLUGINS))
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt hatchling editables
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt --no-build-isolation -e '.[dev]' $(EDITABLE)
	@$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt --no-deps tinysoundfont \
	  || echo "not installed: tinysoundfont, which only rendering training data needs; it is built with g++ here"
	@# numba keeps what it compiles of librosa. Two processes that compile at once have left a file that crashes.
	@$(BIN)/mashkit analyze examples/songs/slow-river.ogg --analyzer librosa --quiet >/dev/null || true
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/mashkit doctor
	$(BIN)/mashkit mash examples/songs -o demo --top 3 --seed 1
	$(BIN)/python examples/check_labels.py

test: $(VENV)/.installed
	$(PYTEST) -m "not slow"

test-slow: $(VENV)/.installed
	$(PYTEST) -m slow

# Beside each other, because types are checked on one core only.
check: $(VENV)/.installed
	$(MAKE) --no-print-directory -j2 lint core

# --core loads no plugin and leaves out the tests marked `plugins` or `whole` (whole programs, or seconds of work):
# `make test` runs them. Tests of songs as people have them (test_real_*) take minutes of sound.
core: $(VENV)/.installed
	$(PYTEST) --core -m "not slow" --ignore-glob='tests/test_real_*.py' tests

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy mashkit $(addsuffix /src,$(PLUGINS))

# Warnings are errors. Nothing is downloaded while it is built, and the pages load nothing from elsewhere.
docs: $(VENV)/.installed
	$(BIN)/python -m sphinx -q -W --keep-going -b html -c docs . build/site
	$(BIN)/python docs/links.py build/site

bench: $(VENV)/.installed
	$(BIN)/python benchmarks/overhead.py
	$(BIN)/python benchmarks/generation.py

# Each from its own folder, with the hatchling of .venv; they share the version in mashkit/VERSION.
dist: $(VENV)/.installed
	rm -rf dist
	for folder in . $(PLUGINS); do \
	  (cd $$folder && $(CURDIR)/$(BIN)/python -m hatchling build -d $(CURDIR)/dist) || exit 1; \
	done

clean:
	rm -rf $(VENV) demo dist
