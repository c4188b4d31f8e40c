#!/bin/sh
# Runs the tests, each in a world of its own in a sandbox. Needs build.sh first, and the
# program: mesibo-grpc of the PATH, or the one that the variable MESIBO_GRPC names.
set -eu
cd "$(dirname "$0")"
PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=build/stubs \
    exec build/venv/bin/python -m pytest -q -p no:cacheprovider "$@"
