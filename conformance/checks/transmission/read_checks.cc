// SPDX-License-Identifier: BSD-3-Clause
// Checks of structured reply chunks, whatever request they answer, and of READ: most are one rule of engine/exchange
// over a survey. Spec: proto.md, "Structured reply chunk message", "Structured reply flags", "Structured reply types",
// "Request types", NBD_CMD_READ; "Simple reply message".
#include "conformance/checks/transmission/asking.h"

namespace nbdspec::conformance {

namespace {

// Broken when a chunk is among `messages`.
Judgement NoChunkIn(const Survey& survey, const std::vector<ServerMessage>& messages, std::string_view where,
                    std::string_view allowed) {
  const auto chunk =
      std::ranges::find_if(messages, [](const auto& message) { return std::holds_alternative<Chunk>(message); });
  if (chunk != messages.end()) {
    return About(SubjectOf(*chunk), Broken(fmt::format("{}, {}", Describe(*chunk), where), allowed));
  }
  return survey.any_chunk() ? Holds() : Inconclusive("no chunk came");
}

Judgement SameCookie(CheckContext&, const Survey& survey) {
  return NoChunkIn(survey, survey.batch.strays, "with a cookie of no request",
                   "all chunks of a reply have the cookie of the request");
}

Judgement DoneLast(CheckContext&, const Survey& survey) {
  return NoChunkIn(survey, survey.batch.late, "after the chunk with DONE for the same request",
                   "the chunk with DONE is the last one of its reply");
}

// --- Structured replies ----------------------------------------------------------------------------------------

// Structured replies are asked for wrongly, so that they are refused; then READ must be answered simply.
Judgement OnlyIfNegotiated(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  const Option with_data{.option = OptionType::kStructuredReply, .payload = Bytes(4)};
  const auto refused = session.Ask(with_data);
  if (!refused || refused->back().type == OptionReplyType::kAck) {
    return NotApplicable("NBD_OPT_STRUCTURED_REPLY with data was not refused by a reply");
  }
  NBDSPEC_TRY(entered, context.EnterExport(std::move(session)));
  NBDSPEC_TRY(read, FirstRead(entered));
  return JudgeFirst(context, AskOnce(entered, read));
}

Judgement MaxPayload(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter({.structured_replies = true}));
  const std::uint64_t maximum = entered.block_size().maximum;
  const std::uint64_t length = std::min(UsableBytes(entered), (maximum / GridOf(entered) + 1) * GridOf(entered));
  if (length <= maximum || length > UINT32_MAX) {
    return NotApplicable(fmt::format("no READ can ask for more than the maximum payload, {} bytes", maximum));
  }
  const Batch batch = AskOnce(entered, RequestFor(CommandType::kRead, {.begin = 0, .end = length}));
  Judgement judgement = JudgeFirst(context, batch);
  return judgement.kind == Judgement::Kind::kNotApplicable && batch.endings.empty() ? Holds() : judgement;
}

// --- DF --------------------------------------------------------------------------------------------------------

bool Has(const Exchange& exchange, std::uint16_t type) {
  return std::ranges::count(exchange.answer.chunks(), type, &ReplyChunk::type) > 0;
}

// Whether a READ without DF brought both data and a hole.
bool IsMixed(const Exchange& exchange) {
  return exchange.Is(CommandType::kRead) && exchange.legality.is_legal() && exchange.answer.is_complete() &&
         !exchange.HasFlag(CommandFlag::kDf) && exchange.answer.error() == NbdError::kOk &&
         Has(exchange, ChunkType::kOffsetData) && Has(exchange, ChunkType::kOffsetHole);
}

// The same range is asked for with DF by the request after it, when the survey asks with DF.
Judgement DfMixedAsData(CheckContext&, const Survey& survey) {
  const auto& exchanges = survey.batch.exchanges;
  bool any = false;
  for (std::size_t i = 0; i + 1 < exchanges.size(); ++i) {
    const Exchange& whole = exchanges[i + 1];
    const engine::Answer& answer = whole.answer;
    if (!IsMixed(exchanges[i]) || !whole.HasFlag(CommandFlag::kDf) || !answer.is_complete() || answer.error() != 0) {
      continue;
    }
    any = true;
    const auto content = std::ranges::find_if(answer.chunks(), &ReplyChunk::is_content);
    const bool has_content = content != answer.chunks().end();
    if (!has_content || content->type != ChunkType::kOffsetData || FirstUncovered(whole)) {
      return About(SubjectOf(whole),
                   Broken("for a range with data and holes " + (has_content ? ChunkName(content->type) : "no content"),
                          "with DF one OFFSET_DATA with all of it"));
    }
  }
  return any ? Holds() : NotApplicable("no READ met both data and a hole and then succeeded with DF");
}

// The longest READ with DF of at most `bytes_max` bytes, by the rule of the check.
template <std::uint64_t bytes_min, std::uint64_t bytes_max>
Judgement ReadsWithDf(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter({.structured_replies = true}));
  const std::uint64_t longest =
      std::min<std::uint64_t>({UsableBytes(entered), entered.block_size().maximum, bytes_max});
  const std::uint64_t length = longest / GridOf(entered) * GridOf(entered);
  if (length < bytes_min) {
    return NotApplicable(fmt::format("a READ with DF would take {} bytes", length));
  }
  return JudgeFirst(context,
                    AskOnce(entered, RequestFor(CommandType::kRead, {.begin = 0, .end = length}, CommandFlag::kDf)));
}

