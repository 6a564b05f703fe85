#!/usr/bin/env bash
# tools/oss_fuzz: that build.sh makes, from the environment that OSS-Fuzz gives it, every target with its seeds, options and
# dictionary, from the sources that Bazel links. The compiler is a stand-in; tools/oss_fuzz/check has a real one.
set -euo pipefail
root=$(dirname "$(readlink -f WORKSPACE)")
replay=$(readlink -f fuzz/targets/replay)
linked=$(readlink -f tools/oss_fuzz/linked_sources)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
complain() { echo "$1"; failures=$((failures + 1)); }

# It notes its words; what it links is the target's part of replay.
mkdir -p "$work"/{src,out,work}
ln -s "$root" "$work/src/nbdspec"
cat >"$work/compiler" <<COMPILER
#!/usr/bin/env bash
echo "\$*" >>"$work/words"
while [ "\$1" != -o ]; do shift; done
name=\$(basename "\$2" _fuzz)
printf '#!/bin/sh\nexec $replay --target=%s "\$@"\n' "\$name" >"\$2"
chmod +x "\$2"
COMPILER
chmod +x "$work/compiler"
env SRC="$work/src" OUT="$work/out" WORK="$work/work" CXX="$work/compiler" CXXFLAGS="-given flags" LIB_FUZZING_ENGINE=-the-engine \
  "$root/tools/oss_fuzz/build.sh" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }

while read -r name _; do
  target=$work/out/${name}_fuzz
  [ -x "$target" ] || { complain "$name: no program"; continue; }
  grep --quiet '^max_len = [0-9]' "$target.options" || complain "$name: no max_len"
  if dictionary=$(sed -n 's/^dict = //p' "$target.options") && [ -n "$dictionary" ]; then
    [ "$dictionary" = "${name}_fuzz.dict" ] && [ -s "$work/out/$dictionary" ] || complain "$name: $dictionary is not its dictionary"
  fi
  seeds=$(unzip -Z1 "${target}_seed_corpus.zip")
  wanted=$(find "$root/corpus/seeds/$name" "$root/corpus/regressions/$name" -type f -printf '%f\n' 2>/dev/null || true)
  absent=$(comm -23 <(sort <<<"$wanted") <(sort <<<"$seeds"))
  [ -z "$absent" ] || complain "$name: seeds without $absent"
  grep --quiet -e "-given flags .*/rows/$name.o .*-the-engine" "$work/words" || complain "$name: not linked with what was given"
done < <("$replay" --list)
[ "$(find "$work/out" -name '*_fuzz' | wc -l)" = "$("$replay" --list | wc -l)" ] || complain "other targets than replay has"
grep --quiet '^fresh_63$' <<<"$(unzip -Z1 "$work/out/wire_decode_fuzz_seed_corpus.zip")" || complain "wire_decode: no fresh inputs"
[ -z "$(grep -v -e '-given flags' "$work/words")" ] || complain "something is compiled without \$CXXFLAGS"
grep --quiet -e '-c -o .*failing_new' "$work/words" || complain "c_api has no operator new of its own"

# (nbdkit loads what is in engine/nbdkit.)
absent=$(sed 's|^//\(.*\):|\1/|' "$linked" | grep -v -e '^fuzz/targets/' -e '^engine/nbdkit/' | sort | comm -23 - <("$root/tools/oss_fuzz/sources" | sort))
[ -z "$absent" ] || complain "tools/oss_fuzz/sources lacks $absent"

cd "$root"
shellcheck --severity=warning tools/oss_fuzz/{build.sh,check,files_test.sh,install,pack,sources} .clusterfuzzlite/build.sh tools/engines ||
  complain "shellcheck complains"
# The keys and values that OSS-Fuzz's own check of a project knows.
/usr/bin/python3 - tools/oss_fuzz/project.yaml .clusterfuzzlite/project.yaml <<'PYTHON' || complain "a project.yaml is none"
import sys
import yaml

known = {"homepage", "main_repo", "primary_contact", "language", "base_os_version", "sanitizers", "fuzzing_engines", "architectures"}
values = {
    "sanitizers": {"address", "undefined", "memory", "none"},
    "fuzzing_engines": {"libfuzzer", "afl", "honggfuzz", "centipede"},
    "architectures": {"x86_64", "i386", "aarch64"},
}
for name in sys.argv[1:]:
    with open(name) as file:
        project = yaml.safe_load(file)
    assert set(project) <= known, (name, set(project) - known)
    assert project["language"] == "c++", name
    for key, allowed in values.items():
        assert set(project.get(key, [])) <= allowed, (name, key)
full = yaml.safe_load(open(sys.argv[1]))
assert {"homepage", "main_repo", "primary_contact"} <= set(full) and "libfuzzer" in full["fuzzing_engines"]
PYTHON
exit $((failures > 0))
