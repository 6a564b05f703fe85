#!/bin/bash -eu
# The same as OSS-Fuzz's.
exec "$SRC/nbdspec/tools/oss_fuzz/build.sh"
