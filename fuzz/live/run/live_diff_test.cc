// SPDX-License-Identifier: BSD-3-Clause
// Live: two real servers, one script.
#include "fuzz/live/run/live_diff.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>

#include "engine/script/script.h"
#include "fuzz/live/run/testdata/real_servers.h"

namespace nbdspec::fuzz {
namespace {

TEST(LiveDiff, TwoRightServersDifferInPrecisionOnly) {
  const auto report =
      Diff(*Named("nbdkit"), *Named("qemu-nbd"), {.seed = 1, .scripts_max = 15, .live = {.reply_timeout = kPatience}});
  ASSERT_FALSE(report.trouble) << report.trouble->sentence;
  EXPECT_EQ(report.script_count, 15U);
  EXPECT_EQ(report.count(DifferenceKind::kSoundness), 0U);
  EXPECT_EQ(report.count(DifferenceKind::kDisconnect), 0U);
}

TEST(LiveDiff, AFileAndMemoryDifferInHowTheyTellHoles) {
  engine::Script script{.size = 8 << 20,
                        .steps = {engine::RequestStep{.command = engine::Command::kStatus, .length = 8 << 20}}};
  const auto report =
      Diff(*Spawned(kNbdkitMemory), *Named("qemu-nbd"), {.script = script, .live = {.reply_timeout = kPatience}});
  ASSERT_FALSE(report.trouble) << report.trouble->sentence;
  ASSERT_EQ(report.count(DifferenceKind::kPrecision), 1U);
  EXPECT_EQ(report.differences.front().step, "status 0 +8M");
  EXPECT_NE(report.differences.front().first.find("zero"), std::string::npos) << report.differences.front().first;
  const auto& bars = report.differences.front().picture.bars;
  ASSERT_EQ(bars.size(), 3U);
  EXPECT_EQ(bars[0].who, "asked");
  EXPECT_FALSE(std::ranges::none_of(bars[1].stretches, &reports::Stretch::is_judged));
}

TEST(LiveDiff, AServerThatDiesIsADisconnect) {
  const auto report = Diff(*Spawned(kNbdkitMemory), *ThatDiesAtTrim(), {.seed = 1, .scripts_max = 20});
  ASSERT_FALSE(report.trouble) << report.trouble->sentence;
  EXPECT_GT(report.count(DifferenceKind::kDisconnect), 0U);
}

TEST(LiveDiff, AServerThatCannotBeStartedIsUnusable) {
  const auto report = Diff(*Spawned(kNbdkitMemory), *Spawned("false {socket}"), {.scripts_max = 1});
  EXPECT_TRUE(report.trouble);
  EXPECT_EQ(report.script_count, 0U);
}

// Whichever of the two is asked at that moment.
TEST(LiveDiff, OneThatIsCancelledFindsNoDifference) {
  const auto first = Spawned(kNbdkitMemory);
  const auto second = Named("qemu-nbd");
  for (int moment = 0; moment < 12; ++moment) {
    std::atomic<bool> cancelled = false;
    DiffReport report;
    {
      const std::jthread interrupter([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(200 + 7 * moment));
        cancelled = true;
      });
      report =
          Diff(*first, *second,
               {.seed = 1, .scripts_max = 1'000'000, .live = {.reply_timeout = kPatience, .cancelled = &cancelled}});
    }
    EXPECT_FALSE(report.trouble) << report.trouble->sentence;
    EXPECT_EQ(report.count(DifferenceKind::kDisconnect), 0U);
    EXPECT_EQ(report.count(DifferenceKind::kErrorCode), 0U);
    EXPECT_EQ(report.count(DifferenceKind::kSoundness), 0U);
  }
}

TEST(LiveDiff, ARunThatIsCancelledHasAnAnswerForEachStep) {
  std::atomic<bool> cancelled = false;
  const auto target = Spawned(kNbdkitMemory);
  auto server = LiveServer::Start(*target, {.reply_timeout = kPatience, .cancelled = &cancelled, .keep_answers = true});
  ASSERT_TRUE(server) << server.error().sentence;
  cancelled = true;
  const auto run = (*server)->Run({.size = 8 << 20, .steps = {engine::RequestStep{}, engine::RequestStep{}}});
  ASSERT_TRUE(run) << run.error().sentence;
  EXPECT_EQ(run->answers.size(), 2U);
}

}  // namespace
}  // namespace nbdspec::fuzz
