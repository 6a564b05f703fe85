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
#include "engine/negotiation/client_negotiation.h"
#include "engine/script/script.h"
#include "engine/server/server.h"
#include "fuzz/comparisons/disagreement.h"
#include "fuzz/exchange/unusual_answers.h"
#include "fuzz/oracles/reference_judge.h"

namespace nbdspec::fuzz {

class ExchangeClient : private engine::ClientNegotiation {
 public:
  // To `served` and `other`, an export by another name; both outlive this, as does nothing else. `wrong` may be null.
  // Not plain: answers are unusual, and bytes come in pieces.
  ExchangeClient(engine::Export& served, engine::Export& other, std::uint8_t connection,
                 std::unique_ptr<engine::Interposer> wrong);

  // Haggles: `options`, then what is missing; everything on offer if there are none.
  std::optional<Disagreement> Haggle(std::span<const engine::OptionStep* const> options);

  // Sends `requests`, whose cookies are their indices from `cookie` on, and takes everything that answers them:
  // answers[i] to requests[i].
  std::optional<Disagreement> Exchange(std::span<const engine::Request> requests, std::uint64_t cookie,
                                       std::vector<ReceivedAnswer>& answers);

  [[nodiscard]] bool is_plain() const { return is_plain_; }

  // What was negotiated, once transmission has begun. The block sizes are the export's, also where it sent none.
  [[nodiscard]] const engine::Negotiated& agreed() const { return agreed_; }

  // What was entered; null if haggling ended in no transmission, and never will.
  [[nodiscard]] const engine::Export* entered() const { return entered_; }

 private:
  using Found = std::optional<Disagreement>;

  Found Do(const engine::OptionStep& step);
  Found EnterNamed(engine::Export& named);
  [[nodiscard]] bool IsAcceptable(const engine::OptionStep& step, const engine::Export* named) const;
  [[nodiscard]] Found JudgeSelection(const engine::OptionStep& step) const;
  [[nodiscard]] engine::Export* Find(const std::string& name);
  void SendMessage(const engine::ClientMessage& message) override;
  engine::Received<engine::ServerMessage> ReceiveMessage() override;
  void Deliver(engine::ByteView bytes);
  std::optional<engine::ServerMessage> Next();

  engine::Export& served_;
  engine::Export& other_;
  bool is_plain_;
  std::uint8_t connection_;
  std::unique_ptr<engine::Interposer> wrong_;
  std::optional<UnusualAnswers> unusual_;
  engine::Server server_;
  engine::Bytes to_send_;  // Used again.
  engine::Negotiated agreed_;
  engine::Export* entered_ = nullptr;
  bool is_over_ = false;
};

}  // namespace nbdspec::fuzz
