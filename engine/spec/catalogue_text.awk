# requirements.tsv as C++: one raw string literal per line, which the compiler joins.
BEGIN {
  print "#include \"engine/spec/catalogue.h\""
  print "std::string_view nbdspec::spec::CatalogueText() { return"
}
{ printf "R\"tsv(%s\n)tsv\"\n", $0 }
END { print "; }" }
