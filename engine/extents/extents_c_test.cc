// SPDX-License-Identifier: BSD-3-Clause
// Tests of the C functions as C++ sees them. The filter of the proposal, in C, is extents_c99_test.c.

#include "engine/extents/extents_c.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "engine/extents/nbdkit_extents_compat.h"

namespace {

constexpr std::uint32_t kData = NBDSPEC_EXTENT_TYPE_DATA;
constexpr std::uint32_t kHole = NBDSPEC_EXTENT_TYPE_HOLE;
constexpr std::uint32_t kZero = NBDSPEC_EXTENT_TYPE_ZERO;
constexpr std::uint32_t kRange = NBDSPEC_EXTENTS_FOREACH_FLAG_RANGE;

using Map = std::unique_ptr<nbdspec_extents_map, decltype(&nbdspec_extents_free)>;
Map New(std::uint64_t size) { return {nbdspec_extents_new(size), nbdspec_extents_free}; }
Map NewOfType(std::uint64_t size, std::uint32_t type) {
  return {nbdspec_extents_new_of_type(size, type), nbdspec_extents_free};
}

using Visited = std::vector<std::tuple<std::uint64_t, std::uint64_t, std::uint32_t>>;  // Offset, length, type.

int Collect(std::uint64_t offset, std::uint64_t length, std::uint32_t type, void* opaque) {
  static_cast<Visited*>(opaque)->emplace_back(offset, length, type);
  return 0;
}

Visited All(const Map& map) {
  Visited visited;
  EXPECT_EQ(nbdspec_extents_foreach(map.get(), Collect, &visited, 0, 0, 0), 0);
  return visited;
}

Visited InRange(const Map& map, std::uint64_t offset, std::uint64_t length) {
  Visited visited;
  EXPECT_EQ(nbdspec_extents_foreach(map.get(), Collect, &visited, kRange, offset, length), 0);
  return visited;
}

int Add(const Map& map, std::uint64_t offset, std::uint64_t length, std::uint32_t type) {
  return nbdspec_extent_add(map.get(), offset, length, type);
}

// What the error callback received since construction.
class ErrorRecorder {
 public:
  ErrorRecorder() {
    nbdspec_extents_set_error_callback(
        [](int error, const char* message, void* opaque) {
          static_cast<ErrorRecorder*>(opaque)->told_.emplace_back(error, message);
          errno = ENOTTY;  // A callback that does I/O may leave anything.
        },
        this);
  }
  ~ErrorRecorder() { nbdspec_extents_set_error_callback(nullptr, nullptr); }
  ErrorRecorder(const ErrorRecorder&) = delete;
  ErrorRecorder& operator=(const ErrorRecorder&) = delete;

  [[nodiscard]] const std::vector<std::pair<int, std::string>>& told() const { return told_; }

 private:
  std::vector<std::pair<int, std::string>> told_;
};

// Runs `call`, which must fail with `error` in errno and one sentence to the callback.
template <typename Call>
void ExpectFails(int error, const Call& call) {
  const ErrorRecorder recorder;
  errno = 0;
  EXPECT_EQ(call(), -1);
  EXPECT_EQ(errno, error);
  ASSERT_EQ(recorder.told().size(), 1U);
  EXPECT_EQ(recorder.told()[0].first, error);
  EXPECT_FALSE(recorder.told()[0].second.empty());
}

int ResultOfNew(std::uint64_t size, std::uint32_t type) { return NewOfType(size, type) == nullptr ? -1 : 0; }

TEST(ExtentsC, ANewMapIsOneHoleOverTheWholeDisk) {
  EXPECT_EQ(All(New(1)), (Visited{{0, 1, kHole}}));
  EXPECT_EQ(All(New(5'000'000'000)), (Visited{{0, 5'000'000'000, kHole}}));
  EXPECT_EQ(All(New(NBDSPEC_EXTENTS_SIZE_MAX)), (Visited{{0, NBDSPEC_EXTENTS_SIZE_MAX, kHole}}));
}

TEST(ExtentsC, ANewMapCanBeDataOrAnyType) {
  for (const std::uint32_t type : {kData, kHole, kZero, kHole | kZero}) {
    EXPECT_EQ(All(NewOfType(100, type)), (Visited{{0, 100, type}}));
  }
}

TEST(ExtentsC, ADiskOfNoBytesHasNoExtents) {
  const Map map = New(0);
  EXPECT_EQ(Add(map, 0, 10, kData), 0);
  EXPECT_EQ(All(map), Visited{});
}

