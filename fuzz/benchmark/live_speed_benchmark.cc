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
#include "engine/base/bytes.h"
#include "engine/base/check.h"
#include "engine/script/script.h"
#include "fuzz/libnbd/libnbd_client.h"
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
  return *std::move(result);
}

// libnbd's answer to what was tried; it is -1 where libnbd failed.
std::int64_t OrExit(std::int64_t result) {
  if (result == -1) {
    std::fprintf(stderr, "libnbd: %s\n", LibnbdClient::LastError().c_str());
    std::exit(3);
  }
  return result;
}

// One connection of the real libnbd, kept full by its asynchronous API: what a client that looks at no answer reaches.
class LibnbdLoop {
 public:
  explicit LibnbdLoop(const std::string& socket) : handle_(nbd_create()), slots_(kInFlight) {
    // Its own checks are off: they do not know that DF may stand with any READ.
    OrExit(nbd_set_strict_mode(handle_.get(), 0));
    OrExit(nbd_add_meta_context(handle_.get(), LIBNBD_CONTEXT_BASE_ALLOCATION));
    OrExit(nbd_connect_unix(handle_.get(), socket.c_str()));
    for (Slot& slot : slots_) {
      slot = {.loop = this, .request = {.payload = engine::Bytes(kBytesMax, 0x5a)}};
    }
  }
  ~LibnbdLoop() { nbd_shutdown(handle_.get(), 0); }
  LibnbdLoop(const LibnbdLoop&) = delete;
  LibnbdLoop& operator=(const LibnbdLoop&) = delete;

  // Sends a command once fewer than kInFlight are on their way. Range: what the server offers.
  void Send(const engine::RequestStep& step) {
    const bool has_data = step.command == engine::Command::kRead || step.command == engine::Command::kWrite;
    NBDSPEC_CHECK(!has_data || step.length <= kBytesMax);
    WaitFor(1);
    Slot& slot = *std::ranges::find(slots_, true, &Slot::is_free);
    slot.is_free = false;
    --free_count_;
    const nbd_completion_callback done = {.callback = Done, .user_data = &slot};
    engine::Request& request = slot.request;
    request.flags = step.flags;
    request.type = static_cast<std::uint16_t>(step.command);
    request.offset = step.offset;
    request.length = step.length;
    if (step.command == engine::Command::kRead) {
      OrExit(nbd_aio_pread(handle_.get(), request.payload.data(), step.length, step.offset, done, step.flags));
    } else {
      OrExit(SendToLibnbd(handle_.get(), request, {.callback = Ignore}, done));
    }
  }

  void WaitForAll() { WaitFor(kInFlight); }

 private:
  static constexpr std::size_t kBytesMax = 1 << 20;  // Of one read or write.

  struct Slot {
    LibnbdLoop* loop = nullptr;
    engine::Request request = {};  // Its payload is the buffer, also of a READ.
    bool is_free = true;
  };

  void WaitFor(std::size_t free_count) {
    while (free_count_ < free_count) {
      OrExit(nbd_poll(handle_.get(), -1));
    }
  }

  static int Done(void* slot, int* /*error*/) {
    auto* const done = static_cast<Slot*>(slot);
    done->is_free = true;
    ++done->loop->free_count_;
    return 1;  // It need not be asked for.
  }

  static int Ignore(void*, const char*, std::uint64_t, std::uint32_t*, std::size_t, int*) { return 0; }

  LibnbdHandle handle_;
  std::vector<Slot> slots_;
  std::size_t free_count_ = kInFlight;
};

double SecondsSince(Clock::time_point begun) { return std::chrono::duration<double>(Clock::now() - begun).count(); }

std::vector<engine::Script> ScriptsFor(const LiveServer& server) {
  std::vector<engine::Script> scripts;
  for (std::uint64_t seed = 0; seed < kScripts; ++seed) {
    scripts.push_back(
        RandomScript(seed, server.offer(), server.windows(), {.only_offered = true, .haggling = DefaultHaggling()}));
  }
  return scripts;
}

// Commands per second.
double RateOfLibnbd(const std::string& socket, const std::vector<engine::Script>& scripts) {
  LibnbdLoop loop(socket);
  const auto begun = Clock::now();
  std::uint64_t count = 0;
  for (const engine::Script& script : scripts) {
    for (const engine::Step& step : script.steps) {
      if (const auto* request = std::get_if<engine::RequestStep>(&step)) {
        loop.Send(*request);
        ++count;
      } else if (std::holds_alternative<engine::WaitStep>(step)) {
        loop.WaitForAll();
      }
    }
    loop.WaitForAll();
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
