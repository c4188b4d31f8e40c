#!/bin/sh
# Serves the page on 127.0.0.1:8000, or the address given. Needs build.sh first, and a
# server that lists the page's origin:
#   mesibo-grpc sandbox --cors-origins http://127.0.0.1:8000
set -eu
cd "$(dirname "$0")"
exec node_modules/.bin/esbuild --servedir=build/page --serve="${1:-127.0.0.1:8000}"
