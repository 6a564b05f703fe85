// SPDX-License-Identifier: BSD-3-Clause
// How many commands a second `nbdspec fuzz` sends and judges, beside a bare loop of libnbd's asynchronous API that
// sends the same commands to the same server with as many in flight, and looks at no answer.
//
//   live_speed_benchmark SOCKET      the server there is written to; tools/live_speed starts some, one after the other
//
// They come in rounds, by turns, for machines swing: the middle ratio counts. What nbdspec knows of the export is read
// anew before each of its rounds, and that is not counted.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "conformance/peer/target.h"
#include "engine/base/check.h"
#include "engine/script/script.h"
#include "fuzz/libnbd/libnbd_loop.h"
#include "fuzz/live/run/live_server.h"
#include "fuzz/live/run/random_script.h"

namespace nbdspec::fuzz {
namespace {

using Clock = std::chrono::steady_clock;

constexpr int kInFlight = 16;
constexpr std::size_t kRounds = 7;
constexpr std::uint64_t kScripts = 300;
constexpr double kNeeded = 0.7;

template <typename T>
T OrExit(std::expected<T, engine::Trouble> result) {
  if (!result) {
    std::fprintf(stderr, "%s\n", result.error().sentence.c_str());
    std::exit(3);
  }
  if constexpr (!std::is_void_v<T>) {
    return *std::move(result);
  }
}

double SecondsSince(Clock::time_point begun) { return std::chrono::duration<double>(Clock::now() - begun).count(); }

std::vector<engine::Script> ScriptsFor(const LiveServer& server) {
  const std::vector<engine::OptionStep> haggling = {
      {.option = engine::OptionType::kStructuredReply},
      {.option = engine::OptionType::kSetMetaContext, .names = {std::string(engine::kBaseAllocation)}}};
  std::vector<engine::Script> scripts;
  for (std::uint64_t seed = 0; seed < kScripts; ++seed) {
    scripts.push_back(
        RandomScript(seed, server.offer(), server.windows(), {.only_offered = true, .haggling = haggling}));
  }
  return scripts;
}

// Commands per second.
double RateOfLibnbd(const std::string& socket, const std::vector<engine::Script>& scripts) {
  const auto loop = OrExit(LibnbdLoop::Connect(socket, kInFlight));
  const auto begun = Clock::now();
  std::uint64_t count = 0;
  for (const engine::Script& script : scripts) {
    for (const engine::Step& step : script.steps) {
      if (const auto* request = std::get_if<engine::RequestStep>(&step)) {
        OrExit(
            loop->Send(static_cast<std::uint16_t>(request->command), request->flags, request->offset, request->length));
        ++count;
      } else if (std::holds_alternative<engine::WaitStep>(step)) {
        OrExit(loop->WaitForAll());
      }
    }
    OrExit(loop->WaitForAll());
  }
  return static_cast<double>(count) / SecondsSince(begun);
}

double RateOfNbdspec(conformance::Target& target, const std::vector<engine::Script>& scripts) {
  const auto server = OrExit(LiveServer::Start(target, {.in_flight = kInFlight}));
  const auto begun = Clock::now();
  std::uint64_t count = 0;
  for (const engine::Script& script : scripts) {
    const RunResult ran = OrExit(server->Run(script));
    NBDSPEC_CHECK(!ran.finding);
    count += ran.command_count;
  }
  return static_cast<double>(count) / SecondsSince(begun);
}

int Main(const std::string& socket) {
  const auto target = OrExit(conformance::TargetFromUri("nbd+unix:///?socket=" + socket));
  const auto scripts = ScriptsFor(*OrExit(LiveServer::Start(*target, {})));
  struct Round {
    double ratio, ours, theirs;
  };
  std::array<Round, kRounds> rounds = {};
  for (Round& round : rounds) {
    round.theirs = RateOfLibnbd(socket, scripts);
    round.ours = RateOfNbdspec(*target, scripts);
    round.ratio = round.ours / round.theirs;
  }
  std::ranges::sort(rounds, {}, &Round::ratio);
  const Round& middle = rounds[kRounds / 2];
  std::printf("nbdspec fuzz %8.0f commands/s; libnbd %8.0f: %.2f (%.2f to %.2f); needed %.2f\n", middle.ours,
              middle.theirs, middle.ratio, rounds.front().ratio, rounds.back().ratio, kNeeded);
  return middle.ratio >= kNeeded ? 0 : 1;
}

}  // namespace
}  // namespace nbdspec::fuzz

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: live_speed_benchmark SOCKET\n", stderr);
    return 2;
  }
  return nbdspec::fuzz::Main(argv[1]);
}
