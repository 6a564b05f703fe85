#!/usr/bin/env bash
# HTML reports: valid by the rules of tidy, and tried in a browser (pages_test.js). ./setup --tests installs both.
set -euo pipefail
pages=$TEST_TMPDIR
for name in report hostile; do
  # Its exit code is that of the run.
  command/nbdspec report reports/render/testdata/$name.json --html "$pages/$name.html" >"$pages/$name.txt" 2>&1 || true
  [ -s "$pages/$name.html" ] || { cat "$pages/$name.txt"; exit 1; }
done
reports/render/matrix_page 16 400 >"$pages/matrix.html"
reports/render/matrix_page 3 20 >"$pages/small_matrix.html"
command/nbdspec check reference handshake.magic block-status --html "$pages/passed.html" >/dev/null
command/nbdspec compare reports/render/testdata/{report,hostile}.json --html "$pages/compared.html" >/dev/null || true
command/nbdspec fuzz reference --scripts 2 --findings "$pages/findings" --html "$pages/fuzzed.html" >/dev/null
command/nbdspec diff reference reference --scripts 2 --html "$pages/diff.html" >/dev/null
printf '# nbdspec script\n# A read.\nsize 1M\noption go\nread 0 +512\n' >"$pages/read.script"
command/nbdspec replay "$pages/read.script" --html "$pages/replayed.html" >/dev/null
# A server that speaks in what moves a terminal's cursor.
echo speaks-in-escapes >"$pages/fault"
hostile="conformance/peer/faulty_server {socket} $pages/fault"
command/nbdspec check --spawn "$hostile" handshake option block-status structured \
  --html "$pages/escapes.html" >/dev/null || true
command/nbdspec fuzz --spawn "$hostile" --scripts 4 --findings "$pages/escaped" --html "$pages/escapes_fuzzed.html" \
  >/dev/null || true
printf 'one: reference\ntwo: reference\n' >"$pages/servers"
command/nbdspec matrix "$pages/servers" handshake.magic --quiet --html "$pages/passed_matrix.html" >/dev/null
grep --quiet '<th scope="col">two</th>' "$pages/passed_matrix.html"

echo '<!DOCTYPE html><html lang="en"><title>x</title><p class=unclosed><div></p>' >"$pages/wrong"
! tidy -quiet -errors "$pages/wrong" 2>/dev/null || { echo "tidy refuses nothing"; exit 1; }
for page in "$pages"/*.html; do
  tidy -quiet -errors "$page" || { echo "$page is not valid"; exit 1; }
done

bytes=$(stat --format=%s "$pages/matrix.html")
echo "the page of 16 servers by 400 checks has $bytes bytes"
[ "$bytes" -lt 2000000 ]

export NODE_PATH=/usr/local/lib/nbdspec/node_modules
export HOME=$TEST_TMPDIR
node command/pages_test.js "$pages" "${TEST_UNDECLARED_OUTPUTS_DIR:-$TEST_TMPDIR}"
