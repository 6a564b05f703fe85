// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/judge/reply_judge.h"

#include <algorithm>
#include <array>
#include <utility>

#include "engine/exchange/status.h"
#include "engine/script/step_request.h"
#include "engine/spec/catalogue.h"
#include "engine/spec/ids.h"
#include "reports/exchange/exchange_bars.h"

namespace nbdspec::fuzz {

using engine::ByteRange;
using engine::ByteView;
using engine::Command;
using engine::CommandFlag;
using engine::Reason;

namespace {

constexpr std::uint16_t kKnownFlags = CommandFlag::kFua | CommandFlag::kNoHole | CommandFlag::kDf |
                                      CommandFlag::kReqOne | CommandFlag::kFastZero | CommandFlag::kPayloadLen;
constexpr std::size_t kDataOffsetBytes = 8;  // Before the data of a content chunk.

constexpr auto kLiveRequirements = std::to_array<std::string_view>({
    spec::kTransmissionWriteThenReply,
    spec::kWriteZeroesReadsZero,
    spec::kEflagsMultiConnFlushVisible,
    spec::kEflagsMultiConnFuaVisible,
    spec::kTransmissionFlushCoversCompleted,
    spec::kTransmissionFuaNoEarlyReply,
    spec::kStructuredOffsetHoleReadsZero,
    spec::kBaseAllocationZeroReadsZero,
    spec::kTransmissionCookieEcho,
    spec::kTransmissionReplyPerRequest,
    spec::kDiscNoReply,
    spec::kTransmissionDisconnectOnlyAllowedServer,
    spec::kTransmissionSimpleMagic,
    spec::kStructuredChunkMagic,
    spec::kStructuredChunkLengthAccurate,
    spec::kHandshakeMagic,
    spec::kHandshakeMagicIhaveopt,
    spec::kOptionReplyMagic,
    spec::kBlockSizeMinPowerOf2,
    spec::kBlockSizeMinCap65536,
    spec::kBlockSizeMaxFloorPreferred,
    spec::kTransmissionMagicExtendedGatedServer,
    spec::kExtReplyMagic,
    spec::kExtReplyOnlyExtended,
    spec::kExtReplyCookie,
});

std::string RangeText(ByteRange range) {
  return "[" + engine::PrintNumber(range.begin) + ", " + engine::PrintNumber(range.end) + ")";
}

// "byte 7 or 9 at 4096".
std::string ByteText(const std::vector<std::uint8_t>& possible, std::uint64_t offset) {
  constexpr std::size_t kNamedMax = 4;
  std::string text;
  for (std::size_t i = 0; i < std::min(possible.size(), kNamedMax); ++i) {
    text += (i == 0 ? "byte " : " or ") + std::to_string(possible[i]);
  }
  text += possible.empty()              ? "no byte that all connections agree on"
          : possible.size() > kNamedMax ? " or one of " + std::to_string(possible.size() - kNamedMax) + " more"
                                        : "";
  return text + " at " + std::to_string(offset);
}

std::string_view RequirementOf(Refutation::Promise promise) {
  switch (promise) {
    case Refutation::Promise::kWriteThenReply:
      return spec::kTransmissionWriteThenReply;
    case Refutation::Promise::kZeroesThenReply:
      return spec::kWriteZeroesReadsZero;
    case Refutation::Promise::kFlushIsVisible:
      return spec::kEflagsMultiConnFlushVisible;
    case Refutation::Promise::kFuaIsVisible:
      return spec::kEflagsMultiConnFuaVisible;
  }
  return spec::kTransmissionWriteThenReply;
}

// Whether it is a write whose data may be taken for requests.
bool IsUnannounced(const engine::RequestStep& request, const engine::Negotiated& negotiated) {
  return request.is_unannounced && request.command == Command::kWrite &&
         negotiated.headers == engine::HeaderForm::kExtended;
}

// What `request` does with the bytes of the export when it succeeds.
Access AccessOf(const engine::RequestStep& request, const engine::Exchange& exchange) {
  const engine::Negotiated& negotiated = *exchange.negotiated;
  Access access{.range = Intersect(exchange.request.range(), {.begin = 0, .end = negotiated.info.size}),
                .is_durable = exchange.HasFlag(CommandFlag::kFua) && negotiated.Has(engine::TransmissionFlag::kSendFua),
                .is_proof = exchange.legality.is_legal(),
                .connection = request.connection,
                .request = request};
  if (request.command == Command::kStatus) {
    access.range.end = std::max(access.range.end, negotiated.info.size);  // The last descriptor may describe the rest.
  }
  if (request.command == Command::kStatus || request.command == Command::kRead) {
    access.kind = Access::Kind::kLooks;
  } else if (engine::Changes(exchange.request.type)) {
    access.kind = Access::Kind::kWrites;
  } else if (request.command == Command::kFlush) {
    access.kind = Access::Kind::kFlushes;
  }
  if (exchange.legality.Has(Reason::kPastEnd) || IsUnannounced(request, negotiated)) {
    return access;  // Nobody says what becomes of the part inside, or whether there is data.
  }
  if (request.command == Command::kWrite) {
    access.effect = {.kind = Effect::Kind::kPattern, .pattern = request.pattern};
  } else if (request.command == Command::kZero) {
    access.effect = {.kind = Effect::Kind::kZeroes};
  }
  return access;
}

FindingKind KindOf(std::string_view requirement, const engine::Answer& answer) {
  constexpr auto kAboutErrors = std::to_array<std::string_view>(
      {spec::kStructuredErrorNonzero, spec::kStructuredErrorOffsetNonzero, spec::kStructuredReadDf64k,
       spec::kStructuredReadDfEoverflowNoContent, spec::kExtBlockStatusPayloadReject});
  const bool is_about_errors =
      std::ranges::find(kAboutErrors, requirement) != kAboutErrors.end() ||
      std::ranges::find(engine::ErrorRules(), requirement, &engine::Rule::requirement) != engine::ErrorRules().end();
  return !is_about_errors      ? FindingKind::kBrokenRule
         : answer.has_failed() ? FindingKind::kWrongError
                               : FindingKind::kWrongSuccess;
}

}  // namespace

engine::Legality LegalityOf(const engine::RequestStep& request, const engine::Negotiated& negotiated) {
  const auto sent = engine::RequestFor(request, negotiated.headers, negotiated.contexts);
  engine::Legality legality =
      sent ? engine::LegalityOf(engine::RequestHead::Of(*sent), negotiated) : engine::Legality{};
  if (!sent) {
    legality.Add(Reason::kTooLong);
  } else if (IsUnannounced(request, negotiated)) {
    legality.Add(Reason::kUnspecified);
  }
  return legality;
}

std::string RequestKindOf(const engine::RequestStep& request) {
  std::string kind = Print(request.command);
  for (const auto& [flag, word] : {std::pair{CommandFlag::kFua, " fua"},
                                   {CommandFlag::kNoHole, " no-hole"},
                                   {CommandFlag::kDf, " df"},
                                   {CommandFlag::kReqOne, " req-one"},
                                   {CommandFlag::kFastZero, " fast"},
                                   {CommandFlag::kPayloadLen, " payload"}}) {
    kind += (request.flags & flag) != 0 ? word : "";
  }
  kind += request.is_unannounced ? " unannounced" : "";
  return kind + ((request.flags & ~kKnownFlags) != 0 ? " flags" : "");
}

std::span<const std::string_view> LiveRequirements() { return kLiveRequirements; }

Access ReplyJudge::Start(const engine::RequestStep& request, const engine::Request& sent,
                         const engine::Negotiated& negotiated, Ticket ticket, ConcurrentModel& model) {
  request_ = request;
  exchange_.Start(engine::RequestHead::Of(sent), negotiated);
  if (IsUnannounced(request, negotiated)) {
    exchange_.legality.Add(Reason::kUnspecified);
  }
  wrong_data_.reset();
  beside_write_.reset();
  ticket_ = ticket;
  model_ = &model;
  Access access = AccessOf(request_, exchange_);
  model_->Begin(ticket_, access);
  return access;
}

void ReplyJudge::Take(const ReplyView& reply) {
  const bool reads = request_.command == Command::kRead;
  if (reply.is_simple) {
    exchange_.answer.AddSimple(reply.error, reply.payload.size());
    if (reads && reply.error == engine::NbdError::kOk) {
      CompareData(request_.offset, reply.payload);
    }
    return;
  }
  const engine::ReplyChunk& chunk = exchange_.answer.AddChunk(reply.flags, reply.type, reply.payload, reply.offset);
  if (!reads || !chunk.content || !exchange_.Asks(*chunk.content)) {
    return;
  }
  if (chunk.type == engine::ChunkType::kOffsetData) {
    CompareData(chunk.content->offset, reply.payload.subspan(kDataOffsetBytes));
  } else if (const auto hole = ByteRange::From(*chunk.content)) {
    CompareHole(*hole);
  }
}

// `byte` at `offset` is wrong. `requirement`: the rule, unless zeroes or another connection's write should be there.
Failure ReplyJudge::WrongByte(FindingKind kind, std::string_view requirement, std::uint64_t offset,
                              std::uint8_t byte) const {
  Refutation refutation = model_->Explain(ticket_, offset, byte);
  const bool is_of_a_write = refutation.broken == Refutation::Promise::kWriteThenReply;
  return {.kind = kind,
          .violation = {.requirement = is_of_a_write ? requirement : RequirementOf(refutation.broken),
                        .expected = ByteText(refutation.possible, offset)},
          .timeline = std::move(refutation.timeline)};
}

void ReplyJudge::CompareData(std::uint64_t offset, ByteView data) {
  Compare(offset, data, spec::kTransmissionWriteThenReply,
          [](std::uint8_t byte) { return "byte " + std::to_string(byte); });
}

// A hole is zeroes that were not sent.
void ReplyJudge::CompareHole(ByteRange hole) {
  static constexpr std::array<std::uint8_t, std::size_t{64} << 10> kZeroes = {};
  for (std::uint64_t at = hole.begin; at < hole.end; at += kZeroes.size()) {
    const ByteView zeroes = ByteView(kZeroes).first(std::min<std::uint64_t>(kZeroes.size(), hole.end - at));
    Compare(at, zeroes, spec::kStructuredOffsetHoleReadsZero,
            [&](std::uint8_t /*byte*/) { return "a hole " + RangeText(hole); });
  }
}

// `saw(byte)`: in words.
template <typename Saw>
void ReplyJudge::Compare(std::uint64_t offset, ByteView data, std::string_view requirement, Saw saw) {
  if (wrong_data_) {
    return;
  }
  const Unexplained unexplained = model_->Refute(ticket_, offset, data);
  const auto failure_at = [&](std::uint64_t at) {
    const std::uint8_t byte = data[static_cast<std::size_t>(at - offset)];
    Failure failure = WrongByte(FindingKind::kWrongData, requirement, at, byte);
    failure.violation.saw = saw(byte);
    failure.bars = {
        {.who = "true",
         .stretches = {{.begin = at, .end = at + 1, .said = failure.violation.expected, .is_judged = true}}}};
    return failure;
  };
  if (unexplained.wrong_at) {
    wrong_data_ = failure_at(*unexplained.wrong_at);
  } else if (unexplained.open_at && !beside_write_) {
    beside_write_ = failure_at(*unexplained.open_at);
    beside_write_->violation.requirement = spec::kTransmissionReadBesideWrite;
    beside_write_->violation.saw += ", while a write there is in flight";
  }
}

std::optional<Failure> ReplyJudge::FindFailure() const {
  auto failure = FailureWithoutBars();
  if (failure) {
    Draw(*failure);
  }
  return failure;
}

Failure ReplyJudge::Drawn(const engine::Violation& warning) const {
  const bool is_beside_write = beside_write_ && warning == beside_write_->violation;
  Failure failure = is_beside_write ? *beside_write_ : Failure{.violation = warning};
  Draw(failure);
  return failure;
}

// Adds what was asked and answered to the bars, with the descriptor that is wrong marked.
void ReplyJudge::Draw(Failure& failure) const {
  std::vector<reports::Bar> bars = reports::BarsOf(exchange_);
  reports::MarkJudged(exchange_, failure.violation.place, bars);
  if (bars.empty() && !failure.bars.empty()) {  // A simple reply says no more than what was asked.
    const ByteRange asked = exchange_.request.range();
    bars = {{.who = "asked", .stretches = {{.begin = asked.begin, .end = asked.end, .said = ""}}}};
  }
  failure.bars.insert(failure.bars.begin(), bars.begin(), bars.end());
}

std::optional<Failure> ReplyJudge::FailureWithoutBars() const {
  if (auto violation = engine::FirstViolation(exchange_, engine::RulesOf(spec::Severity::kFailure))) {
    return Failure{.kind = KindOf(violation->requirement, answer()), .violation = *std::move(violation)};
  }
  const bool is_open = legality().Has(Reason::kPastEnd) || legality().Has(Reason::kUnspecified);
  if (!answer().is_complete() || is_open) {
    return {};  // The specification does not say what a success is.
  }
  if (request_.command == Command::kStatus) {
    return FindFalseClaim();
  }
  return succeeded() ? wrong_data_ : std::nullopt;
}

std::vector<engine::Violation> ReplyJudge::FindWarnings() const {
  auto warnings = engine::FindViolations(exchange_, engine::RulesOf(spec::Severity::kWarning));
  if (beside_write_ && succeeded()) {
    warnings.push_back(beside_write_->violation);
  }
  return warnings;
}

std::optional<Failure> ReplyJudge::FindFalseClaim() const {
  ForgetHoles();
  for (const ByteRange zeroes : ZeroClaimsOf(exchange_, {.begin = 0, .end = exchange_.negotiated->info.size})) {
    if (const auto wrong_at = model_->RefuteZeroes(ticket_, zeroes)) {
      Failure failure = WrongByte(FindingKind::kFalseClaim, spec::kBaseAllocationZeroReadsZero, *wrong_at, /*byte=*/0);
      failure.violation.requirement = spec::kBaseAllocationZeroReadsZero;
      failure.violation.expected.insert(0, "no ZERO over ");
      failure.violation.saw = "ZERO for " + RangeText(zeroes);
      failure.bars = {reports::NotZeroBar("true", zeroes, *wrong_at)};
      return failure;
    }
  }
  return {};
}

// A hole that does not claim ZERO may read as something else each time; unless it was written.
void ReplyJudge::ForgetHoles() const {
  constexpr std::uint32_t kBoth = engine::AllocationFlag::kHole | engine::AllocationFlag::kZero;
  for (const engine::StatusChunk& chunk : StatusChunksOf(exchange_)) {
    if (IsBaseAllocation(exchange_, chunk.context_id())) {
      ForEachDescriptor(chunk, request_.offset, [this](const engine::Located& each) {
        if ((each.descriptor().status & kBoth) == engine::AllocationFlag::kHole) {
          model_->bytes().ForgetRead(each.range);
        }
      });
    }
  }
}

}  // namespace nbdspec::fuzz
