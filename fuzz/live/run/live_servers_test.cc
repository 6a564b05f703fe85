// SPDX-License-Identifier: BSD-3-Clause
// Live: fixed seeds against real servers, which nobody may accuse; and servers that die.

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <string>

#include "conformance/peer/target.h"
#include "engine/script/script.h"
#include "fuzz/findings/store.h"
#include "fuzz/live/run/live_fuzz.h"
#include "fuzz/live/run/testdata/real_servers.h"

namespace nbdspec::fuzz {
namespace {

using conformance::Target;

// Asks only for what is offered: what a server does with the rest is for `nbdspec fuzz` to find.
FuzzOptions Options(std::uint64_t seed, std::uint64_t scripts) {
  return {.seed = seed,
          .scripts_max = scripts,
          .only_offered = true,
          .tries_max = 0,
          .live = {.reply_timeout = kPatience, .start_timeout = kPatience}};
}

void ExpectNothingNew(std::unique_ptr<Target> target, const FuzzOptions& options) {
  const FuzzReport report = Fuzz(*target, options);
  ASSERT_FALSE(report.trouble) << report.trouble->sentence;
  EXPECT_EQ(report.script_count, options.scripts_max);
  EXPECT_GT(report.command_count, options.scripts_max);
  for (const auto& found : report.findings) {
    EXPECT_FALSE(found.finding.known.empty())
        << KeyOf(found.finding) << ": expected " << found.finding.expected << "; saw " << found.finding.saw << "\n"
        << found.finding.server_stderr << Print(found.finding.script);
  }
}

TEST(LiveServers, NbdkitMemory) { ExpectNothingNew(Spawned(kNbdkitMemory), Options(1, 100)); }
TEST(LiveServers, NbdkitFile) { ExpectNothingNew(Named("nbdkit"), Options(2, 40)); }
TEST(LiveServers, NbdkitWithFilters) {
  ExpectNothingNew(
      Spawned("nbdkit -f --threads=1 -U {socket} --filter=cow --filter=blocksize file file={image} minblock=4096"),
      Options(3, 60));
}
TEST(LiveServers, QemuNbd) { ExpectNothingNew(Named("qemu-nbd"), Options(4, 40)); }
TEST(LiveServers, NbdkitForOneClientAtATime) {
  ExpectNothingNew(Spawned("nbdkit -f -U {socket} --filter=limit memory 8M limit=1"), Options(6, 100));
}
TEST(LiveServers, NbdServer) { ExpectNothingNew(Named("nbd-server"), Options(5, 40)); }

TEST(LiveServers, AServerThatDiesIsFoundAndStartedAgain) {
  const FuzzReport report = Fuzz(*ThatDiesAtTrim(), Options(1, 20));
  ASSERT_FALSE(report.trouble) << report.trouble->sentence;
  ASSERT_FALSE(report.findings.empty());
  const Finding& finding = report.findings.front().finding;
  EXPECT_EQ(finding.kind, FindingKind::kCrash) << finding.saw;
  EXPECT_FALSE(finding.server_ended.empty());
  std::uint64_t count = 0;
  for (const auto& found : report.findings) {
    count += found.finding.count;
  }
  EXPECT_GT(count, 1U);  // The one that was started after it too.
}

TEST(LiveServers, AServerThatStopsAnsweringHangs) {
  FuzzOptions options = Options(1, 1);
  options.live.reply_timeout = std::chrono::seconds(3);
  const auto target = Spawned("nbdkit -f --threads=1 -U {socket} --filter=delay memory 8M delay-trim=600");
  options.scripts_max = 4;
  const FuzzReport report = Fuzz(*target, options);
  ASSERT_FALSE(report.trouble) << report.trouble->sentence;
  ASSERT_FALSE(report.findings.empty());
  EXPECT_EQ(report.findings.front().finding.kind, FindingKind::kHang);
}

TEST(LiveServers, AFindingIsKeptWithTheLastWordsOfTheServer) {
  const char* base = std::getenv("TEST_TMPDIR");
  FuzzOptions options = Options(1, 20);
  options.findings_directory = std::string(base != nullptr ? base : "/tmp") + "/findings";
  options.version = "test";
  const FuzzReport report = Fuzz(*ThatDiesAtTrim(), options);
  ASSERT_FALSE(report.findings.empty());
  const auto kept = ListFindings(options.findings_directory);
  ASSERT_EQ(kept.size(), report.findings.size());
  const auto finding = ReadFinding(kept.front());
  ASSERT_TRUE(finding) << finding.error().sentence;
  EXPECT_EQ(finding->kind, FindingKind::kCrash);
  EXPECT_NE(finding->server_stderr.find("Assertion `no trim' failed"), std::string::npos);
  EXPECT_FALSE(finding->transcript.empty());
  EXPECT_EQ(finding->version, "test");
}

}  // namespace
}  // namespace nbdspec::fuzz
