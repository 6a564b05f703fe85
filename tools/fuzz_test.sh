#!/usr/bin/env bash
# tools/fuzz: what libFuzzer is given. Bazel and the target are stand-ins, the corpus is one of empty folders.
set -euo pipefail
fuzz=$(readlink -f tools/fuzz)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root"/{tools,path,elsewhere,bin/fuzz/targets,corpus/seeds/some,corpus/regressions/some}
cp "$fuzz" "$root/tools/fuzz"
printf '#!/bin/sh\ncase $1 in info) echo %s/bin ;; esac\n' "$root" >"$root/path/bazel"
printf '#!/bin/sh\necho "given $*"\n' >"$root/bin/fuzz/targets/some_fuzz"
chmod +x "$root/path/bazel" "$root/bin/fuzz/targets/some_fuzz"
touch "$root/elsewhere/crash"
export PATH="$root/path:$PATH" NBDSPEC_FOUND_DIR="$root/found"
common="-artifact_prefix=$root/found/some/ -print_final_stats=1 -timeout=10 -rss_limit_mb=2048"
corpus="$root/found/some corpus/seeds/some corpus/regressions/some"

failures=0
# expect WORDS ARGUMENT...: what libFuzzer is given besides the usual.
expect() {
  local wanted="given $common${1:+ $1}"
  shift
  local given
  given=$(cd "$root/elsewhere" && "$root/tools/fuzz" some_fuzz "$@" | grep '^given')
  [ "$given" = "$wanted" ] || { printf '%s\n  got    %s\n  wanted %s\n' "$*" "$given" "$wanted"; failures=$((failures + 1)); }
}

expect "$corpus"
expect "-runs=5 $corpus" -runs=5
expect "$root/elsewhere/crash" crash
expect "-minimize_crash=1 -runs=9 $root/elsewhere/crash" -minimize_crash=1 -runs=9 crash
expect "-minimize_crash=0 $corpus" -minimize_crash=0
expect "$root/elsewhere $corpus" "$root/elsewhere" # A directory is one more corpus, and the one that is written to.
said=$("$root/tools/fuzz" some_fuzz absent 2>&1) && { echo "took a file that is not there"; failures=$((failures + 1)); }
grep --quiet 'absent: no such file' <<<"$said" || { echo "did not say what is not there: $said"; failures=$((failures + 1)); }
exit $failures
