// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <array>
#include <limits>
#include <string>

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

TEST(ScriptText, PrintShowsEveryKindOfRequestAndOption) {
  const Script script{
      .size = 1 << 20,
      .steps = {OptionStep{.option = OptionType::kStructuredReply},
                OptionStep{.option = OptionType::kSetMetaContext, .names = {"base:allocation", "a b", ""}},
                OptionStep{.option = OptionType::kGo, .export_name = "other"},
                OptionStep{.option = 99},
                OptionStep{.option = OptionType::kInfo, .export_name = "b", .split = 5, .is_glued = true},
                OptionStep{.option = OptionType::kList, .is_glued = true},
                RequestStep{.length = 512, .flags = CommandFlag::kDf},
                RequestStep{.command = Command::kWrite, .offset = 4096, .length = 512, .pattern = 7, .connection = 2},
                RequestStep{.command = Command::kZero,
                            .length = 1 << 16,
                            .flags = CommandFlag::kFua | CommandFlag::kNoHole | CommandFlag::kFastZero},
                WaitStep{},
                LeaveStep{},
                SendStep{},
                SendStep{.bytes = 27, .connection = 2},
                VisitStep{.count = 300},
                VisitStep{.visit = Visit::kSilent},
                CutStep{},
                CutStep{.cut = {.keeps = PowerCut::Keeps::kAllButOne, .one = 3, .seed = 1 << 10, .tears = true}},
                RequestStep{.command = Command::kTrim, .length = 1 << 16, .flags = CommandFlag::kFua},
                RequestStep{.command = Command::kCache, .length = 1},
                RequestStep{.command = Command::kFlush},
                RequestStep{.command = Command::kFlush, .length = 1},
                RequestStep{.command = Command::kStatus,
                            .offset = kMax,
                            .length = 0xffffffff,
                            .flags = CommandFlag::kReqOne | CommandFlag::kPayloadLen | 0x8000},
                RequestStep{.command = Command::kStatus,
                            .length = kMax,
                            .flags = CommandFlag::kPayloadLen,
                            .connection = 2,
                            .contexts = NamedContexts::kTwice},
                RequestStep{.command = Command::kWrite, .length = 1ULL << 32, .is_unannounced = true}}};
  EXPECT_EQ(Print(script),
            "# nbdspec script\n"
            "size 1M\n"
            "initial hole\n"
            "option structured-reply\n"
            "option set-meta-context base:allocation a\\x20b \"\"\n"
            "option go @other\n"
            "option 0x63\n"
            "option glued split 5 info @b\n"
            "option glued list\n"
            "read 0 +512 df\n"
            "write 4K +512 pattern 7 on 2\n"
            "zero 0 +64K fua no-hole fast\n"
            "wait\n"
            "leave\n"
            "send\n"
            "send 27 on 2\n"
            "visit 300\n"
            "visit 1 silent\n"
            "cut nothing\n"
            "cut all-but one 3 seed 1K torn\n"
            "trim 0 +64K fua\n"
            "cache 0 +1\n"
            "flush\n"
            "flush 0 +1\n"
            "status 16E-1 +4G-1 req-one payload flags 0x8000\n"
            "status 0 +16E-1 payload contexts twice on 2\n"
            "write 0 +4G unannounced\n");
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

TEST(ScriptText, PayloadLenMayBeWrittenAsBits) {
  EXPECT_EQ(ParseScript("size 0\nstatus 0 +1 flags 0x20 contexts all\nread 0 +1 payload"),
            (Script{.steps = {RequestStep{.command = Command::kStatus, .length = 1, .flags = CommandFlag::kPayloadLen},
                              RequestStep{.length = 1, .flags = CommandFlag::kPayloadLen}}}));
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
            "line 2, column 1: expected a step, such as add, lookup, read, status, wait, leave, send, visit, cut or "
            "option, got "
            "\"subtract\"");
  EXPECT_EQ(ErrorOf("# only comments\n"),
            "line 1, column 1: expected a line such as \"size 64\", but the script is empty");
}

