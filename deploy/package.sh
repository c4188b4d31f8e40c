#!/bin/sh
# Makes what a release has, in a folder:
#
#   deploy/package.sh FOLDER [PROGRAM]
#
#   mesibo-grpc-VERSION-linux-MACHINE.tar.gz    the program, its manual and completions
#   mesibo-grpc_VERSION-1_ARCHITECTURE.deb      the same, with the unit for systemd
#   mesibo-grpc-VERSION-linux-MACHINE.oci.tar   the image
#   mesibo-grpc-VERSION.cdx.json                what the program is made of, by CycloneDX
#   SHA256SUMS
#
# The program is the one that deploy/static.sh builds, if none is given that was built
# before. The same commit and tools make the same bytes; docs/packages.md has the tools.
set -eu
folder=$(realpath --canonicalize-missing "$1")
program=${2:+$(realpath "$2")}
if [ -n "$(ls -A "$folder" 2> /dev/null)" ]; then
  echo "package.sh: $folder has files already: name a new folder, or an empty one" >&2
  exit 1
fi
for tool in cargo-cyclonedx cargo-deb git; do
  if ! command -v "$tool" > /dev/null; then
    echo "package.sh: there is no $tool: docs/packages.md says how to install it" >&2
    exit 1
  fi
done
cd "$(dirname "$0")/.."
umask 022

program=${program:-$(deploy/static.sh)}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log --max-count=1 --format=%ct)}
export SOURCE_DATE_EPOCH
version=$(cargo pkgid --package mesibo-grpc | sed 's/.*[#@]//')
machine=$(uname -m)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# The tools for cargo write beside the manifests, so they get a copy.
source=$work/source
mkdir "$source"
git ls-files -z | xargs --null cp --no-dereference --parents --target-directory="$source"

# What the Debian package and the archive have: Cargo.toml says where it goes.
parts=$source/target/parts
mkdir -p "$parts/man" "$parts/completions" "$parts/systemd"
cp "$program" "$parts/mesibo-grpc"
cp deploy/systemd/mesibo-grpc.sysusers "$parts/systemd"
"$program" man "$parts/man"
for shell in bash zsh fish; do
  "$program" completions "$shell" > "$parts/completions/mesibo-grpc.$shell"
done
# Packages of Debian leave /usr/local to others.
sed 's|/usr/local/bin/|/usr/bin/|' deploy/systemd/mesibo-grpc.service \
  > "$parts/systemd/mesibo-grpc.service"

out=$work/out
name=mesibo-grpc-$version-linux-$machine
mkdir "$out" "$work/$name"
cp -R LICENSE README.md CHANGELOG.md deploy/settings.toml \
  "$parts/mesibo-grpc" "$parts/man" "$parts/completions" "$work/$name"
deploy/archive.sh "$work" "$name" | gzip --no-name --best > "$out/$name.tar.gz"
deploy/image.sh "$program" "$version" "$out/$name.oci.tar"
(
  cd "$source"
  # The names of functions stay: what is logged of a panic has them.
  cargo deb --quiet --locked --no-build --no-strip --output "$out/" > /dev/null
  cargo cyclonedx --quiet --format json --spec-version 1.5 --target "$machine-unknown-linux-musl"
  # A part of the workspace is named by where it is.
  sed "s|$source|/source|g" mesibo-grpc.cdx.json > "$out/mesibo-grpc-$version.cdx.json"
)
(cd "$out" && sha256sum -- *) > "$work/sums"
mkdir -p "$folder"
mv "$work/sums" "$folder/SHA256SUMS"
mv "$out"/* "$folder"