TEST(ExtentsC, AllFourTypesAreKeptApart) {
  const Map map = New(40);
  ASSERT_EQ(Add(map, 0, 10, kData), 0);
  ASSERT_EQ(Add(map, 10, 10, kHole), 0);
  ASSERT_EQ(Add(map, 20, 10, kZero), 0);
  ASSERT_EQ(Add(map, 30, 10, kHole | kZero), 0);
  EXPECT_EQ(All(map), (Visited{{0, 10, kData}, {10, 10, kHole}, {20, 10, kZero}, {30, 10, kHole | kZero}}));
}

TEST(ExtentsC, AddInAnyOrderOverwrites) {
  const Map map = New(100);
  ASSERT_EQ(Add(map, 60, 20, kZero), 0);
  ASSERT_EQ(Add(map, 10, 20, kData), 0);
  ASSERT_EQ(Add(map, 20, 50, kHole | kZero), 0);
  EXPECT_EQ(All(map),
            (Visited{{0, 10, kHole}, {10, 10, kData}, {20, 50, kHole | kZero}, {70, 10, kZero}, {80, 20, kHole}}));
}

TEST(ExtentsC, AddSplitsOneExtentIntoThree) {
  const Map map = New(100);
  ASSERT_EQ(Add(map, 40, 20, kData), 0);
  EXPECT_EQ(All(map), (Visited{{0, 40, kHole}, {40, 20, kData}, {60, 40, kHole}}));
}

TEST(ExtentsC, AddCoalescesWithBothNeighbours) {
  const Map map = New(100);
  ASSERT_EQ(Add(map, 0, 40, kData), 0);
  ASSERT_EQ(Add(map, 60, 40, kData), 0);
  ASSERT_EQ(All(map).size(), 3U);
  ASSERT_EQ(Add(map, 40, 20, kData), 0);
  EXPECT_EQ(All(map), (Visited{{0, 100, kData}}));
}

TEST(ExtentsC, AddOfWhatIsThereAddsNoExtent) {
  const Map map = New(100);
  ASSERT_EQ(Add(map, 40, 20, kHole), 0);
  EXPECT_EQ(All(map), (Visited{{0, 100, kHole}}));
}

TEST(ExtentsC, AddOfLengthZeroChangesNothing) {
  const Map map = New(100);
  for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{50}, std::uint64_t{100}, UINT64_MAX}) {
    EXPECT_EQ(Add(map, offset, 0, kData), 0);
  }
  EXPECT_EQ(All(map), (Visited{{0, 100, kHole}}));
}

TEST(ExtentsC, ThePartOutsideTheDiskIsIgnored) {
  const Map map = New(100);
  EXPECT_EQ(Add(map, 90, 1000, kData), 0);
  EXPECT_EQ(Add(map, 100, 5, kZero), 0);
  EXPECT_EQ(Add(map, UINT64_MAX, 0, kZero), 0);
  EXPECT_EQ(Add(map, UINT64_MAX - 5, 5, kZero), 0);
  EXPECT_EQ(All(map), (Visited{{0, 90, kHole}, {90, 10, kData}}));
}

TEST(ExtentsC, ClearGoesBackToTheInitialType) {
  for (const std::uint32_t type : {kData, kHole, kZero, kHole | kZero}) {
    const Map map = NewOfType(100, type);
    ASSERT_EQ(Add(map, 10, 10, type ^ kZero), 0);
    ASSERT_EQ(All(map).size(), 3U);
    EXPECT_EQ(nbdspec_extents_clear(map.get()), 0);
    EXPECT_EQ(All(map), (Visited{{0, 100, type}}));
  }
}

TEST(ExtentsC, FreeOfNullDoesNothing) {
  errno = 0;
  nbdspec_extents_free(nullptr);
  EXPECT_EQ(errno, 0);
}

TEST(ExtentsC, MapsAreIndependent) {
  const Map one = New(100);
  const Map other = New(100);
  ASSERT_EQ(Add(one, 0, 100, kData), 0);
  EXPECT_EQ(All(other), (Visited{{0, 100, kHole}}));
}

TEST(ExtentsC, ForeachGoesUpInOffsetWithoutGapsAndClipsToItsBounds) {
  const Map map = New(100);
  ASSERT_EQ(Add(map, 60, 20, kZero), 0);
  ASSERT_EQ(Add(map, 20, 20, kData), 0);
  EXPECT_EQ(InRange(map, 0, 100), All(map));
  EXPECT_EQ(InRange(map, 30, 35), (Visited{{30, 10, kData}, {40, 20, kHole}, {60, 5, kZero}}));
  EXPECT_EQ(InRange(map, 39, 1), (Visited{{39, 1, kData}}));
  EXPECT_EQ(InRange(map, 40, 1), (Visited{{40, 1, kHole}}));
}

