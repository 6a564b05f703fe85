// SPDX-License-Identifier: BSD-3-Clause
// The reference server on a unix socket, right or wrong in one way, for tests: faulty_server SOCKET FAULT-FILE
//
// The file holds the fault's name, so that the same command is another server once the file has changed: "none", a name
// of the catalogue (engine/faults), "dies-at-trim" (aborts), "dies-at-trims-in-a-row" (at the sixth), "leaves-at-write"
// (disconnects), or several with a + between them. What is right: "refuses-writes" (with EIO), "claims-nothing" (of any
// byte), a name of engine/oddities. "list" prints those. "speaks-in-escapes" is hostile, as is what may follow the
// name: a malice and where it begins (malice.h).

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "conformance/peer/testdata/malice.h"
#include "conformance/peer/testdata/unix_server.h"
#include "engine/faults/answer_changes.h"
#include "engine/faults/fault.h"
#include "engine/oddities/oddity.h"
#include "engine/server/server.h"

namespace {

using nbdspec::testdata::Listen;
using nbdspec::testdata::Malice;
using nbdspec::testdata::MaliciousSender;

namespace faults = nbdspec::engine::faults;

constexpr std::uint64_t kExportBytes = 256 << 10;

// A function for each TRIM of several in a row: no answer shows how many there were, but coverage does.
template <int kTrims>
[[gnu::noinline]] void AfterTrims(int trims) {
  if constexpr (kTrims == 6) {
    std::fputs("faulty_server: Assertion `few trims in a row' failed.\n", stderr);
    std::abort();
  } else if (trims > kTrims) {
    AfterTrims<kTrims + 1>(trims);
  }
}

faults::Change DiesAtTrimsInARow() {
  return faults::ChangesRequest(faults::kAnyCommand, [](nbdspec::engine::Request& request) {
    static int trims = 0;
    trims = request.type == faults::kTrim ? trims + 1 : 0;
    AfterTrims<0>(trims);
  });
}

faults::Change ChangeNamed(const std::string& name) {
  if (const std::size_t plus = name.find('+'); plus != std::string::npos) {
    return Both(ChangeNamed(name.substr(0, plus)), ChangeNamed(name.substr(plus + 1)));
  }
  if (name == "none") {
    return {};
  }
  if (name == "dies-at-trim") {
    return faults::ChangesRequest(faults::kTrim, [](nbdspec::engine::Request&) {
      std::fputs("faulty_server: Assertion `no trim' failed.\n", stderr);
      std::abort();
    });
  }
  if (name == "dies-at-trims-in-a-row") {
    return DiesAtTrimsInARow();
  }
  if (name == "leaves-at-write") {
    return faults::Disconnects(faults::kWrite);
  }
  if (name == "refuses-writes") {
    return Both(faults::Forgets(faults::kWrite),
                faults::Fails(faults::kWrite, nbdspec::engine::NbdError::kEio, faults::Always));
  }
  if (name == "claims-nothing") {
    return faults::ChangesStatus([](nbdspec::engine::BlockStatus& status) {
      for (auto& descriptor : status.descriptors) {
        descriptor.status = 0;
      }
    });
  }
  if (name == "speaks-in-escapes") {
    return nbdspec::testdata::SpeaksInEscapes();
  }
  return faults::FaultNamed(name).change;
}

struct Connection {
  int fd;
  MaliciousSender sender;
  std::unique_ptr<nbdspec::engine::Interposer> fault;
  std::unique_ptr<nbdspec::engine::Server> server;
};

// Says all there is to say. Returns whether the connection goes on.
bool Talk(Connection& connection) {
  for (;;) {
    const auto said = connection.server->TakeOutput();
    if (said.empty()) {
      return !connection.server->closed();
    }
    if (!connection.sender.Send(connection.fd, said)) {
      return false;
    }
  }
}

bool HearAndTalk(Connection& connection) {
  std::array<std::uint8_t, 65536> buffer;
  const ssize_t count = recv(connection.fd, buffer.data(), buffer.size(), 0);
  if (count <= 0) {
    return false;
  }
  connection.server->Receive({buffer.data(), static_cast<std::size_t>(count)});
  return Talk(connection);
}

// A server that is right, and unlike others or not.
nbdspec::engine::oddities::Oddity OddityNamed(const std::string& name) {
  const auto all = nbdspec::engine::oddities::AllOddities();
  const auto found = std::ranges::find(all, name, &nbdspec::engine::oddities::Oddity::name);
  return found == all.end() ? nbdspec::engine::oddities::Oddity{} : *found;
}

[[noreturn]] void Serve(int listening, const std::string& name, const Malice& malice) {
  const auto oddity = OddityNamed(name);
  const faults::Change fault = oddity.name.empty() ? ChangeNamed(name) : oddity.change;
  nbdspec::engine::ServerOptions options;
  if (oddity.server) {
    oddity.server(options);
  }
  nbdspec::engine::ExportOptions offers = {.name = ""};
  if (oddity.offers) {
    oddity.offers(offers);
  }
  nbdspec::engine::Export served(offers, nbdspec::engine::Disk(kExportBytes));
  std::vector<Connection> connections;
  for (;;) {
    std::vector<pollfd> waiting = {{.fd = listening, .events = POLLIN, .revents = 0}};
    for (const Connection& each : connections) {
      waiting.push_back({.fd = each.fd, .events = POLLIN, .revents = 0});
    }
    poll(waiting.data(), waiting.size(), -1);
    for (std::size_t i = connections.size(); i > 0; --i) {
      if (waiting[i].revents != 0 && !HearAndTalk(connections[i - 1])) {
        close(connections[i - 1].fd);
        connections.erase(connections.begin() + static_cast<std::ptrdiff_t>(i) - 1);
      }
    }
    if (waiting[0].revents != 0) {
      Connection made = {.fd = accept(listening, nullptr, nullptr),
                         .sender = MaliciousSender(malice),
                         .fault = faults::Interpose(fault),
                         .server = {}};
      made.server = std::make_unique<nbdspec::engine::Server>(options, std::vector{&served}, made.fault.get());
      if (Talk(made)) {
        connections.push_back(std::move(made));
      } else {
        close(made.fd);
      }
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: faulty_server SOCKET FAULT-FILE\n", stderr);
    return 2;
  }
  std::string fault;
  Malice malice;
  std::ifstream(argv[2]) >> fault >> malice;
  if (fault == "list") {
    for (const auto& oddity : nbdspec::engine::oddities::AllOddities()) {
      std::puts(std::string(oddity.name).c_str());
    }
    return 0;
  }
  Serve(Listen(argv[1]), fault, malice);
}
