// SPDX-License-Identifier: BSD-3-Clause
// Takes the payload of a message apart and puts it together again: the same bytes, exactly when the specification's
// layout fits them; and its description is one short line.
//
// The codec is a template parameter so that tests can pass one with a planted bug.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "engine/base/bytes.h"
#include "engine/base/quoted.h"
#include "engine/wire/messages.h"
#include "engine/wire/payloads.h"
#include "fuzz/comparisons/disagreement.h"

namespace nbdspec::fuzz {

// Payloads decoded and encoded by the engine; nothing where they cannot be taken apart.
struct EnginePayloads {
  static std::optional<engine::Bytes> Again(const engine::Option& option);
  static std::optional<engine::Bytes> Again(const engine::OptionReply& reply);
  static std::optional<engine::Bytes> Again(const engine::Chunk& chunk);
  static bool IsValidString(std::string_view text) { return engine::IsValidString(text); }
  static std::string Describe(const engine::ClientMessage& message) { return engine::Describe(message); }
  static std::string Describe(const engine::ServerMessage& message) { return engine::Describe(message); }
};

// How many of the payload's bytes a layout of the specification makes sense of: all, or for error chunks those before
// what may follow. Nothing when none fits, or none is known.
std::optional<std::size_t> NaiveLayoutBytes(const engine::Option& option);
std::optional<std::size_t> NaiveLayoutBytes(const engine::OptionReply& reply);
std::optional<std::size_t> NaiveLayoutBytes(const engine::Chunk& chunk);

// By the table of well-formed sequences in the Unicode standard, 3-7.
bool IsNaivelyValidString(engine::ByteView text);

bool IsShortPrintableLine(std::string_view text);

template <typename Payloads>
class PayloadDifferential {
 public:
  template <typename Message>
  std::optional<Disagreement> operator()(const Message& message) const {
    const std::string text = Payloads::Describe(message);
    if (!IsShortPrintableLine(text)) {
      return Disagreement{.where = "a description", .expected = "one short line that can be printed", .saw = text};
    }
    if constexpr (requires { Payloads::Again(message); }) {
      return FindInPayload(message, text);
    }
    return std::nullopt;
  }

 private:
  template <typename Message>
  static std::optional<Disagreement> FindInPayload(const Message& message, const std::string& text) {
    const engine::ByteView payload = message.payload;
    const auto expected_bytes = NaiveLayoutBytes(message);
    const auto again = Payloads::Again(message);
    const bool is_same = expected_bytes && again && *expected_bytes == again->size() &&
                         std::equal(again->begin(), again->end(), payload.begin());
    if (expected_bytes || again ? !is_same : false) {
      return Disagreement{.where = text,
                          .expected = expected_bytes ? "its first " + std::to_string(*expected_bytes) + " bytes again"
                                                     : "that it cannot be taken apart",
                          .saw = again ? std::to_string(again->size()) + " bytes, maybe others" : "nothing"};
    }
    const std::string_view as_text(reinterpret_cast<const char*>(payload.data()), payload.size());
    if (Payloads::IsValidString(as_text) != IsNaivelyValidString(payload)) {
      return Disagreement{.where = engine::Quoted(as_text, payload.size()),
                          .expected = IsNaivelyValidString(payload) ? "a valid string" : "no valid string",
                          .saw = "the opposite"};
    }
    return std::nullopt;
  }
};

// The first thing wrong with how the payload of `message` is taken apart, or how it is described.
template <typename Payloads = EnginePayloads>
std::optional<Disagreement> FindPayloadDisagreement(const engine::ClientMessage& message) {
  return std::visit(PayloadDifferential<Payloads>(), message);
}
template <typename Payloads = EnginePayloads>
std::optional<Disagreement> FindPayloadDisagreement(const engine::ServerMessage& message) {
  return std::visit(PayloadDifferential<Payloads>(), message);
}

}  // namespace nbdspec::fuzz
