# make demo    recognise handwritten digits with the bundled networks
# make studio  draw digits in the browser, and watch a network recognise them
# make lessons eight notebooks for a course, in Jupyter
# make test    ruff, mypy and the tests: under 20 minutes on two cores
# make check   before each commit, a minute: ruff, mypy, and of each test that is not slow the first and the last case
# make long    what `make test` has no time for: the same laws on more boards, models and examples
# make lint    ruff, the format, and mypy over package, tests and tools
# make docs    the API reference as HTML, in build/reference
# make tools   install the cross compiler and QEMU (Debian, as root); `test` does, where it may
# make browsers install Firefox and WebKit for the studio's tests, which skip without; `long` does, where it may
# make clean   remove what these made
#
# Each sets up what it needs in .venv, with $(PYTHON): any Python from 3.10 on.

PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip --quiet --disable-pip-version-check
# Bytecode is kept even where the environment says not to, else each of a thousand processes would compile it anew.
PYTEST := PYTHONDONTWRITEBYTECODE= $(VENV)/bin/python -m pytest --quiet -n 2

.PHONY: help demo studio lessons test check long lint docs tools browsers clean

help:
	@sed -n 's/^# \(make \)/\1/p' Makefile

demo: $(VENV)/.runtime
	@$(VENV)/bin/refengine demo

studio: $(VENV)/.studio
	@$(VENV)/bin/refengine studio

lessons: $(VENV)/.lessons
	@$(VENV)/bin/refengine lessons

test: lint tools
	$(PYTEST) -m "not long"

check: lint
	$(PYTEST) --few --durations 5 --durations-min 2

long: $(VENV)/.test tools browsers
	$(PYTEST) -m long

lint: $(VENV)/.test
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

docs: $(VENV)/.docs
	$(VENV)/bin/python tools/reference.py

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find refengine tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

# ---- what the firmware's and the browser's tests need: installed where we may, else they skip, each by name, and this
# says so

TOOLS := arm-none-eabi-gcc qemu-system-arm riscv64-unknown-elf-gcc qemu-system-riscv32 flatc chromium chromedriver
DEBIAN := gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm \
    gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf qemu-system-misc flatbuffers-compiler libflatbuffers-dev \
    chromium chromium-driver

tools:
	@missing=$$(for tool in $(TOOLS); do command -v $$tool >/dev/null || echo $$tool; done); \
	[ -z "$$missing" ] || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	    apt-get update -qq && apt-get install -qq --yes --no-install-recommends $(DEBIAN) >/dev/null; } || \
	echo "*** NOT TESTED: what needs" $$missing "- install: sudo apt install $(DEBIAN)" >&2

BROWSERS := firefox-esr webkit2gtk-driver xvfb

browsers:
	@command -v firefox-esr >/dev/null && command -v WebKitWebDriver >/dev/null && command -v Xvfb >/dev/null || \
	{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	    apt-get update -qq && apt-get install -qq --yes --no-install-recommends $(BROWSERS) >/dev/null; } || \
	echo "*** NOT TESTED: the studio in Firefox and WebKit - install: sudo apt install $(BROWSERS)" >&2

# ---- .venv: what `demo` needs, and with it what `studio` and `test` need

$(VENV)/.runtime: pyproject.toml | $(VENV)/bin/pip
	$(PIP) install --editable .
	@touch $@

$(VENV)/.studio: pyproject.toml | $(VENV)/bin/pip
	$(PIP) install --editable '.[studio]'
	@touch $@ $(VENV)/.runtime

$(VENV)/.lessons: pyproject.toml | $(VENV)/bin/pip
	$(PIP) install --editable '.[lessons]'
	@touch $@ $(VENV)/.runtime

$(VENV)/.test: pyproject.toml | $(VENV)/bin/pip
	$(PIP) install --editable '.[test]'
	@touch $@ $(VENV)/.runtime $(VENV)/.studio

$(VENV)/.docs: pyproject.toml | $(VENV)/bin/pip
	$(PIP) install --editable '.[docs]'
	@touch $@ $(VENV)/.runtime

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and \
	    "refengine needs Python 3.10 or newer; name one that you have: make PYTHON=python3.12 ...")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || $(MISSING_VENV)
	$(PYTHON) -m venv --clear $(VENV)
	@PYTHONDONTWRITEBYTECODE= $(VENV)/bin/python -m compileall -q refengine  # else each command would compile it anew

# Debian keeps half of the venv module in a package of its own.
MISSING_VENV = { [ "$$(id -u)" = 0 ] && apt-get update -qq && apt-get install -qq --yes python3-venv; } || \
    { echo "Python's venv module is missing; install it and try again: sudo apt install python3-venv" >&2; exit 1; }
