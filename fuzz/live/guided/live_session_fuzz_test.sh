#!/usr/bin/env bash
# The target runs on real nbdkit and sees several kinds of answers; a server that cannot be started is no finding.
set -euo pipefail
if ! output=$("$1" --runs=100 --seed=1 --max_len=400 2>&1); then
  echo "$output"
  exit 1
fi
count=$(sed -n 's/^\([0-9]*\) signatures of answers seen$/\1/p' <<<"$output")
[ "${count:-0}" -gt 20 ] || { echo "$output"; echo "only ${count:-no} signatures"; exit 1; }
status=0
NBDSPEC_LIVE_TARGET='/bin/false {socket}' "$1" --runs=1 2>/dev/null || status=$?
[ "$status" -eq 2 ] || { echo "exit status $status for a server that cannot be started"; exit 1; }
