// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/judge/reply_judge.h"

#include <algorithm>
#include <array>
#include <utility>

#include "engine/spec/ids.h"
#include "engine/wire/big_endian.h"

namespace nbdspec::fuzz {

using engine::ByteRange;
using engine::ByteView;
using engine::ChunkType;
using engine::Command;
using engine::CommandFlag;
using engine::NbdError;
using engine::TransmissionFlag;

namespace {

constexpr std::uint32_t kDfBytesSupported = 1 << 16;  // structured.read.df.64k
constexpr std::uint16_t kKnownFlags =
    CommandFlag::kFua | CommandFlag::kNoHole | CommandFlag::kDf | CommandFlag::kReqOne | CommandFlag::kFastZero;

// The rules of engine/block_status whose level is SHOULD: nobody is accused by them here.
constexpr auto kAdvice = std::to_array<std::string_view>({
    spec::kBlockStatusNoContextEinval,
    spec::kBaseAllocationReservedZero,
    spec::kBlockStatusMaxExtents,
    spec::kBlockStatusExtentWithinExport,
    spec::kBlockStatusDistinctStatus,
    spec::kBlockStatusLengthMultipleOf512,
    spec::kBlockStatusLengthMultipleOfMinBlock,
    spec::kBlockStatusErrorErrorChunk,
    spec::kBlockStatusOutOfBounds,
});

constexpr auto kErrors =
    std::to_array<std::uint32_t>({NbdError::kEperm, NbdError::kEio, NbdError::kEnomem, NbdError::kEinval,
                                  NbdError::kEnospc, NbdError::kEoverflow, NbdError::kEnotsup, NbdError::kEshutdown});

bool Offers(const Offer& offer, Command command) {
  switch (command) {
    case Command::kRead:
    case Command::kWrite:
      return true;
    case Command::kFlush:
      return offer.Has(TransmissionFlag::kSendFlush);
    case Command::kTrim:
      return offer.Has(TransmissionFlag::kSendTrim);
    case Command::kCache:
      return offer.Has(TransmissionFlag::kSendCache);
    case Command::kZero:
      return offer.Has(TransmissionFlag::kSendWriteZeroes);
    case Command::kStatus:
      return offer.structured_replies && !offer.contexts.empty();
  }
  return false;
}

std::uint16_t FlagsOffered(const Offer& offer, Command command) {
  // FUA is accepted with every command once it is offered: cmdflag.fua.accept-all
  std::uint16_t flags = offer.Has(TransmissionFlag::kSendFua) ? CommandFlag::kFua : std::uint16_t{0};
  if (command == Command::kRead && offer.structured_replies && offer.Has(TransmissionFlag::kSendDf)) {
    flags |= CommandFlag::kDf;
  }
  if (command == Command::kZero) {
    flags |= CommandFlag::kNoHole;
    flags |= offer.Has(TransmissionFlag::kSendFastZero) ? CommandFlag::kFastZero : std::uint16_t{0};
  }
  if (command == Command::kStatus) {
    flags |= CommandFlag::kReqOne;
  }
  return flags;
}

std::string RangeText(ByteRange range) {
  return "[" + engine::PrintNumber(range.begin) + ", " + engine::PrintNumber(range.end) + ")";
}

ByteRange RangeOf(const engine::RequestStep& request) {
  return ByteRange::From({.offset = request.offset, .length = request.length}).value_or(ByteRange{});
}

}  // namespace

Legality LegalityOf(const engine::RequestStep& request, const Offer& offer) {
  if ((request.flags & ~FlagsOffered(offer, request.command)) != 0 || !Offers(offer, request.command)) {
    return Legality::kNotOffered;
  }
  if (request.command == Command::kFlush) {
    return request.offset == 0 && request.length == 0 ? Legality::kLegal : Legality::kUnspecified;
  }
  const auto range = ByteRange::From({.offset = request.offset, .length = request.length});
  if (!range || range->end > offer.info.size) {
    return Legality::kOutOfRange;
  }
  const std::uint32_t block = std::max(1U, offer.block_size.minimum);
  const bool has_payload = request.command == Command::kRead || request.command == Command::kWrite;
  const std::uint32_t payload_max = std::max(offer.block_size.maximum, block);
  if (request.offset % block != 0 || request.length % block != 0 || (has_payload && request.length > payload_max)) {
    return Legality::kNotOffered;
  }
  return request.length == 0 ? Legality::kUnspecified : Legality::kLegal;
}

Access AccessOf(const engine::RequestStep& request, const Offer& offer) {
  Access access{.range = Intersect(RangeOf(request), {.begin = 0, .end = offer.info.size}),
                .is_durable = (request.flags & CommandFlag::kFua) != 0 && offer.Has(TransmissionFlag::kSendFua),
                .connection = request.connection};
  switch (request.command) {
    case Command::kStatus:
      access.range.end = std::max(access.range.end, offer.info.size);  // The last descriptor may tell of all the rest.
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
  if (access.kind == Access::Kind::kWrites && LegalityOf(request, offer) == Legality::kOutOfRange) {
    access.effect = {};  // Whatever is done with the part inside.
  }
  return access;
}

std::string PlaceOf(const engine::RequestStep& request) {
  engine::RequestStep bare{.command = request.command};
  bare.flags = request.flags & kKnownFlags;
  std::string place = Print(request.command);
  for (const auto& [flag, word] : {std::pair{CommandFlag::kFua, " fua"},
                                   {CommandFlag::kNoHole, " no-hole"},
                                   {CommandFlag::kDf, " df"},
                                   {CommandFlag::kReqOne, " req-one"},
                                   {CommandFlag::kFastZero, " fast"}}) {
    place += (request.flags & flag) != 0 ? word : "";
  }
  return place + ((request.flags & ~kKnownFlags) != 0 ? " flags" : "");
}

void ReplyJudge::Start(const engine::RequestStep& request, const Offer& offer, bool keep_data) {
  request_ = request;
  offer_ = &offer;
  legality_ = LegalityOf(request, offer);
  keeps_data_ = keep_data;
  is_done_ = false;
  error_ = 0;
  content_.clear();
  content_count_ = 0;
  wrong_data_.reset();
  status_.chunks.clear();
  status_.simple_reply.reset();
  data_.clear();
  types_.clear();
}

std::optional<Wrong> ReplyJudge::Hear(const ReplyView& reply, ConcurrentModel::Ticket ticket,
                                      const ConcurrentModel& model) {
  if (keeps_data_) {
    types_.push_back(reply.is_simple ? kSimpleReplyType : reply.type);
  }
  if (reply.is_simple) {
    return HearSimple(reply, ticket, model);
  }
  is_done_ = (reply.flags & engine::ChunkFlag::kDone) != 0;
  if (!offer_->structured_replies) {
    return Wrong{.rule = spec::kStructuredOnlyIfNegotiated,
                 .expected = "a simple reply",
                 .saw = "a chunk, without structured replies"};
  }
  if ((reply.flags & ~engine::ChunkFlag::kDone) != 0) {
    return Wrong{.rule = spec::kStructuredFlagsNoOther,
                 .expected = "no flag but DONE",
                 .saw = "the flags " + engine::ChunkFlagNames(reply.flags)};
  }
  if ((reply.type & ChunkType::kErrorBit) != 0) {
    return HearError(reply);
  }
  switch (reply.type) {
    case ChunkType::kNone:
      if (!reply.payload.empty() || !is_done_) {
        return Wrong{.rule = is_done_ ? spec::kStructuredNoneLengthZero : spec::kStructuredNoneDone,
                     .expected = "an empty chunk NONE with DONE",
                     .saw = "a chunk NONE with " + std::to_string(reply.payload.size()) + " bytes" +
                            (is_done_ ? "" : " and without DONE")};
      }
      return {};
    case ChunkType::kOffsetData:
    case ChunkType::kOffsetHole:
      return HearContent(reply, ticket, model);
    case ChunkType::kBlockStatus:
    case ChunkType::kBlockStatusExt:
      if (!Is(Command::kStatus)) {
        return Wrong{.rule = spec::kBlockStatusOnlyForCmd,
                     .expected = "no status chunk",
                     .saw = "a chunk " + engine::ChunkName(reply.type)};
      }
      status_.chunks.push_back({.flags = reply.flags,
                                .type = reply.type,
                                .cookie = reply.cookie,
                                .payload = {reply.payload.begin(), reply.payload.end()}});
      return {};
    default:
      return Wrong{.rule = spec::kStructuredTypeClientUnknown,
                   .expected = "a type of chunk that was negotiated",
                   .saw = "a chunk " + engine::ChunkName(reply.type)};
  }
}

std::optional<Wrong> ReplyJudge::HearSimple(const ReplyView& reply, ConcurrentModel::Ticket ticket,
                                            const ConcurrentModel& model) {
  is_done_ = true;
  error_ = reply.error;
  if (Is(Command::kRead)) {
    if (offer_->structured_replies) {
      return Wrong{.rule = spec::kStructuredReadNoSimple, .expected = "chunks", .saw = "a simple reply"};
    }
    if (error_ == 0) {
      LookAtData(request_.offset, reply.payload, ticket, model);
      content_.push_back(RangeOf(request_));
    }
  }
  if (Is(Command::kStatus)) {
    status_.simple_reply = engine::SimpleReply{.error = reply.error, .cookie = reply.cookie};
  }
  return {};
}

std::optional<Wrong> ReplyJudge::HearError(const ReplyView& reply) {
  if (Is(Command::kStatus)) {
    status_.chunks.push_back({.flags = reply.flags,
                              .type = reply.type,
                              .cookie = reply.cookie,
                              .payload = {reply.payload.begin(), reply.payload.end()}});
  }
  const bool has_offset = reply.type == ChunkType::kErrorOffset;
  const auto error = engine::DecodeErrorPayload(reply.type, reply.payload);
  if (!error) {
    error_ = error_ == 0 ? NbdError::kEio : error_;
    return Wrong{.rule = has_offset ? spec::kStructuredErrorOffsetMessageFits : spec::kStructuredErrorMessageFits,
                 .expected = "an error, the length of its message, the message",
                 .saw = "a chunk " + engine::ChunkName(reply.type) + " with " + std::to_string(reply.payload.size()) +
                        " bytes, which are not that"};
  }
  if (error->error == 0) {
    return Wrong{.kind = FindingKind::kWrongError,
                 .rule = has_offset ? spec::kStructuredErrorOffsetNonzero : spec::kStructuredErrorNonzero,
                 .expected = "an error that is not 0",
                 .saw = "an error chunk with error 0"};
  }
  error_ = error_ == 0 ? error->error : error_;
  // An offset equal to the end is [ambiguous]; so is all of it for a request out of range.
  const bool is_inside = !has_offset || !error->offset ||
                         (*error->offset >= request_.offset && *error->offset - request_.offset <= request_.length);
  if (!is_inside && legality_ == Legality::kLegal) {
    return Wrong{.rule = spec::kStructuredErrorOffsetInBounds,
                 .expected = "an offset inside " + RangeText(RangeOf(request_)),
                 .saw = "the offset " + std::to_string(*error->offset)};
  }
  return {};
}

// Notes that `content` was received, once.
std::optional<Wrong> ReplyJudge::Cover(ByteRange content, bool is_hole) {
  ++content_count_;
  if (!RangeOf(request_).Contains(content)) {
    return Wrong{.rule = is_hole ? spec::kStructuredOffsetHoleInBounds : spec::kStructuredOffsetDataInBounds,
                 .expected = "content inside " + RangeText(RangeOf(request_)),
                 .saw = "content for " + RangeText(content)};
  }
  const auto after = std::ranges::lower_bound(content_, content.begin, {}, &ByteRange::begin);
  const bool overlaps_after = after != content_.end() && after->begin < content.end;
  const bool overlaps_before = after != content_.begin() && std::prev(after)->end > content.begin;
  if (overlaps_after || overlaps_before) {
    return Wrong{.rule = is_hole ? spec::kStructuredOffsetHoleNoOverlap : spec::kStructuredOffsetDataNoOverlap,
                 .expected = "each byte once",
                 .saw = "content for " + RangeText(content) + " again"};
  }
  content_.insert(after, content);
  return {};
}

std::optional<Wrong> ReplyJudge::HearContent(const ReplyView& reply, ConcurrentModel::Ticket ticket,
                                             const ConcurrentModel& model) {
  const bool is_hole = reply.type == ChunkType::kOffsetHole;
  if (!Is(Command::kRead)) {
    return Wrong{.rule = is_hole ? spec::kStructuredOffsetHoleReadOnlyReply : spec::kStructuredOffsetDataReadOnlyReply,
                 .expected = "no content",
                 .saw = "a chunk " + engine::ChunkName(reply.type)};
  }
  const bool has_form = is_hole ? reply.payload.size() == 12 : reply.payload.size() >= 9;
  if (!has_form) {
    return Wrong{
        .rule = is_hole ? spec::kStructuredOffsetHoleLength12 : spec::kStructuredOffsetDataLengthMin,
        .expected = is_hole ? "12 bytes" : "at least 9 bytes",
        .saw = "a chunk " + engine::ChunkName(reply.type) + " with " + std::to_string(reply.payload.size()) + " bytes"};
  }
  const auto offset = engine::GetBigEndian<std::uint64_t>(reply.payload);
  const std::uint64_t length =
      is_hole ? engine::GetBigEndian<std::uint32_t>(reply.payload, 8) : reply.payload.size() - 8;
  if (length == 0) {
    return Wrong{.rule = spec::kStructuredOffsetHoleNonzero, .expected = "a hole", .saw = "a hole of length 0"};
  }
  const auto content = ByteRange::From({.offset = offset, .length = length});
  if (!content) {
    return Wrong{.rule = is_hole ? spec::kStructuredOffsetHoleInBounds : spec::kStructuredOffsetDataInBounds,
                 .expected = "content inside " + RangeText(RangeOf(request_)),
                 .saw = "content past 2^64"};
  }
  if (auto wrong = Cover(*content, is_hole)) {
    return wrong;
  }
  if (is_hole) {
    LookAtHole(*content, ticket, model);
  } else {
    LookAtData(offset, reply.payload.subspan(8), ticket, model);
  }
  return {};
}

void ReplyJudge::LookAtData(std::uint64_t offset, ByteView data, ConcurrentModel::Ticket ticket,
                            const ConcurrentModel& model) {
  if (keeps_data_) {
    data_.resize(request_.length);
    std::ranges::copy(data, data_.begin() + static_cast<std::ptrdiff_t>(offset - request_.offset));
  }
  const auto wrong_at = wrong_data_ ? std::nullopt : model.Refute(ticket, offset, data);
  if (wrong_at) {
    const auto byte = model.bytes().At(*wrong_at);
    wrong_data_ = {.kind = FindingKind::kWrongData,
                   .rule = spec::kTransmissionWriteThenReply,
                   .expected = "byte " + (byte ? std::to_string(*byte) : "of a write in flight") + " at " +
                               std::to_string(*wrong_at),
                   .saw = "byte " + std::to_string(data[static_cast<std::size_t>(*wrong_at - offset)])};
  }
}

void ReplyJudge::LookAtHole(ByteRange hole, ConcurrentModel::Ticket ticket, const ConcurrentModel& model) {
  if (keeps_data_) {
    data_.resize(request_.length);
  }
  const auto wrong_at = wrong_data_ ? std::nullopt : model.RefuteZeroes(ticket, hole);
  if (wrong_at) {
    wrong_data_ = {.kind = FindingKind::kWrongData,
                   .rule = spec::kStructuredOffsetHoleReadsZero,
                   .expected = "byte " + std::to_string(model.bytes().At(*wrong_at).value_or(0)) + " at " +
                               std::to_string(*wrong_at),
                   .saw = "a hole " + RangeText(hole)};
  }
}

std::optional<Wrong> ReplyJudge::Finish(ConcurrentModel::Ticket ticket, ConcurrentModel& model) {
  if (auto wrong = JudgeError()) {
    return wrong;
  }
  if (Is(Command::kStatus)) {
    return FinishStatus(ticket, model);
  }
  if (Is(Command::kRead)) {
    return FinishRead();
  }
  const bool changes = Is(Command::kWrite) || Is(Command::kZero);
  if (changes && legality_ == Legality::kOutOfRange && error_ == 0 && request_.length > 0) {
    return Wrong{.kind = FindingKind::kWrongSuccess,
                 .rule = Is(Command::kWrite) ? spec::kTransmissionWriteOutOfBounds : spec::kWriteZeroesOutOfBounds,
                 .expected = "an error",
                 .saw = "success past the end of the export at " + std::to_string(offer_->info.size)};
  }
  return {};
}

// The few errors that may not stand where they stand.
std::optional<Wrong> ReplyJudge::JudgeError() const {
  if (error_ == 0) {
    return {};
  }
  if (std::ranges::find(kErrors, error_) == kErrors.end()) {
    return Wrong{.kind = FindingKind::kWrongError,
                 .rule = spec::kErrorCodeAllowedSet,
                 .expected = "an error value of the specification",
                 .saw = engine::ErrorName(error_)};
  }
  if (legality_ != Legality::kLegal) {
    return {};
  }
  if (Is(Command::kZero) && error_ == NbdError::kEnotsup && !HasFlag(CommandFlag::kFastZero) &&
      offer_->Has(TransmissionFlag::kSendFastZero)) {
    return Wrong{.kind = FindingKind::kWrongError,
                 .rule = spec::kWriteZeroesNoFastNoEnotsup,
                 .expected = "success, or another error",
                 .saw = "NBD_ENOTSUP without FAST_ZERO"};
  }
  if (Is(Command::kRead) && HasFlag(CommandFlag::kDf) && error_ == NbdError::kEoverflow) {
    if (content_count_ > 0) {
      return Wrong{.kind = FindingKind::kWrongError,
                   .rule = spec::kStructuredReadDfEoverflowNoContent,
                   .expected = "no content with NBD_EOVERFLOW",
                   .saw = "content before it"};
    }
    if (request_.length <= kDfBytesSupported) {
      return Wrong{.kind = FindingKind::kWrongError,
                   .rule = spec::kStructuredReadDf64k,
                   .expected = "a read of " + std::to_string(request_.length) + " bytes in one chunk",
                   .saw = "NBD_EOVERFLOW"};
    }
  }
  return {};
}

std::optional<Wrong> ReplyJudge::FinishRead() const {
  if (error_ != 0 || legality_ == Legality::kUnspecified) {
    return {};
  }
  if (legality_ == Legality::kOutOfRange) {
    return Wrong{.kind = FindingKind::kWrongSuccess,
                 .rule = spec::kTransmissionReadOutOfBounds,
                 .expected = "an error",
                 .saw = "success past the end of the export at " + std::to_string(offer_->info.size)};
  }
  if (wrong_data_) {
    return wrong_data_;
  }
  std::uint64_t covered_to = request_.offset;
  for (const ByteRange content : content_) {
    if (content.begin != covered_to) {
      break;
    }
    covered_to = content.end;
  }
  if (covered_to != RangeOf(request_).end) {
    return Wrong{.rule = spec::kStructuredReadFullCoverage,
                 .expected = "all of " + RangeText(RangeOf(request_)),
                 .saw = "nothing for the byte at " + std::to_string(covered_to)};
  }
  if (HasFlag(CommandFlag::kDf) && legality_ == Legality::kLegal && content_count_ > 1) {
    return Wrong{.rule = spec::kStructuredReadDfOneContent,
                 .expected = "one content chunk",
                 .saw = std::to_string(content_count_) + " content chunks"};
  }
  return {};
}

std::optional<Wrong> ReplyJudge::FinishStatus(ConcurrentModel::Ticket ticket, ConcurrentModel& model) {
  status_.asked = RangeOf(request_);
  status_.req_one = HasFlag(CommandFlag::kReqOne);
  status_.export_bytes = offer_->info.size;
  status_.contexts = offer_->contexts;
  status_.block_bytes_min = offer_->block_size.minimum;
  status_.payload_bytes_max = std::max(offer_->block_size.maximum, engine::kPayloadBytesDefaultMax);
  if (legality_ == Legality::kUnspecified || legality_ == Legality::kOutOfRange) {
    return {};
  }
  for (engine::Breach& breach : engine::Judge(status_)) {
    if (std::ranges::find(kAdvice, breach.requirement) == kAdvice.end()) {
      return Wrong{
          .rule = breach.requirement, .expected = "an answer that keeps to this rule", .saw = std::move(breach.saw)};
    }
  }
  ForgetHoles(model);
  for (const ByteRange zeroes : ClaimedZeroes(status_, {.begin = 0, .end = status_.export_bytes})) {
    if (const auto wrong_at = model.RefuteZeroes(ticket, zeroes)) {
      return Wrong{.kind = FindingKind::kFalseClaim,
                   .rule = spec::kBaseAllocationZeroReadsZero,
                   .expected = "no ZERO over byte " + std::to_string(model.bytes().At(*wrong_at).value_or(0)) + " at " +
                               std::to_string(*wrong_at),
                   .saw = "ZERO for " + RangeText(zeroes)};
    }
  }
  return {};
}

// What stands in a hole that is not said to read as zeroes may be another thing at each time; unless it was written.
void ReplyJudge::ForgetHoles(ConcurrentModel& model) const {
  constexpr std::uint32_t kBoth = engine::AllocationFlag::kHole | engine::AllocationFlag::kZero;
  for (const engine::Chunk& chunk : status_.chunks) {
    const auto status = chunk.is_error() ? std::nullopt : engine::DecodeBlockStatus(chunk.payload);
    const bool is_base = status && std::ranges::any_of(offer_->contexts, [&](const engine::MetaContext& context) {
                           return context.id == status->context_id && context.name == engine::kBaseAllocation;
                         });
    std::uint64_t begin = request_.offset;
    for (const engine::Descriptor& descriptor : is_base ? status->descriptors : std::vector<engine::Descriptor>{}) {
      const std::uint64_t end = begin + descriptor.length;
      if ((descriptor.status & kBoth) == engine::AllocationFlag::kHole && end >= begin) {
        model.bytes().ForgetRead({.begin = begin, .end = end});
      }
      begin = end;
    }
  }
}

Answer ReplyJudge::TakeAnswer() {
  return {.came = is_done_,
          .error = error_,
          .data = std::move(data_),
          .chunks = std::move(status_.chunks),
          .types = std::move(types_)};
}

}  // namespace nbdspec::fuzz