Judgement HoleReadsZero(CheckContext& context, const Survey& survey) {
  NBDSPEC_TRY(simple, context.Enter());
  bool any = false;
  for (const Exchange& exchange : survey.batch.exchanges) {
    if (!exchange.Is(CommandType::kRead) || !exchange.legality.is_legal() || !Has(exchange, ChunkType::kOffsetHole)) {
      continue;
    }
    any = true;
    const std::uint64_t begin = exchange.request.offset;
    NBDSPEC_TRY(bytes, ReadBytes(simple.session, exchange.request.range()));
    for (const ReplyChunk& chunk : exchange.answer.chunks()) {
      if (chunk.type != ChunkType::kOffsetHole || !chunk.content || !exchange.Asks(*chunk.content)) {
        continue;
      }
      const auto within = ByteView(bytes).subspan(chunk.content->offset - begin, chunk.content->length);
      Judgement judgement =
          About(SubjectOf(exchange), Compare({within.begin(), within.end()}, Bytes(within.size()),
                                             chunk.content->offset, "a hole reads as zeroes in a simple READ too"));
      if (judgement.is_broken()) {
        return judgement;
      }
    }
  }
  return any ? Holds() : NotApplicable("no hole chunk came");
}

// --- Simple replies --------------------------------------------------------------------------------------------

// Several at once, so that data of a wrong length makes the next header stand in a wrong place.
Judgement SimplePayloadLength(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  NBDSPEC_TRY(read, FirstRead(entered));
  std::vector<Request> reads(3, read);
  for (Request& each : reads) {
    each.cookie = entered.session.NextCookie();
  }
  Batch batch;
  if (AskAll(entered, reads, batch)) {
    const bool failed = std::ranges::any_of(batch.exchanges, [](const Exchange& e) { return e.answer.error() != 0; });
    return failed ? Inconclusive("READ failed") : Holds();
  }
  return batch.any_complete() && batch.endings.back().kind == ReceiveError::kUndecodable
             ? Broken(batch.endings.back().text, fmt::format("{} bytes of data, then the next reply", read.length))
             : AsJudgement(batch.endings.back());
}

Request PastEnd(const Entered& entered) {
  return RequestFor(CommandType::kRead, CellAt(entered, UsableBytes(entered) + GridOf(entered)));
}

