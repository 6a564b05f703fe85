// SPDX-License-Identifier: BSD-3-Clause
#include "engine/base/shard.h"

#include <gtest/gtest.h>

#include <set>

namespace nbdspec::engine {
namespace {

TEST(Shard, OneOfOneDoesAll) {
  for (std::uint64_t own = 0; own < 100; ++own) {
    EXPECT_EQ(Shard().NumberOf(own, 16), own);
  }
}

TEST(Shard, AllTogetherDoAllAndNoTwoTheSame) {
  for (const std::uint64_t together : {1U, 16U}) {
    for (std::uint64_t count = 1; count <= 5; ++count) {
      std::set<std::uint64_t> numbers;
      for (std::uint64_t index = 0; index < count; ++index) {
        for (std::uint64_t own = 0; own < 3 * together; ++own) {
          EXPECT_TRUE(numbers.insert(Shard{.index = index, .count = count}.NumberOf(own, together)).second);
        }
      }
      EXPECT_EQ(numbers.size(), 3 * together * count);
      EXPECT_EQ(*numbers.rbegin(), numbers.size() - 1);
    }
  }
}

TEST(Shard, KeepsTogetherWhatIsInARow) {
  EXPECT_EQ((Shard{.index = 1, .count = 3}.NumberOf(0, 16)), 16U);
  EXPECT_EQ((Shard{.index = 1, .count = 3}.NumberOf(15, 16)), 31U);
  EXPECT_EQ((Shard{.index = 1, .count = 3}.NumberOf(16, 16)), 64U);
}

}  // namespace
}  // namespace nbdspec::engine
