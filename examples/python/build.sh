#!/bin/sh
# Generates the stubs with grpcio-tools, in a virtual environment of their own.
# Needs python3 with venv and pip (Debian: python3-venv).
set -eu
cd "$(dirname "$0")"

python3 -m venv build/venv
build/venv/bin/pip install --quiet --disable-pip-version-check -r requirements.txt

mkdir -p build/stubs
build/venv/bin/python -m grpc_tools.protoc -I ../../proto \
    --python_out=build/stubs --pyi_out=build/stubs --grpc_python_out=build/stubs \
    ../../proto/mesibo/v1/*.proto
