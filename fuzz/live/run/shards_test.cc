// SPDX-License-Identifier: BSD-3-Clause
// Runs that share the work and the directory of their findings find together what each finds alone, one of each.

#include <gtest/gtest.h>

#include <cstdint>
#include <latch>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "conformance/peer/reference_target.h"
#include "engine/faults/change.h"
#include "engine/faults/fault.h"
#include "fuzz/findings/store.h"
#include "fuzz/live/run/live_fuzz.h"

namespace nbdspec::fuzz {
namespace {

using engine::faults::FaultNamed;

constexpr std::uint64_t kShards = 2;
constexpr std::uint64_t kScripts = 128;

// Wrong in several ways at once.
std::unique_ptr<conformance::Target> WrongServer() {
  engine::faults::Change change = FaultNamed("server_reads_wrong_byte_in_front_of_64_kib").change;
  for (const char* name : {"server_does_not_know_trim", "server_sends_zero_length_descriptor_at_end"}) {
    change = Both(std::move(change), FaultNamed(name).change);
  }
  return conformance::ReferenceTarget(
      {.interposers = [change](engine::Layer& layer) { return Interpose(change, 0, &layer); }});
}

std::set<std::string> KeysOf(const std::vector<std::string>& directories) {
  std::set<std::string> keys;
  for (const std::string& directory : directories) {
    const auto finding = ReadFinding(directory);
    EXPECT_TRUE(finding) << finding.error().sentence;
    keys.insert(finding ? KeyOf(*finding) : "");
  }
  return keys;
}

FuzzOptions Options(std::uint64_t index, std::string directory) {
  return {.seed = 3,
          .shard = {.index = index, .count = kShards},
          .scripts_max = kScripts,
          .only_fresh = true,
          .tries_max = 0,
          .shrink_time = std::chrono::hours(1),
          .findings_directory = std::move(directory)};
}

TEST(Shards, TogetherFindTheUnionOfWhatEachFindsAloneOneOfEach) {
  std::set<std::string> alone;
  for (std::uint64_t index = 0; index < kShards; ++index) {
    const std::string directory = testing::TempDir() + "alone" + std::to_string(index);
    Fuzz(*WrongServer(), Options(index, directory));
    alone.merge(KeysOf(ListFindings(directory)));
  }
  EXPECT_GE(alone.size(), 3U);

  const std::string shared = testing::TempDir() + "shared";
  std::latch begun(kShards);  // None is over before the others begin.
  {
    std::vector<std::jthread> shards;
    for (std::uint64_t index = 0; index < kShards; ++index) {
      shards.emplace_back([&, index] {
        FuzzOptions options = Options(index, shared);
        options.on_script = [&, is_first = true](const FuzzReport&) mutable {
          if (std::exchange(is_first, false)) {
            begun.arrive_and_wait();
          }
        };
        EXPECT_FALSE(Fuzz(*WrongServer(), options).trouble);
      });
    }
  }
  EXPECT_EQ(KeysOf(ListFindings(shared)), alone);
  EXPECT_EQ(ListFindings(shared).size(), alone.size());
  std::set<std::string> seen_by;
  for (const std::string& directory : ListFindings(shared)) {
    for (const Sighting& each : ReadFinding(directory)->seen_by) {
      EXPECT_EQ(each.seed, 3U);
      seen_by.insert(each.shard);
    }
  }
  EXPECT_EQ(seen_by, (std::set<std::string>{"1/2", "2/2"}));
}

}  // namespace
}  // namespace nbdspec::fuzz
