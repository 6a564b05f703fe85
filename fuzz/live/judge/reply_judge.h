// SPDX-License-Identifier: BSD-3-Clause
// ReplyJudge: is what answers one request allowed? By the rules about answers (engine/exchange), and by what is known
// of the bytes.
//
// How bad a violation is stands in the catalogue: a MUST that binds the server is a failure, anything else a warning.
// Data is compared with the model as it is received, and not kept.

#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/exchange/exchange.h"
#include "engine/exchange/rules.h"
#include "engine/script/script.h"
#include "fuzz/findings/finding.h"
#include "fuzz/live/connection/live_connection.h"
#include "fuzz/live/model/concurrent_model.h"
#include "reports/model/evidence.h"

namespace nbdspec::fuzz {

// Too long where the form of headers cannot carry it. What answers a write that is not announced is open: its server
// may take the data for requests.
engine::Legality LegalityOf(const engine::RequestStep& request, const engine::Negotiated& negotiated);

// "read df", "zero fast no-hole", "status req-one payload".
std::string RequestKindOf(const engine::RequestStep& request);

// What fails a server.
struct Failure {
  FindingKind kind = FindingKind::kBrokenRule;
  engine::Violation violation;
  std::vector<std::string> timeline = {};  // Of the first wrong byte: the requests that had to do with it.
  std::vector<reports::Bar> bars = {};  // Asked, answered, true: where it is about the bytes, or what is said of them.
};

inline Failure FailureOf(FindingKind kind, std::string_view requirement, std::string expected, std::string saw) {
  return {.kind = kind,
          .violation = {.requirement = requirement, .expected = std::move(expected), .saw = std::move(saw)}};
}

// What a live run reports besides the rules about answers, because the bytes, a connection or the process show it.
std::span<const std::string_view> LiveRequirements();

class ReplyJudge {
 public:
  // Begins a new request, sent as `sent`, which is `ticket` in `model`; it and `negotiated` outlive the request.
  // Returns what it does with the bytes.
  Access Start(const engine::RequestStep& request, const engine::Request& sent, const engine::Negotiated& negotiated,
               Ticket ticket, ConcurrentModel& model);

  // Takes one message of the answer.
  void Take(const ReplyView& reply);

  // The first failure of the answer, as far as it has been received. The model forgets bytes that a complete answer
  // says may have changed.
  [[nodiscard]] std::optional<Failure> FindFailure() const;

  // The request has ended in the model: `succeeded`, or with an error, or it will never be answered.
  void End(bool succeeded) const { model_->End(ticket_, succeeded); }

  // The advice that the complete answer does not follow, and one of it as a failure, to be drawn.
  [[nodiscard]] std::vector<engine::Violation> FindWarnings() const;
  [[nodiscard]] Failure Drawn(const engine::Violation& warning) const;

  [[nodiscard]] const engine::RequestStep& request() const { return request_; }
  [[nodiscard]] const engine::Legality& legality() const { return exchange_.legality; }
  [[nodiscard]] const engine::Answer& answer() const { return exchange_.answer; }
  [[nodiscard]] bool succeeded() const { return answer().is_complete() && !answer().has_failed(); }

 private:
  void CompareData(std::uint64_t offset, engine::ByteView data);
  void CompareHole(engine::ByteRange hole);
  template <typename Saw>
  void Compare(std::uint64_t offset, engine::ByteView data, std::string_view requirement, Saw saw);
  [[nodiscard]] Failure WrongByte(FindingKind kind, std::string_view requirement, std::uint64_t offset,
                                  std::uint8_t byte) const;
  [[nodiscard]] std::optional<Failure> FindFalseClaim() const;
  void ForgetHoles() const;
  [[nodiscard]] std::optional<Failure> FailureWithoutBars() const;
  void Draw(Failure& failure) const;

  engine::RequestStep request_;
  engine::Exchange exchange_;
  Ticket ticket_ = 0;
  ConcurrentModel* model_ = nullptr;
  std::optional<Failure> wrong_data_;    // Counts only when no error comes after it, as does the next.
  std::optional<Failure> beside_write_;  // What no write explains, and a write in flight excuses.
};

}  // namespace nbdspec::fuzz
