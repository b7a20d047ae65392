# run: the default experiment; test, test-faults, test-slurm, lint, bench: the project's own checks;
# clean: forget all.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := run
.PHONY: run test test-faults test-slurm lint bench lock clean environment

PYTHON ?= $(shell command -v python3.11 || echo python3)
CORES ?= all
GPUS ?= $(shell nvidia-smi -L 2>/dev/null | grep -c '^GPU')
BIN := .venv/bin

# Without a GPU no limit is given, and the cores alone bound how many jobs run at once.
LIMIT := $(if $(filter-out 0,$(GPUS)),--resources gpu=$(GPUS))

run: environment
	$(BIN)/snakemake --cores $(CORES) $(LIMIT) $(ARGS)

test: environment
	$(BIN)/python -m pytest -n 2 $(ARGS)

# What takes long: many more random inputs, studies that are killed or in odd surroundings.
test-faults: environment
	$(BIN)/python -m pytest -n 2 -m "faults or fuzz" --hypothesis-profile=faults $(ARGS)

# On a Slurm cluster that it starts on this machine: as root on Debian, which gets slurm-wlm and munge.
test-slurm: environment
	$(BIN)/python -m pytest -m slurm tests/slurm $(ARGS)

lint: environment
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/bandit --quiet --configfile pyproject.toml --recursive workflow
	$(BIN)/python envs/audit.py

bench: environment
	$(BIN)/python benchmarks/bench.py $(ARGS)

# The environment is made anew only when the content of the lock file changes.
environment:
	@cmp -s requirements.lock .venv/requirements.lock || $(MAKE) --no-print-directory .venv

.PHONY: .venv
.venv:
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	cp requirements.lock .venv/requirements.lock

# After a change of the dependencies in pyproject.toml.
lock: environment
	$(BIN)/pip-compile --quiet --extra dev --generate-hashes --strip-extras --allow-unsafe \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	  --output-file requirements.lock pyproject.toml
	$(BIN)/python envs/make.py

clean:
	rm -rf .venv .snakemake .mypy_cache .ruff_cache .pytest_cache
	find results -mindepth 1 -maxdepth 1 ! -name README.md -exec rm -rf {} +
