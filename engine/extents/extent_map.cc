// SPDX-License-Identifier: BSD-3-Clause
// The representation, which CheckInvariants asks: `boundaries_` is empty in the initial state; otherwise it has key 0,
// all its keys are below size_, neighbours differ in type, and it is not the one extent that the initial state is.
// So equal maps have equal representations, and there is one entry for each maximal extent.

#include "engine/extents/extent_map.h"

#include <iterator>
#include <new>

#include "engine/base/check.h"

namespace nbdspec::engine {

ExtentMap::ExtentMap(std::uint64_t size, ExtentType initial) : size_(size), initial_(initial) {
  NBDSPEC_CHECK(size <= kExportBytesMax);
  NBDSPEC_CHECK(IsExtentType(static_cast<std::uint8_t>(initial)));
}

std::expected<void, ErrorCode> ExtentMap::Add(std::uint64_t offset, std::uint64_t length, ExtentType type) {
  if (!IsExtentType(static_cast<std::uint8_t>(type))) {
    return std::unexpected(ErrorCode::kInvalidType);
  }
  const auto asked = ByteRange::From({.offset = offset, .length = length});
  if (!asked) {
    return std::unexpected(asked.error());
  }
  const ByteRange added = Intersect(*asked, range());
  if (added.empty()) {
    return {};
  }
  if (const Extent there = Lookup(added.begin); there.type == type && there.range.Contains(added)) {
    return {};
  }
  return Overwrite(added, type);
}

std::expected<void, ErrorCode> ExtentMap::Overwrite(ByteRange added, ExtentType type) {
  // Everything that can fail happens here, in nodes that the map takes over below.
  Boundaries fresh;
  try {
    if (boundaries_.empty()) {
      fresh.emplace(0, initial_);
    }
    if (added.begin == 0 || Lookup(added.begin - 1).type != type) {
      fresh.insert_or_assign(added.begin, type);
    }
    if (added.end < size_) {
      if (const ExtentType after = Lookup(added.end).type; after != type) {
        fresh.emplace(added.end, after);
      }
    }
  } catch (const std::bad_alloc&) {
    return std::unexpected(ErrorCode::kOutOfMemory);
  }
  // An old boundary at added.end goes too: it is in `fresh` again unless both sides of it became one extent.
  boundaries_.erase(boundaries_.lower_bound(added.begin), boundaries_.upper_bound(added.end));
  boundaries_.merge(fresh);
  if (boundaries_.size() == 1 && boundaries_.begin()->second == initial_) {
    boundaries_.clear();
  }
  return {};
}

void ExtentMap::Clear() { boundaries_.clear(); }

bool ExtentMap::ForEach(ByteRange bounds, const std::function<bool(Extent)>& visit) const {
  const ByteRange clip = Intersect(bounds, range());
  if (clip.empty()) {
    return true;
  }
  if (boundaries_.empty()) {
    return visit({.range = clip, .type = initial_});
  }
  auto here = std::prev(boundaries_.upper_bound(clip.begin));
  while (here != boundaries_.end() && here->first < clip.end) {
    const auto next = std::next(here);
    const ByteRange extent{.begin = here->first, .end = next == boundaries_.end() ? size_ : next->first};
    if (!visit({.range = Intersect(extent, clip), .type = here->second})) {
      return false;
    }
    here = next;
  }
  return true;
}

Extent ExtentMap::Lookup(std::uint64_t offset) const {
  NBDSPEC_CHECK(offset < size_);
  if (boundaries_.empty()) {
    return {.range = range(), .type = initial_};
  }
  const auto next = boundaries_.upper_bound(offset);
  const auto here = std::prev(next);
  return {.range = {.begin = here->first, .end = next == boundaries_.end() ? size_ : next->first},
          .type = here->second};
}

std::uint64_t ExtentMap::extent_count() const {
  if (boundaries_.empty()) {
    return size_ == 0 ? 0 : 1;
  }
  return boundaries_.size();
}

std::expected<ExtentMap, ErrorCode> ExtentMap::Clone() const {
  ExtentMap copy(size_, initial_);
  try {
    copy.boundaries_ = boundaries_;
  } catch (const std::bad_alloc&) {
    return std::unexpected(ErrorCode::kOutOfMemory);
  }
  return copy;
}

void ExtentMap::CheckInvariants() const {
  if (boundaries_.empty()) {
    return;
  }
  NBDSPEC_CHECK(boundaries_.begin()->first == 0);
  NBDSPEC_CHECK(boundaries_.rbegin()->first < size_);
  NBDSPEC_CHECK(boundaries_.size() > 1 || boundaries_.begin()->second != initial_);
  for (auto here = boundaries_.begin(), next = std::next(here); next != boundaries_.end(); here = next++) {
    NBDSPEC_CHECK(here->second != next->second);
  }
}

}  // namespace nbdspec::engine
