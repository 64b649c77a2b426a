# `make demo`: one photo to one report. `make test`: the tests. Both need only Python 3.11 or newer, pip and make.
PYTHON ?= python3
export PIP_DISABLE_PIP_VERSION_CHECK = 1

.PHONY: demo test core lowest check release-check coverage notebooks docs clean

demo: .venv/installed
	.venv/bin/mien analyze examples/astronaut.png -o report.html
	@echo "open report.html in a browser"

test: .venv-dev/installed
	.venv-dev/bin/python -m pytest -n 2 -m "not slow"

# The way from a photograph to a report, where nothing is installed but what the core requires. MIEN_CORE leaves out the
# test files that import something else.
CORE = tests/facs tests/results tests/core tests/report tests/video tests/test_errors.py tests/test_layers.py

core: .venv-core/installed
	MIEN_CORE=1 .venv-core/bin/python -m pytest -m "not slow" $(CORE)

# The same, and the server, with the lowest versions that pyproject.toml allows.
lowest: .venv-lowest/installed
	MIEN_CORE=1 .venv-lowest/bin/python -m pytest -m "not slow" $(CORE) tests/serve/test_app.py

# What continuous integration runs besides: style, types, and the tests that build environments or train.
check: .venv-dev/installed
	.venv-dev/bin/ruff check .
	.venv-dev/bin/ruff format --check src tests benchmarks examples docs
	.venv-dev/bin/mypy
	.venv-dev/bin/python -m pytest -m slow

# Whether a release could go out: wheel and sdist, metadata, changelog, and an installation elsewhere.
release-check: .venv-dev/installed
	.venv-dev/bin/python .ci/release.py

# Which lines the tests run, as a table; the least covered files are in CONTRIBUTING.md.
coverage: .venv-dev/installed
	.venv-dev/bin/python -m pytest -n 2 -m "not slow" --cov=mien --cov-report=term:skip-covered

# The notebooks of examples/, executed.
notebooks: .venv-dev/installed
	.venv-dev/bin/python -m pytest --nbmake --nbmake-timeout=600 examples

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

.venv-core/installed: pyproject.toml
	$(PYTHON) -m venv .venv-core
	.venv-core/bin/python -m pip install --quiet -e . pytest hypothesis
	touch $@

.venv-lowest/installed: pyproject.toml .ci/lowest.py
	$(PYTHON) -m venv .venv-lowest
	$(PYTHON) .ci/lowest.py serve > .venv-lowest/lowest.txt
	.venv-lowest/bin/python -m pip install --quiet -e ".[serve]" -c .venv-lowest/lowest.txt pytest hypothesis httpx
	touch $@

clean:
	rm -rf .venv .venv-dev .venv-core .venv-lowest .venv-docs report.html dist site build/site
