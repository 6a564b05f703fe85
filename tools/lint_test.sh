#!/usr/bin/env bash
# tools/lint: what was clean is not looked at again, and yet no warning is missed, whatever it comes from. Bazel is a
# stand-in, clang-tidy is the real one.
set -euo pipefail
lint=$(readlink -f tools/lint)
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root"/{tools,path,engine,bin/engine}
cp "$lint" "$root/tools/lint"
printf '#!/bin/sh\ncase $1 in info) echo %s/bin ;; esac\n' "$root" >"$root/path/bazel"
chmod +x "$root/path/bazel"
export PATH="$root/path:$PATH" XDG_CACHE_HOME="$root/cache" HOME="$root"
unset CI
cd "$root"
printf 'Checks: "-*,modernize-use-nullptr"\nHeaderFilterRegex: "(^|/)engine/"\n' >.clang-tidy
printf '/bin/\n/cache/\n/path/\n' >.gitignore
printf '#include "engine/b.h"\nint A() { return kB; }\n' >engine/a.cc
printf '#include "engine/made.h"\ninline constexpr int kB = kMade;\n' >engine/b.h
printf 'inline constexpr int kMade = 1;\n' >bin/engine/made.h
printf 'int C() { return 3; }\n' >engine/c.cc
git init --quiet --initial-branch=main .
git add .
git -c user.name=a -c user.email=a@b commit --quiet --message=all

failures=0
# expect STATUS TEXT [ARGUMENT...]: the status, and a text that the output must have.
expect() {
  local wanted=$1 text=$2 status=0 said
  shift 2
  said=$(tools/lint "$@" 2>&1) || status=1
  if [ $status != "$wanted" ] || ! grep --quiet --fixed-strings -- "$text" <<<"$said"; then
    printf 'lint %s: status %s, wanted %s and "%s" in:\n%s\n' "$*" $status "$wanted" "$text" "$said"
    failures=$((failures + 1))
  fi
}
# A warning in FILE is found, twice, although all was clean before; without it all is known to be clean again.
expect_found_in() {
  cp "$1" before
  echo 'inline int* Planted() { return 0; }' >>"$1"
  expect 1 'use nullptr'
  expect 1 'use nullptr'
  mv before "$1"
  expect 0 '2 files, 2 of them known to be clean'
}

expect 0 '2 files, 0 of them known to be clean'
expect 0 '2 files, 2 of them known to be clean'
CI=true expect 0 '2 files, 0 of them known to be clean'
expect_found_in engine/a.cc
expect_found_in engine/b.h
expect_found_in bin/engine/made.h
printf 'int* D() { return 0; }\n' >engine/d.cc
expect 1 'use nullptr'
expect 1 'use nullptr' engine/d.cc
rm engine/d.cc
sed -i 's/use-nullptr/use-nullptr,misc-redundant-expression/' .clang-tidy
expect 0 '2 files, 0 of them known to be clean'

expect 0 '0 files' --changed
echo '// More.' >>engine/b.h
expect 0 '1 files, 0 of them known to be clean' --changed main
echo 'inline int* Planted() { return 0; }' >>engine/b.h
expect 1 'use nullptr' --changed
exit $failures
