// SPDX-License-Identifier: BSD-3-Clause
// Faults for handshake_checks.cc.
#include "conformance/faulty/fault.h"

namespace nbdspec::conformance {

using engine::ClientMessage;
using engine::ConnectionState;
using engine::Greeting;

namespace {

// A server that ignores client flags with the bit `ignored`.
Hearing Ignores(std::uint32_t ignored) {
  return [ignored](ClientMessage& heard, const ConnectionState&) {
    if (auto* flags = std::get_if<engine::ClientFlags>(&heard)) {
      flags->flags &= ~ignored;
    }
    return true;
  };
}

}  // namespace

std::vector<Fault> HandshakeFaults() {
  return {
      GreetsWrong("server_greets_with_swapped_magic", "handshake.magic",
                  [](Greeting& greeting) { greeting.magic = 0x434947414d44424e; }),
      SaysWrong("server_talks_before_client_flags", "handshake.flags.width",
                [](const ClientMessage* heard, const ConnectionState&, std::vector<engine::ServerMessage>& said) {
                  if (heard == nullptr) {
                    said.emplace_back(engine::OptionReply{});
                  }
                }),
      GreetsWrong("server_sets_unknown_handshake_flag", "handshake.flags.no-other",
                  [](Greeting& greeting) { greeting.flags |= 1 << 7; }),
      HearsWrong("server_ignores_unknown_client_flag", "handshake.client-flags.drop-unknown", Ignores(1U << 2)),
      HearsWrong("server_ignores_high_client_flag", "handshake.client-flags.drop-unknown/high", Ignores(1U << 31)),
      GreetsWrong("server_accepts_unoffered_no_zeroes", "handshake.client-flags.drop-unoffered",
                  [](Greeting& greeting) { greeting.flags &= ~engine::HandshakeFlag::kNoZeroes; }),
  };
}

}  // namespace nbdspec::conformance
