# Everything lives in .venv, and every target sets up what it needs:  make demo,  make test.
# Use another interpreter with  make PYTHON=/path/to/python3  (3.11 or newer).

PY := .venv/bin/python
INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help setup demo lab app test lint browser cluster-test bench bench-page notebooks docs explore package audit hashes verified oldest mutants release binder fuzz faults clean

help:
	@echo "make demo    train the main study, print its table, write demo/report.html"
	@echo "make lab     open JupyterLab on the tutorials"
	@echo "make app     the lab as a page of its own: choose a study, start it, watch"
	@echo "make test    lint, types, unit tests, laws, doctests, notebooks, browser"
	@echo "make lint    ruff and mypy only"
	@echo "make cluster-test  a sweep on dask: two worker processes, one of them killed; part of make test"
	@echo "make bench   the benchmarks: tables, and JSON in benchmarks/results/"
	@echo "make bench-page  docs/benchmarks.md from these results"
	@echo "make fuzz    10,000 changes of files of a run: each is read or refused in words"
	@echo "make faults  kills, full disks, moved directories and the like, often: what was lost, what went on"
	@echo "make notebooks  run tutorials and notebooks anew, and store what they show"
	@echo "make docs    the site, in build/site: open build/site/index.html"
	@echo "make explore the pages for a class alone, in build/explore"
	@echo "make package wheel and sdist, tried in clean environments: PYTHONS='python3.11 python3.12'"
	@echo "make audit   the licences of all that is installed, and whether it is what was tested"
	@echo "make verified  .venv anew, of files whose hashes are those of hashes.txt; make hashes renews these"
	@echo "make oldest  the lower bounds of pyproject.toml, in an environment of their own: unit tests with them"
	@echo "make mutants 50 small faults, one at a time: whether tests see them; a quarter of an hour"
	@echo "make release VERSION=0.2.0  what must be so before a release, and how to make it"
	@echo "make binder  try the Binder environment without its image"
	@echo "make setup   .venv with everything for development"
	@echo "make clean   remove .venv and whatever was built or written here"

demo: .venv/.stamp-run
	@$(PY) demo.py

lab: .venv/.stamp-run
	@.venv/bin/flowlab lab

app: .venv/.stamp-run
	@.venv/bin/flowlab app

# Two workers, a file in one of them, each on one thread: more of either would share two cores. Bytecode is kept, since
# dozens of processes import flowlab.
test: lint browser
	@env -u PYTHONDONTWRITEBYTECODE OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile

lint: .venv/.stamp-dev
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy

browser: .venv/.stamp-dev
	@$(PY) tests/browser/helpers.py

cluster-test: .venv/.stamp-dev
	@OMP_NUM_THREADS=1 $(PY) -m pytest -v tests/runs/test_scheduler.py

bench: .venv/.stamp-run
	@set -e; for script in $$(ls benchmarks/[a-z]*.py | grep -v -e page.py -e device_checks.py); do echo "== $$script"; $(PY) "$$script"; done

# Smoke scale, as stored; FLOWLAB_SCALE=full for the figures of the papers.
notebooks: .venv/.stamp-dev
	@$(PY) -m tests.notebooks

# Whatever Sphinx warns of is an error: a broken link, a name that is not there, a formula that cannot be set.
docs: .venv/.stamp-docs
	@OMP_NUM_THREADS=1 $(PY) -m sphinx --fail-on-warning --keep-going -q -c docs . build/site
	@echo "build/site/index.html"

# Of small recorded runs; docs/explore/record.py trains and records them anew.
explore: .venv/.stamp-dev
	@OMP_NUM_THREADS=1 $(PY) docs/explore/pages.py build/explore

package: .venv/.stamp-dev
	@$(PY) -m tests.package $(PYTHONS)

audit: .venv/.stamp-docs
	@$(PY) -m tests.audit

hashes: .venv/.stamp-docs
	@$(PY) -m tests.hashes

# Linux on x86-64 and Python 3.11; torch without CUDA.
verified: | .venv/bin/pip
	@$(PY) -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --force-reinstall \
		--extra-index-url https://download.pytorch.org/whl/cpu -r hashes.txt
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch .venv/.stamp-run .venv/.stamp-dev .venv/.stamp-docs

# Another version than a bound is named as in  make oldest INSTEAD="torch==2.13.0".
oldest: .venv/.stamp-dev
	@OMP_NUM_THREADS=1 $(PY) -m tests.oldest $(INSTEAD)

mutants: .venv/.stamp-dev
	@OMP_NUM_THREADS=1 $(PY) -m tests.mutants

release: .venv/.stamp-dev
	@$(PY) -m tests.release $(VERSION)

# Half of them in each of two processes.
fuzz: .venv/.stamp-dev
	@export OMP_NUM_THREADS=1; $(PY) -m tests.storage.mutated 5000 1 & $(PY) -m tests.storage.mutated 5000 2; two=$$?; wait $$! && exit $$two

faults: .venv/.stamp-dev
	@OMP_NUM_THREADS=1 $(PY) -m tests.faults

bench-page:
	@$(PY) benchmarks/page.py

# What Binder does, short of building its image: a clean environment, postBuild, and the first tutorial in it.
binder: .venv/.stamp-dev
	@$(PY) -m repo2docker --no-build .
	@$(PY) -m venv --clear build/binder
	@build/binder/bin/python -m pip install --quiet --disable-pip-version-check -r binder/requirements.txt
	@export PATH="$$PWD/build/binder/bin:$$PATH" && binder/postBuild && \
		jupyter nbconvert --to notebook --execute --output-dir build tutorials/01_*.ipynb

setup: .venv/.stamp-dev

clean:
	rm -rf .venv build dist demo .ci/artifacts .mypy_cache .ruff_cache
	find flowlab tests -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.stamp-run: pyproject.toml constraints.txt | .venv/bin/pip
	@echo "Installing flowlab into .venv; the first time takes minutes, most of them for torch."
	@$(INSTALL) -e '.[lab,chains,export]'
	@touch $@

.venv/.stamp-dev: pyproject.toml constraints.txt | .venv/bin/pip
	@echo "Installing flowlab and its tools into .venv; the first time takes minutes, most of them for torch."
	@$(INSTALL) -e '.[dev]'
	@touch .venv/.stamp-run $@

.venv/.stamp-docs: pyproject.toml constraints.txt | .venv/bin/pip
	@$(INSTALL) -e '.[docs]'
	@touch $@

.venv/bin/pip:
	@for python in $(PYTHON) python3.11 python3 python3.12 python3.13 python; do \
		"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
		"$$python" -m venv .venv && exit; \
		echo "$$python could not make .venv; on Debian and Ubuntu it needs the package python3-venv." >&2; exit 1; \
	done; \
	echo "flowlab needs Python 3.11 or newer, and none was found: install it, or name it with make PYTHON=..." >&2; exit 1
