#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# standalone_main: what it runs, and that neither a finding nor a file it cannot use looks like success.
target=$1
cd "$(mktemp -d)" || exit 1
mkdir -p corpus/inner
printf 'hello' >corpus/inner/good
printf '# nbdspec script\nsize 64\n' >corpus/good.script
printf 'boos' >bad
printf '# nbdspec script\nsize many\n' >broken.script
printf '# nbdspec script\nsize many\n' >5e884898da28
printf 'size 64\n' >headless.script

failures=0
# expect STATUS TEXT ARGUMENT...: the status, and a text that standard error must have.
expect() {
    wanted=$1 text=$2
    shift 2
    "$target" "$@" 2>err
    status=$?
    if [ $status -ne "$wanted" ] || ! grep -qF -e "$text" err; then
        echo "$* : status $status, wanted $wanted and \"$text\" in:"
        cat err
        failures=$((failures + 1))
    fi
}

case $target in /*) ;; *) target=$TEST_SRCDIR/$TEST_WORKSPACE/$target ;; esac
expect 0 "2 files replayed" corpus
expect 0 "replay corpus/inner/good" corpus
expect 0 "--runs=100 --seed=7" --runs=100 --seed=7
expect 134 "replay bad" corpus bad
expect 134 "" bad --runs=1000  # Replayed before anything random.
expect 2 "broken.script: line 2, column 6" broken.script
expect 0 "replay 5e884898da28" 5e884898da28
expect 2 "headless.script: its first line must be" headless.script
expect 2 "absent: no such file" absent
expect 2 "--runs=x: no such file or option" --runs=x
expect 2 "usage:"
printf 'bop' >near
expect 134 "random inputs" near --runs=200000 --max_len=8
exit $failures
