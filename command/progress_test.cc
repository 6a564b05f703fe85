// SPDX-License-Identifier: BSD-3-Clause
#include "command/progress.h"

#include <gtest/gtest.h>

namespace nbdspec::command {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Progress::Clock::time_point kStart{};

TEST(Progress, OfAShortRunShowsNothing) {
  Progress progress(3, Shown::kInPlace, kStart);
  EXPECT_EQ(progress.Add("a", kStart + milliseconds(400)), std::nullopt);
  EXPECT_EQ(progress.Add("b", kStart + milliseconds(999)), std::nullopt);
}

TEST(Progress, ShowsEachPartOnATerminalButTheLast) {
  Progress progress(3, Shown::kInPlace, kStart);
  EXPECT_EQ(progress.Add("a", kStart + seconds(2)), "[1/3] 4 s left, a");
  EXPECT_EQ(progress.Add("b", kStart + seconds(3)), "[2/3] 2 s left, b");
  EXPECT_EQ(progress.Add("c", kStart + seconds(4)), std::nullopt);
}

TEST(Progress, IsALineEveryTenSecondsElsewhere) {
  Progress progress(100, Shown::kAsLines, kStart);
  int lines = 0;
  for (int second = 1; second <= 40; ++second) {
    lines += progress.Add("a", kStart + seconds(second)) ? 1 : 0;
  }
  EXPECT_EQ(lines, 4);
}

TEST(Progress, FollowsThePaceOfTheLastParts) {
  Progress progress(1000, Shown::kInPlace, kStart);
  for (int i = 0; i < 800; ++i) {
    EXPECT_EQ(progress.Add("quick", kStart), std::nullopt);
  }
  std::optional<std::string> line;
  for (int second = 1; second <= 100; ++second) {
    line = progress.Add("slow", kStart + seconds(second));
  }
  EXPECT_EQ(line, "[900/1000] 100 s left, slow");
}

// A hundred parts, each a second long, and a report that takes a tenth of a second for each of them.
TEST(ReportPace, ReportsThatGrowTakeATenthOfTheTime) {
  ReportPace pace(kStart);
  auto now = kStart;
  milliseconds spent{0};
  int count = 0;
  for (int part = 1; part <= 100; ++part) {
    now += seconds(1);
    if (pace.IsTime(now)) {
      const milliseconds cost = part * milliseconds(100);
      pace.Took(cost);
      now += cost;
      spent += cost;
      ++count;
    }
  }
  EXPECT_GE(count, 3);
  EXPECT_LE(spent, (now - kStart) / 5);  // The last one may have come just before it was too much.
}

}  // namespace
}  // namespace nbdspec::command