TEST(ScriptText, ErrorsInRequestsAndOptionsNameLineAndColumn) {
  EXPECT_EQ(ErrorOf("size 64\nread 0 +16E\n"), "line 2, column 8: expected + and a length, such as +8K, got \"+16E\"");
  EXPECT_EQ(ErrorOf("size 64\nstatus 0 +1 contexts some\n"),
            "line 2, column 22: expected all, none, one, twice, unknown or ragged, got \"some\"");
  EXPECT_EQ(ErrorOf("size 64\nread 0 +1 all\n"),
            "line 2, column 11: expected pattern, fua, no-hole, df, req-one, fast, payload, contexts, unannounced, "
            "flags, on, or the end of the line, got \"all\"");
  EXPECT_EQ(ErrorOf("size 64\nread 0 +1 flags 128\n"), "line 2, column 17: expected bits such as 0x80, got \"128\"");
  EXPECT_EQ(ErrorOf("size 64\nwrite 0 +1 pattern 256\n"), "line 2, column 20: expected a pattern, 0 to 255");
  EXPECT_EQ(ErrorOf("size 64\nwrite 0 +1 on 9\n"), "line 2, column 15: expected a connection, 1 to 8");
  EXPECT_EQ(ErrorOf("size 64\nsend 0\n"), "line 2, column 6: a write has 1 to 4G-1 bytes");
  EXPECT_EQ(ErrorOf("size 64\nsend all\n"),
            "line 2, column 6: expected a number of bytes, on, or the end of the line, got \"all\"");
  EXPECT_EQ(ErrorOf("size 64\nvisit 1001\n"), "line 2, column 7: expected how many visitors, 1 to 1000");
  EXPECT_EQ(ErrorOf("size 64\nvisit 2 polite\n"),
            "line 2, column 9: expected entered, greeted, silent, or the end of the line, got \"polite\"");
  EXPECT_EQ(ErrorOf("size 64\noption split 256 go\n"),
            "line 2, column 14: expected how many bytes come by themselves, 1 to 255");
  EXPECT_EQ(ErrorOf("size 64\nflush +1\n"),
            "line 2, column 7: expected pattern, fua, no-hole, df, req-one, fast, payload, contexts, unannounced, "
            "flags, on, or the end of the line, got \"+1\"");
  EXPECT_EQ(ErrorOf("size 64\noption bo\n"),
            "line 2, column 8: expected an option, such as go or set-meta-context, or a number such as 0x63, "
            "got \"bo\"");
  EXPECT_EQ(ErrorOf("size 64\noption list-meta-context a @b\n"),
            "line 2, column 28: the export's name comes before the queries");
  EXPECT_EQ(ErrorOf("size 64\noption go @a\\n\n"),
            "line 2, column 11: expected a name; \\x20 for a blank, \"\" for an empty one, got \"@a\\n\"");
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
                                 "size 64\nlookup 1 1",
                                 "size 64\nread",
                                 "size 64\nread 0",
                                 "size 64\nread 0 +1 flags 0x10000",
                                 "size 64\nread 0 +1 flags",
                                 "size 64\nread 0 +1 on 0",
                                 "size 64\nread 0 +16E",
                                 "size 64\nstatus 0 +1 contexts",
                                 "size 64\nwrite 0 +1 pattern",
                                 "size 64\nflush 0",
                                 "size 64\nwait 1",
                                 "size 64\noption",
                                 "size 64\noption 99",
                                 "size 64\noption 0x100000000",
                                 "size 64\noption go @",
                                 "size 64\noption go @a @b",
                                 "size 64\noption go a@b",
                                 "size 64\noption go \"a\"",
                                 "size 64\noption go \\x4",
                                 "size 64\noption go \\x4g",
                                 "size 64\noption go \\x+4"}) {
    EXPECT_TRUE(ErrorOf(text).starts_with("line ")) << text;
  }
}

TEST(ScriptText, ABlankOrAnyByteMayBeInAName) {
  std::string every_byte;
  for (int byte = 0; byte < 256; ++byte) {
    every_byte += static_cast<char>(byte);
  }
  const Script script{.steps = {OptionStep{.names = {every_byte, "", "\"\""}, .export_name = every_byte}}};
  EXPECT_EQ(ParseScript(Print(script)), script);
  EXPECT_EQ(ParseScript("size 0\noption go @\\x41\\x4A \\x61b"),
            (Script{.steps = {OptionStep{.names = {"ab"}, .export_name = "AJ"}}}));
}

TEST(ScriptText, APatternIsOfThePlaceAndNotOfTheWrite) {
  std::array<std::uint8_t, 600> all{};
  FillWithPattern(7, 1000, all);
  for (std::size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i], PatternByteAt(7, 1000 + i));
    EXPECT_NE(all[i], PatternByteAt(8, 1000 + i));
    EXPECT_NE(all[i], PatternByteAt(7, 1000 + i + 512));
    EXPECT_NE(all[i], PatternByteAt(7, 1000 + i + (1ULL << 32)));
  }
}

TEST(ScriptText, TakesNoMoreThanMemoryIsGoodFor) {
  std::string flushes;
  for (int i = 0; i < 200'000; ++i) {
    flushes += "flush\n";
  }
  EXPECT_EQ(ErrorOf("size 1\n" + flushes), "no error");
  EXPECT_EQ(ErrorOf("size 1\n" + flushes + "wait\n"), "line 200002, column 1: a script has at most 200000 steps");

  std::string queries = "option list-meta-context";
  for (int i = 0; i < 50'000; ++i) {
    queries += " a";
  }
  EXPECT_EQ(ErrorOf("size 1\n" + queries), "no error");
  EXPECT_NE(ErrorOf("size 1\n" + queries + " a").find("at most 50000 queries"), std::string::npos);
  EXPECT_NE(ErrorOf("size 1\n" + queries + "\noption list-meta-context a").find("at most 50000 queries"),
            std::string::npos);
  EXPECT_EQ(ErrorOf(std::string((16 << 20) + 1, '#')), "line 1, column 1: a script has at most 16777216 bytes");
}

}  // namespace
}  // namespace nbdspec::engine
