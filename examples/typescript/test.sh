#!/bin/sh
# Runs the tests, each in a world of its own in a sandbox. Needs build.sh first, and the
# program: mesibo-grpc of the PATH, or the one that the variable MESIBO_GRPC names.
set -eu
exec node --test "$(dirname "$0")/build/js/sandbox.test.js"
