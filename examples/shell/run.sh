#!/bin/sh
# Runs the example: run.sh [URL].
set -eu
exec "$(dirname "$0")/walk.sh" "$@"
