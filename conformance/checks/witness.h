// SPDX-License-Identifier: BSD-3-Clause
// Witnesses: what is wrong on a connection whatever the check on it asks.
//
// A check judges its own clause, and is inconclusive where the conversation takes another course. Where an answer that
// breaks a clause is the reason, that clause is broken: the witness of each connection judges what passes. It looks
// away for good where a check sends what need not be a message, and where nobody knows what is due.

#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "conformance/checks/subject.h"
#include "conformance/session/session.h"
#include "engine/exchange/exchange.h"

namespace nbdspec::conformance {

// A clause that was seen to be broken.
struct Breach {
  std::string_view requirement;
  std::string saw;
  std::string allowed;
  Subject about = {};
};

class ConnectionWitness : public Witness {
 public:
  // An option or request that was not answered once: the two ends are out of step.
  // Spec: option.reply.for-every-option, transmission.reply-per-request.
  [[nodiscard]] const std::optional<Breach>& out_of_step() const { return out_of_step_; }
  // The first answer that breaks a MUST of engine/exchange, or that nothing was asked for.
  [[nodiscard]] const std::optional<Breach>& wrong_answer() const { return wrong_answer_; }

  void Sent(const ClientMessage& message) override;
  void SentBytes() override { looks_away_ = true; }
  void Received(const ServerMessage& message) override;
  void Missed(const ReceiveError& ended) override;

 private:
  void SentOption(const Option& option);
  void SentRequest(const Request& request);
  void ReceivedExportNameReply(const ExportNameReply& reply);
  void ReceivedOptionReply(const OptionReply& reply);
  void ReceivedReply(const ReplyHead& head, const ServerMessage& message);
  void ReceivedStray(const ReplyHead& head, const ServerMessage& message);
  void CountStrays();
  [[nodiscard]] std::ptrdiff_t UnansweredCount() const;
  void OutOfStep(std::string_view requirement, Subject about, std::string saw);

  bool looks_away_ = false;
  Negotiated state_;
  std::deque<Option> due_;                               // Options that are not answered yet.
  engine::OptionReplies replies_;                        // To the first of them.
  std::uint32_t last_answered_ = 0;                      // The option; 0 for none.
  std::map<std::uint64_t, engine::Exchange> exchanges_;  // By their cookies.
  bool said_disc_ = false;
  std::optional<Breach> stray_;     // What the first reply is whose cookie no request had, if there are too many.
  std::ptrdiff_t stray_count_ = 0;  // Of those that end an answer.
  std::optional<Breach> out_of_step_;
  std::optional<Breach> wrong_answer_;
};

// Those of all connections of a check, which stay where they are.
using Witnesses = std::deque<ConnectionWitness>;

// The first that any of them saw.
std::optional<Breach> FirstOutOfStep(const Witnesses& witnesses);
std::optional<Breach> FirstBreach(const Witnesses& witnesses);  // Out of step before others.

}  // namespace nbdspec::conformance
