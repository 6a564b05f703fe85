# A constant for each id of requirements.tsv: kHandshakeMagic is handshake.magic. No other file spells an id
# (//tools:tidy_test).
BEGIN {
  FS = "\t"
  print "#pragma once"
  print "#include <string_view>"
  print "namespace nbdspec::spec {"
}
!/^#/ && $1 != "id" {
  name = "k"
  count = split($1, words, /[.-]/)
  for (i = 1; i <= count; ++i) name = name toupper(substr(words[i], 1, 1)) substr(words[i], 2)
  printf "inline constexpr std::string_view %s = \"%s\";\n", name, $1
}
END { print "}" }
