// SPDX-License-Identifier: BSD-3-Clause
// The tree against one cell per slot, with the real shape and a very small one: every event, every height up to 4.

#include "engine/extents/boundary_tree.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/extents/boundary_leaf.h"
#include "engine/extents/small_shape.h"

namespace nbdspec::engine {
namespace {

// What offsets look like: how far apart the slots are decides how leaves encode them.
enum class Spacing : std::uint8_t { kBytes, kBlocks, kAnyWidth, kFewFar, kPast32Bits };
constexpr Spacing kSpacings[] = {Spacing::kBytes, Spacing::kBlocks, Spacing::kAnyWidth, Spacing::kFewFar,
                                 Spacing::kPast32Bits};

// A tree and one cell per slot, taken through the same overwrites.
template <typename Shape>
class Both {
 public:
  Both(std::uint64_t seed, std::size_t slots, Spacing spacing)
      : random_(seed), offsets_(OffsetsOf(slots, spacing)), cells_(slots, kInitial), tree_(offsets_.back(), kInitial) {}

  // A range of at most `length_max` slots.
  void SetSomewhere(std::size_t length_max) {
    const std::size_t begin = random_() % cells_.size();
    Set(begin, std::min(cells_.size(), begin + 1 + random_() % length_max));
  }

  void Set(std::size_t begin, std::size_t end) {
    const auto state = static_cast<std::uint8_t>(random_() % 4);
    ASSERT_TRUE(tree_.Append(offsets_[begin], offsets_[end], state) ||
                tree_.Set(offsets_[begin], offsets_[end], state));
    std::fill(cells_.begin() + static_cast<std::ptrdiff_t>(begin), cells_.begin() + static_cast<std::ptrdiff_t>(end),
              state);
    tree_.CheckInvariants();
    height_max_ = std::max(height_max_, tree_.height());
  }

  // Everything in a window, and one lookup.
  void Compare() {
    const std::size_t begin = random_() % cells_.size();
    const std::size_t end = begin + 1 + random_() % (cells_.size() - begin);
    std::size_t here = begin;
    EXPECT_TRUE(tree_.ForEach(offsets_[begin], offsets_[end], [&](auto from, auto to, auto state) {
      const std::size_t run_end = std::min(end, RunEnd(here));
      EXPECT_EQ(from, offsets_[here]);
      EXPECT_EQ(to, offsets_[run_end]);
      EXPECT_EQ(state, cells_[here]);
      here = run_end;
      return !testing::Test::HasFailure();
    }));
    EXPECT_EQ(here, end);
    const auto run = tree_.FindRun(offsets_[begin]);
    EXPECT_EQ(run.end, offsets_[RunEnd(begin)]);
    EXPECT_EQ(run.state, cells_[begin]);
    EXPECT_LE(run.begin, offsets_[begin]);
    EXPECT_TRUE(run.begin == 0 || tree_.FindRun(run.begin - 1).state != run.state);
  }

  void CompareCopy() {
    BoundaryTree<Shape> copy(tree_.size(), 0);
    ASSERT_TRUE(copy.CopyFrom(tree_));
    copy.CheckInvariants();
    std::swap(copy, tree_);  // What follows is done to the copy, which was moved twice.
    tree_.CheckInvariants();
  }

  [[nodiscard]] unsigned height_max() const { return height_max_; }
  [[nodiscard]] std::size_t slots() const { return cells_.size(); }

 private:
  static constexpr std::uint8_t kInitial = 1;

  std::vector<std::uint64_t> OffsetsOf(std::size_t slots, Spacing spacing) {
    std::vector<std::uint64_t> offsets = {0};
    while (offsets.size() <= slots) {
      offsets.push_back(offsets.back() + Gap(spacing));
    }
    return offsets;
  }

