// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/comparisons/session_decode_differential.h"

#include <string_view>

#include "fuzz/inputs/fresh_inputs.h"

namespace nbdspec::fuzz {

std::string Print(const SessionOutcome& outcome) {
  constexpr auto kNames =
      std::to_array<std::string_view>({"closed", "reset", "timed out", "undecodable", "unexpected", "flood"});
  std::string text = outcome.is_silent ? "silence; " : "";
  text += outcome.ended ? "ended: " + std::string(kNames[static_cast<std::size_t>(*outcome.ended)]) + "; " : "";
  for (const engine::ServerMessage& message : outcome.messages) {
    text += engine::Describe(message) + "; ";
  }
  return text + "error " + std::to_string(outcome.error);
}

FuzzTarget SessionDecodeTarget() {
  return {.name = "session_decode",
          .subject = "our own session, by a hostile server's bytes",
          .against = "a naive session that has them all at once",
          .inputs = {.bytes_max = 256, .fresh = FreshSessionDecodeInput},
          .find_in_bytes = [](engine::ByteView input) { return FindSessionDecodeDisagreement(input); },
          .dictionary = "nbd.dict"};
}

}  // namespace nbdspec::fuzz
