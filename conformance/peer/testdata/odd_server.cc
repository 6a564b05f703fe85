// SPDX-License-Identifier: BSD-3-Clause
// The reference server on a unix socket, odd in how it treats its clients, for tests: odd_server SOCKET WORD...
//
// Odd and right: "queues-clients" (greets one when the one before it has gone), "refuses-second" (hangs up on who comes
// while there is one), "ends-with-client" (with status 0), "ends-with-entered" (the same, once a client has entered an
// export), "delay=MS" (nothing is heard of a message for so long), "named" (its export is "d", and no other),
// "simple" (no structured replies), "refuses-caching". As servers once were: "not-fixed", "oldstyle".
// Wrong: "aborts-after-cache" (100 ms after a client that sent CACHE has gone), "aborts-once" (the same, if FILE of
// "file=FILE" is not there, which it makes), "locks-after-cache" (once such a client has gone, no WRITE is answered),
// "stops-after-cache" (the same, and nobody is greeted), "hangs-up-on-zeroing", "keeps-descriptors" (of every fifth
// client that has gone), "aborts-at-options", "aborts-at-writes".

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "conformance/peer/testdata/unix_server.h"
#include "engine/faults/answer_changes.h"
#include "engine/server/server.h"
#include "engine/wire/messages.h"

namespace {

using nbdspec::testdata::Listen;
using nbdspec::testdata::SendAll;

using namespace nbdspec::engine;
using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kExportBytes = 4 << 20;
constexpr std::chrono::milliseconds kAbortDelay{100};

std::set<std::string, std::less<>> words;
std::string file;
std::chrono::milliseconds delay{0};
bool was_cached = false;  // Some client that has gone sent CACHE.

bool Is(std::string_view word) { return words.contains(word); }

// Notes CACHE; keeps back what is not to be answered.
faults::Change Oddity(bool& cached) {
  faults::Change change = faults::ChangesRequest(faults::kCache, [&cached](Request&) { cached = true; });
  if (Is("locks-after-cache")) {
    change = Both(change, faults::NeverAnswers(faults::kWrite, [](auto&, auto&) { return was_cached; }));
  }
  if (Is("refuses-caching")) {
    change = Both(change, faults::Fails(faults::kCache, NbdError::kEnotsup, faults::OnSuccess));
  }
  if (Is("aborts-at-writes")) {
    change = Both(change, faults::ChangesRequest(faults::kWrite, [](Request&) { std::abort(); }));
  }
  if (Is("hangs-up-on-zeroing")) {
    change = Both(change, faults::Disconnects(faults::kWriteZeroes));
  }
  return change;
}

struct Client {
  int fd = -1;
  bool cached = false;
  std::unique_ptr<Interposer> oddity = {};
  std::unique_ptr<Server> server = {};
  std::deque<std::pair<Clock::time_point, Bytes>> said = {};  // Not yet sent.
};

// Takes what the server says, to be sent when its time has come.
void Queue(Client& client) {
  for (Bytes said = client.server->TakeOutput(); !said.empty(); said = client.server->TakeOutput()) {
    client.said.emplace_back(Clock::now() + delay, std::move(said));
  }
}

// Returns whether the connection goes on.
bool SendDue(Client& client) {
  while (!client.said.empty() && client.said.front().first <= Clock::now()) {
    const Bytes bytes = std::move(client.said.front().second);
    client.said.pop_front();
    if (!SendAll(client.fd, bytes)) {
      return false;
    }
  }
  return !client.said.empty() || !client.server->closed();
}

bool Hear(Client& client) {
  std::array<std::uint8_t, 65536> buffer;
  const ssize_t count = recv(client.fd, buffer.data(), buffer.size(), 0);
  if (count <= 0) {
    return false;
  }
  constexpr ssize_t kClientFlagsBytes = 4;
  if (Is("aborts-at-options") && count > kClientFlagsBytes) {
    std::fputs("odd_server: no options\n", stderr);
    std::abort();
  }
  client.server->Receive({buffer.data(), static_cast<std::size_t>(count)});
  Queue(client);
  return true;
}

void Leave(const Client& client) {
  static int gone = 0;
  if (++gone % 5 != 0 || !Is("keeps-descriptors")) {
    close(client.fd);
  }
  if (Is("ends-with-client") || (Is("ends-with-entered") && client.server->state().transmission)) {
    std::exit(0);
  }
  was_cached = was_cached || client.cached;
  const bool aborts = Is("aborts-after-cache") || (Is("aborts-once") && !std::ifstream(file));
  if (client.cached && aborts) {
    if (!file.empty()) {
      std::ofstream(file) << "done";
    }
    std::thread([] {
      std::this_thread::sleep_for(kAbortDelay);
      std::fputs("odd_server: too late\n", stderr);
      std::abort();
    }).detach();
  }
}

[[noreturn]] void Serve(int listening) {
  Export served({.name = Is("named") ? "d" : ""}, Disk(kExportBytes));
  ServerOptions options{.oldstyle = Is("oldstyle"), .structured_replies = !Is("simple")};
  if (Is("not-fixed")) {
    options.handshake_flags = HandshakeFlag::kNoZeroes;
  }
  std::vector<std::unique_ptr<Client>> clients;
  for (;;) {
    const bool is_full = (Is("queues-clients") && !clients.empty()) || (Is("stops-after-cache") && was_cached);
    std::vector<pollfd> waiting = {{.fd = is_full ? -1 : listening, .events = POLLIN, .revents = 0}};
    bool has_more = false;
    for (const auto& each : clients) {
      waiting.push_back({.fd = each->fd, .events = POLLIN, .revents = 0});
      has_more = has_more || !each->said.empty();
    }
    poll(waiting.data(), waiting.size(), has_more ? 1 : -1);
    for (std::size_t i = clients.size(); i > 0; --i) {
      Client& client = *clients[i - 1];
      const bool heard = waiting[i].revents == 0 || Hear(client);
      if (!SendDue(client) || !heard) {
        Leave(client);
        clients.erase(clients.begin() + static_cast<std::ptrdiff_t>(i) - 1);
      }
    }
    if ((waiting[0].revents & POLLIN) == 0) {
      continue;
    }
    auto made = std::make_unique<Client>(Client{.fd = accept(listening, nullptr, nullptr)});
    if (Is("refuses-second") && !clients.empty()) {
      close(made->fd);
      continue;
    }
    made->oddity = faults::Interpose(Oddity(made->cached));
    made->server = std::make_unique<Server>(options, std::vector{&served}, made->oddity.get());
    Queue(*made);
    clients.push_back(std::move(made));
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fputs("usage: odd_server SOCKET WORD...\n", stderr);
    return 2;
  }
  for (const std::string_view word : std::vector<std::string_view>(argv + 2, argv + argc)) {
    if (word.starts_with("delay=")) {
      delay = std::chrono::milliseconds(std::atoi(word.data() + std::strlen("delay=")));
    } else if (word.starts_with("file=")) {
      file = word.substr(std::strlen("file="));
    } else {
      words.emplace(word);
    }
  }
  Serve(Listen(argv[1]));
}
