// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/oracles/cell_oracle.h"

#include <gtest/gtest.h>

#include <vector>

#include "engine/oracle/oracles.h"
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

std::vector<Extent> Copy(std::span<const Extent> extents) { return {extents.begin(), extents.end()}; }

// Takes both oracles through `script` and compares the whole, and each range that a step names.
void ExpectSame(const Script& script, CellOracle& cells) {
  cells.Begin(script.size, script.initial);
  LastWriterOracle writers(script.size, script.initial);
  for (const engine::Step& step : script.steps) {
    std::vector<ByteRange> asked = {{.begin = 0, .end = script.size}, {.begin = 0, .end = ~std::uint64_t{0}}};
    if (const auto* add = std::get_if<AddStep>(&step)) {
      ASSERT_EQ(cells.Add(add->offset, add->length, add->type), writers.Add(add->offset, add->length, add->type));
      asked.push_back({.begin = add->offset / 2, .end = add->offset});
    } else if (std::holds_alternative<engine::ClearStep>(step)) {
      cells.Clear();
      writers.Clear();
    } else if (const auto* each = std::get_if<engine::ForEachStep>(&step)) {
      asked.push_back(each->bounds);
    }
    for (const ByteRange bounds : asked) {
      ASSERT_EQ(Copy(cells.Extents(bounds)), writers.Extents(bounds)) << engine::Print(script);
    }
  }
}

TEST(CellOracle, SaysWhatTheLastWriterSays) {
  LikelyInputs inputs({.bytes_max = 1289}, 7);
  CellOracle kept;  // As fuzz targets keep it: nothing of one script is left in the next.
  for (int run = 0; run < 3000; ++run) {
    ExpectSame(engine::DecodeScript(inputs.Next(), {.steps_max = 64}), kept);
  }
}

TEST(CellOracle, RunsLongerThanAWordEndWhereTheTypeChanges) {
  for (std::uint64_t length = 1; length <= 40; ++length) {
    const Script script = {.size = 40, .steps = {AddStep{.offset = 0, .length = length, .type = ExtentType::kZero}}};
    CellOracle cells;
    ExpectSame(script, cells);
  }
}

TEST(CellOracle, BoundsInsideACellAreClipped) {
  CellOracle cells(1 << 20);
  ASSERT_TRUE(cells.Add(4096, 4096, ExtentType::kData));
  EXPECT_EQ(Copy(cells.Extents({.begin = 5000, .end = 9000})),
            (std::vector<Extent>{{.range = {.begin = 5000, .end = 8192}, .type = ExtentType::kData},
                                 {.range = {.begin = 8192, .end = 9000}, .type = ExtentType::kHole}}));
  EXPECT_TRUE(cells.Extents({.begin = 5000, .end = 5000}).empty());
}

TEST(CellOracle, AnEmptyExportHasNoExtents) {
  CellOracle cells(0);
  ASSERT_TRUE(cells.Add(0, 9, ExtentType::kData));
  EXPECT_TRUE(cells.Extents({.begin = 0, .end = 9}).empty());
}

}  // namespace
}  // namespace nbdspec::fuzz
