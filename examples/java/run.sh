#!/bin/sh
# Runs the example: run.sh [URL]. Needs build.sh first.
set -eu
dir=$(dirname "$0")
classpath=$(cat "$dir/build/classpath")
exec java -Djava.library.path="$dir/build/lib" -cp "$dir/build/classes:$classpath" Walk "$@"
