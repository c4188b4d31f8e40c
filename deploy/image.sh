#!/bin/sh
# Makes the image without a daemon, as an OCI layout in a tar archive:
#
#   deploy/image.sh PROGRAM VERSION FILE
#   docker load --input FILE                          # Docker 25 or later
#   skopeo copy oci-archive:FILE docker://images.example.com/mesibo-grpc:VERSION
#
# What it starts is what the Dockerfile says. The same program, certificate authorities and
# SOURCE_DATE_EPOCH make the same bytes.
set -eu
program=$1
version=$2
file=$3
deploy=$(dirname "$0")
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH:-0}"

case $(uname -m) in
  x86_64) architecture=amd64 ;;
  aarch64) architecture=arm64 ;;
  *) echo "image.sh: no image for the architecture $(uname -m)" >&2; exit 1 ;;
esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

digest() { sha256sum "$1" | cut -d ' ' -f 1; }

# Puts a file among the blobs, and prints its descriptor.
blob() {
  hash=$(digest "$2")
  size=$(stat --format=%s "$2")
  mv "$2" "$work/layout/blobs/sha256/$hash"
  printf '"mediaType": "application/vnd.oci.image.%s", "digest": "sha256:%s", "size": %s' \
    "$1" "$hash" "$size"
}

mkdir -p "$work/root" "$work/layout/blobs/sha256"
"$deploy/rootfs.sh" "$program" "$work/root"
"$deploy/archive.sh" "$work/root" . > "$work/layer"
diff_id=$(digest "$work/layer")
gzip --no-name --best "$work/layer"
layer=$(blob layer.v1.tar+gzip "$work/layer.gz")

cat > "$work/config" <<EOF
{
  "created": "$(date --utc --date="@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)",
  "architecture": "$architecture",
  "os": "linux",
  "config": {
    "User": "65532:65532",
    "ExposedPorts": {"50051/tcp": {}, "50052/tcp": {}, "9464/tcp": {}},
    "Env": [
      "MESIBO_GRPC_LISTEN=0.0.0.0:50051",
      "MESIBO_GRPC_HEALTH_LISTEN=0.0.0.0:50052",
      "MESIBO_GRPC_METRICS_LISTEN=0.0.0.0:9464"
    ],
    "Entrypoint": ["/mesibo-grpc"],
    "Cmd": ["serve"],
    "StopSignal": "SIGTERM",
    "Labels": {
      "org.opencontainers.image.title": "mesibo-grpc",
      "org.opencontainers.image.version": "$version",
      "org.opencontainers.image.licenses": "Apache-2.0"
    }
  },
  "rootfs": {"type": "layers", "diff_ids": ["sha256:$diff_id"]},
  "history": [{"created_by": "deploy/image.sh"}]
}
EOF
config=$(blob config.v1+json "$work/config")
cat > "$work/manifest" <<EOF
{
  "schemaVersion": 2,
  "mediaType": "application/vnd.oci.image.manifest.v1+json",
  "config": {$config},
  "layers": [{$layer}]
}
EOF
manifest=$(blob manifest.v1+json "$work/manifest")
cat > "$work/layout/index.json" <<EOF
{
  "schemaVersion": 2,
  "mediaType": "application/vnd.oci.image.index.v1+json",
  "manifests": [{
    $manifest,
    "platform": {"architecture": "$architecture", "os": "linux"},
    "annotations": {
      "org.opencontainers.image.ref.name": "$version",
      "io.containerd.image.name": "mesibo-grpc:$version"
    }
  }]
}
EOF
printf '{"imageLayoutVersion": "1.0.0"}\n' > "$work/layout/oci-layout"
"$deploy/archive.sh" "$work/layout" . > "$file"
