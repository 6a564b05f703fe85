// SPDX-License-Identifier: BSD-3-Clause
// ExchangeClient: one connection to the reference server in memory, from the greeting to the last answer.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/script/script.h"
#include "engine/server/export.h"
#include "engine/server/interposer.h"
#include "engine/server/server.h"
#include "engine/wire/server_decoder.h"
#include "fuzz/exchange/exchange_judge.h"
#include "fuzz/exchange/unusual_answers.h"

namespace nbdspec::fuzz {

class ExchangeClient {
 public:
  // To `served` and `other`, an export by another name; both outlive this, as does nothing else. `wrong` may be null.
  // Not plain: answers are unusual, and bytes come in pieces.
  ExchangeClient(engine::Export& served, engine::Export& other, std::uint8_t connection,
                 std::unique_ptr<engine::Interposer> wrong);

  // Haggles: `options`, then what is missing; everything on offer if there are none.
  std::optional<Objection> Haggle(std::span<const engine::OptionStep* const> options);

  // Sends `requests`, whose cookies are their indices from `cookie` on, and takes everything that is said to them:
  // answers[i] to requests[i].
  std::optional<Objection> Exchange(std::span<const engine::Request> requests, std::uint64_t cookie,
                                    std::vector<ExchangeAnswer>& answers);

  [[nodiscard]] bool is_plain() const { return is_plain_; }
  [[nodiscard]] const Negotiated& negotiated() const { return negotiated_; }

  // What was entered; null if haggling ended in no transmission, and never will.
  [[nodiscard]] const engine::Export* entered() const { return entered_; }

 private:
  using Found = std::optional<Objection>;

  Found Greet();
  Found Do(const engine::OptionStep& option);
  Found TakeOptionReplies(const engine::OptionStep& option, engine::Export* named);
  Found DoExportName(engine::Export* named);
  [[nodiscard]] bool IsAcceptable(const engine::OptionStep& option, const engine::Export* named) const;
  Found Conclude(const engine::OptionStep& option, engine::Export* named, std::vector<engine::MetaContext> given);
  Found Enter(engine::Export& entered);
  [[nodiscard]] engine::Export* Find(const std::string& name);
  void Say(engine::ByteView bytes);
  void Hear();
  std::optional<engine::ServerMessage> Next();

  engine::Export& served_;
  engine::Export& other_;
  bool is_plain_;
  std::uint8_t connection_;
  std::unique_ptr<engine::Interposer> wrong_;
  std::optional<UnusualAnswers> unusual_;
  engine::Server server_;
  engine::ServerDecoder decoder_;
  engine::Bytes said_;  // Used again.
  Negotiated negotiated_;
  std::string context_export_;
  engine::Export* entered_ = nullptr;
  bool is_over_ = false;
};

}  // namespace nbdspec::fuzz
