#!/usr/bin/env bash
# Readers that others wrote read every format of a report: of a real run, of one with every verdict, and of one in which
# a peer chose all it can. Each reader is shown to refuse what is wrong.
set -euo pipefail
data=reports/render/testdata
work=$TEST_TMPDIR

fail() {
  echo "FAILED: $*"
  exit 1
}

# Each takes one report, and beside it run.json, which says what must be in there.

# Strictly: what the schema does not name is wrong, too, so that it names all there is.
json_is_valid() {
  /usr/bin/python3 - docs/run.schema.json "$1" <<'PYTHON'
import json, sys
import jsonschema

def strict(schema):
    if isinstance(schema, dict):
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
        for part in schema.values():
            strict(part)
    return schema

schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
errors = list(jsonschema.Draft202012Validator(strict(schema)).iter_errors(json.load(open(sys.argv[2]))))
for error in errors[:5]:
    print("/".join(map(str, error.absolute_path)), error.message[:300])
sys.exit(bool(errors))
PYTHON
}

junit_is_valid() { xmllint --noout --nonet --schema $data/junit_ant.xsd "$1"; }

# The harness of Perl counts as we do.
tap_is_valid() {
  perl -MTAP::Parser -MJSON::PP -e '
    local $/;
    open my $file, "<", $ARGV[1] or die; my $run = decode_json(<$file>);
    open my $tap, "<", $ARGV[0] or die;
    my $parser = TAP::Parser->new({tap => <$tap>});
    my $yaml = 0;
    my $bailed = 0;
    while (my $result = $parser->next) {
      $yaml += $result->is_yaml && ref $result->data eq "HASH" && exists $result->data->{level};
      $bailed = 1 if $result->is_bailout;
      die "not ours: " . $result->raw if $result->is_unknown;
    }
    my %t = %{$run->{tally}};
    my $shown = $t{fail} + $t{inconclusive} + $t{flaky} + $t{warn};
    my $stale = $run->{failures}{stale} + ($run->{troubles} // 0);
    my %counts = (
      failed => [scalar $parser->failed, $run->{failures}{new} + $stale],
      todo => [scalar $parser->todo, $shown - $run->{failures}{new}],
      skipped => [scalar $parser->skipped, $t{skip} + $t{"n/a"}], yaml => [$yaml, $shown],
      run => [$parser->tests_run, $stale + @{$run->{outcomes}}], bailed => [$bailed, $run->{trouble} ne "" ? 1 : 0],
      errors => [scalar $parser->parse_errors, 0]);
    my @wrong = grep { $counts{$_}[0] != $counts{$_}[1] } sort keys %counts;
    print "$_: $counts{$_}[0], not $counts{$_}[1]\n" for @wrong;
    print join("\n", $parser->parse_errors), "\n";
    exit(@wrong ? 1 : 0)' "$1" "$work/run.json"
}

# As GitHub renders it: only our elements, no attribute but a language, one that unfolds for each outcome that is shown.
markdown_is_valid() {
  cmark-gfm --unsafe --extension table --extension autolink --extension strikethrough "$1" >"$1.html"
  /usr/bin/python3 - "$1.html" "$work/run.json" <<'PYTHON'
import json, sys
from html.parser import HTMLParser

class Reader(HTMLParser):
    wrong, open, counts = [], [], {}
    def handle_starttag(self, tag, attributes):
        self.open.append(tag)
        self.counts[tag] = self.counts.get(tag, 0) + 1
        if tag not in {"h2", "h3", "p", "strong", "b", "code", "pre", "details", "summary", "table", "tr", "th", "td"}:
            self.wrong.append(f"<{tag}>")
        if any(pair != ("class", "language-text") for pair in attributes):
            self.wrong.append(f"<{tag} {attributes}>")
    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"</{tag}>")
    def handle_comment(self, text):
        self.wrong.append("a comment")

reader = Reader()
reader.feed(open(sys.argv[1], encoding="utf-8").read())
reader.close()
run = json.load(open(sys.argv[2]))
outcomes = run["outcomes"]
expected = [outcome for outcome in outcomes if outcome["expected"]["overlay"] == "xfail"]
shown = sum(outcome["verdict"] in ("fail", "inconclusive", "flaky", "warn") for outcome in outcomes if outcome not in expected)
if "targets" in run:  # What was not asked, and what is expected, is in the grid.
    if reader.counts.get("table", 0) < 1 or reader.counts.get("td", 0) < 4 * len(run["targets"]):
        reader.wrong.append(f"{reader.counts}: no table of the servers")
else:
    shown += any(outcome["verdict"] in ("n/a", "skip") for outcome in outcomes) + bool(expected)
if reader.counts.get("details", 0) != shown or reader.counts.get("summary", 0) != shown:
    reader.wrong.append(f"{reader.counts} where {shown} unfold")
print(reader.wrong[:5], reader.open)
sys.exit(bool(reader.wrong or reader.open))
PYTHON
}

validate() {
  local why
  why=$("$1" "$2" 2>&1) || fail "$1 of $3: $why"
}

refuse() {
  ! "$1" "$work/wrong" >"$work/why" 2>&1 || fail "$1 took $2"
}

# --- Every format of four runs ---

