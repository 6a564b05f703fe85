#!/usr/bin/env bash
# The command links the product's own fuzzing, and nothing that only tests our code (docs/decisions/0006): no target,
# comparison, exchange or canary of fuzz, no input but scripts that change, and no oracle.
set -euo pipefail

allowed='^//fuzz/((live/(connection|coverage|judge|learn|model|run)|clients|findings|replay):|inputs:(random|script_mutator)$)'
grep --quiet '^//fuzz/live/run:' "$1" || { echo "the list of what the command links is empty"; exit 1; }
if grep -E '^//(fuzz|engine/oracle)[/:]' "$1" | grep -v -E "$allowed"; then
  echo "nbdspec links these, which only test our code"
  exit 1
fi