  std::uint64_t Gap(Spacing spacing) {
    switch (spacing) {
      case Spacing::kBytes:
        return 1;
      case Spacing::kBlocks:
        return 4096;
      case Spacing::kAnyWidth:
        return std::uint64_t{1} << random_() % 44;
      case Spacing::kFewFar:
        return random_() % 100 == 0 ? (std::uint64_t{1} << 40) + 1 : 1 + random_() % 100;
      case Spacing::kPast32Bits:
        return (std::uint64_t{1} << 32) - 2 + random_() % 4;
    }
    return 1;
  }

  [[nodiscard]] std::size_t RunEnd(std::size_t slot) const {
    const auto here = cells_.begin() + static_cast<std::ptrdiff_t>(slot);
    return static_cast<std::size_t>(std::find_if(here, cells_.end(), [&](auto cell) { return cell != *here; }) -
                                    cells_.begin());
  }

  std::minstd_rand random_;
  std::vector<std::uint64_t> offsets_;
  std::vector<std::uint8_t> cells_;
  BoundaryTree<Shape> tree_;
  unsigned height_max_ = 0;
};

// Overwrites of all kinds: small ones anywhere, in ascending order, and now and then most of the map.
template <typename Shape>
unsigned RunRandom(std::uint64_t seed, std::size_t slots, int steps) {
  unsigned height_max = 0;
  for (const Spacing spacing : kSpacings) {
    Both<Shape> both(seed, slots, spacing);
    for (int i = 0; i < steps && !testing::Test::HasFailure(); ++i) {
      if (i % 3 == 0) {
        const std::size_t slot = static_cast<std::size_t>(i / 3) % slots;
        both.Set(slot, slot + 1);
      } else {
        both.SetSomewhere(i % 1700 == 1 ? slots : i % 150 == 1 ? slots / 16 : 4);
      }
      if (i == steps / 2) {
        both.Set(0, slots);
      }
      if (i % 8 == 0) {
        both.Compare();
      }
      if (i % 400 == 0) {
        both.CompareCopy();
      }
    }
    height_max = std::max(height_max, both.height_max());
  }
  return height_max;
}

TEST(BoundaryTree, SmallNodesAgreeWithCellsThroughEveryEventAndHeight) {
  tree_event_counts = {};
  unsigned height_max = 0;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    height_max = std::max(height_max, RunRandom<SmallShape>(seed, 20 + 60 * seed, 4000));
  }
  EXPECT_GE(height_max, 5U);
  for (std::size_t event = 0; event < tree_event_counts.size(); ++event) {
    EXPECT_GT(tree_event_counts[event], 0U) << "event " << event << " of TreeEvent never happened";
  }
}

TEST(BoundaryTree, RealNodesAgreeWithCells) {
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    EXPECT_GE(RunRandom<CountedShape>(seed, 20'000, 15'000), 2U);
  }
}

TEST(BoundaryTree, RealNodesGetFourLevelsHighAndBackThroughEveryEvent) {
  tree_event_counts = {};
  constexpr std::uint64_t kCount = 140'000;
  constexpr std::uint64_t kStride = 10;
  BoundaryTree<CountedShape> tree(kCount * kStride, 0);
  // Descending order splits every node in halves, so that few boundaries make a high tree.
  for (std::uint64_t i = kCount; i > 0; --i) {
    ASSERT_TRUE(tree.Set((i - 1) * kStride + 3, (i - 1) * kStride + 5, 1));
  }
  tree.CheckInvariants();
  EXPECT_EQ(tree.height(), 3U);
  EXPECT_EQ(tree.boundary_count(), 2 * kCount + 1);
  std::uint64_t runs = 0;
  tree.ForEach(0, tree.size(), [&runs](auto, auto, auto) { return ++runs != 0; });
  EXPECT_EQ(runs, tree.boundary_count());
  // Holes of a growing width: leaves, inner nodes and whole subtrees go.
  for (std::uint64_t width = kStride; width < tree.size(); width *= 4) {
    for (std::uint64_t at = width; at + width < tree.size() && at < 40 * width; at += 3 * width) {
      ASSERT_TRUE(tree.Set(at, at + width, 2));
    }
    tree.CheckInvariants();
  }
  ASSERT_TRUE(tree.Set(0, tree.size(), 3));
  tree.CheckInvariants();
  EXPECT_EQ(tree.height(), 0U);
  EXPECT_EQ(tree.boundary_count(), 1U);
}