Judgement NoPayloadOnError(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  NBDSPEC_TRY(read, FirstRead(entered));
  read.cookie = entered.session.NextCookie();
  Batch batch = AskOnce(entered, PastEnd(entered));
  if (!batch.endings.empty()) {
    return batch.endings.back().is_disconnect() ? Holds() : AsJudgement(batch.endings.back());
  }
  const bool after = AskAll(entered, {&read, 1}, batch);
  if (batch.first().error() == NbdError::kOk) {
    return NotApplicable("a READ past the end of the export succeeded");
  }
  if (after || batch.endings.back().is_disconnect()) {
    return Holds();
  }
  return batch.endings.back().kind == ReceiveError::kUndecodable
             ? Broken("after a simple reply with an error " + batch.endings.back().text, "no data after an error")
             : AsJudgement(batch.endings.back());
}

Judgement SimpleErrorCode(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  NBDSPEC_TRY(read, FirstRead(entered));
  return JudgeFirst(context, AskOnce(entered, PastEnd(entered)));
}

// --- Any reply -------------------------------------------------------------------------------------------------

Judgement Baseline(CheckContext& context) {
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  NBDSPEC_TRY(read, FirstRead(entered));
  NBDSPEC_TRY(answer, entered.session.Ask(read));
  return Require(answer.error() == NbdError::kOk,
                 fmt::format("READ of {} bytes at 0: {}", read.length, ErrorName(answer.error())), "READ works");
}

}  // namespace

