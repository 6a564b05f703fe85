// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include "conformance/peer/process/process.h"

namespace nbdspec::conformance {
namespace {

using Words = std::vector<std::string>;

TEST(SplitCommand, FollowsShellQuoting) {
  const struct {
    std::string_view command;
    Words words;
  } kCases[] = {
      {"a", {"a"}},
      {"  a \t b\nc  ", {"a", "b", "c"}},
      {"'a b' \"c d\" e\\ f", {"a b", "c d", "e f"}},
      {"a''b \"\"", {"ab", ""}},
      {"''", {""}},
      {"--x='1 2'\"3 4\"5", {"--x=1 23 45"}},
      {R"('a\b' "a\b" a\b)", {"a\\b", "a\\b", "ab"}},
      {R"("\"\\\$\`")", {"\"\\$`"}},
      {"'|&;<>()$`'", {"|&;<>()$`"}},
      {"\\| \\$ \"|&;<>()\"", {"|", "$", "|&;<>()"}},
      {"a\\\nb \"c\\\nd\"", {"ab", "cd"}},
      {"srv {socket} {image}", {"srv", "{socket}", "{image}"}},
      {"json '{\"a\": [1, \"b\"]}'", {"json", "{\"a\": [1, \"b\"]}"}},
      {"\xc3\xa9 \xff", {"\xc3\xa9", "\xff"}},
  };
  for (const auto& [command, words] : kCases) {
    const auto split = SplitCommand(command);
    ASSERT_TRUE(split.has_value()) << command << ": " << split.error().sentence;
    EXPECT_EQ(*split, words) << command;
  }
}

TEST(SplitCommand, SaysWhatCannotBeSplit) {
  const struct {
    std::string_view command;
    std::string_view why;
  } kCases[] = {
      {"", "no words"},
      {" \t\n", "no words"},
      {"a 'b", "single quote is not closed"},
      {"a \"b", "double quote is not closed"},
      {"a \"b\\", "double quote is not closed"},
      {"a \"b\\\"", "double quote is not closed"},
      {"a \\", "last backslash"},
      {"a | b", "so | has no meaning"},
      {"a && b", "so & has no meaning"},
      {"a; b", "so ; has no meaning"},
      {"a > b", "so > has no meaning"},
      {"$HOME/a", "so $ has no meaning"},
      {"\"$HOME/a\"", "so $ has no meaning"},
      {"\"`a`\"", "so ` has no meaning"},
      {"(a)", "so ( has no meaning"},
      {std::string_view("a\0b", 3), "NUL"},
  };
  for (const auto& [command, why] : kCases) {
    const auto split = SplitCommand(command);
    ASSERT_FALSE(split.has_value()) << command;
    EXPECT_TRUE(split.error().sentence.contains(why)) << split.error().sentence;
  }
}

TEST(QuoteWord, QuotesOnlyWhenNeeded) {
  EXPECT_EQ(QuoteWord("nbd://host:10809/a"), "nbd://host:10809/a");
  EXPECT_EQ(QuoteWord(""), "''");
  EXPECT_EQ(QuoteWord("a b"), "'a b'");
  EXPECT_EQ(QuoteWord("it's"), "'it'\\''s'");
  EXPECT_EQ(QuoteWord("nbd+unix:///?socket=/s"), "'nbd+unix:///?socket=/s'");
}

TEST(QuoteWord, IsUndoneBySplitCommand) {
  for (int first = 1; first < 256; ++first) {
    for (const char second : std::string_view("a' \"\\$\n")) {
      const std::string word = {static_cast<char>(first), second, static_cast<char>(first)};
      const auto split = SplitCommand(QuoteWord(word) + " " + QuoteWord(word));
      ASSERT_TRUE(split.has_value()) << first << ": " << split.error().sentence;
      EXPECT_EQ(*split, (Words{word, word})) << first;
    }
  }
}

}  // namespace
}  // namespace nbdspec::conformance
