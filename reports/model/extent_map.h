// SPDX-License-Identifier: BSD-3-Clause
// ExtentMap: what a server says of every byte of an export, in base:allocation, as plain data.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace nbdspec::reports {

// Neighbours differ in `flags`. A range of the export: half-open, never empty.
struct MappedExtent {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  std::uint64_t flags = 0;  // Of base:allocation: 1 HOLE, 2 ZERO; others as they came.
  bool operator==(const MappedExtent&) const = default;
};

struct ExtentMap {
  std::string target;
  std::string export_name;
  std::uint64_t size = 0;                  // Of the export.
  std::vector<MappedExtent> extents = {};  // In order, without gaps, from 0; up to `size`, or as far as was known.
  std::string trouble = {};                // Why that is not all; empty when it is.
};

// Adds what the server says of the next `length` bytes; nothing past the end of the export.
inline void Append(ExtentMap& map, std::uint64_t length, std::uint64_t flags) {
  const std::uint64_t begin = map.extents.empty() ? 0 : map.extents.back().end;
  const std::uint64_t taken = length < map.size - begin ? length : map.size - begin;
  if (taken == 0) {
    return;
  }
  if (!map.extents.empty() && map.extents.back().flags == flags) {
    map.extents.back().end += taken;
  } else {
    map.extents.push_back({.begin = begin, .end = begin + taken, .flags = flags});
  }
}

}  // namespace nbdspec::reports
