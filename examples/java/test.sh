#!/bin/sh
# Runs the tests, each in a world of its own in a sandbox. Needs build.sh first, and the
# program: mesibo-grpc of the PATH, or the one that the variable MESIBO_GRPC names.
set -eu
dir=$(dirname "$0")
classpath=$(cat "$dir/build/classpath")
exec java -cp "$dir/build/classes:$classpath" org.junit.runner.JUnitCore SandboxTest
