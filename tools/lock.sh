#!/bin/sh
# Lock the dependencies anew, and export the lock for pip, hashed: one file to run, one to develop, one for
# the container image, which runs beside a PostgreSQL of its own, one for an image that sends traces as well, one
# for `make load`, and one for building the page without a system Node.
set -eu
cd "$(dirname "$0")/../backend"
poetry lock "$@"
poetry export --quiet --extras embedded --with build --output requirements.txt
poetry export --quiet --all-extras --with build --with dev --output requirements-dev.txt
poetry export --quiet --with build --output requirements-image.txt
poetry export --quiet --extras tracing --with build --output requirements-image-tracing.txt
poetry export --quiet --only load --output requirements-load.txt
poetry export --quiet --only node --output requirements-node.txt
