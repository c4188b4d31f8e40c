#!/bin/sh
# Installs what deploy/package.sh needs besides Debian and Rust, where `cargo install` does.
# Other versions make other bytes.
set -eu
cargo install --locked --quiet cargo-cyclonedx@0.5.9 cargo-deb@3.8.0
