// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/held_bytes.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <utility>
#include <vector>

namespace nbdspec::conformance {
namespace {

using Clock = HeldBytes::Clock;
constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr auto kFree = HeldBytes::kFreeBytes;
constexpr auto kBudget = HeldBytes::kBudgetBytes;

Clock::time_point Soon() { return Clock::now() + std::chrono::minutes(1); }
Clock::time_point AtOnce() { return Clock::now(); }

// Whether a thread that holds nothing may hold `bytes`, which it gives back at once.
bool MayAnotherHold(std::uint64_t bytes) {
  bool may = false;
  std::jthread([&] { may = HeldBytes().Hold(bytes, AtOnce()); }).join();
  return may;
}

TEST(HeldBytes, LittleIsFree) {
  std::vector<HeldBytes> all(1000);
  for (HeldBytes& each : all) {
    EXPECT_TRUE(each.Hold(kFree, AtOnce()));
  }
  EXPECT_EQ(HeldBytes::InUse(), 0U);
}

TEST(HeldBytes, OnlyTheFirstThreadGetsMoreThanThereIs) {
  HeldBytes mine;
  ASSERT_TRUE(mine.Hold(kFree + 2 * kBudget, AtOnce()));
  EXPECT_TRUE(mine.Hold(kFree + 3 * kBudget, AtOnce()));
  EXPECT_EQ(HeldBytes::InUse(), 3 * kBudget);
  HeldBytes another_of_mine;
  EXPECT_TRUE(another_of_mine.Hold(kFree + kMiB, AtOnce()));
  EXPECT_FALSE(MayAnotherHold(kFree + 1));
  EXPECT_TRUE(MayAnotherHold(kFree));
  mine.Release();
  EXPECT_TRUE(MayAnotherHold(kFree + 1));
}

TEST(HeldBytes, GoesWithWhoHasIt) {
  {
    HeldBytes mine;
    ASSERT_TRUE(mine.Hold(kFree + 5 * kMiB, AtOnce()));
    HeldBytes moved = std::move(mine);
    mine = std::move(moved);
    EXPECT_EQ(HeldBytes::InUse(), 5 * kMiB);
  }
  EXPECT_EQ(HeldBytes::InUse(), 0U);
}

// Each of many threads holds, bit by bit, with two holders, most of what there is: were two to wait for each other,
// none would end.
TEST(HeldBytes, NoTwoWaitForEachOther) {
  std::atomic<int> done = 0;
  std::atomic<std::uint64_t> most = 0;
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < 16; ++i) {
      threads.emplace_back([&] {
        HeldBytes one;
        HeldBytes two;
        for (std::uint64_t bytes = kMiB; bytes < kBudget; bytes += kMiB) {
          ASSERT_TRUE(one.Hold(bytes, Soon()));
          ASSERT_TRUE(two.Hold(bytes, Soon()));
          most = std::max(most.load(), HeldBytes::InUse());
          std::this_thread::yield();
        }
        ++done;
      });
    }
  }
  EXPECT_EQ(done, 16);
  EXPECT_EQ(HeldBytes::InUse(), 0U);
  EXPECT_LT(most, 3 * kBudget);  // The others' budget, and all that the first has.
}

TEST(HeldBytes, WhoWaitsGoesOnWhenThereIsRoom) {
  HeldBytes mine;
  ASSERT_TRUE(mine.Hold(kFree + kBudget, AtOnce()));
  std::atomic<bool> begun = false;
  bool got = false;
  std::jthread other([&] {
    HeldBytes others;
    begun = true;
    got = others.Hold(kFree + kBudget, Soon());
  });
  while (!begun) {
    std::this_thread::yield();
  }
  mine.Release();
  other.join();
  EXPECT_TRUE(got);
}

}  // namespace
}  // namespace nbdspec::conformance
