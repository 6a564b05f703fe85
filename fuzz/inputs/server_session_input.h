// SPDX-License-Identifier: BSD-3-Clause
// Bytes as a conversation with the reference server: what it offers, and what a client says to it. Every input is one.
//
// The first three bytes say how (ReadSessionInput); what is missing is zero. What follows is either the client's bytes
// themselves, or choices among legal and nearly legal messages, with numbers near the edges that matter: a byte each
// for the client flags and for a usual way into transmission, then messages of one to six bytes. The second form
// reaches in few bytes what random bytes never meet.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/server/server.h"

namespace nbdspec::fuzz {

struct SessionInput {
  engine::ServerOptions server;
  std::uint32_t payload_bytes_max = 0;  // Advertised by every export.
  std::array<std::size_t, 2> piece_bytes = {1, 1};
  bool is_read_slowly = false;  // Output is taken only once everything is said.
  engine::Bytes said;           // By the client.
};

// Head byte 0: bit 0 choices instead of bytes, bit 1 small limits, bits 2-3 handshake flags, bits 4-5 structured
// replies unless both are set, bit 6 slow reader. Bytes 1 and 2: sizes of the pieces the client's bytes come in, by
// turns.
SessionInput ReadSessionInput(engine::ByteView input);

// What the server serves, as it is before the session: always the same but for the maximum payload.
std::vector<engine::Export> MakeSessionExports(const SessionInput& input);

}  // namespace nbdspec::fuzz
