// SPDX-License-Identifier: BSD-3-Clause
// Every script of up to 3 steps on every export of up to 6 bytes: ExtentMap answers as BitmapOracle does.
//
// A step is an Add of any range that begins at most at the size and ends at most one byte after it, with any type, or
// a Clear. Scripts that begin alike share the work: the map is cloned where they part. And two scripts that lead to
// the same cells lead on to the same, if the map's representation depends on nothing but the cells; extent_count
// and CheckInvariants see to that. So steps are tried once per reachable set of cells and depth, which is still
// every transition, and everything is compared after each.

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "engine/extents/extent_map.h"
#include "engine/oracle/oracles.h"

namespace nbdspec::engine {
namespace {

constexpr std::uint64_t kSizeMax = 6;
constexpr int kStepsMax = 3;

// The type of each byte.
using Cells = std::array<std::uint8_t, kSizeMax>;

using Answers = std::vector<std::vector<Extent>>;

Cells CellsOf(const BitmapOracle& oracle) {
  Cells cells = {};
  for (std::uint64_t byte = 0; byte < oracle.size(); ++byte) {
    cells[byte] = static_cast<std::uint8_t>(oracle.TypeAt(byte));
  }
  return cells;
}

class Exhaustive {
 public:
  Exhaustive(std::uint64_t size, ExtentType initial) : size_(size), initial_(initial) {}

  // Returns how many transitions it compared.
  std::uint64_t Run() {
    const ExtentMap map(size_, initial_);
    const BitmapOracle oracle(size_, initial_);
    Compare(map, oracle);
    Explore(map, oracle, kStepsMax);
    return compared_;
  }

 private:
  // Tries every step on the map, and every script of one step fewer on its result.
  void Explore(const ExtentMap& map, const BitmapOracle& oracle, int steps_left) {
    if (testing::Test::HasFailure() ||
        !explored_[static_cast<std::size_t>(steps_left)].insert(CellsOf(oracle)).second) {
      return;
    }
    for (std::uint64_t offset = 0; offset <= size_; ++offset) {
      for (std::uint64_t length = 0; offset + length <= size_ + 1; ++length) {
        for (std::uint8_t type = 0; type < kExtentTypeCount; ++type) {
          Add(map, oracle, {.offset = offset, .length = length}, static_cast<ExtentType>(type), steps_left);
        }
      }
    }
    auto cleared = map.Clone();
    BitmapOracle cleared_oracle = oracle;
    ASSERT_TRUE(cleared);
    cleared->Clear();
    cleared_oracle.Clear();
    After(*cleared, cleared_oracle, "clear", steps_left);
  }

  void Add(const ExtentMap& map, const BitmapOracle& oracle, ByteRange::OffsetAndLength range, ExtentType type,
           int steps_left) {
    auto next = map.Clone();
    BitmapOracle next_oracle = oracle;
    ASSERT_TRUE(next);
    ASSERT_EQ(next->Add(range.offset, range.length, type), next_oracle.Add(range.offset, range.length, type));
    After(*next, next_oracle,
          "add " + std::to_string(range.offset) + " +" + std::to_string(range.length) + " type " +
              std::to_string(static_cast<int>(type)),
          steps_left);
  }

  void After(const ExtentMap& map, const BitmapOracle& oracle, const std::string& step, int steps_left) {
    script_.push_back(step);
    Compare(map, oracle);
    if (steps_left > 1) {
      Explore(map, oracle, steps_left - 1);
    }
    script_.pop_back();
  }

  // Every question the map answers.
  void Compare(const ExtentMap& map, const BitmapOracle& oracle) {
    ++compared_;
    map.CheckInvariants();
    const Answers& expected = AnswersOf(oracle);
    auto of_bounds = expected.begin();
    for (std::uint64_t begin = 0; begin <= size_ + 1; ++begin) {
      for (std::uint64_t end = begin; end <= size_ + 2; ++end) {
        visited_.clear();
        const bool has_ended = map.ForEach({.begin = begin, .end = end}, [this](Extent extent) {
          visited_.push_back(extent);
          return true;
        });
        ASSERT_TRUE(has_ended && visited_ == *of_bounds) << Script() << "foreach " << begin << " +" << end - begin;
        ++of_bounds;
      }
    }
    const std::vector<Extent>& extents = expected.back();
    ASSERT_EQ(map.extent_count(), extents.size()) << Script();
    for (const Extent& extent : extents) {
      for (std::uint64_t offset = extent.range.begin; offset < extent.range.end; ++offset) {
        ASSERT_EQ(map.Lookup(offset), extent) << Script() << "lookup " << offset;
      }
    }
  }

  // The oracle's answers for all bounds that Compare asks for, in that order, and for the whole. Cached, because many
  // scripts lead to the same cells.
  const Answers& AnswersOf(const BitmapOracle& oracle) {
    Answers& answers = answers_[CellsOf(oracle)];
    if (answers.empty()) {
      for (std::uint64_t begin = 0; begin <= size_ + 1; ++begin) {
        for (std::uint64_t end = begin; end <= size_ + 2; ++end) {
          answers.push_back(oracle.Extents({.begin = begin, .end = end}));
        }
      }
      answers.push_back(oracle.Extents({.begin = 0, .end = size_}));
    }
    return answers;
  }

  std::string Script() const {
    std::string text = "size " + std::to_string(size_) + " initial type " + std::to_string(static_cast<int>(initial_));
    for (const std::string& step : script_) {
      text += "; " + step;
    }
    return text + "; ";
  }

  std::uint64_t size_;
  ExtentType initial_;
  std::uint64_t compared_ = 0;
  std::array<std::set<Cells>, kStepsMax + 1> explored_;  // By steps left.
  std::map<Cells, Answers> answers_;
  std::vector<Extent> visited_;
  std::vector<std::string> script_;
};

TEST(ExtentMapExhaustive, EveryScriptOfThreeStepsOnSixBytesAgreesWithTheOracle) {
  std::uint64_t compared = 0;
  for (std::uint64_t size = 0; size <= kSizeMax; ++size) {
    for (std::uint8_t initial = 0; initial < kExtentTypeCount; ++initial) {
      compared += Exhaustive(size, static_cast<ExtentType>(initial)).Run();
    }
  }
  RecordProperty("compared", std::to_string(compared));
  std::printf("%ju transitions\n", std::uintmax_t{compared});
  EXPECT_GT(compared, 100000U);  // Else the enumeration is broken.
}

}  // namespace
}  // namespace nbdspec::engine
