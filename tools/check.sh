#!/bin/sh
# Every check, in the order of what is quickest to fail. Called by `make test` and so by CI. Most tests wait more
# than they work, so there are more of them at once than processors. COVERAGE=1 counts branches, at twice the time.
set -eu
cd "$(dirname "$0")/../backend"
ruff check . ../tools
ruff format --check . ../tools
mypy
lint-imports --no-cache
(cd ../frontend && npm run --silent check)
exec python -m pytest ${COVERAGE:+--cov --cov-report=term} -n "${TEST_PROCESSES:-5}" --dist worksteal "$@"
