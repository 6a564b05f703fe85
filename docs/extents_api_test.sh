#!/usr/bin/env bash
# Holds extents_api.md to the code: every test it links to exists, every C name it uses is declared, every declared
# function is on the page. Runs on the real tree, and shows that it can complain. And howto/build_the_extents_api.md is
# built as it stands, with each compiler there is.
set -euo pipefail
root=$(dirname "$(readlink -f WORKSPACE)")
c_headers="$root/engine/extents/extents_c.h $root/engine/extents/nbdkit_extents_compat.h"

# Whether FILE has a test NAME: of gtest (Suite.Name), a planted bug, or a function that a C program defines and calls.
has_test() {
  local file=$1 name=$2
  case $file in
    *_canaries.cc) grep --quiet --fixed-strings "{\"$name\"," "$file" ;;
    *.cc) grep --quiet --extended-regexp "^TEST(_F|_P)?\(${name%%.*}, ${name#*.}\)" "$file" ;;
    *.c) grep --quiet "^static void $name(void)" "$file" && grep --quiet "^  $name();" "$file" ;;
    *) return 1 ;;
  esac
}

# Prints one line for each thing that is wrong with PAGE; links are relative to docs.
complaints_about() {
  local page=$1 tests=0 link name file
  while read -r link; do
    name=${link%%]*} file=${link##*\(}
    tests=$((tests + 1))
    has_test "$root/docs/$file" "$name" || echo "no test $name in $file"
  done < <(grep '^|' "$page" | grep --only-matching --extended-regexp '\[[A-Z][A-Za-z0-9]*(\.[A-Za-z0-9]+)?\]\([^)]*(_test|_canaries)\.cc?' | cut -c 2-)
  [ "$tests" -ge 25 ] || echo "only $tests tests are named"
  grep '^| .* | *|$' "$page" | sed 's/^/no test for /' || true

  local names='\b(nbdspec|nbdkit)_extents?_[a-z_]+\b|\b(NBDSPEC|NBDKIT)_EXTENTS?_[A-Z_]+\b'
  while read -r name; do
    grep --quiet --word-regexp "$name" $c_headers || [ "$name" = nbdkit_extents_compat ] || echo "$name is not declared"
  done < <(grep --only-matching --extended-regexp "$names" "$page" | sort -u)
  while read -r name; do
    grep --quiet --word-regexp "$name" "$page" || echo "$name is not on the page"
  done < <(grep --only-matching --extended-regexp '\bnbdspec_extents?_[a-z_]+\b' "$root/engine/extents/extents_c.h" | sort -u)
}

complaints=$(complaints_about "$root/docs/extents_api.md")
if [ -n "$complaints" ]; then
  echo "docs/extents_api.md: $complaints"
  exit 1
fi

out=$(mktemp -d)
bad=$out/bad.md
trap 'rm -rf "$out"' EXIT
sed -e 's/ANewMapIsOneHoleOverTheWholeDisk/ATestThatIsGone/' -e 's/FilterMovesWhat/FilterForgetsWhat/' \
  -e 's/BlockSizeMakesUpHoles/BlockSizeMakesHoles/' -e 's/nbdspec_extents_clear/nbdspec_extents_gone/' -e 's/^\(| length zero .*|\) .*|$/\1  |/' \
  "$root/docs/extents_api.md" >"$bad"
complaints=$(complaints_about "$bad")
for expected in 'no test ExtentsC.ATestThatIsGone' 'no test FilterForgetsWhat' 'no test BlockSizeMakesHoles' \
  'nbdspec_extents_gone is not declared' 'nbdspec_extents_clear is not on the page' 'no test for | length zero'; do
  grep --quiet --fixed-strings -- "$expected" <<<"$complaints" || { echo "did not complain: $expected"; exit 1; }
done

# block LANGUAGE: what stands in the how-to in that language.
howto=$root/docs/howto/build_the_extents_api.md
block() { sed -n "/^\`\`\`$1\$/,/^\`\`\`\$/p" "$howto" | sed '1d;$d'; }
block c >"$out/disk.c"
[ -s "$out/disk.c" ]
wanted=$(block text)
for compilers in 'clang-19 clang++-19' 'gcc g++'; do
  export CC=${compilers% *} CXX=${compilers#* } out
  command -v "$CXX" >/dev/null || { echo "$CXX is not there"; [ "$CXX" = g++ ] && continue; } # ./setup installs the other one.
  said=$(cd "$root" && bash -e -c "$(block sh)" 2>"$out/stderr") || { cat "$out/stderr"; echo "$howto fails with $CXX"; exit 1; }
  [ "$said" = "$wanted" ] || { printf '%s says of its program, with %s:\n%s\nand it prints:\n%s\n' "$howto" "$CXX" "$wanted" "$said"; exit 1; }
done
