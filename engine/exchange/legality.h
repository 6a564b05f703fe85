// SPDX-License-Identifier: BSD-3-Clause
// Legality: may a client send this request? Where it may not, which errors does the specification name?

#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/negotiation/negotiated.h"
#include "engine/wire/messages.h"

namespace nbdspec::engine {

// What a request is about. A WRITE has its payload in either form of headers; PAYLOAD_LEN says nothing more of it.
struct RequestHead {
  std::uint16_t flags = 0;
  std::uint16_t type = CommandType::kRead;
  std::uint64_t cookie = 0;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;  // Of the range, or the data. 0 where a payload that cannot be taken apart would say it.
  // Those that the payload of a BLOCK_STATUS names; nothing without such a payload, or with a malformed one.
  std::optional<std::vector<std::uint32_t>> context_ids = {};
  bool operator==(const RequestHead&) const = default;

  // `request` is in the form in which it is sent.
  static RequestHead Of(const Request& request);

  // Whether it is a BLOCK_STATUS with a payload, well-formed or not. Where headers are extended.
  [[nodiscard]] bool has_query() const {
    return type == CommandType::kBlockStatus && (flags & CommandFlag::kPayloadLen) != 0;
  }
  // Ends at 2^64-1 where offset + length is more.
  [[nodiscard]] ByteRange range() const {
    constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
    return {.begin = offset, .end = length > kMax - offset ? kMax : offset + length};
  }
};

// One line for people: "NBD_CMD_READ at 512, 1024 bytes".
std::string Describe(const RequestHead& request);

// Errors of the specification.
class ErrorSet {
 public:
  constexpr ErrorSet() = default;
  constexpr ErrorSet(std::initializer_list<std::uint32_t> errors) {
    for (const std::uint32_t error : errors) {
      bits_[error / 64] |= Bit(error);
    }
  }
  [[nodiscard]] constexpr bool Contains(std::uint32_t error) const {
    return error < 128 && (bits_[error / 64] & Bit(error)) != 0;
  }
  constexpr void Add(const ErrorSet& others) {
    bits_[0] |= others.bits_[0];
    bits_[1] |= others.bits_[1];
  }
  // "NBD_ENOSPC or NBD_EINVAL".
  [[nodiscard]] std::string Text() const;

 private:
  static constexpr std::uint64_t Bit(std::uint32_t error) { return std::uint64_t{1} << (error % 64); }
  std::uint64_t bits_[2] = {};
};

// All that the specification defines, 0 excepted.
inline constexpr ErrorSet kDefinedErrors = {NbdError::kEperm,   NbdError::kEio,      NbdError::kEnomem,
                                            NbdError::kEinval,  NbdError::kEnospc,   NbdError::kEoverflow,
                                            NbdError::kEnotsup, NbdError::kEshutdown};

// Why a client may not send a request.
enum class Reason : std::uint8_t {
  kUnknownCommand,
  kNotOffered,        // A command that the transmission flags do not offer.
  kUnknownFlag,       // A command flag that the specification does not define.
  kInapplicableFlag,  // One that does not belong to the command.
  kFlagNotOffered,    // One that does, and was not offered.
  kReadOnly,          // A change of an export that is read-only.
  kNoContext,         // BLOCK_STATUS with no context selected.
  kBadQuery,          // Its payload has a wrong size, or names a context that is not selected, or one twice.
  kPastEnd,           // Reaches past the end of the export.
  kMisaligned,        // Not a multiple of the minimum block size.
  kTooLong,           // More data than the maximum payload.
  kUnspecified,       // No reason: what answers a length of 0, or a FLUSH of a range, is open.
};
inline constexpr int kReasonCount = static_cast<int>(Reason::kUnspecified) + 1;

class Legality {
 public:
  constexpr void Add(Reason reason) { reasons_ |= Bit(reason); }
  [[nodiscard]] constexpr bool Has(Reason reason) const { return (reasons_ & Bit(reason)) != 0; }
  // A client may send it, and the specification says what answers it.
  [[nodiscard]] constexpr bool is_legal() const { return reasons_ == 0; }
  // A client may not send it.
  [[nodiscard]] constexpr bool is_illegal() const { return (reasons_ & ~Bit(Reason::kUnspecified)) != 0; }
  constexpr bool operator==(const Legality&) const = default;

 private:
  static constexpr std::uint16_t Bit(Reason reason) {
    return static_cast<std::uint16_t>(1U << static_cast<unsigned>(reason));
  }
  std::uint16_t reasons_ = 0;
};

Legality LegalityOf(const RequestHead& request, const Negotiated& negotiated);

// The errors that the specification names for a request that is illegal for `reason`; a server SHOULD choose one.
ErrorSet ErrorsFor(Reason reason, std::uint16_t command);

// Where several reasons hold, any of their errors will do.
ErrorSet ErrorsFor(const Legality& legality, std::uint16_t command);

}  // namespace nbdspec::engine
