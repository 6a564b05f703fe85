// SPDX-License-Identifier: BSD-3-Clause
// The last-writer oracle against its definition, on likely scripts.

#include <gtest/gtest.h>

#include <algorithm>
#include <ranges>
#include <set>
#include <span>
#include <vector>

#include "engine/oracle/oracles.h"
#include "engine/script/script.h"
#include "engine/script/script_bytes.h"
#include "fuzz/inputs/input_mutator.h"

namespace nbdspec::fuzz {
namespace {

using engine::AddStep;
using engine::ByteRange;
using engine::Extent;
using engine::ExtentType;
using engine::LastWriterOracle;
using engine::Script;

bool IsLegal(const AddStep& add) {
  return engine::IsExtentType(static_cast<std::uint8_t>(add.type)) &&
         ByteRange::From({.offset = add.offset, .length = add.length}).has_value();
}

// By the definition: the last Add that covers the byte, among those `steps` of a script that were carried out.
ExtentType LastWriterOf(std::span<const engine::Step> steps, std::uint64_t offset, ExtentType initial) {
  for (const engine::Step& step : steps | std::views::reverse) {
    const auto* add = std::get_if<AddStep>(&step);
    if (add != nullptr && IsLegal(*add) && offset >= add->offset && offset - add->offset < add->length) {
      return add->type;
    }
    if (std::holds_alternative<engine::ClearStep>(step)) {
      break;
    }
  }
  return initial;
}

// What the extents of `bounds` must be: the types of the bytes at which one may begin, neighbours of one type merged.
std::vector<Extent> ExtentsOf(const Script& script, std::size_t steps, ByteRange bounds) {
  bounds.end = std::min(bounds.end, script.size);
  std::set<std::uint64_t> places = {bounds.begin};
  for (const engine::Step& step : std::span(script.steps).first(steps)) {
    if (const auto* add = std::get_if<AddStep>(&step)) {
      places.insert({add->offset, add->offset + add->length});
    }
  }
  std::vector<Extent> extents;
  for (const std::uint64_t place : places) {
    if (place < bounds.begin || place >= bounds.end) {
      continue;
    }
    const ExtentType type = LastWriterOf(std::span(script.steps).first(steps), place, script.initial);
    if (extents.empty() || extents.back().type != type) {
      if (!extents.empty()) {
        extents.back().range.end = place;
      }
      extents.push_back({.range = {.begin = place, .end = bounds.end}, .type = type});
    }
  }
  return extents;
}

std::vector<Extent> ExtentsOf(const LastWriterOracle& oracle, ByteRange bounds) {
  const auto extents = oracle.Extents(bounds);
  return {extents.begin(), extents.end()};
}

// Takes the oracle through `script` and compares the whole, and each range that a step names.
void ExpectRight(const Script& script, LastWriterOracle& oracle) {
  oracle.Begin(script.size, script.initial);
  for (std::size_t i = 0; i < script.steps.size(); ++i) {
    std::vector<ByteRange> asked = {{.begin = 0, .end = ~std::uint64_t{0}}};
    if (const auto* add = std::get_if<AddStep>(&script.steps[i])) {
      ASSERT_EQ(oracle.Add(add->offset, add->length, add->type).has_value(), IsLegal(*add));
      asked.push_back({.begin = add->offset / 2, .end = add->offset});
    } else if (std::holds_alternative<engine::ClearStep>(script.steps[i])) {
      oracle.Clear();
    } else if (const auto* each = std::get_if<engine::ForEachStep>(&script.steps[i])) {
      asked.push_back(each->bounds);
    }
    const std::vector<Extent> whole = ExtentsOf(oracle, {.begin = 0, .end = script.size});
    ASSERT_EQ(ExtentsOf(oracle, asked[0]), whole);
    for (const ByteRange bounds : asked) {
      ASSERT_EQ(ExtentsOf(oracle, bounds), ExtentsOf(script, i + 1, bounds)) << engine::Print(script);
    }
  }
}

TEST(LastWriterOracle, SaysWhatTheLastAddOfEachByteSays) {
  LikelyInputs inputs({.bytes_max = 1289}, 7);
  LastWriterOracle kept;  // As fuzz targets keep it: nothing of one script is left in the next.
  for (int run = 0; run < 1000; ++run) {
    ExpectRight(engine::DecodeScript(inputs.Next(), {.steps_max = 64}), kept);
  }
}

TEST(LastWriterOracle, RunsLongerThanAWordEndWhereTheTypeChanges) {
  for (std::uint64_t length = 1; length <= 40; ++length) {
    const Script script = {.size = 40, .steps = {AddStep{.offset = 0, .length = length, .type = ExtentType::kZero}}};
    LastWriterOracle cells;
    ExpectRight(script, cells);
  }
}

TEST(LastWriterOracle, BoundsInsideACellAreClipped) {
  LastWriterOracle cells(1 << 20);
  ASSERT_TRUE(cells.Add(4096, 4096, ExtentType::kData));
  EXPECT_EQ(ExtentsOf(cells, {.begin = 5000, .end = 9000}),
            (std::vector<Extent>{{.range = {.begin = 5000, .end = 8192}, .type = ExtentType::kData},
                                 {.range = {.begin = 8192, .end = 9000}, .type = ExtentType::kHole}}));
  EXPECT_TRUE(cells.Extents({.begin = 5000, .end = 5000}).empty());
}

TEST(LastWriterOracle, AnEmptyExportHasNoExtents) {
  LastWriterOracle cells(0);
  ASSERT_TRUE(cells.Add(0, 9, ExtentType::kData));
  EXPECT_TRUE(cells.Extents({.begin = 0, .end = 9}).empty());
}

}  // namespace
}  // namespace nbdspec::fuzz
