// SPDX-License-Identifier: BSD-3-Clause
#include "engine/storage/volatile_disk.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <span>
#include <vector>

namespace nbdspec::engine {
namespace {

constexpr std::uint64_t kSize = 4 * VolatileDisk::kSectorBytes;
using Keeps = PowerCut::Keeps;

// What stands in sector `sector`, all of whose bytes are equal; -1 if they are not.
int In(VolatileDisk& disk, std::uint64_t sector) {
  Bytes bytes(VolatileDisk::kSectorBytes);
  EXPECT_TRUE(disk.Read(sector * bytes.size(), bytes));
  return bytes == Bytes(bytes.size(), bytes[0]) ? bytes[0] : -1;
}

std::vector<int> All(VolatileDisk& disk) { return {In(disk, 0), In(disk, 1), In(disk, 2), In(disk, 3)}; }

void Put(VolatileDisk& disk, std::uint64_t sector, std::uint64_t count, std::uint8_t byte) {
  EXPECT_TRUE(disk.Write(sector * VolatileDisk::kSectorBytes, Bytes(count * VolatileDisk::kSectorBytes, byte)));
}

ByteRange Sectors(std::uint64_t begin, std::uint64_t end) {
  return {.begin = begin * VolatileDisk::kSectorBytes, .end = end * VolatileDisk::kSectorBytes};
}

// 1 1 0 0, durable; then 0 2 2 0 and 0 0 0 3, which are not.
VolatileDisk Example() {
  VolatileDisk disk(kSize);
  Put(disk, 0, 2, 1);
  EXPECT_TRUE(disk.Flush());
  Put(disk, 1, 2, 2);
  EXPECT_TRUE(disk.WriteZeroes(Sectors(0, 1), true));
  Put(disk, 3, 1, 3);
  return disk;
}

TEST(VolatileDisk, ReadsWhatWasWrittenBeforeAnyFlush) {
  VolatileDisk disk = Example();
  EXPECT_EQ(All(disk), (std::vector{0, 2, 2, 3}));
  EXPECT_EQ(disk.volatile_count(), 3U);
}

TEST(VolatileDisk, NotesWhatCame) {
  using Kind = DiskOperation::Kind;
  VolatileDisk disk(kSize);
  Put(disk, 1, 2, 2);
  EXPECT_TRUE(disk.WriteZeroes(Sectors(0, 1), true));
  EXPECT_TRUE(disk.WriteZeroes(Sectors(0, 2), false));
  EXPECT_TRUE(disk.Trim(Sectors(3, 4)));
  EXPECT_EQ(In(disk, 2), 2);
  EXPECT_TRUE(disk.Persist(Sectors(1, 2)));
  EXPECT_TRUE(disk.Flush());
  EXPECT_EQ(disk.TakeOperations(), (std::vector<DiskOperation>{{.kind = Kind::kWrite, .range = Sectors(1, 3)},
                                                               {.kind = Kind::kPunch, .range = Sectors(0, 1)},
                                                               {.kind = Kind::kZero, .range = Sectors(0, 2)},
                                                               {.kind = Kind::kTrim, .range = Sectors(3, 4)},
                                                               {.kind = Kind::kRead, .range = Sectors(2, 3)},
                                                               {.kind = Kind::kPersist, .range = Sectors(1, 2)},
                                                               {.kind = Kind::kFlush, .range = Sectors(0, 4)}}));
  EXPECT_TRUE(disk.TakeOperations().empty());
  for (std::size_t i = 0; i < 2 * VolatileDisk::kOperationsMax; ++i) {
    EXPECT_TRUE(disk.Flush());
  }
  EXPECT_EQ(disk.TakeOperations().size(), VolatileDisk::kOperationsMax);
}

TEST(VolatileDisk, KeepsWhatTheCutSays) {
  const auto after = [](const PowerCut& cut) {
    VolatileDisk disk = Example();
    disk.Cut(cut);
    EXPECT_EQ(disk.volatile_count(), 0U);
    return All(disk);
  };
  EXPECT_EQ(after({.keeps = Keeps::kNothing}), (std::vector{1, 1, 0, 0}));
  EXPECT_EQ(after({.keeps = Keeps::kEverything}), (std::vector{0, 2, 2, 3}));
  EXPECT_EQ(after({.keeps = Keeps::kOnlyOne, .one = 0}), (std::vector{1, 2, 2, 0}));
  EXPECT_EQ(after({.keeps = Keeps::kOnlyOne, .one = 1}), (std::vector{0, 1, 0, 0}));
  EXPECT_EQ(after({.keeps = Keeps::kAllButOne, .one = 2}), (std::vector{0, 2, 2, 0}));
  EXPECT_EQ(after({.keeps = Keeps::kAllButOne, .one = 3}), (std::vector{0, 1, 0, 3})) << "the first again";
}

TEST(VolatileDisk, ChosenCutsAndTearsReachEveryOutcomeAndNoOther) {
  std::set<std::vector<int>> some;
  std::set<std::vector<int>> torn;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    VolatileDisk disk = Example();
    disk.Cut({.keeps = Keeps::kSome, .seed = seed});
    some.insert(All(disk));
    VolatileDisk other = Example();
    other.Cut({.keeps = Keeps::kSome, .seed = seed, .tears = true});
    torn.insert(All(other));
  }
  EXPECT_EQ(some.size(), 8U);   // Each of three changes, kept or lost.
  EXPECT_EQ(torn.size(), 16U);  // Each of four sectors.
}

TEST(VolatileDisk, PersistMakesItsRangeDurableAndNothingElse) {
  VolatileDisk disk = Example();
  EXPECT_TRUE(disk.Persist(Sectors(2, 3)));
  EXPECT_EQ(All(disk), (std::vector{0, 2, 2, 3}));
  disk.Cut({.keeps = Keeps::kNothing});
  EXPECT_EQ(All(disk), (std::vector{1, 1, 2, 0}));
}

TEST(VolatileDisk, FailsWhatItIsToldToFailAndAsOftenAsThat) {
  VolatileDisk disk = Example();
  disk.Fail(DiskFailure{.operations = DiskFailure::kWrites,
                        .error = 5,
                        .succeed_first = 1,
                        .count = 1,
                        .bytes_done = VolatileDisk::kSectorBytes});
  Put(disk, 0, 1, 7);
  EXPECT_EQ(disk.Write(0, Bytes(2 * VolatileDisk::kSectorBytes, 8)).error(), 5U);
  EXPECT_EQ(All(disk), (std::vector{8, 2, 2, 3}));
  EXPECT_EQ(disk.failed_count(), 1U);
  Put(disk, 0, 2, 9);
  EXPECT_EQ(All(disk), (std::vector{9, 9, 2, 3}));

  disk.Fail(DiskFailure{.operations = DiskFailure::kFlushes, .error = 28});
  EXPECT_EQ(disk.Flush().error(), 28U);
  EXPECT_EQ(disk.Persist(Sectors(0, 1)).error(), 28U);
  EXPECT_EQ(disk.failed_count(), 2U);
  disk.Fail({});
  disk.Cut({});
  EXPECT_EQ(All(disk), (std::vector{1, 1, 0, 0})) << "what failed to become durable is lost";
}

TEST(VolatileDisk, LosesForGoodWhatAFlushFailedFor) {
  for (const bool loses : {false, true}) {
    VolatileDisk disk = Example();
    disk.Fail(DiskFailure{.operations = DiskFailure::kFlushes, .error = 5, .count = 1, .loses = loses});
    EXPECT_EQ(disk.Persist(Sectors(1, 3)).error(), 5U);
    EXPECT_EQ(All(disk), (std::vector{0, 2, 2, 3})) << "it can still be read";
    EXPECT_TRUE(disk.Flush());
    disk.Cut({});
    EXPECT_EQ(All(disk), loses ? (std::vector{0, 1, 0, 3}) : (std::vector{0, 2, 2, 3}));
  }
}

TEST(VolatileDisk, MakesTheOldestDurableWhenItsCacheIsFull) {
  VolatileDisk disk(kExportBytesMax);
  const Bytes megabyte(1 << 20, 1);
  for (std::uint64_t i = 0; i <= VolatileDisk::kVolatileBytesMax / megabyte.size(); ++i) {
    EXPECT_TRUE(disk.Write(i << 20, megabyte));
  }
  disk.Cut({.keeps = Keeps::kNothing});
  EXPECT_EQ(In(disk, 0), 1);
  EXPECT_EQ(In(disk, VolatileDisk::kVolatileBytesMax / VolatileDisk::kSectorBytes), 0);
}

// Bytes at the far end of the largest disk, zeroed in one request.
TEST(VolatileDisk, TakesMemoryForWhatWasWrittenAlone) {
  VolatileDisk disk(kExportBytesMax);
  EXPECT_TRUE(disk.Write(kExportBytesMax - 3, Bytes{1, 2, 3}));
  EXPECT_TRUE(disk.WriteZeroes({.begin = 10, .end = kExportBytesMax - 2}, false));
  Bytes bytes(3);
  EXPECT_TRUE(disk.Read(kExportBytesMax - 3, bytes));
  EXPECT_EQ(bytes, (Bytes{0, 2, 3}));
}

// Against a disk that is two arrays and a list, over random calls.
TEST(VolatileDisk, AgreesWithAnArrayOfBytes) {
  std::mt19937_64 random(1);
  constexpr std::uint64_t kBytes = 3 * SparseBytes::kPageBytes;
  for (int round = 0; round < 200; ++round) {
    VolatileDisk disk(kBytes);
    Bytes now(kBytes);
    Bytes durable(kBytes);
    for (int step = 0; step < 40; ++step) {
      const std::uint64_t begin = random() % kBytes;
      const ByteRange range = {.begin = begin, .end = begin + random() % (kBytes - begin + 1)};
      const auto here = [&](Bytes& bytes) { return std::span(bytes).subspan(range.begin, range.length()); };
      switch (random() % 5) {
        case 0: {
          const Bytes data(range.length(), static_cast<std::uint8_t>(random()));
          EXPECT_TRUE(disk.Write(range.begin, data));
          std::ranges::copy(data, here(now).begin());
          break;
        }
        case 1:
          EXPECT_TRUE(disk.WriteZeroes(range, true));
          std::ranges::fill(here(now), std::uint8_t{0});
          break;
        case 2:
          EXPECT_TRUE(disk.Persist(range));
          std::ranges::copy(here(now), here(durable).begin());
          break;
        case 3:
          EXPECT_TRUE(disk.Flush());
          durable = now;
          break;
        default:
          disk.Cut({.keeps = Keeps::kNothing});
          now = durable;
      }
      Bytes read(kBytes);
      EXPECT_TRUE(disk.Read(0, read));
      ASSERT_EQ(read, now) << "round " << round << " step " << step;
    }
  }
}

// A zero claim is true also after a cut that brought data back.
TEST(VolatileDisk, ExtentsAreTrueAfterACut) {
  VolatileDisk disk = Example();
  EXPECT_TRUE(disk.WriteZeroes(Sectors(0, 4), true));
  disk.Cut({.keeps = Keeps::kNothing});
  const auto extents = AskExtents(disk, {.range = {.begin = 0, .end = kSize}});
  ASSERT_TRUE(extents);
  extents->ForEach(extents->range(), [](Extent extent) {
    EXPECT_FALSE(IsZero(extent.type) && extent.range.begin < Sectors(0, 2).end);
    return true;
  });
}

}  // namespace
}  // namespace nbdspec::engine
