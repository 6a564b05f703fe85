// SPDX-License-Identifier: BSD-3-Clause
// Shapes of BoundaryTree for tests: they count what happens, and one has nodes so small that 40 boundaries are a tree
// four levels high.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <expected>
#include <utility>

#include "engine/base/byte_range.h"
#include "engine/base/check.h"
#include "engine/base/error.h"
#include "engine/extents/boundary_tree_impl.h"
#include "engine/extents/extent.h"

namespace nbdspec::engine {

// How often each event happened, to any tree of a counting shape.
inline std::array<std::uint64_t, static_cast<std::size_t>(TreeEvent::kCount)> tree_event_counts = {};

struct CountedShape : CacheLineShape {
  static void Note(TreeEvent event) { ++tree_event_counts[static_cast<std::size_t>(event)]; }
};

// Eight narrow or four wide keys to a leaf, three children to an inner node.
struct SmallShape : CountedShape {
  static constexpr unsigned kNarrowPerLine = 2;
  static constexpr unsigned kInnerPerLine = 2;
};

// ExtentMap with another shape.
template <typename Shape>
class ShapedExtentMap {
 public:
  explicit ShapedExtentMap(std::uint64_t size, ExtentType initial = ExtentType::kHole)
      : tree_(size, static_cast<std::uint8_t>(initial)), initial_(initial) {}

  std::expected<void, ErrorCode> Add(std::uint64_t offset, std::uint64_t length, ExtentType type) {
    const auto state = static_cast<std::uint8_t>(type);
    if (tree_.Append(offset, offset + length, state)) {
      return {};
    }
    if (!IsExtentType(state)) {
      return std::unexpected(ErrorCode::kInvalidType);
    }
    const auto asked = ByteRange::From({.offset = offset, .length = length});
    if (!asked) {
      return std::unexpected(asked.error());
    }
    const ByteRange added = Intersect(*asked, {.begin = 0, .end = size()});
    if (!added.empty() && !tree_.Set(added.begin, added.end, state)) {
      return std::unexpected(ErrorCode::kOutOfMemory);
    }
    return {};
  }

  void Clear() { tree_.Clear(static_cast<std::uint8_t>(initial_)); }

  template <typename Visit>
  bool ForEach(ByteRange bounds, Visit&& visit) const {
    const ByteRange clip = Intersect(bounds, {.begin = 0, .end = size()});
    return clip.empty() || tree_.ForEach(clip.begin, clip.end, [&visit](auto begin, auto end, auto state) {
      return visit(Extent{.range = {.begin = begin, .end = end}, .type = static_cast<ExtentType>(state)});
    });
  }

  [[nodiscard]] Extent Lookup(std::uint64_t offset) const {
    NBDSPEC_CHECK(offset < size());
    const auto run = tree_.FindRun(offset);
    return {.range = {.begin = run.begin, .end = run.end}, .type = static_cast<ExtentType>(run.state)};
  }

  [[nodiscard]] std::uint64_t extent_count() const { return size() == 0 ? 0 : tree_.boundary_count(); }
  [[nodiscard]] std::uint64_t size() const { return tree_.size(); }
  [[nodiscard]] unsigned height() const { return tree_.height(); }
  void CheckInvariants() const { tree_.CheckInvariants(); }

 private:
  BoundaryTree<Shape> tree_;
  ExtentType initial_;
};

}  // namespace nbdspec::engine
