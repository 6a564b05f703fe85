// SPDX-License-Identifier: BSD-3-Clause
// Each command that talks to a server, where the machine gives little and people interrupt: the exit code is a
// documented one, a right server is not accused, and what HostileRun::Run says holds.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <csignal>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "command/testdata/hostile_run.h"
#include "command/testdata/program.h"

namespace nbdspec::command {
namespace {

using Runs = std::vector<std::function<void(HostileRun&)>>;

// No finding is made small for long.
const std::string kSmallSoon = " --time 10s";

// Of a right server. `shrink` has nothing to shrink then, which is 1.
std::set<int> WithoutAccusation(const std::string& command, const std::set<int>& troubles) {
  std::set<int> exits = troubles;
  exits.insert(command == "shrink" ? 1 : 0);
  return exits;
}

// Every nth, as a slow build has time for.
void DoSome(const Runs& all) {
  Runs some;
  for (std::size_t i = 0; i < all.size(); i += SurroundingsStep()) {
    some.push_back(all[i]);
  }
  DoAll(some);
}

// The server, in a shell that does this before.
std::string InShell(const std::string& before, const std::string& server) {
  return "'sh -c \"" + (before.empty() ? "" : before + "; ") + "exec " + server.substr(1, server.size() - 2) + "\"'";
}

// Each of `limits` of the shell, of which the last is enough, for each command on a right server, which may raise its
// own.
void UnderLimits(const std::vector<std::string>& limits, const std::string& server_raises = "") {
  Runs runs;
  for (const std::string& command : TalkingCommands()) {
    for (const std::string& limit : limits) {
      runs.emplace_back([=](HostileRun& run) {
        const std::string server = run.Server("none");
        run.Run(run.WordsFor(command, server_raises.empty() ? server : InShell(server_raises, server), kPatient),
                WithoutAccusation(command, limit == limits.back() ? std::set<int>{} : std::set<int>{3, 5}),
                limit + "; ");
      });
    }
  }
  DoSome(runs);
}

TEST(Surroundings, FewDescriptors) {
  std::vector<std::string> limits;
  for (const int count : {8, 9, 10, 12, 14, 16, 20, 24, 32, 48, 64, 96, 128, 256}) {
    limits.push_back("ulimit -n " + std::to_string(count));
  }
  UnderLimits(limits);
}

TEST(Surroundings, LittleMemory) {
  if (__has_feature(address_sanitizer)) {
    GTEST_SKIP() << "the sanitizer wants terabytes of addresses";
  }
  std::vector<std::string> limits;
  for (const int mib : {50, 60, 70, 80, 100, 120, 150, 200, 300, 1000}) {
    limits.push_back("ulimit -S -v " + std::to_string(mib * 1024));
  }
  UnderLimits(limits, "ulimit -S -v unlimited");
}

// A server that wants an image cannot be given one.
TEST(Surroundings, SmallFiles) {
  Runs runs;
  for (const std::string& command : TalkingCommands()) {
    for (const int blocks : {0, 1, 2, 8, 32, 128}) {
      runs.emplace_back([=](HostileRun& run) {
        run.Run(run.WordsFor(command, blocks % 8 == 0 ? run.Server("none") : "reference", kPatient),
                WithoutAccusation(command, {2, 5}), "ulimit -f " + std::to_string(blocks) + "; ");
      });
    }
    runs.emplace_back([=](HostileRun& run) {
      const std::string server = InShell("", run.Server("none"));
      const std::string with_image = server.substr(0, server.size() - 1) + " {image}'";
      run.Run(run.WordsFor(command, with_image, kPatient), {3}, "ulimit -f 64; ");
    });
  }
  DoSome(runs);
}

// --- Where nothing can be written ---

// A directory without write bits stops everybody but root, and a full file system needs to be mounted: in their place
// stands what is no directory, a device that is full, a file system that takes no files, a name that is too long.
std::vector<std::string> BadPlaces() {
  return {"/dev/full/x", "/dev/full", "/proc/nbdspec-x", "/dev/null/x", "/tmp/" + std::string(300, 'x')};
}

TEST(Surroundings, NoPlaceForReports) {
  Runs runs;
  for (const std::string& place : BadPlaces()) {
    for (const std::string words : {"--json ", "--html ", "--junit ", "--markdown ", "--tap ", "--ndjson "}) {
      runs.emplace_back([=](HostileRun& run) {
        run.Run("check handshake.magic --spawn " + run.Server("none") + " " + words + place, {2, 5});
      });
    }
    for (const char* const command :
         {"fuzz --scripts 2 --findings {out} --spawn ", "map --spawn ", "diff reference --scripts 2 "}) {
      runs.emplace_back([=](HostileRun& run) {
        std::string words = command;
        if (const auto at = words.find("{out}"); at != std::string::npos) {
          words.replace(at, 5, run.Out("findings"));
        }
        run.Run(words + run.Server("none") + " --json " + place, {2, 5});
      });
    }
    runs.emplace_back([=](HostileRun& run) {
      const std::string words = run.WordsFor("shrink", run.Server("server_forgets_writes"));
      run.Run(words.substr(0, words.find("--output")) + "--output " + place, {2, 5});
    });
  }
  DoSome(runs);
}

TEST(Surroundings, NoPlaceForFindings) {
  Runs runs;
  for (const std::string& place : BadPlaces()) {
    for (const char* const fault : {"none", "server_forgets_writes"}) {
      runs.emplace_back([=](HostileRun& run) {
        run.Run("fuzz --only-fresh --only-offered --scripts 2 --spawn " + run.Server(fault) + " --findings " + place,
                {2, 5});
      });
    }
  }
  DoSome(runs);
}

// What cannot be kept is found all the same: of a directory that can be made, but whose path leaves no room for more.
TEST(Surroundings, AFindingThatCannotBeSavedIsReported) {
  HostileRun run;
  std::string place = run.Out("findings");
  while (place.size() < 4000) {
    place += "/" + std::string(std::min<std::size_t>(200, 4070 - place.size()), 'd');
  }
  const Ended ended = run.Run("fuzz --only-fresh --only-offered --scripts 40" + kSmallSoon + " --findings " + place +
                                  " --spawn " + run.Server("server_forgets_writes"),
                              {1});
  EXPECT_TRUE(ended.Says("FOUND  ")) << ended.output;
  EXPECT_TRUE(ended.Says("File name too long")) << ended.output;
}

TEST(Surroundings, NoPlaceForTemporaryFiles) {
  Runs runs;
  for (const std::string& place : BadPlaces()) {
    for (const std::string& command : TalkingCommands()) {
      runs.emplace_back([=](HostileRun& run) {
        run.Run(run.WordsFor(command, run.Server("none"), kPatient), {2, 3, 5}, "export TMPDIR=" + place + "; ");
      });
    }
  }
  DoSome(runs);
}

// --- Standard output ---

TEST(Surroundings, StandardOutputIsClosedOrFull) {
  Runs runs;
  for (const std::string& command : TalkingCommands()) {
    runs.emplace_back([=](HostileRun& run) {
      run.Run(run.WordsFor(command, run.Server("none"), kPatient) + " >&-", WithoutAccusation(command, {}));
    });
    runs.emplace_back([=](HostileRun& run) {
      run.Run(run.WordsFor(command, run.Server("none"), kPatient) + " >&- 2>&- <&-", WithoutAccusation(command, {}));
    });
    runs.emplace_back([=](HostileRun& run) {  // Those that print nothing there do not notice.
      run.Run(run.WordsFor(command, run.Server("none"), kPatient) + " >/dev/full", WithoutAccusation(command, {5}));
    });
  }
  DoSome(runs);
}

// --- Signals ---

// What goes on for longer than anybody waits, and finds something now and then.
std::string Endless(HostileRun& run, const std::string& command) {
  const std::string server = run.Server(command.starts_with("check") ? "none" : "server_forgets_writes");
  const std::string script = run.Script();
  if (command == "check") {
    return "check -j 4 --json " + run.Out("run.json") + " --junit " + run.Out("run.xml") + " --spawn " + server;
  }
  if (command == "fuzz") {
    return "fuzz --time 60m --findings " + run.Out("findings") + " --json " + run.Out("run.json") + " --spawn " +
           server;
  }
  if (command == "check_power") {
    return "check -j 4 transmission.flush --power-cut --json " + run.Out("run.json") + " --spawn " + OnDisk(server);
  }
  if (command == "fuzz_power") {
    return "fuzz --time 60m --power-cut --findings " + run.Out("findings") + " --json " + run.Out("run.json") +
           " --spawn " + OnDisk(server);
  }
  if (command == "diff") {
    return "diff reference " + run.Server("none") + " --scripts 1000000 --json " + run.Out("run.json");
  }
  if (command == "replay") {
    return "replay " + script + " --tries 10000 --html " + run.Out("run.html") + " --target " + run.Server("none");
  }
  return "shrink " + script + " --tries 1000000 --output " + run.Out("small.script") + " --target " + server;
}

TEST(Surroundings, SignalsAtAnyMoment) {
  constexpr int kMoments = 10;  // Of each command, of INT, TERM and KILL in turn.
  std::mt19937 random(16);
  std::uniform_real_distribution<double> exponent(3, 6.2);  // From a millisecond to 1.6 s.
  Runs runs;
  for (const std::string command : {"check", "fuzz", "diff", "replay", "shrink", "check_power", "fuzz_power"}) {
    for (int i = 0; i < kMoments; ++i) {
      const std::chrono::microseconds after(static_cast<int>(std::pow(10, exponent(random))));
      const int signal_number = std::vector{SIGINT, SIGTERM, SIGKILL}[static_cast<std::size_t>(i) % 3];
      runs.emplace_back([=](HostileRun& run) {
        run.Run(Endless(run, command), {0, 1}, "", Moment{.signal_number = signal_number, .after = after});
      });
    }
  }
  DoSome(runs);
}

// While a server is awaited that has run away into a session of its own, and has stopped there or says nothing.
TEST(Surroundings, SignalsWhileAServerIsAwaited) {
  Runs runs;
  for (const std::string& command : TalkingCommands()) {
    for (const char* const fault : {"none stops 0", "none silent 18"}) {
      for (const int signal_number : {SIGINT, SIGTERM, SIGKILL}) {
        runs.emplace_back([=](HostileRun& run) {
          const std::string server = run.Server(fault, "daemonise ignore-sigterm leave-children");
          run.Run(run.WordsFor(command, server, kPatient), {}, "",
                  Moment{.signal_number = signal_number, .after = std::chrono::milliseconds(300)});
        });
      }
    }
  }
  DoSome(runs);
}

// What never comes up has minutes to do so, and a client to do its work: longer than the runs of a test may take.
TEST(Surroundings, WhatIsAwaitedForMinutesIsGivenUpAtASignal) {
  Runs runs;
  for (const int signal_number : {SIGINT, SIGTERM, SIGKILL}) {
    const Moment moment{.signal_number = signal_number, .after = std::chrono::milliseconds(300)};
    runs.emplace_back([=](HostileRun& run) {
      run.Run("check -j 4 --case-timeout 20m --spawn " + run.Server("none", "hang"), {}, "", moment);
    });
    runs.emplace_back([=](HostileRun& run) {
      run.Run("client --case-timeout 20m --run \"sh -c 'exec sleep 1200' {uri}\" --json " + run.Out("run.json"), {}, "",
              moment);
    });
    runs.emplace_back([=](HostileRun& run) {  // A client that is awaited by hand has done its work then.
      run.Run("client --listen --json " + run.Out("run.json"), {0, 3}, "", moment);
    });
  }
  DoSome(runs);
}

// --- Two at once ---

TEST(Surroundings, TwoRunsKeepTheirFindingsInOneDirectory) {
  HostileRun place;
  const auto fuzz = [&](const char* const seed, Ended& ended) {
    HostileRun run;
    ended = run.Run("fuzz --only-fresh --only-offered --scripts 60 --steps 12" + kSmallSoon + " --seed " + seed +
                        " --findings " + place.Out("findings") + " --spawn " + run.Server("server_forgets_writes"),
                    {1});
  };
  Ended first;
  Ended second;
  {
    const std::jthread other([&] { fuzz("1", first); });
    fuzz("2", second);
  }
  std::size_t kept = 0;
  for (const auto& entry : std::filesystem::directory_iterator(place.Out("findings"))) {
    if (entry.path().filename().string().starts_with(".")) {
      continue;
    }
    ++kept;
    EXPECT_TRUE(nlohmann::json::accept(Contents(entry.path() / "about.json"))) << entry.path();
    const std::string name = entry.path().string();
    EXPECT_TRUE(first.Says(name) || second.Says(name)) << name << " was never reported";
  }
  EXPECT_GT(kept, 0U);
  place.Run("replay " + place.Out("findings") + " --target " + place.Server("server_forgets_writes"), {1});
}

}  // namespace
}  // namespace nbdspec::command