TEST(BoundaryTree, AppendingFillsLeavesAndIsFoundByEveryQuery) {
  constexpr std::uint64_t kCount = 100'000;
  BoundaryTree<CountedShape> tree(kCount * 512 + 1, 1);
  for (std::uint64_t i = 0; i < kCount; ++i) {
    const auto state = static_cast<std::uint8_t>(i % 2 * 2);
    ASSERT_TRUE(tree.Append(i * 512, (i + 1) * 512, state) || tree.Set(i * 512, (i + 1) * 512, state));
  }
  tree.CheckInvariants();
  EXPECT_EQ(tree.boundary_count(), kCount + 1);
  for (std::uint64_t i = 0; i < kCount; ++i) {
    const auto run = tree.FindRun(i * 512 + i % 512);
    ASSERT_EQ(run.begin, i * 512);
    ASSERT_EQ(run.end, (i + 1) * 512);
    ASSERT_EQ(run.state, i % 2 * 2);
  }
}

template <typename Key, unsigned kPerLine>
void ExpectCountsAreNaive() {
  std::minstd_rand random(1);
  for (int round = 0; round < 10'000; ++round) {
    std::vector<Key> keys(kPerLine);
    const unsigned bits = 1 + static_cast<unsigned>(random()) % (sizeof(Key) * 8);
    for (Key& key : keys) {
      key = static_cast<Key>((std::uint64_t{random()} << 33 ^ random()) >> (64 - bits));
    }
    std::ranges::sort(keys);
    const Key bound = round % 2 == 0 ? keys[random() % kPerLine] : static_cast<Key>(random());
    const auto below = std::ranges::count_if(keys, [bound](Key key) { return key < bound; });
    ASSERT_EQ((CountBelowInLine<kPerLine, Key>(keys.data(), bound)), below);
  }
}

TEST(BoundaryLeaf, ALineIsSearchedAsALoopWouldForAnyNumbers) {
  ExpectCountsAreNaive<std::uint32_t, 16>();
  ExpectCountsAreNaive<std::uint64_t, 8>();
  ExpectCountsAreNaive<std::uint32_t, 2>();
}

TEST(BoundaryLeaf, TheEncodingIsWideOnlyWhereNarrowCannotBe) {
  using Leaf = BoundaryLeaf<CountedShape>;
  constexpr std::uint64_t k4G = std::uint64_t{1} << 32;
  const auto is_wide = [](std::initializer_list<std::uint64_t> keys) {
    std::vector<Boundary> boundaries;
    for (const std::uint64_t key : keys) {
      boundaries.push_back({.key = key, .state = static_cast<std::uint8_t>(boundaries.size() % 2)});
    }
    Leaf leaf;
    leaf.Encode(boundaries);
    leaf.CheckInvariants();
    for (unsigned i = 0; i < leaf.count(); ++i) {
      EXPECT_EQ(leaf.KeyAt(i), boundaries[i].key);
    }
    return leaf.is_wide();
  };
  EXPECT_FALSE(is_wide({7}));
  EXPECT_FALSE(is_wide({7, 7 + k4G - 2}));
  EXPECT_TRUE(is_wide({7, 7 + k4G - 1})) << "the last delta is what free slots hold";
  EXPECT_FALSE(is_wide({7, 7 + k4G}));
  EXPECT_TRUE(is_wide({7, 8, 7 + k4G}));
  EXPECT_FALSE(is_wide({1, 1 + (k4G << 30)}));
  EXPECT_TRUE(is_wide({0, 1, ~std::uint64_t{0} >> 1}));
}

}  // namespace
}  // namespace nbdspec::engine
