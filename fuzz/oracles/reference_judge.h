// SPDX-License-Identifier: BSD-3-Clause
// ReferenceJudge: may this be the reference server's answer to that request, with the export as the model knows it?
//
// What any server must keep stands in the rule book (engine/exchange). Here is what is more than that: the errors that
// the reference server has chosen, the bytes of every READ, and the claims of every status, exactly where the answers
// are not made unusual on purpose (fuzz/exchange/unusual_answers.h).

#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/exchange/exchange.h"
#include "engine/exchange/status.h"
#include "engine/wire/messages.h"
#include "fuzz/oracles/disagreement.h"
#include "fuzz/oracles/export_model.h"

namespace nbdspec::fuzz {

// Everything that answers one request: a simple reply, or chunks up to the one with DONE.
struct ReceivedAnswer {
  std::optional<engine::SimpleReply> simple = {};
  std::vector<engine::Chunk> chunks = {};
  bool is_whole = false;

  // Takes the next reply: a simple one, or a chunk.
  void Add(engine::ServerMessage reply);
};

// The request that `message` replies to; nothing where it is no reply.
std::optional<std::uint64_t> CookieOf(const engine::ServerMessage& message);

class ReferenceJudge {
 public:
  // What the export holds, to begin with, and then by what was carried out.
  ExportModel model = {};

  // The first thing wrong with `answer`; the place is left to the caller. What is right and was carried out is so in
  // the model from then on. Is `is_plain` false, what no MUST forbids is right, as is an error without a reason.
  Found Judge(const engine::Request& request, const engine::Negotiated& negotiated, bool is_plain,
              const ReceivedAnswer& answer);

 private:
  [[nodiscard]] bool has_succeeded() const { return !exchange_.answer.has_failed(); }
  [[nodiscard]] Found JudgeRules(bool is_plain) const;
  [[nodiscard]] Found JudgeError(const engine::Request& request, bool is_plain) const;
  [[nodiscard]] Found JudgeRead(const engine::Request& request, const ReceivedAnswer& answer) const;
  [[nodiscard]] Found JudgeClaims(const engine::StatusChunk& chunk, bool is_plain) const;
  [[nodiscard]] bool IsAllocation(const engine::StatusChunk& chunk, bool is_plain) const;
  [[nodiscard]] bool IsBlockIndex(const engine::StatusChunk& chunk) const;

  engine::Exchange exchange_;  // Used again.
};

}  // namespace nbdspec::fuzz
