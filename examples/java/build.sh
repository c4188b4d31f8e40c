#!/bin/sh
# Generates the stubs with protoc and compiles the example with javac, against
# the jars that Debian 12 packages.
set -eu
cd "$(dirname "$0")"

packages="openjdk-17-jdk-headless
    protobuf-compiler libprotobuf-dev protobuf-compiler-grpc-java-plugin
    libgoogle-gson-java libgrpc-java libprotobuf-java libgoogle-common-protos-java libguava-java
    libnetty-java libnetty-tcnative-java libperfmark-java libgeronimo-annotation-1.3-spec-java junit4"
jars="grpc-api grpc-context grpc-core grpc-netty grpc-protobuf
    grpc-protobuf-lite grpc-stub gson protobuf proto-google-common-protos guava
    netty-buffer netty-codec netty-codec-http netty-codec-http2 netty-common
    netty-handler netty-resolver netty-tcnative netty-transport perfmark-api
    geronimo-annotation-1.3-spec junit4 hamcrest"

missing=
for tool in javac protoc grpc_java_plugin; do
    command -v "$tool" >/dev/null || missing="$missing $tool"
done
classpath=
for jar in $jars; do
    path=/usr/share/java/$jar.jar
    [ -e "$path" ] || missing="$missing $path"
    classpath=$classpath${classpath:+:}$path
done
openssl=$(find /usr/lib -path '*/jni/libnetty-tcnative.so')
[ -n "$openssl" ] || missing="$missing libnetty-tcnative.so"
if [ -n "$missing" ]; then
    echo "missing:$missing" >&2
    # Not quoted, which puts them on one line.
    # shellcheck disable=SC2086
    echo "on Debian 12: apt-get install" $packages >&2
    exit 1
fi

rm -rf build
mkdir -p build/stubs build/classes build/lib
protoc -I ../../proto -I . \
    --plugin=protoc-gen-grpc-java="$(command -v grpc_java_plugin)" \
    --java_out=build/stubs --grpc-java_out=build/stubs \
    ../../proto/mesibo/v1/*.proto error_info.proto
javac -encoding UTF-8 -cp "$classpath" -d build/classes \
    -sourcepath build/stubs:. Walk.java SandboxTest.java
cp ../../docs/service-config.json build/classes/
# Debian's Netty speaks HTTP/2 over TLS by OpenSSL alone. It looks for this library by a name
# with an underscore, and takes no link.
cp "$openssl" build/lib/libnetty_tcnative.so
# For run.sh.
echo "$classpath" >build/classpath
