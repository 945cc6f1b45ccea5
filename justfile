# Every recipe uses the environment of the quick start. `just check` is what CI runs.
bin := justfile_directory() / ".venv/bin"

_default:
    @{{bin}}/just --list

# Make the virtual environment
setup:
    python3 -m venv .venv
    {{bin}}/pip install -e '.[dev]'

# Rewrite the code in house format
fmt:
    {{bin}}/ruff check --fix mmf warehouse sql cli tests
    {{bin}}/ruff format mmf warehouse sql cli tests

# Style of the Python code
lint:
    {{bin}}/ruff check mmf warehouse sql cli tests
    {{bin}}/ruff format --check mmf warehouse sql cli tests

types:
    {{bin}}/pyrefly check

# Import contracts
arch:
    {{bin}}/lint-imports

# Style of the SQL
sql:
    {{bin}}/sqlfluff lint sql

test *ARGS:
    {{bin}}/python -m pytest {{ARGS}}

doctest:
    {{bin}}/python -m pytest --doctest-modules mmf warehouse cli

# Write docs/features.md and its charts from the registry
catalogue:
    {{bin}}/python -m mmf.features.catalogue docs

# Speed and memory, as ratios against named baselines
bench *ARGS:
    {{bin}}/python -m tests.benchmarks {{ARGS}}

# A long study by name; without a name, their list
study *ARGS:
    {{bin}}/python -m tests.studies {{ARGS}}

check: lint types arch sql test doctest

demo:
    {{bin}}/mmf demo
