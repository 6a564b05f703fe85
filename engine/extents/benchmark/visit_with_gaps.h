// SPDX-License-Identifier: BSD-3-Clause
// A foreach for the subjects that leave out what is of the initial type.

#pragma once

#include <algorithm>
#include <cstdint>

#include "engine/base/byte_range.h"
#include "engine/extents/extent.h"

namespace nbdspec::engine::speed {

// Visits `bounds`: from each stored range at or after `here` (up to `past`), and the gaps between them as kHole.
// `extent_of` gives the stored range and its type.
template <typename Iterator, typename ExtentOf, typename Visit>
bool VisitWithGaps(Iterator here, Iterator past, ByteRange bounds, ExtentOf extent_of, Visit&& visit) {
  std::uint64_t begin = bounds.begin;
  for (; here != past; ++here) {
    const Extent stored = extent_of(here);
    if (stored.range.begin >= bounds.end) {
      break;
    }
    if (begin < stored.range.begin) {
      if (!visit(Extent{.range = {.begin = begin, .end = stored.range.begin}, .type = ExtentType::kHole})) {
        return false;
      }
      begin = stored.range.begin;
    }
    const std::uint64_t end = std::min(stored.range.end, bounds.end);
    if (!visit(Extent{.range = {.begin = begin, .end = end}, .type = stored.type})) {
      return false;
    }
    begin = end;
  }
  return begin == bounds.end || visit(Extent{.range = {.begin = begin, .end = bounds.end}, .type = ExtentType::kHole});
}

}  // namespace nbdspec::engine::speed
