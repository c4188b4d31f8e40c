#!/bin/sh
# Generates the stubs with buf and protoc-gen-es, checks the types with tsc, and makes the
# page with esbuild. Needs Node.js 20 or newer, with npm.
set -eu
cd "$(dirname "$0")"

# No package has to run a script of its own to be installed.
npm ci --ignore-scripts --no-audit --no-fund
npm run build
cp index.html build/page/
