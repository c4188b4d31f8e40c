#!/bin/sh
# Runs the example: run.sh [URL]. Needs build.sh first.
set -eu
dir=$(dirname "$0")
classpath=$(cat "$dir/build/classpath")
exec java -cp "$dir/build/classes:$classpath" Walk "$@"