command/nbdspec check reference handshake '!handshake.flags' --json "$work/real.json" --ndjson "$work/real.ndjson" \
  --junit "$work/real.xml" >/dev/null || fail "the reference server fails"
echo speaks-in-escapes >"$work/fault"
command/nbdspec check --spawn "conformance/peer/faulty_server {socket} $work/fault" handshake option block-status \
  structured --json "$work/escapes.json" >/dev/null || true
grep --quiet 'x1b' "$work/escapes.json" || fail "nothing of a server that speaks in escapes"
cp $data/report.json "$work/sample.json"
cp $data/hostile.json "$work/hostile.json"
for name in escapes hostile real sample; do
  cp "$work/$name.json" "$work/run.json"
  command/nbdspec report "$work/run.json" --json "$work/again.json" --junit "$work/$name.xml" --tap "$work/$name.tap" \
    --markdown "$work/$name.md"
  cmp "$work/run.json" "$work/again.json" || fail "$name.json is another one when it is read and written again"
  validate json_is_valid "$work/$name.json" "$name"
  validate junit_is_valid "$work/$name.xml" "$name"
  validate tap_is_valid "$work/$name.tap" "$name"
  validate markdown_is_valid "$work/$name.md" "$name"
done

# The lines of --ndjson are the outcomes of --json, in any order, then the rest of it.
/usr/bin/python3 - "$work/real.ndjson" "$work/real.json" <<'PYTHON' || fail "--ndjson is not what --json is"
import json, sys
*lines, head = map(json.loads, open(sys.argv[1]))
run = json.load(open(sys.argv[2]))
key = lambda outcome: outcome["id"]
assert sorted({key(line): line for line in lines}.values(), key=key) == sorted(run.pop("outcomes"), key=key)
assert head == run
PYTHON

# --- Every format of a matrix: of a server that is right, and of one that cannot be used ---

cat >"$work/servers" <<'EOF'
right | @all: reference
<b>gone</b>: --spawn 'false {socket}'
EOF
command/nbdspec matrix "$work/servers" handshake option.abort --json "$work/matrix.json" --junit "$work/matrix.xml" \
  --tap "$work/matrix.tap" --markdown "$work/matrix.md" >/dev/null 2>&1 && fail "a server that cannot be used is a good one"
# As one run, for the readers.
/usr/bin/python3 - "$work/matrix.json" "$work/run.json" <<'PYTHON'
import collections, json, sys
matrix = json.load(open(sys.argv[1]))
runs = [target["run"] for target in matrix["targets"]]
total = lambda name: sum((collections.Counter(run[name]) for run in runs), collections.Counter())
json.dump(matrix | {
    "outcomes": sum((run["outcomes"] for run in runs), []), "trouble": "",
    "troubles": sum(run["trouble"] != "" for run in runs),
    "tally": {verdict: total("tally")[verdict] for verdict in runs[0]["tally"]},
    "failures": {kind: total("failures")[kind] for kind in runs[0]["failures"]},
}, open(sys.argv[2], "w"))
assert len(runs) == 2 and runs[1]["trouble"] != "", runs
PYTHON
validate junit_is_valid "$work/matrix.xml" matrix
validate tap_is_valid "$work/matrix.tap" matrix
validate markdown_is_valid "$work/matrix.md" matrix
grep --quiet '<testsuite id="1" package="nbdspec" name="&lt;b' "$work/matrix.xml" || fail "a server has no suite"
sed 's/ package="nbdspec"//' "$work/matrix.xml" >"$work/wrong"
refuse junit_is_valid "suites without a package"
sed 's/^not ok/ok/' "$work/matrix.tap" >"$work/wrong"
refuse tap_is_valid "a server that cannot be used and passes"
sed 's/<table>//' "$work/matrix.md" >"$work/wrong"
refuse markdown_is_valid "a table that only ends"

# --- What is wrong is refused ---
cp "$work/sample.json" "$work/run.json"

sed 's/"verdict": "fail"/"verdict": "bad"/' "$work/sample.json" >"$work/wrong"
refuse json_is_valid "a verdict that there is not"
sed 's/"tool"/"tol"/' "$work/sample.json" >"$work/wrong"
refuse json_is_valid "a member that there is not"
sed 's/ hostname="[^"]*"//' "$work/sample.xml" >"$work/wrong"
refuse junit_is_valid "a suite that ran nowhere"
sed 's/<system-out>.*//; s/^Exit.*//; s/^<\/system-out>//' "$work/sample.xml" >"$work/wrong"
refuse junit_is_valid "a suite that printed nothing"
sed 's/^not ok/ok/' "$work/sample.tap" >"$work/wrong"
refuse tap_is_valid "failures that pass"
sed 's/^1\.\.8/1..9/' "$work/sample.tap" >"$work/wrong"
refuse tap_is_valid "an outcome too few"
sed 's/^````*.*$//' "$work/hostile.md" >"$work/wrong"
cp "$work/hostile.json" "$work/run.json"
refuse markdown_is_valid "text that breaks out"
prove --exec cat "$work/real.tap" >/dev/null || fail "prove fails a good run"
! prove --exec cat "$work/sample.tap" >/dev/null 2>&1 || fail "prove passes a bad run"
