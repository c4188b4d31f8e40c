#!/bin/sh
# Makes the root file system of the image: the program, the libraries that it is linked
# with, if any, and the certificate authorities to know Mesibo by.
set -eu
program=$1
root=$2

mkdir -p "$root/etc/ssl/certs"
cp "$program" "$root/mesibo-grpc"
# Those with a path: the kernel brings one that is no file. A static program has none.
for library in $(ldd "$program" | sed -n 's|^[^/]*\(/[^ ]*\) (0x.*|\1|p'); do
  cp --dereference --parents "$library" "$root"
done
cp --dereference /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
# Names are looked up in /etc/hosts first, then by DNS.
echo 'hosts: files dns' > "$root/etc/nsswitch.conf"
