// SPDX-License-Identifier: BSD-3-Clause
// Lets the n-th allocation of a C function fail, for every n until it succeeds: -1, ENOMEM, and no trace.

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <tuple>
#include <vector>

#include "engine/extents/extents_c.h"
#include "engine/extents/failing_new.h"

namespace {

using Visited = std::vector<std::tuple<std::uint64_t, std::uint64_t, std::uint32_t>>;

int Collect(std::uint64_t offset, std::uint64_t length, std::uint32_t type, void* opaque) {
  static_cast<Visited*>(opaque)->emplace_back(offset, length, type);
  return 0;
}

Visited All(const nbdspec_extents_map* map) {
  Visited visited;
  EXPECT_EQ(nbdspec_extents_foreach(map, Collect, &visited, 0, 0, 0), 0);
  return visited;
}

TEST(ExtentsCOutOfMemory, EveryFailedAddLeavesTheMapUnchanged) {
  // A small map needs no memory but its own; it takes many extents until it does.
  int most_needed = 0;
  nbdspec_extents_map* map = nbdspec_extents_new(10'000);
  ASSERT_NE(map, nullptr);
  for (std::uint64_t offset = 1; offset < 9'000; offset += 7) {
    const Visited before = All(map);
    for (int allowed = 0;; ++allowed) {
      ASSERT_LT(allowed, 100);
      errno = 0;
      nbdspec::engine::AllowAllocations(allowed);
      const int result = nbdspec_extent_add(map, offset, 2, NBDSPEC_EXTENT_TYPE_ZERO);
      nbdspec::engine::AllowAllocations(nbdspec::engine::kUnlimited);
      if (result == 0) {
        most_needed = std::max(most_needed, allowed);
        break;
      }
      EXPECT_EQ(result, -1);
      EXPECT_EQ(errno, ENOMEM);
      EXPECT_EQ(All(map), before) << "after failing allocation " << allowed + 1;
    }
    EXPECT_NE(All(map), before);
  }
  nbdspec_extents_free(map);
  EXPECT_EQ(most_needed, 2) << "the first split takes a slab of leaves and one of inner nodes";
}

TEST(ExtentsCOutOfMemory, AFailedNewIsNullAndReported) {
  int told = 0;
  nbdspec_extents_set_error_callback([](int error, const char*, void* opaque) { *static_cast<int*>(opaque) = error; },
                                     &told);
  errno = 0;
  nbdspec::engine::AllowAllocations(0);
  nbdspec_extents_map* refused = nbdspec_extents_new(100);
  const int error = errno;
  nbdspec::engine::AllowAllocations(1);
  nbdspec_extents_map* map = nbdspec_extents_new(100);
  nbdspec::engine::AllowAllocations(nbdspec::engine::kUnlimited);
  nbdspec_extents_set_error_callback(nullptr, nullptr);
  EXPECT_EQ(refused, nullptr);
  EXPECT_EQ(error, ENOMEM);
  EXPECT_EQ(told, ENOMEM);
  EXPECT_NE(map, nullptr) << "a map is one allocation";
  nbdspec_extents_free(map);
}

TEST(ExtentsCOutOfMemory, ForeachClearAndFreeNeedNoMemory) {
  nbdspec_extents_map* map = nbdspec_extents_new(100);
  ASSERT_EQ(nbdspec_extent_add(map, 10, 10, NBDSPEC_EXTENT_TYPE_DATA), 0);
  std::uint64_t bytes = 0;
  const auto count = [](std::uint64_t, std::uint64_t length, std::uint32_t, void* opaque) {
    *static_cast<std::uint64_t*>(opaque) += length;
    return 0;
  };
  nbdspec::engine::AllowAllocations(0);
  const int walked = nbdspec_extents_foreach(map, count, &bytes, NBDSPEC_EXTENTS_FOREACH_FLAG_RANGE, 5, 90);
  const int cleared = nbdspec_extents_clear(map);
  nbdspec_extents_free(map);
  nbdspec::engine::AllowAllocations(nbdspec::engine::kUnlimited);
  EXPECT_EQ(walked, 0);
  EXPECT_EQ(bytes, 90U);
  EXPECT_EQ(cleared, 0);
}

}  // namespace
