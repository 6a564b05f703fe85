// SPDX-License-Identifier: BSD-3-Clause
// Edges of a server's code, and what it does at its disk, guide a run to what no answer leads to.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "conformance/peer/reference_target.h"
#include "conformance/peer/target.h"
#include "engine/base/mix.h"
#include "engine/storage/volatile_disk.h"
#include "engine/wire/protocol.h"
#include "fuzz/live/coverage/edge_map.h"
#include "fuzz/live/learn/learner.h"
#include "fuzz/live/learn/storage_kinds.h"
#include "fuzz/live/run/live_fuzz.h"
#include "fuzz/live/run/random_script.h"

namespace nbdspec::fuzz {
namespace {

using engine::Script;
using engine::TransmissionFlag;

// --- Many scripts, on a model of a server ---

// Of which each TRIM in a row takes an edge of its own, and the last one meets a bug. All answers are alike.
constexpr std::uint32_t kTrimsToBug = 6;

std::vector<std::uint32_t> EdgesOf(const Script& script) {
  std::uint32_t trims = 0;
  std::uint32_t most = 0;
  for (const engine::Step& step : script.steps) {
    if (const auto* const request = std::get_if<engine::RequestStep>(&step)) {
      trims = request->command == engine::Command::kTrim ? trims + 1 : 0;
      most = std::max(most, trims);
    }
  }
  std::vector<std::uint32_t> edges(std::min(most, kTrimsToBug));
  std::ranges::generate(edges, [edge = 0U]() mutable { return edge++; });
  return edges;
}

ScriptFrame AFrame() {
  ScriptFrame frame;
  frame.offer.info.size = 256 << 10;
  frame.offer.info.flags = TransmissionFlag::kHasFlags | TransmissionFlag::kSendFlush | TransmissionFlag::kSendTrim |
                           TransmissionFlag::kSendWriteZeroes | TransmissionFlag::kSendCache;
  return frame;
}

// What the same server does at its disk, where all else stays in its cache: it reads more after each TRIM in a row.
std::vector<engine::DiskOperation> OperationsOf(const Script& script) {
  std::vector<engine::DiskOperation> operations;
  for (const std::uint64_t edge : EdgesOf(script)) {
    operations.push_back(
        {.kind = engine::DiskOperation::Kind::kRead, .range = {.begin = 0, .end = std::uint64_t{512} << edge}});
  }
  return operations;
}

enum class Guided : std::uint8_t { kByAnswers, kByEdges, kByDisk };

// Whether one of the first scripts meets the bug.
bool MeetsBug(std::uint64_t seed, Guided guided) {
  constexpr std::uint64_t kScripts = 2500;
  const ScriptFrame frame = AFrame();
  Learner learner(seed);
  std::uint32_t answer_count = 0;
  for (std::uint64_t number = 0; number < kScripts; ++number) {
    Script fresh = RandomScript(engine::SeedAt(seed, number), frame.offer, {{.begin = 0, .end = frame.offer.info.size}},
                                {.steps_max = 64});
    const Script script = learner.Next(number, std::move(fresh), frame);
    const std::vector<std::uint32_t> edges = EdgesOf(script);
    if (edges.size() == kTrimsToBug) {
      return true;
    }
    // New kinds of answers come as well, ever more rarely, and have nothing to do with it.
    const std::vector answers = {engine::SeedAt(~seed, number) % (1 + number / 4) == 0 ? answer_count++ : 0};
    ScriptSignatures signatures = {.answers = answers};
    const std::vector<std::uint32_t> disk = SignaturesOf(OperationsOf(script));
    (guided == Guided::kByEdges ? signatures.edges : signatures.storage) =
        guided == Guided::kByEdges  ? std::span<const std::uint32_t>(edges)
        : guided == Guided::kByDisk ? std::span<const std::uint32_t>(disk)
                                    : std::span<const std::uint32_t>();
    learner.Note(script, signatures);
  }
  return false;
}

TEST(Coverage, LeadsWhereNoAnswerLeads) {
  constexpr std::uint64_t kSeeds = __has_feature(address_sanitizer) ? 1 : 3;  // It takes ten times as long there.
  std::uint64_t without_count = 0;
  for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
    EXPECT_TRUE(MeetsBug(seed, Guided::kByEdges)) << seed;
    EXPECT_TRUE(MeetsBug(seed, Guided::kByDisk)) << seed;
    without_count += MeetsBug(seed, Guided::kByAnswers) ? 1 : 0;
  }
  EXPECT_LE(without_count, 1U);
}

// --- A few, on a real one ---

std::unique_ptr<conformance::Target> Served(const std::string& program, const std::string& fault) {
  const std::string fault_file = testing::TempDir() + "/fault";
  std::ofstream(fault_file) << fault;
  auto target = conformance::TargetFromSpawn(program + " {socket} " + fault_file, "");
  EXPECT_TRUE(target) << target.error().sentence;
  return *std::move(target);
}

TEST(Coverage, EdgesOfAServerAreCountedAndItsScriptsKept) {
  const auto map = EdgeMap::Make().value();
  const auto target = Served("fuzz/live/coverage/covered_server", "dies-at-trims-in-a-row");
  std::vector<std::size_t> edge_counts;
  const FuzzReport report =
      Fuzz(*target, {.scripts_max = 6, .tries_max = 0, .coverage = map.get(), .on_script = [&](const FuzzReport& now) {
                       edge_counts.push_back(now.edge_count);
                     }});
  EXPECT_FALSE(report.trouble) << report.trouble->sentence;
  ASSERT_EQ(edge_counts.size(), 6U);
  EXPECT_GT(edge_counts.front(), 0U);
  EXPECT_GT(edge_counts.back(), edge_counts.front());
  EXPECT_TRUE(std::ranges::is_sorted(edge_counts));
}

TEST(Coverage, WhatAServerDoesAtOurDiskIsCounted) {
  const auto target = conformance::ReferenceTarget();
  const FuzzReport with = Fuzz(*target, {.scripts_max = 3, .tries_max = 0, .live = {.power_cut = true}});
  EXPECT_FALSE(with.trouble) << with.trouble->sentence;
  EXPECT_GT(with.storage_kind_count, 10U);
  EXPECT_EQ(Fuzz(*target, {.scripts_max = 1, .tries_max = 0}).storage_kind_count, 0U);
}

TEST(Coverage, OfAServerThatIsNotBuiltForItEndsTheRun) {
  const auto map = EdgeMap::Make().value();
  const FuzzReport report = Fuzz(*Served("conformance/peer/faulty_server", "none"),
                                 {.scripts_max = 12, .tries_max = 0, .coverage = map.get()});
  ASSERT_TRUE(report.trouble);
  EXPECT_TRUE(report.trouble->sentence.contains("-fsanitize-coverage=trace-pc-guard")) << report.trouble->sentence;
  EXPECT_TRUE(report.is_unusable);
  EXPECT_LT(report.script_count, 12U);
}

}  // namespace
}  // namespace nbdspec::fuzz
