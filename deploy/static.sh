#!/bin/sh
# Builds the program as a release has it, linked with nothing outside of itself, and prints
# where it is:
#
#   deploy/static.sh [TARGET]
#
# The target is the one with musl for the processor of this machine, if none is given. The
# same sources and tools make the same bytes, in whatever folder; docs/packages.md has the
# tools.
set -eu
cd "$(dirname "$0")/.."

target=${1:-$(uname -m)-unknown-linux-musl}
cargo_home=${CARGO_HOME:-$HOME/.cargo}
case $PWD$cargo_home in
  *[[:space:]]*)
    echo "static.sh: no flag for the C compiler can have the blanks of $PWD or $cargo_home" >&2
    exit 1
    ;;
esac

# Panics and assertions have paths of sources: those of this machine are replaced. Of more
# than one that fits, the compilers take the last.
rust_flags=-Ctarget-feature=+crt-static
c_flags=
remap() {
  rust_flags="$rust_flags$(printf '\037')--remap-path-prefix=$1=$2"
  c_flags="$c_flags -ffile-prefix-map=$1=$2"
}
remap "$PWD" /source
remap "$cargo_home" /cargo
# Where a toolchain with the source of its library has it, and what one without says.
remap "$(rustc --print sysroot)/lib/rustlib/src/rust" \
  "/rustc/$(rustc --version --verbose | sed -n 's/^commit-hash: //p')"

export CARGO_ENCODED_RUSTFLAGS="$rust_flags" CFLAGS="$c_flags" CARGO_TARGET_DIR="$PWD/target"
# C has the time that it is compiled at. With that of the commit, each would compile it anew.
export SOURCE_DATE_EPOCH=0
case $target in
  *-musl) export "CC_$(echo "$target" | tr - _)=musl-gcc" ;;
esac
cargo build --locked --release --target "$target" >&2
echo "$CARGO_TARGET_DIR/$target/release/mesibo-grpc"
