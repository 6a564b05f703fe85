#!/usr/bin/env bash
# What `nbdspec completion` and `nbdspec man` print is what shells and man(1) take.
set -euo pipefail
nbdspec=$PWD/command/nbdspec
mkdir -p "$TEST_TMPDIR/bin"
ln -sf "$nbdspec" "$TEST_TMPDIR/bin/nbdspec"
PATH="$TEST_TMPDIR/bin:$PATH"
failed=0

# expect WHAT WANTED GOT: each word of WANTED is a line of GOT.
expect() {
  local word
  for word in $2; do
    grep -q -x -F -e "$word" <<<"$3" || { echo "$1: no $word in: $(head -c 500 <<<"$3" | tr '\n' ' ')"; failed=1; }
  done
}

# bash: what completes a command line whose last word is being typed.
. <(nbdspec completion bash)
in_bash() {
  COMP_WORDS=("$@")
  COMP_CWORD=$(($# - 1))
  COMPREPLY=()
  _nbdspec nbdspec "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
  printf '%s\n' "${COMPREPLY[@]}"
}
expect bash "check compare completion" "$(in_bash nbdspec c)"
expect bash "qemu-nbd qemu-nbd:qcow2" "$(in_bash nbdspec check qemu)"
expect bash "disc.no-reply disc.server-closes-tcp" "$(in_bash nbdspec check nbdkit disc.)"
expect bash "--tls --tls-psk" "$(in_bash nbdspec fuzz --tl)"
expect bash "command/nbdspec" "$(in_bash nbdspec report command/nbds)"
expect bash "command/nbdspec" "$(in_bash nbdspec check --tls-psk command/nbds)"
[ -z "$(in_bash nbdspec check --seed '')" ] || { echo "bash: --seed has words"; failed=1; }

# fish
fish() { command fish --no-config -c "source (nbdspec completion fish | psub); complete -C \"$1\"" | cut -f1; }
expect fish "check compare completion" "$(fish 'nbdspec c')"
expect fish "qemu-nbd qemu-nbd:qcow2" "$(fish 'nbdspec check qemu')"
expect fish "disc.no-reply disc.server-closes-tcp" "$(fish 'nbdspec check nbdkit disc.')"
expect fish "--tls --tls-psk" "$(fish 'nbdspec fuzz --tl')"
expect fish "bash zsh fish" "$(fish 'nbdspec completion ')"

# zsh: compadd and _files say what they are given.
zsh() {
  command zsh -f -c '
    autoload -Uz compinit && compinit -u -d "$TEST_TMPDIR/zcompdump"
    nbdspec completion zsh > "$TEST_TMPDIR/_nbdspec" && source "$TEST_TMPDIR/_nbdspec"
    _describe() { print -l ${(P)2%%:*}; }
    _arguments() {
      local spec
      for spec; do
        case $spec in
          \*:word:\ *) ;;
          \*:word:*) eval "${${spec#*:word:}//\\:/:}" ;;
          *) print -r -- "${spec%%\[*}" ;;
        esac
      done
    }
    compadd() { shift; print -l -- $@; }
    _files() { print files; }
    words=(${(z)1}); CURRENT=$#words
    _nbdspec' zsh "$1"
}
expect zsh "check compare completion" "$(zsh 'nbdspec c')"
expect zsh "--tls --tls-psk qemu-nbd:qcow2 disc.no-reply" "$(zsh 'nbdspec check qemu')"
expect zsh "files" "$(zsh 'nbdspec report r')"

# man: each page is one, and no part of --help is missing.
for page in "" $(in_bash nbdspec '' | grep -v '^-'); do
  # shellcheck disable=SC2086
  nbdspec man $page >"$TEST_TMPDIR/page.1"
  # They have no date: built twice they are the same.
  ! mandoc -T lint -W warning "$TEST_TMPDIR/page.1" | grep -v 'missing date' || { echo "man $page"; failed=1; }
  if [ -n "$page" ]; then
    shown=$(mandoc -T ascii "$TEST_TMPDIR/page.1" | sed 's/.\x08//g')
    for option in $(nbdspec "$page" --help | grep -o -E -e '^  -[-a-z]+' | sort -u); do
      [ "$option" = -h ] || grep -q -F -e "$option" <<<"$shown" || { echo "man $page: no $option"; failed=1; }
    done
  fi
done
nbdspec man nosuch 2>/dev/null && { echo "man nosuch succeeds"; failed=1; }
nbdspec completion tcsh 2>/dev/null && { echo "completion tcsh succeeds"; failed=1; }
exit $failed
