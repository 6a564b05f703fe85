// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <limits>
#include <random>

#include "engine/script/script.h"

namespace nbdspec::engine {
namespace {

constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();

std::string ErrorOf(std::string_view text) {
  const auto script = ParseScript(text);
  return script ? "no error" : script.error().sentence;
}

TEST(ScriptText, PrintShowsEveryKindOfStep) {
  const Script script{.size = 64,
                      .initial = ExtentType::kHoleZero,
                      .steps = {AddStep{.offset = 4096, .length = 8192, .type = ExtentType::kZero}, ClearStep{},
                                ForEachStep{.bounds = {.begin = 1, .end = 65}},
                                ForEachStep{.bounds = {.begin = 1, .end = 1}, .stop_at = 2}, LookupStep{.offset = 5},
                                AddStep{.type = static_cast<ExtentType>(0x84)}}};
  EXPECT_EQ(Print(script),
            "# nbdspec script\n"
            "size 64\n"
            "initial hole,zero\n"
            "add 4K +8K zero\n"
            "clear\n"
            "foreach 1 +64\n"
            "foreach 1 +0 stop 2\n"
            "lookup 5\n"
            "add 0 +0 0x84\n");
  EXPECT_EQ(ParseScript(Print(script)), script);
}

TEST(ScriptText, ParseTakesWhatPeopleWrite) {
  const auto script = ParseScript(
      "\n"
      "  # a comment\n"
      "size\t1M   # a comment after a step\r\n"
      "add 0 +8E-1 hole\n"
      "  foreach 4G-1 +2");
  ASSERT_TRUE(script) << script.error().sentence;
  EXPECT_EQ(*script, (Script{.size = 1 << 20,
                             .initial = ExtentType::kHole,
                             .steps = {AddStep{.offset = 0, .length = kExportBytesMax, .type = ExtentType::kHole},
                                       ForEachStep{.bounds = {.begin = 0xffffffff, .end = 0x100000001}}}}));
}

TEST(ScriptText, NumbersPrintInTheirClearestForm) {
  EXPECT_EQ(PrintNumber(0), "0");
  EXPECT_EQ(PrintNumber(1), "1");
  EXPECT_EQ(PrintNumber(1023), "1023");
  EXPECT_EQ(PrintNumber(1024), "1K");
  EXPECT_EQ(PrintNumber(1025), "1025");
  EXPECT_EQ(PrintNumber(3 << 20), "3M");
  EXPECT_EQ(PrintNumber((1ULL << 32) - 1), "4G-1");
  EXPECT_EQ(PrintNumber((1ULL << 32) + 1), "4G+1");
  EXPECT_EQ(PrintNumber(1ULL << 62), "4E");
  EXPECT_EQ(PrintNumber(kExportBytesMax), "8E-1");
  EXPECT_EQ(PrintNumber(kMax), "16E-1");
}

TEST(ScriptText, ErrorsNameLineAndColumn) {
  EXPECT_EQ(ErrorOf("size 64\nadd 0 +8 whole\n"),
            "line 2, column 10: expected data, hole, zero, hole,zero or bits such as 0x84, got \"whole\"");
  EXPECT_EQ(ErrorOf("size 64\nadd 0 8 hole\n"), "line 2, column 7: expected + and a length, such as +8K, got \"8\"");
  EXPECT_EQ(ErrorOf("size 64\n\nadd 0\n"),
            "line 3, column 6: expected + and a length, such as +8K, but the line ends here");
  EXPECT_EQ(ErrorOf("clear\n"), "line 1, column 1: expected size, which comes first, got \"clear\"");
  EXPECT_EQ(ErrorOf("size 64\nclear all\n"), "line 2, column 7: expected the end of the line, got \"all\"");
  EXPECT_EQ(ErrorOf("size 64\nsubtract 1\n"),
            "line 2, column 1: expected a step, such as add, lookup, read, status, wait or option, got \"subtract\"");
  EXPECT_EQ(ErrorOf("# only comments\n"),
            "line 1, column 1: expected a line such as \"size 64\", but the script is empty");
}

TEST(ScriptText, WhatWasReadIsShownSafely) {
  EXPECT_EQ(ErrorOf("size \x1b[31m\xff\n"),
            "line 1, column 6: expected a size, such as 64, 8K or 8E-1, got \"?[31m?\"");
  EXPECT_EQ(ErrorOf("size " + std::string(5000, 'x')),
            "line 1, column 6: expected a size, such as 64, 8K or 8E-1, "
            "got \"" +
                std::string(40, 'x') + "\"...");
}

TEST(ScriptText, OnlyLegalScriptsParse) {
  for (const char* const text : {"size",
                                 "size -1",
                                 "size 8E",
                                 "size 64K64",
                                 "size K",
                                 "size 1-2",
                                 "size 16E",
                                 "size 99999999999999999999",
                                 "size 18446744073709551615K",
                                 "size 1+",
                                 "size 0x40",
                                 "size 64\nsize 64",
                                 "size 64\ninitial",
                                 "size 64\ninitial 0x04",
                                 "size 64\ninitial hole\ninitial hole",
                                 "size 64\nclear\ninitial hole",
                                 "size 64\nadd",
                                 "size 64\nadd 0 + hole",
                                 "size 64\nadd 0 +1 0x",
                                 "size 64\nadd 0 +1 0x100",
                                 "size 64\nadd 0 +1 hole hole",
                                 "size 64\nforeach 1 +16E-1",
                                 "size 64\nforeach 0 +1 stop",
                                 "size 64\nforeach 0 +1 stop 0",
                                 "size 64\nforeach 0 +1 stop 256",
                                 "size 64\nforeach 0 +1 halt 1",
                                 "size 64\nlookup",
                                 "size 64\nlookup +1",
                                 "size 64\nlookup 1 1"}) {
    EXPECT_TRUE(ErrorOf(text).starts_with("line ")) << text;
  }
}

// Every number below is near a unit's edge or any at all, since those print in different forms.
class RandomScript {
 public:
  explicit RandomScript(std::uint64_t seed) : random_(seed) {}

