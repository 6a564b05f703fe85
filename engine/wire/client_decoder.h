// SPDX-License-Identifier: BSD-3-Clause
// Bytes from a client to messages, incrementally: what a server reads.
//
// The phases follow the server's word: flags, then options until EnterTransmission(), then requests. Bytes may
// come in any pieces. Memory is bounded by the limits: a longer payload is read and dropped as it arrives, and the
// message says so, so that a server can refuse it without losing its place.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "engine/base/bytes.h"
#include "engine/wire/messages.h"

namespace nbdspec::engine {

// A client's bytes that cannot be a message (a wrong magic): there is no way to go on after it.
struct Undecodable {
  std::string what;          // For people: "option magic is 0x…, not IHAVEOPT".
  std::uint64_t offset = 0;  // In bytes from the start of the stream.
};

class ClientDecoder {
 public:
  struct Limits {
    std::uint32_t option_bytes_max = 1 << 16;                 // Payload of one option.
    std::uint32_t write_bytes_max = kPayloadBytesDefaultMax;  // Payload of one WRITE.
  };

  ClientDecoder() : ClientDecoder(Limits{}) {}
  explicit ClientDecoder(Limits limits) : limits_(limits) {}

  // Takes more bytes of the stream, any number.
  void Feed(ByteView bytes);

  // The next whole message, or Undecodable (then always), or nothing while bytes are missing.
  std::optional<std::variant<ClientMessage, Undecodable>> Next();

  // The server has entered transmission: what follows are requests.
  void EnterTransmission();

 private:
  enum class Phase { kFlags, kOptions, kRequests };

  Limits limits_;
  Phase phase_ = Phase::kFlags;
  Bytes buffer_;  // Bytes not yet part of a message, from begin_ on.
  std::size_t begin_ = 0;
  std::uint64_t consumed_ = 0;             // Bytes of the stream before begin_.
  std::uint64_t to_drop_ = 0;              // Payload bytes of an overlong message still to come.
  std::optional<ClientMessage> overlong_;  // The message they belong to.
  std::optional<Undecodable> dead_;
};

}  // namespace nbdspec::engine
