#!/usr/bin/env bash
# Runs tools/tidy on the tree, and shows that it can complain.
set -euo pipefail
root=$(dirname "$(readlink -f WORKSPACE)")
tools/tidy "$root"

# A tree with one fault of each kind: every one must be named.
bad=$(mktemp -d)
trap 'rm -rf "$bad"' EXIT
mkdir -p "$bad"/{command,engine/base,engine/spec,reports/model,conformance/checks,fuzz/targets,docs,stray}
printf '#include "conformance/checks/check.h"\n#include <fstream>\n' >"$bad/engine/base/bad_helper.h"
printf '// SPDX-License-Identifier: BSD-3-Clause\n#include <poll.h>\n#include "fuzz/other.cc"\nusing engine::Bytes;\n// TO''DO\n' >"$bad/fuzz/targets/bad.cc"
printf 'struct Twice {\nstruct Twice : A {\n' >"$bad/fuzz/targets/twice.h"
printf 'a.b-c\tSection\n' >"$bad/engine/spec/requirements.tsv"
printf '// SPDX-License-Identifier: BSD-3-Clause\nauto a = "a.b-c";\nauto b = "a.b-c/sub";\n' >"$bad/fuzz/targets/ids.cc"
printf '[gone](gone.md)\nIt is to''ld of.\nAll 685 cla''uses.\n' >"$bad/docs/page.md"
printf '| `fuzz/targets` | targets | `reports/model` |\n| `reports/model` | runs | - |\n' >"$bad/docs/architecture.md"
printf 'cc_test(\n    name = "starts_test",\n    srcs = ["starts_test.cc"],\n)\n' >"$bad/fuzz/targets/BUILD"
printf '// nbd''kit\nStart("nbd-ser''ver");\n' >"$bad/fuzz/targets/starts_test.cc"
complaints=$(tools/tidy "$bad") && { echo "tidy praised a bad tree"; exit 1; }
for expected in 'targets/bad.cc: may not include "fuzz/other.cc"' \
  'bad_helper.h: is in no room' 'lets fuzz/targets include reports/model, which it does not' 'a room reports/model without files' \
  'page.md:2: house idiom' 'page.md:3: counts "685 clauses"' 'begins without its licence' 'no #pragma once' \
  'name that says nothing' 'touches sockets' 'no I/O' 'TO''DO' 'which is not there' 'does not belong' 'Twice twice' \
  'starts_test.cc: names a program' 'ids.cc:2: spells' 'ids.cc:3: spells' 'which is not a header' 'names Bytes, and does not use it'; do
  grep --quiet --fixed-strings -- "$expected" <<<"$complaints" || { echo "tidy did not complain: $expected"; exit 1; }
done
