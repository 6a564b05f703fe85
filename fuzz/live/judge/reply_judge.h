// SPDX-License-Identifier: BSD-3-Clause
// ReplyJudge: is what answers one request allowed? By the specification, and by what is known of the bytes.
//
// Only what a MUST forbids, or what the bytes refute, is wrong here; advice is the business of `nbdspec check`. An
// error is no wrong reply to a valid request, and a request that may not be sent may be answered or refused.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/block_status/judge.h"
#include "engine/script/script.h"
#include "fuzz/findings/finding.h"
#include "fuzz/live/connection/live_connection.h"
#include "fuzz/live/model/concurrent_model.h"

namespace nbdspec::fuzz {

// What a request may expect.
enum class Legality {
  kLegal,
  kUnspecified,  // Of length 0.
  kNotOffered,   // A command, flag or alignment that was not offered: an error SHOULD come.
  kOutOfRange,   // Reaches outside of the export.
};
Legality LegalityOf(const engine::RequestStep& request, const Offer& offer);

// What `request` does with the bytes of the export when it succeeds.
Access AccessOf(const engine::RequestStep& request, const Offer& offer);

// "read df", "zero fast no-hole", "status req-one": which kind of request it is.
std::string PlaceOf(const engine::RequestStep& request);

struct Wrong {
  FindingKind kind = FindingKind::kBrokenRule;
  std::string_view rule;
  std::string expected;
  std::string saw;
};

// What was answered, for those who compare two servers.
struct Answer {
  bool came = false;
  std::uint32_t error = 0;
  engine::Bytes data = {};                 // Of a READ.
  std::vector<engine::Chunk> chunks = {};  // Of a BLOCK_STATUS.
  std::vector<std::uint16_t> types = {};   // Of each message: a chunk's, or kSimpleReplyType.
};
inline constexpr std::uint16_t kSimpleReplyType = 0x7fff;  // No chunk's.

class ReplyJudge {
 public:
  // Begins a new request. `offer` outlives it.
  void Start(const engine::RequestStep& request, const Offer& offer, bool keep_data);

  // Looks at one message of the reply. `ticket` is the request's in `model`.
  std::optional<Wrong> Hear(const ReplyView& reply, ConcurrentModel::Ticket ticket, const ConcurrentModel& model);

  // Whether the reply is complete.
  [[nodiscard]] bool is_done() const { return is_done_; }

  // Judges the complete reply.
  std::optional<Wrong> Finish(ConcurrentModel::Ticket ticket, ConcurrentModel& model);

  [[nodiscard]] bool succeeded() const { return is_done_ && error_ == 0; }
  [[nodiscard]] const engine::RequestStep& request() const { return request_; }
  [[nodiscard]] Legality legality() const { return legality_; }
  [[nodiscard]] Answer TakeAnswer();

 private:
  using Heard = std::optional<Wrong>;

  Heard HearSimple(const ReplyView& reply, ConcurrentModel::Ticket ticket, const ConcurrentModel& model);
  Heard HearContent(const ReplyView& reply, ConcurrentModel::Ticket ticket, const ConcurrentModel& model);
  Heard HearError(const ReplyView& reply);
  Heard Cover(engine::ByteRange content, bool is_hole);
  void LookAtData(std::uint64_t offset, engine::ByteView data, ConcurrentModel::Ticket ticket,
                  const ConcurrentModel& model);
  void LookAtHole(engine::ByteRange hole, ConcurrentModel::Ticket ticket, const ConcurrentModel& model);
  [[nodiscard]] Heard FinishRead() const;
  Heard FinishStatus(ConcurrentModel::Ticket ticket, ConcurrentModel& model);
  [[nodiscard]] Heard JudgeError() const;
  void ForgetHoles(ConcurrentModel& model) const;
  [[nodiscard]] bool Is(engine::Command command) const { return request_.command == command; }
  [[nodiscard]] bool HasFlag(std::uint16_t flag) const { return (request_.flags & flag) != 0; }

  engine::RequestStep request_;
  const Offer* offer_ = nullptr;
  Legality legality_ = Legality::kLegal;
  bool keeps_data_ = false;
  bool is_done_ = false;
  std::uint32_t error_ = 0;
  std::vector<engine::ByteRange> content_;  // Of the content chunks so far, ascending.
  std::size_t content_count_ = 0;
  std::optional<Wrong> wrong_data_;  // Counts only when no error comes after it.
  engine::StatusExchange status_;
  engine::Bytes data_;
  std::vector<std::uint16_t> types_;
};

}  // namespace nbdspec::fuzz
