#!/usr/bin/env bash
# Both directions of a conversation are written down, each as it was said.
set -euo pipefail
recorder=$1
said=$(mktemp --directory "$TEST_TMPDIR/said.XXXX")
"$recorder" reference "$said"

clients=$(ls "$said" | grep --count '\.client$')
[ "$clients" -ge 50 ] || { echo "only $clients conversations"; exit 1; }
[ "$clients" -eq "$(ls "$said" | grep --count '\.server$')" ] || { echo "a direction is missing"; exit 1; }
# What each begins with; where there is less, its client had gone by then.
others=$(find "$said" -name '*.server' -size +15c -print0 | xargs -0 head --quiet --bytes=16 | fold --bytes --width=16 |
  grep --text --line-regexp --invert-match --max-count=3 NBDMAGICIHAVEOPT || true)
[ -z "$others" ] || { echo "no greeting: $others"; exit 1; }
grep --quiet --text 'IHAVEOPT.*base:allocation' "$said"/*.client || { echo "no client asked for a context"; exit 1; }
grep --quiet --text 'base:allocation' "$said"/*.server || { echo "no server has a context"; exit 1; }

status=0
"$recorder" reference "$said/nowhere" || status=$?
[ $status -eq 2 ] || { echo "a folder that is not there: exit status $status"; exit 1; }
