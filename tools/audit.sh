#!/bin/sh
# Ask whether any package that is locked, for running or for developing, has a known weakness. pip-audit lives in
# an environment of its own, so that what it brings along is no part of ours; nothing is installed to be judged.
# Strictly: a package that nothing could be learnt of is no package without a weakness.
set -eu
cd "$(dirname "$0")/.."
[ -x .audit/bin/pip-audit ] || {
    "${PYTHON:-python3}" -m venv .audit
    .audit/bin/python -m pip --quiet --disable-pip-version-check install "pip-audit>=2.10,<3"
}
exec .audit/bin/pip-audit --strict --require-hashes --disable-pip --requirement backend/requirements-dev.txt \
    --requirement backend/requirements.txt "$@"