std::vector<Check> ReadChecks() {
  const CheckRun kRule = WithStructured();
  constexpr Features kDf = Feature::kStructuredReplies | Feature::kDf;
  constexpr std::uint64_t k64KiB = 1 << 16;
  return {
      {kStructuredPayloadNeedsStructured, "A reply with data is structured.", kRule, kChunks},
      {kStructuredErrorsPreferStructured, "Errors of commands other than READ are structured too.", kRule, kChunks},
      {kStructuredChunksSameCookie, "Each chunk has the cookie of a request.", WithStructured(SameCookie), kChunks},
      {kStructuredDoneLast, "No chunk follows the one with DONE.", WithStructured(DoneLast), kChunks},
      {kStructuredChunkMagic, "The first reply to READ begins with the magic of chunks.",
       BeginsWithMagic(/*structured=*/true), kChunks},
      {kStructuredChunkLengthAccurate, "Each header begins where the length before it says.",
       WithStructured(HasAccurateLengths), kChunks},
      {kStructuredFlagsDoneSet, "The last chunk of each reply has DONE.", kRule, kChunks},
      {kStructuredFlagsNoOther, "No chunk has flags other than DONE.", kRule, kChunks},
      {kStructuredNoneLengthZero, "NONE has no payload.", kRule, kChunks},
      {kStructuredNoneDone, "NONE has DONE.", kRule, kChunks},
      {kStructuredOffsetDataLengthMin, "OFFSET_DATA has at least one byte of data.", kRule, kChunks},
      {kStructuredOffsetDataInBounds, "OFFSET_DATA lies in the requested range.", kRule, kChunks},
      {kStructuredOffsetDataNoOverlap, "OFFSET_DATA covers no byte that an earlier chunk covers.", kRule, kChunks},
      {kStructuredOffsetDataReadOnlyReply, "OFFSET_DATA answers READ only.", kRule, kChunks},
      {kStructuredOffsetDataAbsoluteOffset, "The offsets of OFFSET_DATA count from the start of the export.", kRule,
       kChunks},
      {kStructuredOffsetHoleLength12, "OFFSET_HOLE has 12 bytes.", kRule, kChunks},
      {kStructuredOffsetHoleInBounds, "OFFSET_HOLE lies in the requested range.", kRule, kChunks},
      {kStructuredOffsetHoleNoOverlap, "OFFSET_HOLE covers no byte that an earlier chunk covers.", kRule, kChunks},
      {kStructuredOffsetHoleNonzero, "OFFSET_HOLE has at least one byte.", kRule, kChunks},
      {kStructuredOffsetHoleReadOnlyReply, "OFFSET_HOLE answers READ only.", kRule, kChunks},
      {kStructuredReadContentBeforeError, "Content comes before the error that lies in it.", kRule, kChunks},

      {kStructuredErrorBit15, "Each error chunk has bit 15 in its type, and room for an error.", kRule, kChunks},
      {kStructuredErrorHeaderLength, "The payload of an error chunk has room for all its parts.", kRule, kChunks},
      {kStructuredErrorLengthMin, "ERROR has at least 6 bytes.", kRule, kChunks},
      {kStructuredErrorNonzero, "The error of ERROR is not 0.", kRule, kChunks},
      {kStructuredErrorMessageFits, "The message of ERROR fits its payload.", kRule, kChunks},
      {kStructuredErrorMessageCap, "No message is longer than 4096 bytes.", kRule, kChunks},
      {kStructuredErrorMessageDisplayable, "Messages are UTF-8 without NUL.", kRule, kChunks},
      {kStructuredErrorOnce, "A reply has at most one ERROR.", kRule, kChunks},
      {kStructuredErrorOffsetLengthMin, "ERROR_OFFSET has at least 14 bytes.", kRule, kChunks},
      {kStructuredErrorOffsetNonzero, "The error of ERROR_OFFSET is not 0.", kRule, kChunks},
      {kStructuredErrorOffsetMessageFits, "The message of ERROR_OFFSET fits its payload.", kRule, kChunks},
      {kStructuredErrorOffsetInBounds, "Error offsets lie in the requested range.", kRule, kChunks},
      {kStructuredErrorOffsetDistinct, "No error offset comes twice in a reply.", kRule, kChunks},
      {kStructuredErrorOffsetOnePerChunk, "At most one error offset lies in a content chunk before it.", kRule,
       kChunks},
      {kStructuredErrorOffsetCommands, "FLUSH and unknown commands get no ERROR_OFFSET.", kRule, kChunks},
      {kStructuredReadNoMixedErrors, "No READ gets both ERROR and ERROR_OFFSET.", kRule, kChunks},
      {kBaselineReadServer, "A small READ at 0 succeeds.", Baseline},
      {kTransmissionSimpleReadPayloadLength, "The next reply begins right after the data of a simple reply.",
       SimplePayloadLength},
      {kTransmissionSimpleNoPayloadOnError, "A simple reply with an error has no data.", NoPayloadOnError},
      {kTransmissionReadSimpleErrorCode, "A READ that fails gets one of the errors of the protocol.", SimpleErrorCode},
      {kTransmissionReadZeroNoDisconnect, "After a READ of length 0 the connection goes on.",
       SurvivesZeroLength(CommandType::kRead)},
      {kStructuredOnlyIfNegotiated, "READ gets a simple reply after structured replies were refused.", OnlyIfNegotiated,
       Feature::kGo},
      {kStructuredReadNoSimple, "No READ gets a simple reply, not even with an error.", kRule, kChunks},
      {kStructuredReadChunks, "READ gets chunks up to one with DONE.", kRule, kChunks},
      {kStructuredReadAlign512, "Content chunks begin and end at multiples of 512 inside of the range.", kRule,
       kChunks},
      {kStructuredChunksMinimise, "READ does not get many tiny chunks.", kRule, kChunks},
      {kStructuredChunkMaxPayload, "No chunk has more data than the maximum payload.", MaxPayload,
       Feature::kStructuredReplies | Feature::kBlockSize},
      {kStructuredReadFullCoverage, "A READ that succeeds returns the whole requested range.", kRule, kChunks},
      {kStructuredReadErrorChunk, "A READ past the end of the export gets an error chunk.", kRule, kChunks},
      {kStructuredOffsetHoleReadsZero, "Where a hole was sent a simple READ returns zeroes.",
       WithStructured(HoleReadsZero), kChunks},
      {kStructuredReadDfOneContent, "With DF at most one content chunk comes.", kRule, kDf},
      {kStructuredReadDfMixedAsData, "With DF a range with data and holes comes as data.",
       WithStructured(DfMixedAsData), kDf},
      {kStructuredReadDfEoverflowNoContent, "NBD_EOVERFLOW in answer to DF brings no content.",
       ReadsWithDf<1, kPayloadBytesDefaultMax>, kDf},
      {kStructuredReadDf64k, "READ of 65536 bytes with DF succeeds.", ReadsWithDf<k64KiB, k64KiB>, kDf},
  };
}

}  // namespace nbdspec::conformance
