#!/usr/bin/env bash
# tools/ci/check: what a step of a CI job writes, shows and ends with.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export NBDSPEC_PROGRAM=$PWD/command/nbdspec NBDSPEC_REPORTS="$work/re ports" GITHUB_STEP_SUMMARY=$work/summary
failures=0
# expect STATUS WORDS: what the step ends with, and that its reports and the summary are there.
expect() {
  local status=0
  rm -rf "$NBDSPEC_REPORTS" "$GITHUB_STEP_SUMMARY"
  tools/ci/check >"$work/text" 2>&1 || status=$?
  [ $status = "$1" ] || { echo "$2: ended with $status, not $1"; cat "$work/text"; failures=$((failures + 1)); }
  for file in "$NBDSPEC_REPORTS"/nbd.{html,xml,json,md} "$GITHUB_STEP_SUMMARY"; do
    [ -s "$file" ] || { echo "$2: no $file"; failures=$((failures + 1)); }
  done
}

export NBDSPEC_SPAWN="nbdkit --foreground --unix {socket} memory {size}"
NBDSPEC_ARGUMENTS="'structured.read.*' --seed 7" expect 0 "a server that is right there"
grep --quiet '"seed": 7' "$NBDSPEC_REPORTS/nbd.json" || { echo "its words do not arrive"; failures=$((failures + 1)); }
NBDSPEC_ARGUMENTS=option.set-meta-context.replaces-on-failure/no-data expect 1 "a server that fails something"
NBDSPEC_ARGUMENTS=option.set-meta-context.replaces-on-failure/no-data NBDSPEC_EXPECTED=nbdkit expect 0 "what it is known to fail"
NBDSPEC_SPAWN="/nonexistent/server {socket}" expect 3 "no server"
exit $failures
