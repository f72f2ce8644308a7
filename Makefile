# make demo: the whole path on films that the project makes itself, in about four minutes.
# make test: the tests that answer in minutes; make test-all: those and the slow ones; make flink: those on a Flink cluster.
# All of them set up .venv by themselves; the second time that takes no time.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
# Which tests: all, or for example TESTS=tests/media
TESTS ?=
# Options of the soak: python -m benchmarks.soak --help
SOAK ?=
# Test processes: a file runs in one of them. Two more than cores, for tests wait a quarter of their time (for children,
# servers, files), but no more than four, for each may grow to 3 GB.
TEST_PROCESSES ?= $(shell expr $$(getconf _NPROCESSORS_ONLN) + 2)
# Files are begun in the order of tests/conftest.py, the heaviest first, and not those first that have most tests.
# A run in which a test process ends has failed, and ends soon: a new process would repeat the test, for ever if it hangs.
DISTRIBUTED := --numprocesses $(TEST_PROCESSES) --maxprocesses 4 --dist loadfile --no-loadscope-reorder --max-worker-restart 0
RUN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test test-all flink soak lint types format clean

help:
	@echo "make demo    films, features, training and curves in demo-run/ (about 4 minutes on 2 cores)"
	@echo "make test    the tests, without the slow ones"
	@echo "make test-all  all tests: also clusters, several processes, the commands of the documentation, random examples"
	@echo "make flink   the three jobs on a Flink cluster that is started and stopped for it; needs Java 17"
	@echo "make soak    500 films on such a cluster while its parts and the storage are killed, for 20 minutes"
	@echo "make lint    ruff;  make types    mypy;  make format    ruff's formatter"
	@echo "make clean   removes $(VENV) and demo-run/"

$(VENV)/.installed: setup.py
	$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12) and "needs Python 3.11 or 3.12, this is " + sys.version)'
	$(PYTHON) -m venv $(VENV)
	$(RUN)/python -m pip install --quiet --upgrade pip
	$(RUN)/python -m pip install --quiet --editable '.[test]'
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(RUN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

# What tests skip without, as far as the registry has it.
$(VENV)/.installed-all: $(VENV)/.installed
	for extra in opensmile test-jax; do \
	  $(RUN)/python -m pip install --quiet --editable ".[$$extra]" || echo "no $$extra: its tests are skipped"; \
	done
	@touch $@

demo: $(VENV)/.installed
	$(RUN)/cineaffect demo --output demo-run

test: $(VENV)/.installed
	$(RUN)/python -m pytest $(DISTRIBUTED) -m "not slow" $(TESTS)

test-all: $(VENV)/.installed-all
	HYPOTHESIS_PROFILE=random $(RUN)/python -m pytest $(DISTRIBUTED) $(TESTS)

# In a process of its own: a cluster takes 5 GB and more time than the other tests of a file.
flink: $(VENV)/.installed
	$(RUN)/python -m pytest -v tests/jobs/test_flink.py

# Not in CI: 25 minutes and 6 GB. SOAK="--films 30 --minutes 2 --seed 7" for a small one.
soak: $(VENV)/.installed
	$(RUN)/python -m benchmarks.soak $(SOAK)

lint: $(VENV)/.installed-dev
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .

types: $(VENV)/.installed-dev
	$(RUN)/mypy beam_pipelines trainer

format: $(VENV)/.installed-dev
	$(RUN)/ruff check --fix .
	$(RUN)/ruff format .

clean:
	rm -rf .venv* demo-run build *.egg-info
