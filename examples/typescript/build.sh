#!/bin/sh
# Generates the stubs with buf and ts-proto, and compiles the example with tsc.
# Needs Node.js 20 or newer, with npm.
set -eu
cd "$(dirname "$0")"

# No package has to run a script of its own to be installed.
npm ci --ignore-scripts --no-audit --no-fund
npm run build
