#!/usr/bin/env bash
# The generated pages in docs/ are what the program writes. To refresh them: tools/refresh
set -euo pipefail
if ! command/nbdspec coverage --markdown | diff docs/requirements.md - | head -n 20; then
  echo "docs/requirements.md is stale: run tools/refresh"
  exit 1
fi
