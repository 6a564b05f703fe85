// SPDX-License-Identifier: BSD-3-Clause
// The reference client as a process on a unix socket, right or wrong in one way, for tests:
//
//   faulty_client NAME SOCKET out|in|map FILE
//   faulty_client NAME SOCKET visit
//
// NAME: "none", a habit (engine/client/habits.h), a fault (engine/client/client_fault.h); or what no reference client
// does: "dies" (aborts once it has copied), "hangs" (for a minute), "hangs-once=FILE" (if FILE, which it makes, is not
// there); "rounds-up" and "rounds-down" (what it copies, to sectors), "spoils-byte-64k", "takes-holes-for-zeroes" (in
// its map). It has no TLS.

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "conformance/peer/socket/socket_transport.h"
#include "engine/client/client.h"
#include "engine/client/client_fault.h"
#include "engine/client/habits.h"
#include "engine/wire/protocol.h"

namespace {

using namespace nbdspec::engine;
using nbdspec::conformance::Ending;
using nbdspec::conformance::Transport;

constexpr std::chrono::seconds kSilence{30};
constexpr std::chrono::minutes kHang{1};
constexpr std::size_t kReceivedBytesMax = 1 << 18;
constexpr std::string_view kHangsOnce = "hangs-once=";

class SocketLink final : public ClientLink {
 public:
  explicit SocketLink(std::unique_ptr<Transport> transport) : transport_(std::move(transport)) {}

  void Send(ByteView bytes) override {
    if (transport_) {
      (void)transport_->Send(bytes, Transport::Clock::now() + kSilence);
    }
  }
  std::optional<ReceiveError> Receive(Bytes& out) override {
    const Ending ending =
        transport_ ? transport_->Receive(out, kReceivedBytesMax, Transport::Clock::now() + kSilence) : Ending::kClosed;
    if (ending == Ending::kNone) {
      return {};
    }
    return ReceiveError{.kind = ending == Ending::kTimedOut ? ReceiveError::kTimedOut : ReceiveError::kClosed,
                        .text = "the server said nothing more"};
  }
  std::expected<void, std::string> BeginTls(ByteView) override { return std::unexpected("it has no TLS"); }
  void Close() override { transport_.reset(); }
  void Drop() override { transport_.reset(); }

 private:
  std::unique_ptr<Transport> transport_;
};

// What is done to what it copied.
struct Damage {
  std::string_view name;
  void (*spoil)(ClientResult& result);
};
constexpr std::uint64_t kSectorBytes = 512;
constexpr Damage kDamages[] = {
    {"rounds-up",
     [](ClientResult& result) {
       result.bytes->resize((result.bytes->size() + kSectorBytes - 1) / kSectorBytes * kSectorBytes);
     }},
    {"rounds-down",
     [](ClientResult& result) { result.bytes->resize(result.bytes->size() / kSectorBytes * kSectorBytes); }},
    {"spoils-byte-64k",
     [](ClientResult& result) {
       if (result.bytes->size() > 65536) {
         (*result.bytes)[65536] ^= 1;
       }
     }},
    {"takes-holes-for-zeroes",
     [](ClientResult& result) {
       for (ClientExtent& each : *result.map) {
         each.flags |= (each.flags & AllocationFlag::kHole) != 0 ? AllocationFlag::kZero : 0;
       }
     }},
};
const Damage* DamageNamed(std::string_view name) {
  const auto* const found = std::ranges::find(kDamages, name, &Damage::name);
  return found == std::end(kDamages) ? nullptr : found;
}

std::optional<ClientConduct> ConductNamed(std::string_view name) {
  for (const ClientHabit& habit : AllHabits()) {
    if (habit.name == name) {
      return habit.conduct;
    }
  }
  for (const ClientFault& fault : AllClientFaults()) {
    if (fault.name == name) {
      return fault.conduct;
    }
  }
  const bool is_right = DamageNamed(name) != nullptr || name == "none" || name == "dies" || name == "hangs" ||
                        name.starts_with(kHangsOnce);
  return is_right ? std::optional(ClientConduct{}) : std::nullopt;
}

void WriteMap(const std::vector<ClientExtent>& map, std::ofstream& out) {
  const char* separator = "[";
  for (const ClientExtent& each : map) {
    out << separator << R"({"start":)" << each.offset << R"(,"length":)" << each.length << R"(,"zero":)"
        << ((each.flags & AllocationFlag::kZero) != 0 ? "true" : "false") << "}";
    separator = ",";
  }
  out << (map.empty() ? "[]" : "]");
}

void MisbehaveAsProcess(const std::string& name) {
  const std::string file = name.starts_with(kHangsOnce) ? name.substr(kHangsOnce.size()) : "";
  if (name == "dies") {
    std::abort();
  }
  if (name == "hangs" || (!file.empty() && !std::ifstream(file))) {
    std::ofstream(file) << "done";
    std::this_thread::sleep_for(kHang);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string name = argc > 1 ? argv[1] : "";
  const std::string job_word = argc > 3 ? argv[3] : "";
  const auto conduct = ConductNamed(name);
  if (!conduct || (argc != 5 && (argc != 4 || job_word != "visit"))) {
    std::fputs("usage: faulty_client NAME SOCKET out|in|map FILE, or visit\n", stderr);
    return 2;
  }
  ClientJob job{.maps = job_word == "map", .copies_out = job_word == "out"};
  if (job_word == "in") {
    std::ifstream in(argv[4], std::ios::binary);
    job.copies_in = Bytes(std::istreambuf_iterator<char>(in), {});
  }
  const auto connect = [&]() -> std::unique_ptr<ClientLink> {
    const auto address = nbdspec::conformance::UnixSocketAddress(argv[2]);
    auto transport = nbdspec::conformance::ConnectSocket(address.value(), Transport::Clock::now() + kSilence);
    return transport ? std::make_unique<SocketLink>(*std::move(transport)) : nullptr;
  };
  ClientResult result = RunClient(connect, job, *conduct);
  if (!result.succeeded) {
    std::fprintf(stderr, "faulty_client: %s\n", result.why.c_str());
    return 1;
  }
  if (const Damage* damage = DamageNamed(name)) {
    damage->spoil(result);
  }
  if (result.bytes || result.map) {
    std::ofstream out(argv[4], std::ios::binary);
    if (result.bytes) {
      out.write(reinterpret_cast<const char*>(result.bytes->data()),
                static_cast<std::streamsize>(result.bytes->size()));
    } else {
      WriteMap(*result.map, out);
    }
  }
  MisbehaveAsProcess(name);
  return 0;
}
