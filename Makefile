# The two to know: `make serve` and `make test`. Both need python3 (3.11 or later), make and a network, nothing else.

PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=
# How many tests run side by side: most of the live ones wait for servers. JOBS=0 runs them in one process.
JOBS   ?= 4

override VENV := $(abspath $(VENV))
IN     := $(VENV)/bin
FAST   := $(addprefix tests/,wire wsgi config options log shared subcommands worker test_house.py test_documents.py)
SERVE  := $(VENV)/.installed-serve
TEST   := $(VENV)/.installed-test

.PHONY: help serve test test-fast coverage lint types bench fuzz soak dist clean

help:
	@echo "make serve     run the example application on http://127.0.0.1:8000"
	@echo "make test      run the tests (ARGS='tests/wire -x' to choose)"
	@echo "make test-fast the tests that start no server: under a minute"
	@echo "make coverage  the tests with a coverage report"
	@echo "make lint      ruff check, ruff format --check"
	@echo "make types     mypy --strict"
	@echo "make bench     processor time a request, beside gevent's own ceiling"
	@echo "make fuzz      the property tests with many more examples, then the wire fuzzer"
	@echo "make soak      hours of reloads, killings and held requests under load; an idle machine, please"
	@echo "make dist      sdist and wheel in dist/"
	@echo "make clean     remove what the others made, but for the virtual environment"

serve: $(SERVE)
	@echo
	@echo "  open http://127.0.0.1:8000/ (Ctrl-C stops the server)"
	@echo
	@cd examples && exec $(IN)/greenwsgi --processes 4 --async 1000 --wsgi-file flaskapp.py --callable app $(ARGS)

test: $(TEST)
	$(IN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

test-fast: $(TEST)
	$(IN)/python -m pytest -n 2 --dist loadfile $(FAST) $(ARGS)

coverage: $(TEST)
	$(IN)/python -m coverage erase
	$(IN)/python -m coverage run -m pytest $(ARGS)
	$(IN)/python -m coverage combine --quiet
	$(IN)/python -m coverage report

lint: $(TEST)
	$(IN)/python -m ruff check .
	$(IN)/python -m ruff format --check .

types: $(TEST)
	$(IN)/python -m mypy

bench: $(TEST)
	$(IN)/python -m tests.bench $(ARGS)

fuzz: $(TEST)
	$(IN)/python -m pytest -m hypothesis --hypothesis-profile=fuzz --timeout=0 $(ARGS)
	for parser in http uwsgi fastcgi scgi proxy sniff; do \
	  $(IN)/python -m tests.wire.fuzz --protocol $$parser --seconds 30 || exit 1; \
	done

soak: $(TEST)
	$(IN)/python -m pytest -m long
	$(IN)/python -m tests.soak $(ARGS)

dist: $(TEST)
	$(IN)/python -m build

clean:
	rm -rf build dist *.egg-info .coverage .coverage.* htmlcov .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(IN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "greenwsgi needs Python 3.11 or later; name one: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment: on Debian and Ubuntu, apt-get install python3-venv" >&2; exit 1; }

$(SERVE): setup.cfg pyproject.toml | $(IN)/python
	$(IN)/python -m pip install --quiet --disable-pip-version-check --editable '.[examples]'
	@touch $@

$(TEST): setup.cfg pyproject.toml | $(IN)/python
	$(IN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(SERVE)
