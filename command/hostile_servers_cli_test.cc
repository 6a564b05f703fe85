// SPDX-License-Identifier: BSD-3-Clause
// Each command that talks to a server, on servers that do their worst: it ends with a verdict, holds little, leaves
// nothing behind, and what it writes controls no terminal.
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "command/testdata/hostile_run.h"
#include "engine/faults/fault.h"

namespace nbdspec::command {
namespace {

struct Kind {
  std::string fault;               // As faulty_server takes it.
  std::string hostile_words = {};  // As hostile_server does.
};

// The greeting, the reply to an option, the last of these, answers.
constexpr int kPlaces[] = {0, 18, 350, 3000};
constexpr const char* kMalices[] = {"silent",  "closes", "half-closes", "dies",     "aborts", "stops", "repeats",
                                    "garbage", "ones",   "zeroes",      "trickles", "flips",  "swells"};
constexpr std::uint64_t kBudgetBytes = std::uint64_t{512} << 20;  // Of memory: several times 64 MiB.
constexpr std::size_t kFaultStep = 40;                            // Of six hundred in the catalogue.

// Servers that are wrong as processes; one that speaks well of bytes, and one that does not.
void AddProcesses(std::vector<Kind>& kinds) {
  for (const char* const words : {"daemonise", "ignore-sigterm", "leave-children", "chatter", "flood-outputs",
                                  "daemonise ignore-sigterm leave-children flood-outputs"}) {
    kinds.push_back({"none", words});
    kinds.push_back({"speaks-in-escapes aborts 700", words});
  }
  for (const char* const words : {"accept-and-close", "never-accept", "flood", "exit", "crash-at-second"}) {
    kinds.push_back({"none", words});
  }
}

std::vector<Kind> Kinds() {
  std::vector<Kind> kinds = {{"speaks-in-escapes"}, {"dies-at-trim"}, {"leaves-at-write"}, {"server_forgets_writes"}};
  for (const char* const malice : kMalices) {
    for (const int place : kPlaces) {
      kinds.push_back({"none " + std::string(malice) + " " + std::to_string(place)});
    }
  }
  AddProcesses(kinds);
  const auto faults = engine::faults::AllFaults();
  for (std::size_t i = 0; i < faults.size(); i += kFaultStep) {
    kinds.push_back({std::string(faults[i].name)});
  }
  std::vector<Kind> tried;
  for (std::size_t i = 0; i < kinds.size(); i += SurroundingsStep()) {
    tried.push_back(kinds[i]);
  }
  return tried;
}

class HostileServers : public testing::TestWithParam<std::string> {};

// `command` on every nth of them.
void TryAll(const std::string& command, std::size_t step) {
  std::vector<std::function<void(HostileRun&)>> runs;
  const std::vector<Kind> kinds = Kinds();
  for (std::size_t i = 0; i < kinds.size(); i += step) {
    runs.emplace_back([=, kind = kinds[i]](HostileRun& run) {
      run.Run(run.WordsFor(command, run.Server(kind.fault, kind.hostile_words)), {0, 1, 3});
    });
  }
  DoAll(runs);
}

TEST_P(HostileServers, GetAVerdict) { TryAll(GetParam(), 1); }

// Where it does not come up again, too. Each starts many times.
class HostileServersWithoutPower : public testing::TestWithParam<std::string> {};

TEST_P(HostileServersWithoutPower, GetAVerdict) {
  constexpr std::size_t kStep = 5;  // No divisor of the number of places.
  TryAll(GetParam(), kStep);
}

INSTANTIATE_TEST_SUITE_P(Of, HostileServersWithoutPower, testing::ValuesIn(PowerCutCommands()),
                         [](const auto& param) { return param.param; });

// Whatever the number of workers: what they hold of long answers is one budget (docs/limits.md).
TEST(HostileServersOfAll, MemoryDoesNotMultiplyByWorkers) {
  HostileRun run;
  run.MayHold(kBudgetBytes);
  run.Run("check -j 16 structured.read block-status base-allocation --case-timeout 5s --deadline 20s --spawn " +
              run.Server("none swells 350"),
          {1});
}

INSTANTIATE_TEST_SUITE_P(Of, HostileServers, testing::ValuesIn(TalkingCommands()),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace nbdspec::command
