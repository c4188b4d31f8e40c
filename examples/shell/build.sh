#!/bin/sh
# There is nothing to make: it checks that what the example needs is there.
set -eu
cd "$(dirname "$0")"

for tool in curl jq; do
    command -v "$tool" >/dev/null || {
        echo "missing: $tool; on Debian: apt-get install curl jq" >&2
        exit 1
    }
done
mkdir -p build
