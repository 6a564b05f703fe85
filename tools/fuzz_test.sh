#!/usr/bin/env bash
# tools/fuzz: what libFuzzer and afl-fuzz are given. They, Bazel and the target are stand-ins, the corpus is next to empty.
set -euo pipefail
fuzz=$(readlink -f tools/fuzz)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root"/{tools,path,elsewhere,bin/fuzz/targets,corpus/seeds/some,corpus/regressions/some}
cp "$fuzz" "$root/tools/fuzz"
printf '#!/bin/sh\ncase $1 in info) echo %s/bin ;; esac\n' "$root" >"$root/path/bazel"
printf '#!/bin/sh\n[ "$*" = --options ] && printf "max_len = 7\ndict = some.dict\n" || echo "given $*"\n' >"$root/bin/fuzz/targets/some_fuzz"
cat >"$root/path/afl-fuzz" <<'AFL'
#!/bin/sh
echo "afl given $*"
echo "mutator ${AFL_CUSTOM_MUTATOR_LIBRARY-none}, start $(ls "$2")"
mkdir -p "$4/default/queue" "$4/default/crashes" && touch "$4/default/queue/id:0"
case $* in *"-V 9"*) touch "$4/default/crashes/id:1" ;; esac
AFL
chmod +x "$root/path/bazel" "$root/path/afl-fuzz" "$root/bin/fuzz/targets/some_fuzz"
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
NBDSPEC_FOUND_DIR=../found expect "$corpus" # From where it is called, not where it goes on.
said=$("$root/tools/fuzz" some_fuzz absent 2>&1) && { echo "took a file that is not there"; failures=$((failures + 1)); }
grep --quiet 'absent: no such file' <<<"$said" || { echo "did not say what is not there: $said"; failures=$((failures + 1)); }

# expect_afl STATUS TEXT ARGUMENT...: how it ends, and a line of what is said.
expect_afl() {
  local wanted=$1 text=$2 status=0 said
  shift 2
  said=$(cd "$root/elsewhere" && "$root/tools/fuzz" --engine=afl some_fuzz "$@") || status=$?
  [ $status = "$wanted" ] && grep --quiet --line-regexp --fixed-strings -- "$text" <<<"$said" ||
    { printf 'afl %s: status %s, wanted %s and "%s" in:\n%s\n' "$*" $status "$wanted" "$text" "$said"; failures=$((failures + 1)); }
  [ -e "$root/found/some/id:0" ] || { echo "what it finds is not where corpus_merge looks"; failures=$((failures + 1)); }
}
touch "$root/corpus/seeds/some/seed"
afl=$root/bin/fuzz/targets/some_fuzz
expect_afl 0 "afl given -i $root/found/some/start -o $root/found/some/afl -G 7 -x fuzz/targets/some.dict -V 5 -- $afl" -V 5
expect_afl 0 "mutator ${afl}_afl_mutator.so, start seed" -V 5
AFL_CUSTOM_MUTATOR_LIBRARY="" expect_afl 0 "mutator none, start seed" -V 5
AFL_CUSTOM_MUTATOR_LIBRARY=/other.so expect_afl 0 "mutator /other.so, start seed" -V 5
expect_afl 1 "$root/found/some/afl/default/crashes/id:1" -V 9
"$root/tools/fuzz" --engine=other some_fuzz 2>/dev/null && { echo "took an engine that there is none of"; failures=$((failures + 1)); }
exit $failures
