// SPDX-License-Identifier: BSD-3-Clause
// A directory of findings that several runs share: one of each, whoever is killed and when; and directories that are
// merged.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "fuzz/findings/fold.h"
#include "fuzz/findings/store.h"

namespace nbdspec::fuzz {
namespace {

namespace fs = std::filesystem;

// An empty directory of the test's own.
std::string FreshDirectory() {
  const char* base = std::getenv("TEST_TMPDIR");
  std::string pattern = std::string(base != nullptr ? base : "/tmp") + "/shared.XXXXXX";
  EXPECT_NE(mkdtemp(pattern.data()), nullptr);
  return pattern;
}

engine::Script ScriptOf(std::size_t steps) {
  return {.size = 8192, .steps = std::vector<engine::Step>(steps, engine::RequestStep{.offset = 4096, .length = 512})};
}

// `steps` are those of its script.
Finding Example(std::size_t steps, std::string request_kind = "read") {
  return {.kind = FindingKind::kCrash,
          .request_kind = std::move(request_kind),
          .script = ScriptOf(steps),
          .transcript = {"C1> @0 +28  NBD_CMD_READ"},
          .connections = {{.sent = {1, 2, 3}, .received = {4}}},
          .target = "server 1"};
}

Finding Reproduced(std::size_t steps) {
  Finding finding = Example(steps);
  finding.state = FindingState::kReproduced;
  return finding;
}

FindingStore OpenStore(const std::string& directory, FindingRun run = {}) {
  auto store = FindingStore::Open(directory, std::move(run));
  EXPECT_TRUE(store) << store.error().sentence;
  return *store;
}

std::size_t Merge(const std::string& into, const std::vector<std::string>& from) {
  const auto merged = MergeFindings(into, from, [](const auto& trouble) { ADD_FAILURE() << trouble.sentence; });
  EXPECT_TRUE(merged) << merged.error().sentence;
  return ListFindings(into).size();
}

TEST(SharedStore, TwoRunsKeepOneOfEachWithTheSmallerScriptAndBothNames) {
  for (const bool is_first_smaller : {false, true}) {
    const std::string directory = FreshDirectory();
    FindingStore first = OpenStore(directory, {.seed = 7, .shard = "1/2"});
    FindingStore second = OpenStore(directory, {.seed = 7, .shard = "2/2"});
    const std::string saved = *first.Save(Example(is_first_smaller ? 2 : 5));
    EXPECT_EQ(*second.Save(Example(is_first_smaller ? 5 : 2)), saved);
    ASSERT_EQ(ListFindings(directory), std::vector<std::string>{saved});
    const auto read = ReadFinding(saved, /*keeps_streams=*/true);
    ASSERT_TRUE(read) << read.error().sentence;
    EXPECT_EQ(read->script, ScriptOf(2));
    EXPECT_EQ(read->connections, Example(2).connections);
    EXPECT_EQ(read->count, 2U);
    ASSERT_EQ(read->seen_by.size(), 2U);
    EXPECT_NE(read->seen_by[0].shard, read->seen_by[1].shard);
    EXPECT_EQ(read->seen_by[0].seed, 7U);
  }
}

TEST(SharedStore, EachRunReplacesWhatBothHaveByTheBetter) {
  const std::string directory = FreshDirectory();
  FindingStore first = OpenStore(directory);
  FindingStore second = OpenStore(directory);
  const std::string both = *first.Save(Example(5));
  EXPECT_EQ(*second.Save(Example(9)), both);
  EXPECT_EQ(second.Elsewhere(both), ScriptOf(5));
  EXPECT_EQ(*second.Replace(both, Reproduced(4)), both);
  Finding larger = Reproduced(6);
  larger.count = 10;
  EXPECT_EQ(*first.Replace(both, larger), both);
  EXPECT_EQ(ReadFinding(both)->script, ScriptOf(4));
  EXPECT_EQ(ReadFinding(both)->count, 11U);
  EXPECT_EQ(*first.Replace(both, Reproduced(3)), both);
  EXPECT_EQ(ReadFinding(both)->script, ScriptOf(3));
  EXPECT_EQ(ReadFinding(both)->count, 11U);  // A count of a run only grows.
}

TEST(SharedStore, WhatIsReproducedIsBetterThanWhatIsSmaller) {
  EXPECT_TRUE(IsBetter(Reproduced(9), Example(1)));
  EXPECT_TRUE(IsBetter(Reproduced(1), Reproduced(2)));
  EXPECT_FALSE(IsBetter(Example(1), Example(1)));
}

TEST(SharedStore, WhatOnlyLooksALittleAlikeStaysApart) {
  const std::string directory = FreshDirectory();
  FindingStore first = OpenStore(directory);
  FindingStore second = OpenStore(directory);
  Finding finding = Example(3);
  EXPECT_TRUE(first.Save(finding));
  finding.target = "server 2";
  EXPECT_TRUE(second.Save(finding));
  finding.known = "CVE-2000-1";
  EXPECT_TRUE(second.Save(finding));
  finding.known = "";
  finding.server_stderr = "server: file.c:1: f: Assertion `x' failed.\n";
  EXPECT_TRUE(second.Save(finding));
  EXPECT_EQ(ListFindings(directory).size(), 4U);
  // And the same of the first run makes no fifth: one of them is that.
  EXPECT_TRUE(first.Save(finding));
  EXPECT_EQ(ListFindings(directory).size(), 4U);
}

TEST(SharedStore, AnOlderOneIsTheSameWhenItsScriptShowsIt) {
  const std::string directory = FreshDirectory();
  FindingStore yesterday = OpenStore(directory);
  const std::string older = *yesterday.Save(Reproduced(2));
  {
    FindingStore today = OpenStore(directory);
    const std::string saved = *today.Save(Example(9));
    EXPECT_NE(saved, older);
    EXPECT_EQ(today.Elsewhere(saved), ScriptOf(2));
    Finding shown = Reproduced(2);
    shown.elsewhere = ScriptOf(2);
    EXPECT_EQ(*today.Replace(saved, shown), older);
    EXPECT_EQ(ListFindings(directory), std::vector<std::string>{older});
    EXPECT_EQ(ReadFinding(older)->count, 2U);
  }
  FindingStore after_a_fix = OpenStore(directory);
  const std::string other_bug = *after_a_fix.Save(Example(9));
  EXPECT_EQ(*after_a_fix.Replace(other_bug, Reproduced(7)), other_bug);
  EXPECT_EQ(ReadFinding(other_bug)->script, ScriptOf(7));
  EXPECT_EQ(Merge(directory, {}), 2U);  // Nobody makes one of them.
}

TEST(SharedStore, TwoRunsAtOnceLookAtWhatWasThereBefore) {
  const std::string directory = FreshDirectory();
  FindingStore yesterday = OpenStore(directory);
  const std::string older = *yesterday.Save(Reproduced(2));
  FindingStore first = OpenStore(directory);
  FindingStore second = OpenStore(directory);
  const std::string saved = *first.Save(Example(9));
  EXPECT_EQ(*second.Save(Example(8)), saved);
  EXPECT_EQ(second.Elsewhere(saved), ScriptOf(2));
  Finding shown = Reproduced(2);
  shown.elsewhere = ScriptOf(2);
  EXPECT_EQ(*first.Replace(saved, shown), older);
  EXPECT_EQ(*second.Replace(saved, shown), older);
  EXPECT_EQ(ListFindings(directory), std::vector<std::string>{older});
  EXPECT_EQ(ReadFinding(older)->count, 3U);
}

TEST(SharedStore, APublicBugIsOneHoweverOldItIs) {
  const std::string directory = FreshDirectory();
  Finding known = Example(3);
  known.known = "CVE-2000-1";
  FindingStore yesterday = OpenStore(directory);
  const std::string saved = *yesterday.Save(known);
  FindingStore today = OpenStore(directory);
  EXPECT_EQ(*today.Save(known), saved);
}

TEST(SharedStore, AKeyThatChangesByShrinkingMovesTheFinding) {
  const std::string directory = FreshDirectory();
  FindingStore first = OpenStore(directory);
  FindingStore second = OpenStore(directory);
  const std::string saved = *first.Save(Example(9));
  EXPECT_EQ(*second.Save(Example(8)), saved);
  const std::string moved = *first.Replace(saved, Example(2, "flush"));
  EXPECT_EQ(moved, directory + "/crash.flush-1");
  EXPECT_EQ(ReadFinding(saved)->count, 1U);  // That of the second.
  EXPECT_EQ(*second.Replace(saved, Example(3, "flush")), moved);
  EXPECT_EQ(ListFindings(directory), std::vector<std::string>{moved});
  EXPECT_EQ(ReadFinding(moved)->script, ScriptOf(2));
  EXPECT_EQ(ReadFinding(moved)->count, 2U);
}

TEST(SharedStore, WhatOneRemovesStaysWhereAnotherHasSeenIt) {
  const std::string directory = FreshDirectory();
  FindingStore first = OpenStore(directory);
  FindingStore second = OpenStore(directory);
  const std::string saved = *first.Save(Example(9));
  EXPECT_TRUE(second.Save(Example(8)));
  first.Remove(saved);
  EXPECT_EQ(ReadFinding(saved)->count, 1U);
  second.Remove(saved);
  EXPECT_TRUE(ListFindings(directory).empty());
}

// Each of several threads has a store of its own, as processes have: their locks are those of open files.
TEST(SharedStore, ARaceForAKeyLeavesOneWholeFinding) {
  constexpr int kRuns = 4;
  for (int round = 0; round < 4; ++round) {
    const std::string directory = FreshDirectory();
    std::atomic<int> opened = 0;
    {
      std::vector<std::jthread> runs;
      for (int run = 0; run < kRuns; ++run) {
        runs.emplace_back([&, run] {
          FindingStore store = OpenStore(directory);
          for (++opened; opened < kRuns;) {
          }
          const auto saved = store.Save(Example(static_cast<std::size_t>(9 - run)));
          ASSERT_TRUE(saved) << saved.error().sentence;
          ASSERT_TRUE(store.Replace(*saved, Reproduced(static_cast<std::size_t>(run + 2))));
        });
      }
    }
    const auto found = ListFindings(directory);
    ASSERT_EQ(found.size(), 1U);
    const auto read = ReadFinding(found[0]);
    ASSERT_TRUE(read) << read.error().sentence;
    EXPECT_EQ(read->script, ScriptOf(2));
    EXPECT_EQ(read->count, std::uint64_t{kRuns});
    EXPECT_EQ(read->seen_by.size(), std::size_t{kRuns});
  }
}

// The keys of `count` findings, in some order.
std::vector<std::string> SomeKeys(std::uint64_t seed, std::size_t count) {
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < count; ++i) {
    keys.push_back("read " + std::to_string(i));
  }
  std::ranges::shuffle(keys, std::mt19937_64(seed));
  return keys;
}

// Saves, makes smaller and removes; what is to stay is written into the file `kept` once it is saved.
void KeepFindings(const std::string& directory, const std::vector<std::string>& keys, const std::string& kept) {
  const int log = ::open(kept.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  FindingStore store = OpenStore(directory);
  for (const std::string& key : keys) {
    const auto saved = store.Save(Example(6, key));
    const std::string line = key + "\n";
    if (!saved || ::write(log, line.data(), line.size()) < 0) {
      continue;
    }
    Finding smaller = Example(3, key);
    smaller.state = FindingState::kReproduced;
    if (const auto twin = store.Save(Example(5, "twin of " + key))) {
      store.Remove(*twin);
    }
    EXPECT_TRUE(store.Replace(*saved, smaller));
  }
  ::close(log);
}

std::set<std::string> LinesOf(const std::string& file) {
  std::ifstream stream(file);
  std::set<std::string> lines;
  for (std::string line; std::getline(stream, line);) {
    lines.insert(line);
  }
  return lines;
}

// One run is killed while it and another keep the same findings in one directory.
TEST(SharedStoreDeathTest, AKillOfOneRunLosesNothingOfEither) {
  constexpr int kRounds = 8;
  std::mt19937_64 random(1);
  for (int round = 0; round < kRounds; ++round) {
    const std::string directory = FreshDirectory();
    const std::string kept = FreshDirectory() + "/kept";
    const std::chrono::microseconds delay(random() % 60'000);
    const std::uint64_t seed = random();
    std::jthread survivor([&] { KeepFindings(directory, SomeKeys(seed, 5), kept); });
    EXPECT_EXIT(
        {
          std::thread killer([delay] {
            std::this_thread::sleep_for(delay);
            kill(getpid(), SIGKILL);
          });
          KeepFindings(directory, SomeKeys(seed + 1, 5), kept);
          killer.join();
        },
        testing::KilledBySignal(SIGKILL), "");
    survivor.join();
    std::multiset<std::string> there;
    for (const std::string& path : ListFindings(directory)) {
      const auto read = ReadFinding(path);
      ASSERT_TRUE(read) << read.error().sentence;
      there.insert(read->request_kind);
    }
    for (const std::string& key : LinesOf(kept)) {
      EXPECT_GE(there.count(key), 1U) << key << " is lost, after " << delay.count() << " us";
    }
    for (const std::string& path : ListFindings(directory)) {
      EXPECT_FALSE(path.ends_with(".before")) << path;  // The other run has put it back.
    }
  }
}

TEST(MergeFindings, MakesOneOfEachAndTheSameAgainChangesNothing) {
  std::vector<std::string> hosts;
  for (const std::size_t steps : {6U, 3U}) {
    hosts.push_back(FreshDirectory());
    FindingStore store = OpenStore(hosts.back(), {.seed = 9, .shard = std::to_string(hosts.size()) + "/2"});
    EXPECT_TRUE(store.Save(Example(steps)));
    EXPECT_TRUE(store.Save(Example(steps, "flush of " + std::to_string(steps))));
  }
  const std::string all = FreshDirectory() + "/all";
  for (int again = 0; again < 3; ++again) {
    EXPECT_EQ(Merge(all, hosts), 3U);
    const auto read = ReadFinding(all + "/crash.read-1", /*keeps_streams=*/true);
    ASSERT_TRUE(read) << read.error().sentence;
    EXPECT_EQ(read->script, ScriptOf(3));
    EXPECT_EQ(read->connections, Example(3).connections);
    EXPECT_EQ(read->count, 2U);
    EXPECT_EQ(read->seen_by.size(), 2U);
  }
  EXPECT_EQ(ListFindings(hosts[0]).size(), 2U);
  EXPECT_EQ(Merge(hosts[0], {hosts[1], hosts[0]}), 3U);
}

TEST(MergeFindings, WhatAnOlderVersionKeptCounts) {
  const std::string host = FreshDirectory();
  FindingStore store = OpenStore(host);
  Finding finding = Example(3);
  finding.count = 4;
  finding.seed = 5;
  const std::string saved = *store.Save(finding);
  ASSERT_TRUE(WriteSightings(saved, {}));
  std::string about;
  {
    std::ifstream stream(saved + "/about.json");
    about.assign(std::istreambuf_iterator<char>(stream), {});
  }
  const std::size_t at = about.find("\"count\": 0");
  ASSERT_NE(at, std::string::npos);
  std::ofstream(saved + "/about.json") << about.replace(at, 10, "\"count\": 4");
  const std::string all = FreshDirectory();
  EXPECT_EQ(Merge(all, {host}), 1U);
  EXPECT_EQ(ReadFinding(all + "/crash.read-1")->count, 4U);
}

TEST(MergeFindings, ATornOneIsToldAndTheOthersAreTaken) {
  const std::string host = FreshDirectory();
  FindingStore store = OpenStore(host);
  EXPECT_TRUE(store.Save(Example(3)));
  const std::string torn = *store.Save(Example(3, "flush"));
  fs::resize_file(torn + "/sent.bin", 1);
  int told = 0;
  const std::string all = FreshDirectory();
  const auto merged = MergeFindings(all, {host}, [&](const auto&) { ++told; });
  ASSERT_TRUE(merged);
  EXPECT_EQ(told, 1);
  EXPECT_EQ(merged->torn_count, 1U);
  EXPECT_EQ(ListFindings(all).size(), 1U);
}

}  // namespace
}  // namespace nbdspec::fuzz
