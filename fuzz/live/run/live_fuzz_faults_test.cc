// SPDX-License-Identifier: BSD-3-Clause
// The oracle of the live fuzzer, proved: the reference server is never accused, and with a fault of the catalogue that
// `nbdspec fuzz` must detect it always is.

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "conformance/peer/reference_target.h"
#include "engine/faults/answer_changes.h"
#include "engine/faults/fault.h"
#include "engine/spec/catalogue.h"
#include "fuzz/live/run/live_fuzz.h"

namespace nbdspec::fuzz {
namespace {

using engine::faults::Change;
using engine::faults::Detection;
using engine::faults::FaultNamed;

std::unique_ptr<conformance::Target> Changed(const Change& change) {
  return conformance::ReferenceTarget(
      {.interposers = [change](engine::Layer&) { return engine::faults::Interpose(change); }});
}

FuzzOptions Options(std::uint64_t seed, std::uint64_t scripts) {
  return {.seed = seed,
          .scripts_max = scripts,
          .tries_max = 0,
          .shrink_time = std::chrono::hours(1),  // The tries are the limit, also on a machine that is slow.
          .live = {.in_flight = 16}};
}

class LiveFuzzFaults : public testing::TestWithParam<Detection> {};

TEST_P(LiveFuzzFaults, AreFound) {
  constexpr std::uint64_t kScripts = 50;
  const auto& [fault, detector] = GetParam();
  const auto kind = FindingKindFrom(detector.finding);
  ASSERT_TRUE(kind) << detector.finding << " is no kind of finding";
  const auto target = Changed(fault.change);
  std::atomic<bool> is_found = false;
  std::string seen;
  FuzzOptions options = Options(/*seed=*/1, kScripts);
  options.live.cancelled = &is_found;  // The first of the right kind is enough.
  options.on_finding = [&, id = detector.id](const Finding& finding, const std::string&) {
    seen += " " + KeyOf(finding);
    is_found = is_found || (finding.kind == *kind && finding.rule == id);
  };
  const FuzzReport report = Fuzz(*target, options);
  EXPECT_FALSE(report.trouble) << report.trouble->sentence;
  // What the specification only advises is a warning, and no finding.
  const bool is_advice = spec::ServerSeverityOf(detector.id) == spec::Severity::kWarning;
  EXPECT_EQ(is_found, !is_advice) << detector.finding << " of " << detector.id << ":" << seen;
  EXPECT_EQ(report.warnings.contains(detector.id), is_advice) << detector.id;
}

INSTANTIATE_TEST_SUITE_P(All, LiveFuzzFaults, testing::ValuesIn(DetectionsBy(engine::faults::Detector::Kind::kFuzz)),
                         [](const auto& info) { return std::string(info.param.fault.name); });

TEST(LiveFuzz, TheReferenceServerIsNeverAccused) {
  for (const int in_flight : {1, 5, 64}) {
    FuzzOptions options = Options(/*seed=*/static_cast<std::uint64_t>(in_flight), 200);
    options.live.in_flight = in_flight;
    options.scripts_per_server = 50;
    const auto target = conformance::ReferenceTarget();
    const FuzzReport report = Fuzz(*target, options);
    ASSERT_FALSE(report.trouble) << report.trouble->sentence;
    EXPECT_EQ(report.script_count, 200U);
    for (const auto& found : report.findings) {
      ADD_FAILURE() << KeyOf(found.finding) << ": " << found.finding.expected << "; " << found.finding.saw << "\n"
                    << Print(found.finding.script);
    }
  }
}

TEST(LiveFuzz, AFindingIsMadeSmallOnFreshServers) {
  const auto target = Changed(FaultNamed("server_writes_wrong_last_byte").change);
  FuzzOptions options = Options(/*seed=*/1, 40);
  options.tries_max = 2000;
  const FuzzReport report = Fuzz(*target, options);
  ASSERT_FALSE(report.findings.empty());
  const Finding& smallest = report.findings.front().finding;
  EXPECT_EQ(smallest.state, FindingState::kReproduced);
  const auto requests = std::ranges::count_if(smallest.script.steps, [](const engine::Step& step) {
    return std::holds_alternative<engine::RequestStep>(step);
  });
  EXPECT_EQ(requests, 2) << Print(smallest.script);  // A write, and a read of it.
  EXPECT_LE(smallest.script.steps.size(), 5U) << Print(smallest.script);
  // The transcript of the small one begins with the greeting.
  ASSERT_FALSE(smallest.transcript.empty());
  EXPECT_NE(smallest.transcript.front().find("@0 +18  greeting"), std::string::npos) << smallest.transcript.front();
  EXPECT_FALSE(smallest.connections.front().received.empty());
}

TEST(LiveFuzz, WhatNeedsAnEarlierScriptIsReproducedWithIt) {
  // Wrong from the 300th request of a server on: no single script has so many.
  const auto target = Changed(engine::faults::ChangesAnswer(
      engine::CommandType::kFlush,
      [](const engine::Request&, engine::faults::Messages& sent, const engine::faults::Connection& on) {
        if (on.request_count > 300) {
          sent = {engine::HardDisconnect{}};
        }
      }));
  FuzzOptions options = Options(/*seed=*/3, 60);
  options.tries_max = 30;
  options.connections = 1;
  const FuzzReport report = Fuzz(*target, options);
  ASSERT_FALSE(report.findings.empty());
  EXPECT_EQ(report.findings.front().finding.kind, FindingKind::kDisconnect);
  EXPECT_EQ(report.findings.front().finding.state, FindingState::kReproduced);
  EXPECT_GT(report.findings.front().finding.script.steps.size(), 300U);
}

TEST(LiveFuzz, TheSameSeedSendsTheSame) {
  const auto count = [](std::uint64_t seed) {
    const auto target = conformance::ReferenceTarget();
    return Fuzz(*target, Options(seed, 30)).command_count;
  };
  EXPECT_EQ(count(5), count(5));
  EXPECT_NE(count(5), count(6));
}

TEST(LiveFuzz, DuplicatesAreCountedNotKept) {
  const auto target = Changed(FaultNamed("server_disconnects_on_cache").change);
  const FuzzReport report = Fuzz(*target, Options(/*seed=*/1, 200));
  ASSERT_FALSE(report.findings.empty());
  EXPECT_LE(report.findings.size(), 2U);  // With one in flight the place is known, with more it is not.
  EXPECT_GT(report.findings.front().finding.count, 1U);
}

}  // namespace
}  // namespace nbdspec::fuzz
