#!/bin/sh
# Runs the example: run.sh [URL]. Needs build.sh first.
set -eu
dir=$(dirname "$0")
exec node "$dir/build/js/walk.js" "$@"
