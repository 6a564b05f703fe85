// SPDX-License-Identifier: BSD-3-Clause
#include "engine/script/script_bytes.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

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
    const Script script = DecodeScript(RandomBytes(random, i % 700), {.export_bytes_max = 1 << 20, .steps_max = 16});
    ExpectLegal(script);
    EXPECT_LE(script.size, 1U << 20);
    EXPECT_LE(script.steps.size(), 16U);
  }
}

TEST(ScriptBytes, DecodeIsTheInverseOfEncode) {
  std::mt19937_64 random(2);
  for (std::size_t i = 0; i < 20000; ++i) {
    const Script script = DecodeScript(RandomBytes(random, i % 700), {});
    const Bytes bytes = EncodeScript(script);
    EXPECT_EQ(bytes.size(), kScriptHeadBytes + script.steps.size() * kScriptRecordBytes);
    ASSERT_EQ(DecodeScript(bytes, {}), script) << Print(script);
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
