// SPDX-License-Identifier: BSD-3-Clause
// Bytes from a client to messages, incrementally: what a server reads.
//
// The phases follow the server's word: flags, then options until EnterTransmission(), then requests. Bytes may
// come in any pieces. Memory is bounded by the limits: a longer payload is read and dropped as it arrives, and the
// message says so, so that a server can refuse it without losing its place.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>

#include "engine/base/bytes.h"
#include "engine/wire/byte_queue.h"
#include "engine/wire/fields.h"
#include "engine/wire/messages.h"

namespace nbdspec::engine {

// A peer's bytes that cannot be a message (a wrong magic): there is no way to go on after it.
struct Undecodable {
  std::string what;          // For people: "option magic is 0x…, not IHAVEOPT".
  std::uint64_t offset = 0;  // Of the first byte of what is no message, from the start of the stream.
  bool operator==(const Undecodable&) const = default;
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

  // Bytes taken but not yet part of a message, without those of a payload that is being dropped.
  [[nodiscard]] std::size_t pending_bytes() const { return pending_.size(); }

 private:
  enum class Phase { kFlags, kOptions, kRequests };
  using Decoded = std::optional<std::variant<ClientMessage, Undecodable>>;

  Decoded NextFlags();
  Decoded NextOption();
  Decoded NextRequest();
  template <typename Message>
  Decoded WithPayload(Header<Message>& header, std::uint32_t length, std::uint32_t bytes_max);
  void DropPayload();
  Decoded Die(std::string what);

  Limits limits_;
  Phase phase_ = Phase::kFlags;
  ByteQueue pending_;                      // Empty after Feed and Next while to_drop_ is not 0.
  std::uint32_t to_drop_ = 0;              // Payload bytes of an overlong message still to come.
  std::optional<ClientMessage> overlong_;  // The message they belong to.
  std::optional<Undecodable> dead_;
};

}  // namespace nbdspec::engine
