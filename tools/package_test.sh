#!/usr/bin/env bash
# tools/package: the packages install what they promise, twice with the same bytes, and what is in them runs.
set -euo pipefail
plugin=$(readlink -f engine/nbdkit/nbdkit-nbdspec-extents-plugin.so)
filter=$(readlink -f engine/nbdkit/nbdkit-nbdspec-offset-filter.so)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
program=$work/nbdspec
strip -o "$program" "$(readlink -f command/nbdspec)"
export SOURCE_DATE_EPOCH=1700000000

version=0.1.0~7.gabcdef012345
for folder in first second; do
  mkdir "$work/$folder"
  tools/package "$version" "$program" "$work/$folder" "$plugin" "$filter"
done
architecture=$(dpkg --print-architecture)
cmp "$work"/{first,second}/"nbdspec_${version}_$architecture.deb"
cmp "$work"/{first,second}/"nbdspec-nbdkit-plugins_${version}_$architecture.deb"

for package in "$work"/first/*.deb; do
  dpkg-deb --extract "$package" "$work/root"
  dpkg-deb --control "$package" "$work/control"
  (cd "$work/root" && md5sum --quiet --check "$work/control/md5sums")
  [ "$(dpkg-deb --field "$package" Version)" = "$version" ]
done
installed=$work/root/usr/bin/nbdspec
"$installed" --version | grep --quiet '^nbdspec '
# The plugin is found where the package has it.
"$installed" check nbdkit:extents structured.offset -q | tee "$work/run"
grep --quiet '^Exit 0' "$work/run"

# Every command has its page; and each thing is where Debian's policy wants it.
for command in $("$installed" --help | sed --quiet 's/^  \([a-z][a-z-]*\) .*/\1/p'); do
  zcat "$work/root/usr/share/man/man1/nbdspec-$command.1.gz" | grep --quiet "^\.TH"
done
for file in bash-completion/completions/nbdspec zsh/vendor-completions/_nbdspec \
  fish/vendor_completions.d/nbdspec.fish man/man1/nbdspec-check.1.gz doc/nbdspec/copyright \
  doc/nbdspec/changelog.gz doc/nbdspec/expected/nbd-server.expected doc/nbdspec-nbdkit-plugins/copyright \
  nbdspec/nbdspec_coverage.c; do
  [ -s "$work/root/usr/share/$file" ] || { echo "the package has no $file" >&2; exit 1; }
done
