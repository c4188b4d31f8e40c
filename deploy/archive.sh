#!/bin/sh
# Prints a tar archive of what NAME is in FOLDER:
#
#   deploy/archive.sh FOLDER NAME
#
# It depends on the contents, on what may be run, and on SOURCE_DATE_EPOCH alone.
set -eu
exec tar --create --format=gnu --sort=name --mtime="@$SOURCE_DATE_EPOCH" \
  --owner=0 --group=0 --numeric-owner --mode=u+rwX,go+rX,go-w --directory="$1" "$2"