  Script Next() {
    Script script{.size = Number() & kExportBytesMax, .initial = static_cast<ExtentType>(random_() % 4)};
    for (std::uint64_t left = random_() % 8; left > 0; --left) {
      script.steps.push_back(NextStep());
    }
    return script;
  }

 private:
  std::uint64_t Number() { return (random_() >> random_() % 64 << random_() % 64) + random_() % 3 - 1; }

  Step NextStep() {
    const std::uint64_t a = Number();
    const std::uint64_t b = Number();
    switch (random_() % 4) {
      case 0:
        return AddStep{.offset = a, .length = b, .type = static_cast<ExtentType>(random_() % 256)};
      case 1:
        return ForEachStep{.bounds = {.begin = std::min(a, b), .end = std::max(a, b)},
                           .stop_at = static_cast<std::uint8_t>(random_() % 256)};
      case 2:
        return LookupStep{.offset = a};
      default:
        return ClearStep{};
    }
  }

  std::mt19937_64 random_;
};

TEST(ScriptText, ParseIsTheInverseOfPrint) {
  RandomScript random(1);
  for (int i = 0; i < 20000; ++i) {
    const Script script = random.Next();
    const auto parsed = ParseScript(Print(script));
    ASSERT_TRUE(parsed) << parsed.error().sentence << "\n" << Print(script);
    ASSERT_EQ(*parsed, script) << Print(script);
  }
}

TEST(ScriptText, AnyTextIsAScriptOrAnError) {
  constexpr std::string_view kAlphabet = "size 8K+-E0x\n#addclear,holezroforeachlookupstop\t\xff";
  std::mt19937_64 random(2);
  RandomScript scripts(3);
  int errors = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string text = Print(scripts.Next());
    for (int changes = 0; changes < 3; ++changes) {
      text[random() % text.size()] = kAlphabet[random() % kAlphabet.size()];
    }
    if (const auto parsed = ParseScript(text)) {
      ASSERT_EQ(ParseScript(Print(*parsed)), *parsed) << text;
    } else {
      ++errors;
    }
  }
  EXPECT_GT(errors, 1000);
}

}  // namespace
}  // namespace nbdspec::engine
