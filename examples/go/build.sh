#!/bin/sh
# Generates the stubs with protoc and compiles the example, against the packages of
# Go that Debian 12 has. With modules of your own, `go get` brings the same ones.
set -eu
cd "$(dirname "$0")"

missing=
for tool in go protoc protoc-gen-go protoc-gen-go-grpc; do
    command -v "$tool" >/dev/null || missing="$missing $tool"
done
sources=/usr/share/gocode/src/google.golang.org
for package in grpc protobuf genproto/googleapis/rpc/errdetails; do
    [ -e "$sources/$package" ] || missing="$missing google.golang.org/$package"
done
if [ -n "$missing" ]; then
    echo "missing:$missing" >&2
    echo "on Debian 12: apt-get install golang-go golang-google-grpc-dev" \
        "golang-google-genproto-dev golang-google-protobuf-dev libprotobuf-dev" \
        "protobuf-compiler protoc-gen-go protoc-gen-go-grpc" >&2
    exit 1
fi

rm -rf build
mkdir -p build/gopath/src
protoc -I ../../proto \
    --go_out=build/gopath/src --go-grpc_out=build/gopath/src \
    ../../proto/mesibo/v1/*.proto

cp ../../docs/service-config.json build/

export GO111MODULE=off GOFLAGS='' GOPATH="$PWD/build/gopath:/usr/share/gocode"
go build -o build/walk client.go stream.go walk.go
go test -c -o build/tests client.go stream.go walk.go sandbox_test.go
