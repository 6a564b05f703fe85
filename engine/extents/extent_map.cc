// SPDX-License-Identifier: BSD-3-Clause
#include "engine/extents/extent_map.h"

#include "engine/base/check.h"
#include "engine/extents/boundary_tree_impl.h"

namespace nbdspec::engine {

template class BoundaryLeaf<CacheLineShape>;
template class BoundaryTree<CacheLineShape>;

namespace {

constexpr std::uint8_t StateOf(ExtentType type) { return static_cast<std::uint8_t>(type); }

}  // namespace

ExtentMap::ExtentMap(std::uint64_t size, ExtentType initial) : tree_(size, StateOf(initial)), initial_(initial) {
  NBDSPEC_CHECK(size <= kExportBytesMax);
  NBDSPEC_CHECK(IsExtentType(StateOf(initial)));
}

std::expected<void, ErrorCode> ExtentMap::Add(std::uint64_t offset, std::uint64_t length, ExtentType type) {
  if (tree_.Append(offset, offset + length, StateOf(type))) {
    return {};
  }
  return Overwrite(offset, length, type);
}

std::expected<void, ErrorCode> ExtentMap::Overwrite(std::uint64_t offset, std::uint64_t length, ExtentType type) {
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

void ExtentMap::Clear() { tree_.Clear(StateOf(initial_)); }

Extent ExtentMap::Lookup(std::uint64_t offset) const {
  NBDSPEC_CHECK(offset < size());
  const auto run = tree_.FindRun(offset);
  return {.range = {.begin = run.begin, .end = run.end}, .type = static_cast<ExtentType>(run.state)};
}

std::uint64_t ExtentMap::extent_count() const { return size() == 0 ? 0 : tree_.boundary_count(); }

std::expected<ExtentMap, ErrorCode> ExtentMap::Clone() const {
  ExtentMap copy(size(), initial_);
  if (!copy.tree_.CopyFrom(tree_)) {
    return std::unexpected(ErrorCode::kOutOfMemory);
  }
  return copy;
}

void ExtentMap::CheckInvariants() const { tree_.CheckInvariants(); }

}  // namespace nbdspec::engine