TEST(ExtentsC, ForeachOfLengthMinusOneGoesToTheEnd) {
  const Map map = New(100);
  ASSERT_EQ(Add(map, 60, 20, kZero), 0);
  EXPECT_EQ(InRange(map, 70, static_cast<std::uint64_t>(-1)), (Visited{{70, 10, kZero}, {80, 20, kHole}}));
  EXPECT_EQ(InRange(map, 0, static_cast<std::uint64_t>(-1)), All(map));
  EXPECT_EQ(InRange(map, UINT64_MAX, static_cast<std::uint64_t>(-1)), Visited{});
}

TEST(ExtentsC, ForeachOfAnEmptyRangeOrOutsideTheDiskVisitsNothing) {
  const Map map = New(100);
  EXPECT_EQ(InRange(map, 10, 0), Visited{});
  EXPECT_EQ(InRange(map, 100, 10), Visited{});
  EXPECT_EQ(InRange(map, UINT64_MAX - 10, 10), Visited{});
  EXPECT_EQ(InRange(map, 90, 1000), (Visited{{90, 10, kHole}}));
}

TEST(ExtentsC, ForeachWithoutTheRangeFlagIgnoresTheRange) {
  const Map map = New(100);
  Visited visited;
  EXPECT_EQ(nbdspec_extents_foreach(map.get(), Collect, &visited, 0, UINT64_MAX, UINT64_MAX - 1), 0);
  EXPECT_EQ(visited, (Visited{{0, 100, kHole}}));
}

TEST(ExtentsC, ForeachEndsAtTheFirstFailureWithItsErrno) {
  const Map map = New(100);
  ASSERT_EQ(Add(map, 20, 20, kData), 0);
  ASSERT_EQ(Add(map, 60, 20, kData), 0);
  const ErrorRecorder recorder;
  for (const int failure : {-1, 1}) {
    struct {
      int calls = 0;
      int result = 0;
    } state{.result = failure};
    const auto fail_the_third = [](std::uint64_t, std::uint64_t, std::uint32_t, void* opaque) {
      auto* seen = static_cast<decltype(state)*>(opaque);
      errno = EXDEV;
      return ++seen->calls == 3 ? seen->result : 0;
    };
    errno = 0;
    EXPECT_EQ(nbdspec_extents_foreach(map.get(), fail_the_third, &state, 0, 0, 0), -1);
    EXPECT_EQ(errno, EXDEV);
    EXPECT_EQ(state.calls, 3);
  }
  EXPECT_TRUE(recorder.told().empty()) << "a callback speaks for itself";
}

TEST(ExtentsC, ACallbackMayWalkButNotChangeTheMapItIsCalledFor) {
  const Map map = New(100);
  const ErrorRecorder recorder;
  const auto change = [](std::uint64_t, std::uint64_t, std::uint32_t, void* opaque) {
    auto* walked = static_cast<nbdspec_extents_map*>(opaque);
    Visited visited;
    EXPECT_EQ(nbdspec_extents_foreach(walked, Collect, &visited, 0, 0, 0), 0);
    EXPECT_EQ(visited.size(), 1U);
    EXPECT_EQ(nbdspec_extents_clear(walked), -1);
    EXPECT_EQ(errno, EBUSY);
    return nbdspec_extent_add(walked, 0, 1, NBDSPEC_EXTENT_TYPE_DATA);
  };
  EXPECT_EQ(nbdspec_extents_foreach(map.get(), change, map.get(), 0, 0, 0), -1);
  EXPECT_EQ(errno, EBUSY);
  EXPECT_EQ(recorder.told().size(), 2U);
  EXPECT_EQ(All(map), (Visited{{0, 100, kHole}}));
  EXPECT_EQ(Add(map, 0, 100, kData), 0) << "a walk that is over holds nothing up";
}

TEST(ExtentsC, NewRefusesTooLargeSizesAndUnknownTypes) {
  ExpectFails(ERANGE, [] { return ResultOfNew(NBDSPEC_EXTENTS_SIZE_MAX + 1, kHole); });
  ExpectFails(ERANGE, [] { return ResultOfNew(UINT64_MAX, kData); });
  ExpectFails(EINVAL, [] { return ResultOfNew(100, 4); });
  ExpectFails(EINVAL, [] { return ResultOfNew(100, 256); });
  ExpectFails(ERANGE, [] { return New(UINT64_MAX) == nullptr ? -1 : 0; });
}

