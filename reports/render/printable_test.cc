// SPDX-License-Identifier: BSD-3-Clause
#include "reports/render/printable.h"

#include <gtest/gtest.h>

#include <random>

namespace nbdspec::reports {
namespace {

using namespace std::string_literals;

TEST(Printable, LeavesOrdinaryTextAlone) {
  EXPECT_EQ(Printable(""), "");
  EXPECT_EQ(Printable("NBD_OPT_GO, 20 bytes ~ <&>\"'"), "NBD_OPT_GO, 20 bytes ~ <&>\"'");
  EXPECT_EQ(Printable("\u00dcbung \u20ac \U0001f600"), "\u00dcbung \u20ac \U0001f600");
}

TEST(Printable, EscapesEveryControlCharacter) {
  for (int c = 0; c < 0x20; ++c) {
    EXPECT_EQ(Printable(std::string(1, static_cast<char>(c))).front(), '\\') << c;
  }
  EXPECT_EQ(Printable("a\x1b[2J\x7f\0z"s), "a\\x1b[2J\\x7f\\x00z");
  EXPECT_EQ(Printable("a\nb\rc\td"), "a\\nb\\rc\\td");
  EXPECT_EQ(Printable("\u009b31m"), "\\u{9b}31m");  // A one-character escape sequence.
}

TEST(Printable, EscapesWhatIsInvisibleOrTurnsText) {
  EXPECT_EQ(Printable("a\u202eb"), "a\\u{202e}b");
  EXPECT_EQ(Printable("\u2066\u200b\ufeff\u2028"), "\\u{2066}\\u{200b}\\u{feff}\\u{2028}");
  EXPECT_EQ(Printable("\ufffe\U0001ffff\U000e0041"), "\\u{fffe}\\u{1ffff}\\u{e0041}");
}

TEST(Printable, EscapesBytesThatAreNoUtf8) {
  EXPECT_EQ(Printable("\xff\xfe"), "\\xff\\xfe");
  EXPECT_EQ(Printable("\xc3"), "\\xc3");                             // Cut off.
  EXPECT_EQ(Printable("\xc3("), "\\xc3(");                           // No continuation.
  EXPECT_EQ(Printable("\xc0\x9b"), "\\xc0\\x9b");                    // Overlong.
  EXPECT_EQ(Printable("\xe0\x80\x9b"), "\\xe0\\x80\\x9b");           // Overlong.
  EXPECT_EQ(Printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");           // Surrogate.
  EXPECT_EQ(Printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // Above U+10FFFF.
  EXPECT_EQ(Printable("\xf0\x9f\x98"), "\\xf0\\x9f\\x98");
  EXPECT_EQ(Printable("\x80"), "\\x80");
}

TEST(Shortened, CutsBetweenCharacters) {
  EXPECT_EQ(Shortened("a\u20acb", 5), "a\u20acb");
  EXPECT_EQ(Shortened("a\u20acb", 4), "a\u20ac...");
  EXPECT_EQ(Shortened("a\u20acb", 3), "a...");
  EXPECT_EQ(Shortened("\u20ac", 2), "...");
}

TEST(Printable, LinesKeepLineFeedsOnly) { EXPECT_EQ(PrintableLines("a\nb\r\n"), "a\nb\\r\n"); }

TEST(Printable, RandomBytesBecomeHarmlessAndStayAsTheyAre) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    std::string text(random() % 40, '\0');
    for (char& c : text) {
      c = static_cast<char>(random());
    }
    const std::string once = Printable(text);
    EXPECT_EQ(Printable(once), once);
    for (const char c : once) {
      EXPECT_FALSE(static_cast<unsigned char>(c) < 0x20 || c == 0x7f);
    }
  }
}

using Lines = std::vector<std::string>;

TEST(Wrap, ShortTextIsOneLine) {
  EXPECT_EQ(Wrap("", 10), (Lines{""}));
  EXPECT_EQ(Wrap("0123456789", 10), (Lines{"0123456789"}));
}

TEST(Wrap, BreaksAtTheLastSpaceThatFits) {
  EXPECT_EQ(Wrap("one two three", 7), (Lines{"one two", "three"}));
  EXPECT_EQ(Wrap("one two three", 8), (Lines{"one two", "three"}));
  EXPECT_EQ(Wrap("one two three", 6), (Lines{"one", "two", "three"}));
}

TEST(Wrap, CutsWordsThatAreTooLong) { EXPECT_EQ(Wrap("0123456789", 4), (Lines{"0123", "4567", "89"})); }

TEST(Wrap, CountsCharactersAndNotBytes) {
  EXPECT_EQ(Wrap("\u00e4\u00e4\u00e4\u00e4", 3), (Lines{"\u00e4\u00e4\u00e4", "\u00e4"}));
}

TEST(Wrap, KeepsLineFeedsAndIndentation) {
  EXPECT_EQ(Wrap("a\n\n  bb\n", 4), (Lines{"a", "", "  bb", ""}));
  EXPECT_EQ(Wrap("   bbb", 4), (Lines{"   b", "bb"}));
}

TEST(Wrap, EndsOnAnyInput) {
  EXPECT_EQ(Wrap("      ", 2), (Lines{"  ", "  ", "  "}));
  EXPECT_EQ(Wrap("ab", 0), (Lines{"a", "b"}));
  EXPECT_EQ(Wrap("abc ", 3), (Lines{"abc"}));
}

TEST(Wrap, BreaksAListOfFlagsAfterABar) {
  EXPECT_EQ(Wrap("ONE|TWO|THREE", 9), (std::vector<std::string>{"ONE|TWO|", "THREE"}));
  EXPECT_EQ(Wrap("flags ONE|TWO|THREE", 14), (std::vector<std::string>{"flags ONE|TWO|", "THREE"}));
  EXPECT_EQ(Wrap("a long sentence x|y", 17), (std::vector<std::string>{"a long sentence", "x|y"}));
}

}  // namespace
}  // namespace nbdspec::reports
