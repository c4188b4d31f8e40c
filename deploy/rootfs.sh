#!/bin/sh
# Makes the root file system of the image: the program, the libraries that it is linked
# with, and the certificate authorities to know Mesibo by.
set -eu
program=$1
root=$2

# Those with a path: the kernel brings one that is no file.
libraries=$(ldd "$program" | grep -o '/[^ ]*')
mkdir -p "$root/etc/ssl/certs"
cp "$program" "$root/mesibo-grpc"
# shellcheck disable=SC2086 # one word a library
cp --dereference --parents $libraries "$root"
cp --dereference /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
# Names are looked up in /etc/hosts first, then by DNS.
echo 'hosts: files dns' > "$root/etc/nsswitch.conf"
