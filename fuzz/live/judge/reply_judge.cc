// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/judge/reply_judge.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "engine/exchange/status.h"
#include "engine/spec/catalogue.h"
#include "engine/spec/ids.h"

namespace nbdspec::fuzz {

using engine::ByteRange;
using engine::ByteView;
using engine::Command;
using engine::CommandFlag;
using engine::Reason;

namespace {

constexpr std::uint16_t kKnownFlags =
    CommandFlag::kFua | CommandFlag::kNoHole | CommandFlag::kDf | CommandFlag::kReqOne | CommandFlag::kFastZero;
constexpr std::size_t kDataOffsetBytes = 8;  // Before the data of a content chunk.

constexpr auto kLiveRequirements = std::to_array<std::string_view>({
    spec::kTransmissionWriteThenReply,
    spec::kStructuredOffsetHoleReadsZero,
    spec::kBaseAllocationZeroReadsZero,
    spec::kTransmissionCookieEcho,
    spec::kTransmissionReplyPerRequest,
    spec::kTransmissionDisconnectOnlyAllowedServer,
    spec::kStructuredChunkMagic,
});

std::string RangeText(ByteRange range) {
  return "[" + engine::PrintNumber(range.begin) + ", " + engine::PrintNumber(range.end) + ")";
}

// The byte that is known to stand at `offset`.
std::string ByteText(const ConcurrentModel& model, std::uint64_t offset) {
  const auto byte = model.bytes().At(offset);
  return "byte " + (byte ? std::to_string(*byte) : "of a write in flight") + " at " + std::to_string(offset);
}

engine::RequestHead HeadOf(const engine::RequestStep& request) {
  return {.flags = request.flags,
          .type = static_cast<std::uint16_t>(request.command),
          .offset = request.offset,
          .length = request.length};
}

// Whether the specification says what answers it with success.
bool HasDefinedResult(const engine::Legality& legality) {
  return !legality.Has(Reason::kPastEnd) && !legality.Has(Reason::kUnspecified);
}

FindingKind KindOf(std::string_view requirement, const engine::Answer& answer) {
  constexpr auto kAboutErrors =
      std::to_array<std::string_view>({spec::kStructuredErrorNonzero, spec::kStructuredErrorOffsetNonzero,
                                       spec::kStructuredReadDf64k, spec::kStructuredReadDfEoverflowNoContent});
  const bool is_about_errors =
      std::ranges::find(kAboutErrors, requirement) != kAboutErrors.end() ||
      std::ranges::find(engine::ErrorRules(), requirement, &engine::Rule::requirement) != engine::ErrorRules().end();
  return !is_about_errors      ? FindingKind::kBrokenRule
         : answer.has_failed() ? FindingKind::kWrongError
                               : FindingKind::kWrongSuccess;
}

}  // namespace

engine::Legality LegalityOf(const engine::RequestStep& request, const engine::Negotiated& negotiated) {
  return engine::LegalityOf(HeadOf(request), negotiated);
}

Access AccessOf(const engine::RequestStep& request, const engine::Negotiated& negotiated) {
  const std::uint64_t size = negotiated.info.size;
  Access access{
      .range = Intersect(HeadOf(request).range(), {.begin = 0, .end = size}),
      .is_durable = (request.flags & CommandFlag::kFua) != 0 && negotiated.Has(engine::TransmissionFlag::kSendFua),
      .connection = request.connection};
  switch (request.command) {
    case Command::kStatus:
      access.range.end = std::max(access.range.end, size);  // The last descriptor may describe all the rest.
      [[fallthrough]];
    case Command::kRead:
      access.kind = Access::Kind::kLooks;
      break;
    case Command::kWrite:
      access.kind = Access::Kind::kWrites;
      access.effect = {.kind = Effect::Kind::kPattern, .pattern = request.pattern};
      break;
    case Command::kZero:
      access.kind = Access::Kind::kWrites;
      access.effect = {.kind = Effect::Kind::kZeroes};
      break;
    case Command::kTrim:
      access.kind = Access::Kind::kWrites;
      break;
    case Command::kFlush:
      access.kind = Access::Kind::kFlushes;
      break;
    case Command::kCache:
      break;
  }
  if (LegalityOf(request, negotiated).Has(Reason::kPastEnd)) {
    access.effect = {};  // Nobody says what becomes of the part inside.
  }
  return access;
}

std::string RequestKindOf(const engine::RequestStep& request) {
  std::string kind = Print(request.command);
  for (const auto& [flag, word] : {std::pair{CommandFlag::kFua, " fua"},
                                   {CommandFlag::kNoHole, " no-hole"},
                                   {CommandFlag::kDf, " df"},
                                   {CommandFlag::kReqOne, " req-one"},
                                   {CommandFlag::kFastZero, " fast"}}) {
    kind += (request.flags & flag) != 0 ? word : "";
  }
  return kind + ((request.flags & ~kKnownFlags) != 0 ? " flags" : "");
}

std::span<const std::string_view> LiveRequirements() { return kLiveRequirements; }

void ReplyJudge::Start(const engine::RequestStep& request, const engine::Negotiated& negotiated) {
  request_ = request;
  exchange_.Start(HeadOf(request), negotiated);
  wrong_data_.reset();
}

void ReplyJudge::Take(const ReplyView& reply, Ticket ticket, const ConcurrentModel& model) {
  const bool reads = request_.command == Command::kRead;
  if (reply.is_simple) {
    exchange_.answer.AddSimple(reply.error, reply.payload.size());
    if (reads && reply.error == engine::NbdError::kOk) {
      CompareData(request_.offset, reply.payload, ticket, model);
    }
    return;
  }
  const engine::ReplyChunk& chunk = exchange_.answer.AddChunk(reply.flags, reply.type, reply.payload);
  if (!reads || !chunk.content || !exchange_.Asks(*chunk.content)) {
    return;
  }
  if (chunk.type == engine::ChunkType::kOffsetData) {
    CompareData(chunk.content->offset, reply.payload.subspan(kDataOffsetBytes), ticket, model);
  } else if (const auto hole = ByteRange::From(*chunk.content)) {
    CompareHole(*hole, ticket, model);
  }
}

void ReplyJudge::CompareData(std::uint64_t offset, ByteView data, Ticket ticket, const ConcurrentModel& model) {
  if (const auto wrong_at = wrong_data_ ? std::nullopt : model.Refute(ticket, offset, data)) {
    wrong_data_ = {.kind = FindingKind::kWrongData,
                   .violation = {.requirement = spec::kTransmissionWriteThenReply,
                                 .expected = ByteText(model, *wrong_at),
                                 .saw = "byte " + std::to_string(data[static_cast<std::size_t>(*wrong_at - offset)])}};
  }
}

void ReplyJudge::CompareHole(ByteRange hole, Ticket ticket, const ConcurrentModel& model) {
  if (const auto wrong_at = wrong_data_ ? std::nullopt : model.RefuteZeroes(ticket, hole)) {
    wrong_data_ = {.kind = FindingKind::kWrongData,
                   .violation = {.requirement = spec::kStructuredOffsetHoleReadsZero,
                                 .expected = ByteText(model, *wrong_at),
                                 .saw = "a hole " + RangeText(hole)}};
  }
}

std::optional<Failure> ReplyJudge::FindFailure(Ticket ticket, ConcurrentModel& model) const {
  if (auto violation = engine::FirstFailure(exchange_)) {
    return Failure{.kind = KindOf(violation->requirement, answer()), .violation = *std::move(violation)};
  }
  if (!answer().is_complete() || !HasDefinedResult(legality())) {
    return {};
  }
  if (request_.command == Command::kStatus) {
    return FindFalseClaim(ticket, model);
  }
  return succeeded() ? wrong_data_ : std::nullopt;
}

std::vector<engine::Violation> ReplyJudge::FindWarnings() const {
  return engine::FindViolations(exchange_, engine::RulesOf(spec::Severity::kWarning));
}

std::optional<Failure> ReplyJudge::FindFalseClaim(Ticket ticket, ConcurrentModel& model) const {
  ForgetHoles(model);
  for (const ByteRange zeroes : ZeroClaimsOf(exchange_, {.begin = 0, .end = exchange_.negotiated->info.size})) {
    if (const auto wrong_at = model.RefuteZeroes(ticket, zeroes)) {
      return Failure{.kind = FindingKind::kFalseClaim,
                     .violation = {.requirement = spec::kBaseAllocationZeroReadsZero,
                                   .expected = "no ZERO over " + ByteText(model, *wrong_at),
                                   .saw = "ZERO for " + RangeText(zeroes)}};
    }
  }
  return {};
}

// A hole that does not claim ZERO may read as something else each time; unless it was written.
void ReplyJudge::ForgetHoles(ConcurrentModel& model) const {
  constexpr std::uint32_t kBoth = engine::AllocationFlag::kHole | engine::AllocationFlag::kZero;
  for (const engine::ReplyChunk& chunk : answer().chunks()) {
    const auto status = chunk.type == engine::ChunkType::kBlockStatus
                            ? engine::DecodePayload<engine::BlockStatus>(chunk.payload)
                            : std::nullopt;
    const auto is_base = [&](const engine::MetaContext& context) {
      return context.id == status->context_id && context.name == engine::kBaseAllocation;
    };
    if (!status || std::ranges::none_of(exchange_.negotiated->contexts, is_base)) {
      continue;
    }
    std::uint64_t begin = request_.offset;
    for (const engine::Descriptor& descriptor : status->descriptors) {
      const std::uint64_t end = begin + descriptor.length;
      if ((descriptor.status & kBoth) == engine::AllocationFlag::kHole && end >= begin) {
        model.bytes().ForgetRead({.begin = begin, .end = end});
      }
      begin = end;
    }
  }
}

}  // namespace nbdspec::fuzz
