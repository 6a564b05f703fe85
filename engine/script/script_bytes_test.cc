// SPDX-License-Identifier: BSD-3-Clause
#include "engine/script/script_bytes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <random>
#include <set>
#include <string>
#include <variant>

namespace nbdspec::engine {
namespace {

Bytes RandomBytes(std::mt19937_64& random, std::size_t length) {
  Bytes bytes(length);
  std::ranges::generate(bytes, [&] { return static_cast<std::uint8_t>(random()); });
  return bytes;
}

// What a script's text may say, asked of a value that did not come from text.
void ExpectLegal(const Script& script) {
  EXPECT_LE(script.size, kExportBytesMax);
  EXPECT_TRUE(IsExtentType(static_cast<std::uint8_t>(script.initial)));
  EXPECT_EQ(ParseScript(Print(script)), script);
}

TEST(ScriptBytes, NoBytesAreTheEmptyScript) {
  EXPECT_EQ(DecodeScript({}, {}), (Script{.size = 0, .initial = ExtentType::kData}));
}

TEST(ScriptBytes, EveryByteStringIsALegalScriptWithinItsLimits) {
  std::mt19937_64 random(1);
  for (std::size_t i = 0; i < 20000; ++i) {
    const Script script = DecodeScript(
        RandomBytes(random, i % 700),
        {.export_bytes_max = 1 << 20, .steps_max = 16, .kinds = i % 2 == 0 ? kMapSteps : kNoScriptLimits.kinds});
    ExpectLegal(script);
    EXPECT_LE(script.size, 1U << 20);
    EXPECT_LE(script.steps.size(), 16U);
  }
}

TEST(ScriptBytes, DecodeIsTheInverseOfEncode) {
  std::mt19937_64 random(2);
  for (std::size_t i = 0; i < 20000; ++i) {
    const ScriptLimits limits = i % 2 == 0 ? ScriptLimits{} : kNoScriptLimits;
    const Script script = DecodeScript(RandomBytes(random, i % 700), limits);
    const Bytes bytes = EncodeScript(script);
    EXPECT_GE(bytes.size(), kScriptHeadBytes + script.steps.size() * kScriptRecordBytes);
    ASSERT_EQ(DecodeScript(bytes, limits), script) << Print(script);
  }
}

TEST(ScriptBytes, EveryTypeAndStopCanBeEncoded) {
  for (unsigned detail = 0; detail < 256; ++detail) {
    const Script script{
        .size = 10,
        .initial = ExtentType::kZero,
        .steps = {AddStep{.offset = 1, .length = 2, .type = static_cast<ExtentType>(detail)},
                  ForEachStep{.bounds = {.begin = 1, .end = 2}, .stop_at = static_cast<std::uint8_t>(detail)},
                  ClearStep{}, LookupStep{.offset = 9}}};
    EXPECT_EQ(DecodeScript(EncodeScript(script), {}), script);
  }
}

TEST(ScriptBytes, EveryRequestAndOptionCanBeEncoded) {
  Script script{.size = 10};
  for (const Command command : {Command::kRead, Command::kWrite, Command::kFlush, Command::kTrim, Command::kCache,
                                Command::kZero, Command::kStatus}) {
    for (unsigned n = 0; n < kConnectionsMax; ++n) {
      script.steps.push_back(RequestStep{.command = command,
                                         .offset = ~std::uint64_t{n},
                                         .length = 0xffffffff - n,
                                         .flags = static_cast<std::uint16_t>(0x9321 + n),
                                         .pattern = static_cast<std::uint8_t>(255 - n),
                                         .connection = static_cast<std::uint8_t>(1 + n)});
    }
  }
  for (std::uint8_t contexts = 0; contexts < kNamedContextsCount; ++contexts) {
    for (const bool is_unannounced : {false, true}) {
      script.steps.push_back(RequestStep{.command = Command::kRead,
                                         .offset = 1,
                                         .length = ~std::uint64_t{contexts},
                                         .contexts = static_cast<NamedContexts>(contexts),
                                         .is_unannounced = is_unannounced});
      script.steps.push_back(RequestStep{.command = Command::kStatus,
                                         .length = contexts,
                                         .contexts = static_cast<NamedContexts>(contexts),
                                         .is_unannounced = is_unannounced});
    }
  }
  script.steps.push_back(WaitStep{});
  script.steps.push_back(LeaveStep{});
  script.steps.push_back(SendStep{});
  script.steps.push_back(SendStep{.bytes = UINT32_MAX, .connection = kConnectionsMax});
  script.steps.push_back(VisitStep{.count = kVisitorsMax, .visit = Visit::kSilent});
  script.steps.push_back(VisitStep{});
  script.steps.push_back(OptionStep{.option = 7, .names = {"a"}, .export_name = "b", .split = 255, .is_glued = true});
  for (int keeps = 0; keeps < kPowerCutKeepsCount; ++keeps) {
    for (const bool tears : {false, true}) {
      script.steps.push_back(CutStep{.cut = {.keeps = static_cast<PowerCut::Keeps>(keeps),
                                             .one = ~std::uint64_t{1},
                                             .seed = ~std::uint64_t{2},
                                             .tears = tears}});
    }
  }
  for (const std::size_t length : {0U, 1U, 17U, 18U, 19U, 36U, 37U, 5000U}) {
    const std::string name(length, '\xff');
    script.steps.push_back(OptionStep{.option = 0xffffffff, .names = {name, "", name}, .export_name = name});
    script.steps.push_back(OptionStep{.option = 0});
  }
  EXPECT_EQ(DecodeScript(EncodeScript(script), kNoScriptLimits), script);
}

bool IsOf(const StepKinds& kinds, const Step& step) {
  const std::array<bool, std::variant_size_v<Step>> of = {kinds.add,    kinds.clear,   kinds.for_each,
                                                          kinds.lookup, kinds.request, kinds.wait,
                                                          kinds.cut,    kinds.option,  kinds.leave};
  return of[step.index()];
}

TEST(ScriptBytes, OnlyWantedKindsComeOutAndNoRecordIsWasted) {
  std::mt19937_64 random(4);
  for (unsigned bits = 0; bits < 256; ++bits) {
    const auto has = [bits](unsigned bit) { return (bits >> bit & 1) != 0; };
    const StepKinds kinds = {has(0), has(1), has(2), has(3), has(4), has(5), has(6), has(7)};
    std::set<std::size_t> seen;
    for (int i = 0; i < 40; ++i) {
      Bytes bytes = RandomBytes(random, kScriptHeadBytes + 32 * kScriptRecordBytes);
      for (std::size_t at = kScriptHeadBytes; at < bytes.size(); at += kScriptRecordBytes) {
        bytes[at] = bytes[at] == 0xf3 ? 0 : bytes[at];  // Names are no steps.
      }
      const Script script = DecodeScript(bytes, {.kinds = kinds});
      EXPECT_EQ(script.steps.size(), bits == 0 ? 0U : 32U);
      for (const Step& step : script.steps) {
        EXPECT_TRUE(IsOf(kinds, step)) << bits << ": " << Print(step);
        seen.insert(step.index());
      }
    }
    EXPECT_EQ(seen.size(), static_cast<std::size_t>(std::popcount(bits))) << bits;
  }
}

TEST(ScriptBytes, RequestsKeepToTheirLimitsAndAreMostlyLegal) {
  std::mt19937_64 random(5);
  const ScriptLimits limits = {.kinds = kWireSteps, .connections_max = 3, .payload_bytes_max = 1000};
  int requests = 0;
  int inside = 0;
  std::set<unsigned> connections;
  std::set<Command> commands;
  for (int i = 0; i < 1000; ++i) {
    const Script script = DecodeScript(RandomBytes(random, 400), limits);
    for (const Step& step : script.steps) {
      if (const auto* request = std::get_if<RequestStep>(&step)) {
        ++requests;
        const bool has_payload = request->command == Command::kRead || request->command == Command::kWrite;
        EXPECT_TRUE(!has_payload || request->length <= 1000);
        const ByteRange range = {.begin = 0, .end = script.size};
        const auto asked = ByteRange::From({.offset = request->offset, .length = request->length});
        inside += asked && range.Contains(*asked) ? 1 : 0;
        connections.insert(request->connection);
        commands.insert(request->command);
      }
    }
  }
  EXPECT_GT(requests, 10000);
  EXPECT_GT(inside, requests * 3 / 4);
  EXPECT_LT(inside, requests * 99 / 100);
  EXPECT_EQ(connections, (std::set<unsigned>{1, 2, 3}));
  EXPECT_EQ(commands.size(), 7U);
}

// A corpus that was made before there were extended headers means what it meant.
TEST(ScriptBytes, WithoutExtendedHeadersARecordOfMoreIsAnyOther) {
  const Script wide = {
      .size = 1ULL << 40,
      .steps = {RequestStep{.command = Command::kTrim, .length = (5ULL << 30) + 7, .is_unannounced = true}}};
  const Script cut = DecodeScript(EncodeScript(wide), {.kinds = kWireSteps});
  ASSERT_EQ(cut.steps.size(), 2U);
  EXPECT_EQ(cut.steps[0], Step(RequestStep{.command = Command::kTrim, .length = (1ULL << 30) + 7}));
  std::mt19937_64 random(6);
  for (int i = 0; i < 2000; ++i) {
    for (const Step& step : DecodeScript(RandomBytes(random, 400), {.kinds = kWireSteps}).steps) {
      const auto* request = std::get_if<RequestStep>(&step);
      EXPECT_TRUE(request == nullptr || (request->length <= 0xffffffff && request->contexts == NamedContexts::kAll &&
                                         !request->is_unannounced));
    }
  }
}

TEST(ScriptBytes, RandomBytesReachWhatExtendedHeadersCarry) {
  std::mt19937_64 random(7);
  StepKinds kinds = kWireSteps;
  kinds.extended = true;
  int wide = 0;
  int unannounced = 0;
  std::set<NamedContexts> contexts;
  for (int i = 0; i < 1000; ++i) {
    Bytes bytes = RandomBytes(random, 400);
    bytes[0] = 0x0c;  // A size of any number.
    for (const Step& step : DecodeScript(bytes, {.kinds = kinds, .payload_bytes_max = 1000}).steps) {
      if (const auto* request = std::get_if<RequestStep>(&step)) {
        const bool has_data = request->command == Command::kRead || request->command == Command::kWrite;
        EXPECT_TRUE(!has_data || request->length <= 1000);
        wide += request->length > 0xffffffff ? 1 : 0;
        unannounced += request->is_unannounced ? 1 : 0;
        if (request->command == Command::kStatus && (request->flags & CommandFlag::kPayloadLen) != 0) {
          contexts.insert(request->contexts);
        }
      }
    }
  }
  EXPECT_GT(wide, 1000);
  EXPECT_GT(unannounced, 10);
  EXPECT_EQ(contexts.size(), kNamedContextsCount);
}

// The numbers that matter must be easy to come by, or the fuzzer would not find them in its time.
TEST(ScriptBytes, RandomBytesReachTheInterestingNumbers) {
  std::mt19937_64 random(3);
  std::set<std::uint64_t> sizes;
  std::set<std::uint64_t> lengths;
  int touching = 0;
  int refused_types = 0;
  int clears = 0;
  for (int i = 0; i < 5000; ++i) {
    const Script script = DecodeScript(RandomBytes(random, 400), {});
    sizes.insert(script.size);
    const AddStep* previous = nullptr;
    for (const Step& step : script.steps) {
      clears += std::holds_alternative<ClearStep>(step) ? 1 : 0;
      if (const AddStep* add = std::get_if<AddStep>(&step)) {
        lengths.insert(add->length);
        refused_types += IsExtentType(static_cast<std::uint8_t>(add->type)) ? 0 : 1;
        touching += previous != nullptr && previous->offset + previous->length == add->offset ? 1 : 0;
        previous = add;
      }
    }
  }
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{1} << 32, kExportBytesMax}) {
    EXPECT_TRUE(sizes.contains(size)) << size;
  }
  for (const std::uint64_t length : {std::uint64_t{0}, (std::uint64_t{1} << 32) - 1, std::uint64_t{1} << 32,
                                     (std::uint64_t{1} << 32) + 1, std::uint64_t{1} << 62, ~std::uint64_t{0}}) {
    EXPECT_TRUE(lengths.contains(length)) << length;
  }
  EXPECT_GT(touching, 500);
  EXPECT_GT(refused_types, 500);
  EXPECT_GT(clears, 500);
}

