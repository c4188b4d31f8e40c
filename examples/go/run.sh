#!/bin/sh
# Runs the example: run.sh [URL]. Needs build.sh first.
set -eu
exec "$(dirname "$0")/build/walk" "$@"
