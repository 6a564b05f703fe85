// SPDX-License-Identifier: BSD-3-Clause
// The committed corpus of boundary_tree reaches every event of the tree and every height up to four.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <variant>

#include "engine/extents/small_shape.h"
#include "engine/script/script.h"
#include "engine/script/script_bytes.h"

namespace nbdspec::fuzz {
namespace {

using SmallMap = engine::ShapedExtentMap<engine::SmallShape>;

// Returns the heights that the tree had.
std::set<unsigned> Play(const engine::Script& script) {
  std::set<unsigned> heights;
  SmallMap map(script.size, script.initial);
  for (const engine::Step& step : script.steps) {
    if (const auto* add = std::get_if<engine::AddStep>(&step)) {
      (void)map.Add(add->offset, add->length, add->type);
    } else if (std::holds_alternative<engine::ClearStep>(step)) {
      map.Clear();
    }
    heights.insert(map.height());
    // As the target does after each step.
    map.ForEach({.begin = 0, .end = map.size()}, [](engine::Extent) { return true; });
    map.CheckInvariants();
  }
  return heights;
}

TEST(BoundaryTreeSeeds, ReachEveryEventAndEveryHeightUpToFour) {
  engine::tree_event_counts = {};
  std::set<unsigned> heights;
  for (const auto& entry : std::filesystem::directory_iterator("corpus/seeds/boundary_tree")) {
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    const engine::Bytes bytes(text.begin(), text.end());
    heights.merge(Play(engine::ReadScript(bytes, {.steps_max = 64})));
  }
  for (std::size_t event = 0; event < engine::tree_event_counts.size(); ++event) {
    EXPECT_GT(engine::tree_event_counts[event], 0U) << "event " << event << " of TreeEvent: no seed reaches it";
  }
  for (unsigned height = 0; height <= 4; ++height) {
    EXPECT_TRUE(heights.contains(height)) << height;
  }
}

}  // namespace
}  // namespace nbdspec::fuzz
