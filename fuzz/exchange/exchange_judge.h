// SPDX-License-Identifier: BSD-3-Clause
// ExchangeJudge: may this be the answer to that request, with the export as the model knows it?
//
// By the rules of engine/block_status, by the specification's on reads and errors, and by what the reference server
// promises beyond them: the status of every block exactly, unless the answers are made unusual on purpose.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/block_status/judge.h"
#include "engine/negotiation/negotiated.h"
#include "engine/server/export.h"
#include "engine/wire/messages.h"
#include "fuzz/exchange/export_model.h"

namespace nbdspec::fuzz {

using engine::Negotiated;

// Everything that answers one request: a simple reply, or chunks up to the one with DONE.
struct ExchangeAnswer {
  std::optional<engine::SimpleReply> simple = {};
  std::vector<engine::Chunk> chunks = {};
  bool is_whole = false;
};

// What was expected and what was seen instead.
struct Objection {
  std::string expected;
  std::string saw;
};

class ExchangeJudge {
 public:
  // Both outlive the judge.
  ExchangeJudge(const ExportModel& model, const engine::ExportOptions& offered) : model_(model), offered_(offered) {}

  // `answer` is left without its chunks. `has_changed` says whether the request has taken effect.
  std::optional<Objection> Judge(const engine::Request& request, const Negotiated& negotiated, bool is_plain,
                                 ExchangeAnswer& answer, bool& has_changed);

 private:
  using Found = std::optional<Objection>;

  // Which of its errors a request must have, or may.
  struct Permitted {
    bool success = true;
    bool is_permitted[128] = {};  // By number; all that are defined are below.
    void Refuse(std::uint32_t error) {
      success = false;
      is_permitted[error] = true;
    }
  };

  [[nodiscard]] Permitted PermittedFor(const engine::Request& request, const Negotiated& negotiated) const;
  [[nodiscard]] std::uint16_t FlagsFor(std::uint16_t command, const Negotiated& negotiated) const;
  [[nodiscard]] Found JudgeForm(const engine::Request& request, const Negotiated& negotiated,
                                const ExchangeAnswer& answer, std::uint32_t& error) const;
  [[nodiscard]] Found JudgeChunkForm(const engine::Request& request, const engine::Chunk& chunk, bool is_last,
                                     std::uint32_t& error) const;
  [[nodiscard]] Found JudgeRead(const engine::Request& request, const ExchangeAnswer& answer, bool has_failed);
  [[nodiscard]] Found JudgeStatus(const engine::Request& request, const Negotiated& negotiated, bool is_plain,
                                  ExchangeAnswer& answer);
  [[nodiscard]] Found JudgeClaims(const engine::Request& request, const Negotiated& negotiated, bool is_plain,
                                  const engine::Chunk& chunk) const;
  [[nodiscard]] Found JudgeAllocation(const engine::Request& request, bool is_plain, const engine::Chunk& chunk) const;
  [[nodiscard]] Found JudgeBlockIndex(const engine::Request& request, const engine::Chunk& chunk) const;

  const ExportModel& model_;
  const engine::ExportOptions& offered_;
  engine::StatusExchange exchange_;         // Used again.
  std::vector<engine::ByteRange> covered_;  // Of a read whose chunks are not in order.
};

}  // namespace nbdspec::fuzz