TEST(ExtentsC, AddRefusesUnknownTypeBitsAndRangesThatWrap) {
  const Map map = New(100);
  for (const std::uint32_t type : {4U, 7U, 256U, 257U, 1U << 31, UINT32_MAX}) {
    ExpectFails(EINVAL, [&] { return Add(map, 0, 10, type); });
    ExpectFails(EINVAL, [&] { return Add(map, 0, 0, type); });
  }
  ExpectFails(ERANGE, [&] { return Add(map, 1, UINT64_MAX, kData); });
  ExpectFails(ERANGE, [&] { return Add(map, UINT64_MAX, 1, kData); });
  EXPECT_EQ(All(map), (Visited{{0, 100, kHole}}));
}

TEST(ExtentsC, ForeachRefusesUnknownFlagsAndRangesThatWrap) {
  const Map map = New(100);
  const auto walk = [&](std::uint32_t flags, std::uint64_t offset, std::uint64_t length) {
    Visited visited;
    const int result = nbdspec_extents_foreach(map.get(), Collect, &visited, flags, offset, length);
    EXPECT_TRUE(visited.empty());
    return result;
  };
  ExpectFails(EINVAL, [&] { return walk(2, 0, 10); });
  ExpectFails(EINVAL, [&] { return walk(kRange | (1U << 31), 0, 10); });
  ExpectFails(ERANGE, [&] { return walk(kRange, 2, UINT64_MAX - 1); });
  ExpectFails(ERANGE, [&] { return walk(kRange, UINT64_MAX, 1); });
}

TEST(ExtentsC, NullIsAnErrorAndNeverACrash) {
  const Map map = New(100);
  Visited visited;
  ExpectFails(EINVAL, [] { return nbdspec_extent_add(nullptr, 0, 1, kData); });
  ExpectFails(EINVAL, [] { return nbdspec_extents_clear(nullptr); });
  ExpectFails(EINVAL, [&] { return nbdspec_extents_foreach(nullptr, Collect, &visited, 0, 0, 0); });
  ExpectFails(EINVAL, [&] { return nbdspec_extents_foreach(map.get(), nullptr, &visited, 0, 0, 0); });
  EXPECT_TRUE(visited.empty());
}

TEST(ExtentsC, WithoutAnErrorCallbackErrnoHasTheError) {
  nbdspec_extents_set_error_callback(nullptr, nullptr);
  const Map map = New(100);
  errno = 0;
  EXPECT_EQ(Add(map, 0, 10, 4), -1);
  EXPECT_EQ(errno, EINVAL);
}

// No clock: were Add or a bounded foreach linear, this would not end within the time that Bazel gives a small test.
TEST(ExtentsC, AHalfMillionExtentsInAHostileOrderAreNoTrouble) {
  constexpr std::uint64_t kAdds = 1 << 18;
  const Map map = New(2 * kAdds);
  std::uint64_t at = 0;
  for (std::uint64_t i = 0; i < kAdds; ++i) {
    at = (at + 104'729) % kAdds;  // Prime, so that every place comes once, far from the one before.
    ASSERT_EQ(Add(map, 2 * at, 1, kData), 0);
  }
  for (std::uint64_t i = 0; i < kAdds; ++i) {
    at = (at + 104'729) % kAdds;
    ASSERT_EQ(InRange(map, 2 * at, 2), (Visited{{2 * at, 1, kData}, {2 * at + 1, 1, kHole}}));
  }
  EXPECT_EQ(All(map).size(), 2 * kAdds);
}

TEST(ExtentsC, TheProposalsMapIsOneHoleWithRoomForAnyDisk) {
  const Map map(nbdkit_extents_new(), nbdkit_extents_free);
  EXPECT_EQ(All(map), (Visited{{0, NBDSPEC_EXTENTS_SIZE_MAX, NBDKIT_EXTENT_TYPE_HOLE}}));
  EXPECT_EQ(nbdkit_extent_add(map.get(), INT64_MAX - 1, 1, NBDKIT_EXTENT_TYPE_DATA), 0);
  EXPECT_EQ(InRange(map, INT64_MAX - 1, static_cast<std::uint64_t>(-1)), (Visited{{INT64_MAX - 1, 1, kData}}));
}

}  // namespace
