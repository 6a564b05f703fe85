// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "fuzz/inputs/input_mutator.h"

namespace nbdspec::fuzz {
namespace {

using engine::Bytes;

std::vector<Bytes> Take(LikelyInputs inputs, int count) {
  std::vector<Bytes> taken;
  while (count-- > 0) {
    taken.push_back(inputs.Next());
  }
  return taken;
}

TEST(LikelyInputs, TheSameSeedGivesTheSameInputs) {
  const std::vector<Bytes> start = {{1, 2, 3}, {}, Bytes(100, 7)};
  EXPECT_EQ(Take(LikelyInputs({}, 5, start), 500), Take(LikelyInputs({}, 5, start), 500));
  EXPECT_NE(Take(LikelyInputs({}, 5, start), 500), Take(LikelyInputs({}, 6, start), 500));
}

TEST(LikelyInputs, NoInputIsLongerThanTheLimit) {
  for (const std::size_t limit : {std::size_t{0}, std::size_t{1}, std::size_t{7}}) {
    std::size_t longest = 0;
    for (const Bytes& input : Take(LikelyInputs({.bytes_max = limit}, 1, {{}, {1}, Bytes(9, 9)}), 2000)) {
      longest = std::max(longest, input.size());
    }
    EXPECT_EQ(longest, limit);
  }
}

TEST(LikelyInputs, StartInputsAreMutatedNotRepeated) {
  const Bytes start(64, 0xaa);
  int alike = 0;
  const std::vector<Bytes> taken = Take(LikelyInputs({.bytes_max = 80}, 1, {start}), 1000);
  for (const Bytes& input : taken) {
    alike += std::ranges::count(input, 0xaa) > 16 ? 1 : 0;
  }
  EXPECT_GT(alike, 500);
  EXPECT_GT(std::set<Bytes>(taken.begin(), taken.end()).size(), 700U);
}

}  // namespace
}  // namespace nbdspec::fuzz
