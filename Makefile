# `make demo`: one photo to one report. `make test`: the tests. Both need only Python 3.11 or newer, pip and make.
PYTHON ?= python3
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: demo test check docs clean

demo: .venv/installed
	.venv/bin/mien analyze examples/astronaut.png -o report.html
	@echo "open report.html in a browser"

test: .venv-dev/installed
	.venv-dev/bin/python -m pytest -n 2 -m "not slow"

# What continuous integration runs besides: style, types, and the tests that build environments or train.
check: .venv-dev/installed
	.venv-dev/bin/ruff check .
	.venv-dev/bin/ruff format --check src tests benchmarks examples docs
	.venv-dev/bin/mypy
	.venv-dev/bin/python -m pytest -m slow

# The documentation site, in site/; fails on a link, an anchor or a name that does not exist.
docs: .venv-docs/installed
	PATH="$(CURDIR)/.venv-docs/bin:$$PATH" python docs/build_site.py

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet -e .
	touch $@

.venv-dev/installed: pyproject.toml
	$(PYTHON) -m venv .venv-dev
	.venv-dev/bin/python -m pip install --quiet -e ".[dev]"
	touch $@

.venv-docs/installed: pyproject.toml
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet -e ".[docs]"
	touch $@

clean:
	rm -rf .venv .venv-dev .venv-docs report.html dist site build/site
