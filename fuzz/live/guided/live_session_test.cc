// SPDX-License-Identifier: BSD-3-Clause
// Live: what kinds of answers real servers give grows run by run, guides, and accuses nobody.
//
// NBDSPEC_LIVE_RUNS and NBDSPEC_LIVE_SEEDS: more of them, to measure what guidance is worth
// (docs/howto/fuzz_a_server.md).

#include "fuzz/live/guided/live_session.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <expected>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "conformance/peer/reference_target.h"
#include "engine/faults/fault.h"
#include "fuzz/inputs/random.h"
#include "fuzz/inputs/script_mutator.h"

namespace nbdspec::fuzz {
namespace {

using conformance::Target;

constexpr std::chrono::seconds kPatience{60};  // A busy disk is no finding.
constexpr char kNbdkitMemory[] = "nbdkit -f --threads=1 -U {socket} memory 8M";

std::uint64_t FromEnvironment(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// --- The loop of a fuzzer, small enough for a test ---

// Which inputs are changed further; now and then one is made afresh in any case.
enum class Keep {
  kNew,      // Those that showed a new signature: guided.
  kAll,      // Every one: changed as much, and blind.
  kNothing,  // None: each is made afresh.
};

struct FeedbackOptions {
  std::uint64_t runs = 200;
  std::uint64_t commands_max = ~std::uint64_t{0};  // No further run once so many requests are answered.
  std::uint64_t seed = 1;
  Keep keep = Keep::kNew;
};

struct FeedbackReport {
  std::vector<std::size_t> seen;  // How many different signatures after each run.
  std::uint64_t command_count = 0;
  std::optional<Finding> finding;
};

// Errors: as LiveSession::Run.
std::expected<FeedbackReport, engine::Trouble> RunFeedback(LiveSession& session, const FeedbackOptions& options) {
  FeedbackReport report;
  std::set<std::uint32_t> seen;
  std::vector<engine::Script> kept;
  Random random(options.seed);
  ScriptMutator mutator(session.limits(), options.seed);
  const std::uint64_t size = session.limits().export_bytes_max;
  while (report.seen.size() < options.runs && report.command_count < options.commands_max && !report.finding) {
    const bool is_fresh = kept.empty() || random.Below(8) == 0;
    engine::Script script = is_fresh ? session.Fresh(random()) : kept[random.Below(kept.size())];
    if (!is_fresh && random.Below(4) == 0) {
      script = mutator.Cross(script, kept[random.Below(kept.size())]);
    } else if (!is_fresh) {
      mutator.Mutate(script);
    }
    script.size = size;
    auto outcome = session.Run(script);
    if (!outcome) {
      return std::unexpected(outcome.error());
    }
    const std::size_t before = seen.size();
    seen.insert(outcome->signatures.begin(), outcome->signatures.end());
    if (options.keep == Keep::kAll || (options.keep == Keep::kNew && seen.size() > before)) {
      kept.push_back(std::move(script));
    }
    report.seen.push_back(seen.size());
    report.command_count += outcome->command_count;
    report.finding = std::move(outcome->finding);
  }
  return report;
}

constexpr const char* kWays[] = {"guided", "blind", "fresh"};

FeedbackReport Loop(Target& target, const FeedbackOptions& options) {
  auto session = LiveSession::Start(target, {.reply_timeout = kPatience, .start_timeout = kPatience});
  EXPECT_TRUE(session) << session.error().sentence;
  auto report = RunFeedback(**session, options);
  EXPECT_TRUE(report) << report.error().sentence;
  EXPECT_FALSE(report->finding) << KeyOf(*report->finding) << ": expected " << report->finding->expected << "; saw "
                                << report->finding->saw << "\n"
                                << Print(report->finding->script);
  std::printf("%s, %s, seed %ju: %zu signatures, %zu runs, %ju requests\n", target.Describe().c_str(),
              kWays[static_cast<std::size_t>(options.keep)], std::uintmax_t{options.seed}, report->seen.back(),
              report->seen.size(), std::uintmax_t{report->command_count});
  return *std::move(report);
}

class EachServer : public testing::TestWithParam<const char*> {};

TEST_P(EachServer, ShowsMoreAndMoreAndIsNotAccused) {
  const std::string words = GetParam();
  const auto target = words.find("{socket}") != std::string::npos ? conformance::TargetFromSpawn(words, "")
                                                                  : conformance::TargetFromName(words);
  ASSERT_TRUE(target) << target.error().sentence;
  const std::uint64_t runs = FromEnvironment("NBDSPEC_LIVE_RUNS", 200);
  for (std::uint64_t seed = 1; seed <= FromEnvironment("NBDSPEC_LIVE_SEEDS", 1); ++seed) {
    const FeedbackReport guided = Loop(**target, {.runs = runs, .seed = seed});
    ASSERT_EQ(guided.seen.size(), runs);
    EXPECT_GT(guided.seen.front(), 0U);
    EXPECT_GT(guided.seen.back(), guided.seen[runs / 4]) << "nothing new after the first quarter";
    for (const Keep keep : {Keep::kAll, Keep::kNothing}) {  // As many requests: scripts that are changed are longer.
      const FeedbackReport other =
          Loop(**target, {.runs = ~std::uint64_t{0}, .commands_max = guided.command_count, .seed = seed, .keep = keep});
      EXPECT_GT(other.seen.back(), 50U);
      if (keep == Keep::kNothing) {
        EXPECT_GT(guided.seen.back(), other.seen.back()) << "changing what was new is worth nothing";
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, EachServer, testing::Values(kNbdkitMemory, "qemu-nbd"));

// What guides must not depend on chance: the reference server gives the same answers, so the same signatures.
TEST(LiveSession, TheSameScriptHasTheSameSignatures) {
  const auto target = conformance::ReferenceTarget();
  const auto session = LiveSession::Start(*target, {}).value();
  const engine::Script script = session->ScriptOf(engine::Bytes(400, 0x35));
  const auto first = session->Run(script).value();
  const auto again = LiveSession::Start(*target, {}).value()->Run(script).value();
  EXPECT_FALSE(first.signatures.empty());
  EXPECT_EQ(first.signatures, again.signatures);
}

TEST(LiveSession, AnyBytesAreAScriptInsideOfTheExport) {
  const auto target = conformance::ReferenceTarget();
  const auto session = LiveSession::Start(*target, {}).value();
  for (const std::size_t count : {0U, 5U, 9U, 29U, 700U, 3000U}) {
    const engine::Script script = session->ScriptOf(engine::Bytes(count, static_cast<std::uint8_t>(count)));
    EXPECT_EQ(script.size, session->limits().export_bytes_max);
    EXPECT_LE(script.steps.size(), kLiveStepsMax);
    EXPECT_TRUE(session->Run(script).has_value());
  }
}

// Answers of another kind have other signatures: each line of the text is one.
TEST(LiveSession, AnswersOfAnotherKindHaveOtherSignatures) {
  const auto target = conformance::ReferenceTarget();
  const auto of = [&](const std::string& steps) {
    const auto session = LiveSession::Start(*target, {}).value();
    return session->Run(engine::ParseScript("size 4M\n" + steps).value()).value().signatures;
  };
  const auto base = of("status 0 +1M\n");
  EXPECT_NE(base, of("status 0 +64K\n"));               // Fewer descriptors.
  EXPECT_NE(base, of("status 64K +512K\n"));            // Another flag.
  EXPECT_NE(base, of("status 0 +1M req-one\n"));        // One descriptor.
  EXPECT_NE(base, of("status 4M +1M\n"));               // An error.
  EXPECT_NE(of("read 0 +1K\n"), of("read 64K +1K\n"));  // Data and a hole.
  EXPECT_NE(of("read 0 +1K\nwait\nflush\n"), of("flush\nwait\nread 0 +1K\n"));
  EXPECT_EQ(of("read 0 +1K\n"), of("read 1K +1K\n"));  // The same kind.
}

TEST(LiveSession, APlantedBugIsFound) {
  const auto& fault = engine::faults::FaultNamed("server_claims_zeroes_over_data");
  const auto target = conformance::ReferenceTarget(
      {.interposers = [&](engine::Layer&) { return engine::faults::Interpose(fault.change); }});
  const auto session = LiveSession::Start(*target, {}).value();
  const auto report = RunFeedback(*session, {.runs = 200, .seed = 1}).value();
  ASSERT_TRUE(report.finding);
  EXPECT_EQ(report.finding->kind, FindingKind::kFalseClaim);
}

}  // namespace
}  // namespace nbdspec::fuzz
