// SPDX-License-Identifier: BSD-3-Clause
// One finding must not starve the rest: a server with two bugs, one met by nearly every script and one behind it.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/faults/answer_changes.h"
#include "engine/wire/protocol.h"
#include "fuzz/live/run/fuzz_fault.h"
#include "fuzz/live/run/live_fuzz.h"

namespace nbdspec::fuzz {
namespace {

using engine::faults::Connection;
using engine::faults::Messages;

constexpr std::uint64_t kDeep = 60;  // Requests on a connection: with writes among them it ends before.

// Ends the connection at each WRITE; and, where one has lived so long, at FLUSH.
engine::faults::Change TwoBugs() {
  return Both(engine::faults::Disconnects(engine::CommandType::kWrite),
              engine::faults::ChangesAnswer(engine::CommandType::kFlush,
                                            [](const engine::Request&, Messages& sent, const Connection& on) {
                                              if (on.request_count > kDeep) {
                                                sent = {engine::HardDisconnect{}};
                                              }
                                            }));
}

FuzzOptions Options(std::uint64_t seed, bool only_bold) {
  return {.seed = seed, .scripts_max = 400, .only_bold = only_bold, .tries_max = 0};
}

bool HasFoundFlush(const FuzzReport& report) {
  return std::ranges::any_of(report.findings, [](const auto& found) { return found.finding.request_kind == "flush"; });
}

TEST(Starving, ABugBehindAnotherIsFoundIn400ScriptsAndElseIsNot) {
  const std::uint64_t seeds = __has_feature(address_sanitizer) ? 1 : 3;  // Each takes ten times as long there.
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    const auto target = ReferenceWith(TwoBugs());
    const FuzzReport with = Fuzz(*target, Options(seed, /*only_bold=*/false));
    EXPECT_FALSE(with.trouble) << with.trouble->sentence;
    EXPECT_TRUE(HasFoundFlush(with)) << seed;
    const FuzzReport without = Fuzz(*target, Options(seed, /*only_bold=*/true));
    EXPECT_FALSE(HasFoundFlush(without)) << seed;
    EXPECT_GT(with.command_count, 2 * without.command_count);
  }
}

// What ends servers still comes: there may be another way to it.
TEST(Starving, WhatIsRarerIsNotGone) {
  const auto target = ReferenceWith(engine::faults::Disconnects(engine::CommandType::kWrite));
  const FuzzReport report = Fuzz(*target, Options(/*seed=*/1, /*only_bold=*/false));
  std::uint64_t count = 0;
  for (const auto& found : report.findings) {
    count += found.finding.count;
  }
  EXPECT_GT(count, 40U);
  EXPECT_LT(count, 200U);
}

// Findings wait to be minimised until all scripts are sent; then each that is another one's twin is folded into it.
TEST(Starving, FindingsAreMinimisedAtTheEndAndTwinsAreOne) {
  const auto target = ReferenceWith(engine::faults::Disconnects(engine::CommandType::kWrite));
  FuzzOptions options = Options(/*seed=*/1, /*only_bold=*/false);
  options.scripts_max = 60;
  options.tries_max = 30;
  options.shrink_time = std::chrono::hours(1);
  options.findings_directory = testing::TempDir() + "/starving";
  std::uint64_t scripts = 0;
  std::size_t saved_count = 0;
  std::size_t same_count = 0;
  std::vector<std::string> told;
  options.on_script = [&](const FuzzReport& so_far) { scripts = so_far.script_count; };
  options.on_saved = [&](const Finding&, const std::string&) { ++saved_count; };
  options.on_same = [&](const Finding&, const std::string&, const std::string&) { ++same_count; };
  options.on_finding = [&](const Finding& finding, const std::string&) {
    EXPECT_EQ(scripts, options.scripts_max);
    EXPECT_EQ(finding.state, FindingState::kReproduced);
    told.push_back(KeyOf(finding));
  };
  const FuzzReport report = Fuzz(*target, options);
  EXPECT_EQ(report.findings.size(), told.size());
  EXPECT_EQ(saved_count, told.size() + same_count);
  EXPECT_GT(same_count, 0U);  // Where several were in flight it was not known which it was.
  std::ranges::sort(told);
  EXPECT_TRUE(std::ranges::adjacent_find(told) == told.end());
  EXPECT_TRUE(std::ranges::all_of(told, [](std::string_view key) { return key.contains(".write"); }));
}

}  // namespace
}  // namespace nbdspec::fuzz