TEST(ScriptDecoder, LeavesNothingForTheNextScript) {
  std::mt19937_64 random(4);
  ScriptDecoder decoder;
  Script script;
  for (std::size_t i = 0; i < 20000; ++i) {
    const ScriptLimits limits = i % 2 == 0 ? ScriptLimits{} : kNoScriptLimits;
    Bytes input = RandomBytes(random, random() % 700);
    if (i % 8 == 0) {
      const std::string text = Print(DecodeScript(input, limits));
      input.assign(text.begin(), text.end());
    }
    decoder.Read(input, limits, script);
    ASSERT_EQ(script, ReadScript(input, limits)) << i;
  }
}

TEST(ScriptDecoder, StepsTouchTheEdgesThatAreGivenAndKeepToTheLimit) {
  const ScriptLimits limits = {.steps_max = 3};
  std::mt19937_64 random(5);
  ScriptDecoder decoder;
  std::set<std::uint64_t> offsets;
  for (int i = 0; i < 2000; ++i) {
    const Bytes records = RandomBytes(random, 5 * kScriptRecordBytes);
    Script script = {.size = 1000, .steps = {ClearStep{}}};
    decoder.DecodeSteps(records, limits, std::array<ByteRange::OffsetAndLength, 1>{{{.offset = 300, .length = 40}}},
                        script);
    ASSERT_EQ(script.size, 1000U);
    ASSERT_EQ(script.steps.size(), 3U);
    ASSERT_EQ(script.steps[0], Step(ClearStep{}));
    if (const auto* add = std::get_if<AddStep>(&script.steps[1])) {
      offsets.insert(add->offset);
    }
  }
  EXPECT_TRUE(offsets.contains(300) && offsets.contains(340) && offsets.contains(1000));
}

TEST(ScriptBytes, ReadTakesTextAndBytes) {
  const Script script{.size = 64, .initial = ExtentType::kHole, .steps = {ClearStep{}}};
  const std::string text = Print(script);
  EXPECT_EQ(ReadScript(Bytes(text.begin(), text.end()), {}), script);
  EXPECT_EQ(ReadScript(EncodeScript(script), {}), script);
  const std::string broken = std::string(kScriptHeader) + "\nsize many\n";
  const Bytes bytes(broken.begin(), broken.end());
  EXPECT_EQ(ReadScript(bytes, {}), DecodeScript(bytes, {}));
}

}  // namespace
}  // namespace nbdspec::engine
