// SPDX-License-Identifier: BSD-3-Clause
// Subject: which messages a judgement is about.
//
// As a rule that is the last message that asked for something, with what answered it. A check that goes on before it
// judges, or that judges one of many answers, names the message: About(subject, judgement). Where the message stands in
// the transcript is found in one place, conformance/runner/evidence.h.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/exchange/rules.h"
#include "engine/negotiation/client_negotiation.h"
#include "engine/wire/messages.h"
#include "reports/model/evidence.h"

namespace nbdspec::conformance {

struct Subject {
  std::optional<std::uint64_t> cookie = {};  // The request that has it, with its answer.
  std::string message = {};                  // A message of either side in the words of Describe; the last such one.
  bool is_last_sent = false;                 // Whatever was sent last, be it only to leave.
  bool goes_on = false;                      // Judged is how the conversation went on after it, at its end.
  std::int32_t chunk = -1;                   // Which chunk of the answer; -1 for all of it.
  std::vector<reports::Bar> bars = {};       // What was asked and said of the export.

  [[nodiscard]] bool is_default() const { return !cookie && message.empty() && !is_last_sent; }
};

Subject SubjectOf(const engine::Request& request);  // Its cookie is the one that it was sent with.
Subject SubjectOf(const engine::Option& option);
Subject SubjectOf(const engine::ClientFlags& flags);
Subject SubjectOf(const engine::OptionReply& reply);
Subject SubjectOf(const engine::ServerMessage& message);
Subject SubjectOf(const engine::ReceiveError& ended);  // How a connection ended: the note on it.

// The exchange, and what it says of the export: of BLOCK_STATUS, and of READ in chunks.
Subject SubjectOf(const engine::Exchange& exchange);
// The same where `ruling`, by a rule about it, says which part is wrong.
Subject SubjectOf(const engine::Exchange& exchange, const engine::Ruling& ruling);

// What came after `subject`, which was asked for first: the next answer, or the end.
inline Subject WhatFollows(Subject subject) {
  subject.goes_on = true;
  return subject;
}

// `subject`, whose exchange claims that `claimed` reads as zeroes, where the byte at `not_zero` is none.
Subject WithTruth(Subject subject, engine::ByteRange claimed, std::uint64_t not_zero);

}  // namespace nbdspec::conformance
