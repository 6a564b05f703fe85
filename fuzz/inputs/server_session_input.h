// SPDX-License-Identifier: BSD-3-Clause
// Bytes as a conversation with the reference server: what it offers, and what a client says to it. Every input is one.
//
// ReadSessionInput: the first three bytes say how; what is missing is zero. What follows is either the client's bytes
// themselves, or choices among legal and nearly legal messages, with numbers near the edges that matter: a byte each
// for the client flags and for a usual way into transmission, then messages of one to six bytes. The second form
// reaches in few bytes what random bytes never meet.
//
// ReadMetaContextInput: the client haggles about metadata contexts, and then asks for block status.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
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
// replies unless both are set, bit 6 slow reader, bit 7 extended headers. Bytes 1 and 2: sizes of the pieces the
// client's bytes come in, by turns.
SessionInput ReadSessionInput(engine::ByteView input);

// What the server serves, as it is before the session: always the same but for the maximum payload.
std::vector<engine::Export> MakeSessionExports(const SessionInput& input);

// The exports that are haggled about: "", "a" and "b" have both contexts, "bare" has none. Each is of four blocks, hole
// and zero, data, hole and zero, data: so no status of base:allocation is that of x-nbdspec:block-index.
inline constexpr std::uint32_t kMetaBlockBytes = 1 << 16;
inline constexpr std::uint32_t kMetaBlockCount = 4;
inline constexpr std::string_view kMetaExports[] = {"", "a", "b"};
inline constexpr std::string_view kBareExport = "bare";

// What the client sends: options, then one to four requests, which the server does not read where haggling ended the
// connection. Head byte: 240 and more no structured replies, bit 0 without NO_ZEROES, bits 1-2 begins with
// STRUCTURED_REPLY, bit 3 extended headers, and then bit 2 begins with EXTENDED_HEADERS. Only the last option ends the
// haggling, by transmission or disconnection: a GO that must succeed, an EXPORT_NAME, or an ABORT.
SessionInput ReadMetaContextInput(engine::ByteView input);

}  // namespace nbdspec::fuzz
