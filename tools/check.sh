#!/bin/sh
# Every check, in the order of what is quickest to fail. Called by `make test` and so by CI.
set -eu
cd "$(dirname "$0")/../backend"
ruff check . ../tools
ruff format --check . ../tools
mypy
lint-imports --no-cache
exec python -m pytest --cov --cov-report=term -n "${TEST_PROCESSES:-2}" "$@"
