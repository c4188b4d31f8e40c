#!/bin/sh
# Runs the example: run.sh [URL]. Needs build.sh first.
set -eu
dir=$(dirname "$0")
PYTHONPATH="$dir/build/stubs" exec "$dir/build/venv/bin/python" "$dir/walk.py" "$@"
