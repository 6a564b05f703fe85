#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# replay: what it runs, and that neither a disagreement nor a file it cannot use looks like success.
replay=$1
case $replay in /*) ;; *) replay=$TEST_SRCDIR/$TEST_WORKSPACE/$replay ;; esac
work=$(mktemp -d) && cd "$work" || exit 1
trap 'rm -rf "$work"' EXIT
mkdir -p corpus/seeds/extent_map/inner corpus/regressions/script_text
printf 'hello' >corpus/seeds/extent_map/inner/good
printf '# nbdspec script\nsize 64\n' >corpus/seeds/extent_map/good.script
printf '# nbdspec script\nsize many\n' >corpus/regressions/script_text/broken
printf '# nbdspec script\nsize many\n' >broken.script
printf '# nbdspec script\nsize many\n' >5e884898da28
printf 'size 64\n' >headless.script
# A case inside nbdkit that is none: what disagrees without a planted bug.
printf 'no case' >none

failures=0
# expect STATUS TEXT ARGUMENT...: the status, and a text that the output must have.
expect() {
    wanted=$1 text=$2
    shift 2
    "$replay" "$@" >out 2>&1
    status=$?
    if [ $status -ne "$wanted" ] || ! grep -qF -e "$text" out; then
        echo "$* : status $status, wanted $wanted and \"$text\" in:"
        cat out
        failures=$((failures + 1))
    fi
}

expect 0 "2 files, 0 disagreements" --target=extent_map corpus/seeds/extent_map
expect 0 "replay corpus/seeds/extent_map/inner/good" --target=extent_map corpus/seeds/extent_map
expect 0 "extent_map: 1 files replayed" corpus/seeds/extent_map/good.script
expect 0 "script_text: 1 files replayed" corpus/seeds/extent_map/good.script corpus/regressions
expect 0 "--runs=100 --seed=7" --target=wire_decode --runs=100 --seed=7
expect 0 "--runs=500 --seed=1" --target=script_shrink --random
expect 1 "FAIL nbdkit_extents: the text" --target=nbdkit_extents none
expect 1 "1 disagreements" --target=nbdkit_extents none
expect 2 "broken.script: line 2, column 6" --target=extent_map broken.script
expect 0 "replay 5e884898da28" --target=extent_map 5e884898da28
expect 2 "headless.script: its first line must be" --target=extent_map headless.script
expect 2 "absent: no such file" absent
expect 2 "none: in no folder of a fuzz target" none
expect 2 "--target=nothing: no such target" --target=nothing
expect 2 "--runs=x: no such file or option" --runs=x
expect 2 "usage:"
expect 0 "wire_decode max_len=512 check_runs=30000 dict=nbd.dict" --list
expect 0 "max_len = 160" --target=c_api --options
expect 0 "dict = nbd.dict" --target=wire_decode --options
mkdir seeds none_of_c_api
"$replay" --target=wire_decode --seeds=seeds && "$replay" --target=c_api --seeds=none_of_c_api || failures=$((failures + 1))
expect 0 "wire_decode: 64 files replayed" --target=wire_decode seeds
rmdir none_of_c_api || failures=$((failures + 1)) # Any bytes are of its form.
expect 2 "absent: no seeds can be written there" --target=wire_decode --seeds=absent
expect 0 "| \`c_api\` |" --table
exit $failures
