// SPDX-License-Identifier: BSD-3-Clause
// ExtentMap: the type of every byte of an export, in memory proportional to the number of extents.
//
// This is the map of the nbdkit extents proposal: it covers [0, size) from the start, `Add` overwrites, neighbours
// of one type are one extent. It is the subject that engine/oracle checks, and stands for the truth where an
// export is too large for one cell per byte.

#pragma once

#include <cstdint>
#include <expected>

#include "engine/base/byte_range.h"
#include "engine/base/check.h"
#include "engine/base/error.h"
#include "engine/extents/boundary_tree.h"
#include "engine/extents/extent.h"

namespace nbdspec::engine {

// `Shape` is that of the tree; ExtentMap, below, is the map to use. Its tree is compiled in extent_map.cc; what uses
// another shape includes boundary_tree_impl.h.
template <typename Shape>
class ShapedExtentMap {
 public:
  // A map of [0, size) that is one extent of type `initial`.
  // Range:  size in [0, 2^63-1] bytes; checked with CHECK, so test a size that comes from outside before.
  // Errors: none; nothing is allocated.
  explicit ShapedExtentMap(std::uint64_t size, ExtentType initial = ExtentType::kHole)
      : tree_(size, StateOf(initial)), initial_(initial) {
    NBDSPEC_CHECK(size <= kExportBytesMax);
    NBDSPEC_CHECK(IsExtentType(StateOf(initial)));
  }

  // Maps can be large, so copying one is explicit: Clone.
  ShapedExtentMap(ShapedExtentMap&&) noexcept = default;
  ShapedExtentMap& operator=(ShapedExtentMap&&) noexcept = default;

  // Gives the bytes of [offset, offset + length) the type `type`, whatever they had. The part at or past size() is
  // ignored; length 0 changes nothing.
  // Errors: kInvalidType for bits other than HOLE and ZERO; kOutOfRange if offset + length is 2^64 or more;
  //         kOutOfMemory. The map is then unchanged.
  // Cost:   O(log n), amortised over the extents it removes.
  std::expected<void, ErrorCode> Add(std::uint64_t offset, std::uint64_t length, ExtentType type) {
    if (tree_.Append(offset, offset + length, StateOf(type))) {
      return {};
    }
    return Overwrite(offset, length, type);
  }

  // Back to one extent of the initial type. Cost: O(n).
  void Clear() { tree_.Clear(StateOf(initial_)); }

  // Calls `visit` for each maximal extent in `bounds`, clipped to it, in ascending order, without gaps; neighbours
  // differ in type. The part of `bounds` past size() is ignored. `visit` returns whether to go on.
  // Returns: whether every call did.
  // Cost:   O(log n) and the extents visited. `visit` must not change the map.
  template <typename Visit>
  bool ForEach(ByteRange bounds, Visit&& visit) const {
    const ByteRange clip = Intersect(bounds, range());
    return clip.empty() || tree_.ForEach(clip.begin, clip.end, [&visit](auto begin, auto end, auto state) {
      return visit(Extent{.range = {.begin = begin, .end = end}, .type = static_cast<ExtentType>(state)});
    });
  }

  // The maximal extent that contains `offset`. Range: offset in [0, size()), checked with CHECK. Cost: O(log n).
  [[nodiscard]] Extent Lookup(std::uint64_t offset) const {
    NBDSPEC_CHECK(offset < size());
    const auto run = tree_.FindRun(offset);
    return {.range = {.begin = run.begin, .end = run.end}, .type = static_cast<ExtentType>(run.state)};
  }

  // How many maximal extents cover the map; 0 only when size() is 0.
  [[nodiscard]] std::uint64_t extent_count() const { return size() == 0 ? 0 : tree_.boundary_count(); }

  [[nodiscard]] std::uint64_t size() const { return tree_.size(); }
  [[nodiscard]] ExtentType initial_type() const { return initial_; }
  [[nodiscard]] ByteRange range() const { return {.begin = 0, .end = size()}; }

  // An equal map. Errors: kOutOfMemory.
  [[nodiscard]] std::expected<ShapedExtentMap, ErrorCode> Clone() const {
    ShapedExtentMap copy(size(), initial_);
    if (!copy.tree_.CopyFrom(tree_)) {
      return std::unexpected(ErrorCode::kOutOfMemory);
    }
    return copy;
  }

  // How many levels of inner nodes the tree has.
  [[nodiscard]] unsigned height() const { return tree_.height(); }

  // Aborts unless the tree is what boundary_tree.h says it is. For tests. Cost: O(n).
  void CheckInvariants() const { tree_.CheckInvariants(); }

 private:
  friend class DescriptorWriter;  // Of engine/block_status: takes whole leaves, for speed.

  // Add, when it is not the quick case of appending.
  [[gnu::noinline]] std::expected<void, ErrorCode> Overwrite(std::uint64_t offset, std::uint64_t length,
                                                             ExtentType type) {
    if (!IsExtentType(StateOf(type))) {
      return std::unexpected(ErrorCode::kInvalidType);
    }
    const auto asked = ByteRange::From({.offset = offset, .length = length});
    if (!asked) {
      return std::unexpected(asked.error());
    }
    const ByteRange added = Intersect(*asked, range());
    if (!added.empty() && !tree_.Set(added.begin, added.end, StateOf(type))) {
      return std::unexpected(ErrorCode::kOutOfMemory);
    }
    return {};
  }

  static constexpr std::uint8_t StateOf(ExtentType type) { return static_cast<std::uint8_t>(type); }

  BoundaryTree<Shape> tree_;
  ExtentType initial_;
};

using ExtentMap = ShapedExtentMap<CacheLineShape>;

extern template class BoundaryLeaf<CacheLineShape>;
extern template class BoundaryTree<CacheLineShape>;
extern template class ShapedExtentMap<CacheLineShape>;

}  // namespace nbdspec::engine
