#!/bin/bash -eu
# What OSS-Fuzz and ClusterFuzzLite run to build the fuzz targets: with $CXX, $CXXFLAGS and $LIB_FUZZING_ENGINE, into $OUT.
# No Bazel: docs/howto/fuzz_on_a_farm.md says why, and what of it is tried. tools/oss_fuzz/check runs it as they do.
cd "$SRC/nbdspec"

make --jobs="$(nproc)" --file=tools/oss_fuzz/targets.mk
for program in "$OUT"/*_fuzz; do
  name=$(basename "$program" _fuzz)
  tools/oss_fuzz/pack "$name" "$OUT" "$program"
done

# The machines that run them have the C and C++ libraries, and no others.
mkdir -p "$OUT/lib"
ldd "$OUT"/*_fuzz | sed -n 's|.* => \(/[^ ]*\) .*|\1|p' | sort -u |
  grep -vE '/(ld-linux[^/]*|lib(c|m|dl|rt|pthread|resolv|gcc_s|stdc\+\+))\.so' |
  xargs --no-run-if-empty cp --dereference --target-directory="$OUT/lib"
