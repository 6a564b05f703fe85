// SPDX-License-Identifier: BSD-3-Clause
// Checks of READ. Spec: proto.md, "Request types", NBD_CMD_READ; "Simple reply message".
#include <fmt/format.h>

#include <algorithm>

#include "conformance/checks/chunk_rules.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::Bytes;
using engine::Chunk;
using engine::ChunkType;
using engine::CommandFlag;
using engine::CommandType;
using engine::NbdError;
using engine::Request;

namespace {

bool IsContent(const Chunk& chunk) {
  return chunk.type == ChunkType::kOffsetData || chunk.type == ChunkType::kOffsetHole;
}

bool HasDf(const Request& request) { return (request.flags & CommandFlag::kDf) != 0; }

Judgement NotRead() { return NotApplicable("no READ was answered"); }

// The first READ that every client may send.
std::expected<Request, Judgement> FirstRead(const Entered& entered) {
  if (UsableBytes(entered) == 0) {
    return std::unexpected(NotApplicable(fmt::format("the export has {} bytes, too few to read", entered.info.size)));
  }
  return RequestFor(CommandType::kRead, {.begin = 0, .end = GridOf(entered)});
}

// --- Structured replies ----------------------------------------------------------------------------------------

// Structured replies are asked for wrongly, so that they are refused; then READ must be answered simply.
Judgement OnlyIfNegotiated(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  const auto refused = session.Ask(engine::Option{.option = engine::OptionType::kStructuredReply, .payload = Bytes(4)});
  if (!refused || refused->back().type == engine::OptionReplyType::kAck) {
    return NotApplicable("NBD_OPT_STRUCTURED_REPLY with data was not refused by a reply");
  }
  const engine::InfoQuery query{.name = context.export_name(), .requests = {engine::InfoType::kBlockSize}};
  NBDSPEC_TRY(go, session.Ask(engine::Option{.option = engine::OptionType::kGo, .payload = EncodePayload(query)}));
  if (go.back().type != engine::OptionReplyType::kAck) {
    return Inconclusive("NBD_OPT_GO was answered " + engine::OptionReplyName(go.back().type));
  }
  session.EnterTransmission();
  Entered entered{
      .session = std::move(session), .info = context.profile().info, .block_size = context.profile().block_size};
  NBDSPEC_TRY(read, FirstRead(entered));
  NBDSPEC_TRY(answer, entered.session.Ask(read));
  return answer.simple ? Holds()
                       : Broken(fmt::format("READ was answered with {}, after NBD_OPT_STRUCTURED_REPLY was refused",
                                            engine::Describe(answer.chunks.front())),
                                "simple replies");
}

Judgement NoSimple(const Survey&, const Exchange& exchange) {
  if (!exchange.is_read() || (!exchange.answer.simple && exchange.answer.chunks.empty())) {
    return NotRead();
  }
  return exchange.answer.simple
             ? Broken("a simple reply, " + engine::ErrorName(exchange.answer.simple->error), "a structured reply")
             : Holds();
}

Judgement Chunks(const Survey&, const Exchange& exchange) {
  if (!exchange.is_read() || !exchange.legal) {
    return NotRead();
  }
  if (exchange.complete) {
    return exchange.answer.simple ? Broken("a simple reply", "chunks, the last of them with DONE") : Holds();
  }
  const bool silent = exchange.ended && exchange.ended->kind == ReceiveError::kTimedOut;
  return silent ? Broken(fmt::format("{} chunks without DONE, then {}", exchange.answer.chunks.size(),
                                     exchange.ended->text),
                         "chunks, the last of them with DONE")
                : NotRead();
}

Judgement Align512(const Survey&, const Exchange& exchange) {
  const Request& asked = exchange.request;
  if (!exchange.is_read() || !exchange.legal) {
    return NotRead();
  }
  return JudgeEach(exchange, IsContent, "no content chunk came", [&](const Chunk& chunk) {
    const auto content = ContentOf(chunk);
    if (!content || !LiesInside(*content, asked)) {
      return Holds();
    }
    const std::uint64_t end = content->offset + content->length;
    const bool begins_well = content->offset == asked.offset || content->offset % 512 == 0;
    const bool ends_well = end == asked.offset + asked.length || end % 512 == 0;
    return begins_well && ends_well ? Holds() : Broken(ContentText(chunk), "multiples of 512 where possible");
  });
}

// What "many tiny" is, is ours to say: five data chunks of less than a sector, each right after the one before.
Judgement Minimise(const Survey&, const Exchange& exchange) {
  if (!exchange.is_read() || exchange.answer.chunks.empty()) {
    return NotRead();
  }
  int tiny = 0;
  std::uint64_t end = 0;
  for (const Chunk& chunk : exchange.answer.chunks) {
    const auto content = chunk.type == ChunkType::kOffsetData ? ContentOf(chunk) : std::nullopt;
    const bool is_tiny = content && content->length < 512;
    tiny = !is_tiny ? 0 : content->offset == end ? tiny + 1 : 1;
    end = content ? content->offset + content->length : 0;
    if (tiny == 5) {
      return Broken(fmt::format("{} chunks, of which at least 5 adjoining ones have less than 512 bytes of data",
                                exchange.answer.chunks.size()),
                    "few chunks");
    }
  }
  return Holds();
}

Judgement MaxPayload(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter({.structured_replies = true}));
  const std::uint64_t maximum = entered.block_size.maximum;
  const std::uint64_t length = std::min(UsableBytes(entered), (maximum / GridOf(entered) + 1) * GridOf(entered));
  if (length <= maximum || length > UINT32_MAX) {
    return NotApplicable(fmt::format("no READ can ask for more than the maximum payload, {} bytes", maximum));
  }
  const auto answer = entered.session.Ask(RequestFor(CommandType::kRead, {.begin = 0, .end = length}));
  if (!answer) {
    return AsJudgement(answer.error());
  }
  for (const Chunk& chunk : answer->chunks) {
    const auto content = ContentOf(chunk);
    if (content && chunk.type == ChunkType::kOffsetData && content->length > maximum) {
      return Broken(ContentText(chunk), fmt::format("at most {} bytes of data, as advertised", maximum));
    }
  }
  return Holds();
}

Judgement FullCoverage(const Survey&, const Exchange& exchange) {
  const bool judged = exchange.is_read() && exchange.legal && exchange.complete && !exchange.answer.simple;
  if (!judged || exchange.has_error_chunk()) {
    return NotRead();
  }
  const auto missing = FirstUncovered(exchange.request, exchange.answer);
  return missing ? Broken(fmt::format("success, but no content for offset {}", *missing),
                          "content chunks for all that was asked for")
                 : Holds();
}

// A READ that must fail, since the export ends before what it asks for.
Judgement ErrorChunk(const Survey& survey, const Exchange& exchange) {
  const Request& asked = exchange.request;
  const bool past_end = asked.offset + asked.length > survey.info.size;  // Our own requests: no overflow.
  if (!exchange.is_read() || !past_end || !exchange.complete || exchange.answer.simple) {
    return NotApplicable("no READ past the end of the export was answered");
  }
  return exchange.has_error_chunk() || !FirstUncovered(asked, exchange.answer)
             ? Holds()
             : Broken("neither an error chunk nor content for all of it", "an error chunk");
}

// --- DF --------------------------------------------------------------------------------------------------------

Judgement DfOneContent(const Survey&, const Exchange& exchange) {
  if (!exchange.is_read() || !HasDf(exchange.request) || exchange.answer.chunks.empty()) {
    return NotApplicable("no READ with DF was answered");
  }
  const auto count = std::ranges::count_if(exchange.answer.chunks, IsContent);
  return count <= 1 ? Holds() : Broken(fmt::format("{} content chunks", count), "at most one with DF");
}

// Whether a READ without DF brought both data and a hole.
bool IsMixed(const Exchange& exchange) {
  const auto& chunks = exchange.answer.chunks;
  return exchange.is_read() && exchange.legal && exchange.complete && !HasDf(exchange.request) &&
         exchange.answer.error() == NbdError::kOk &&
         std::ranges::count(chunks, ChunkType::kOffsetData, &Chunk::type) > 0 &&
         std::ranges::count(chunks, ChunkType::kOffsetHole, &Chunk::type) > 0;
}

// The same range is asked for with DF by the request after it, when the survey asks with DF.
Judgement DfMixedAsData(CheckContext& context) {
  NBDSPEC_TRY(survey, SurveyReplies(context, /*structured=*/true));
  const auto& exchanges = survey.batch.exchanges;
  bool any = false;
  for (std::size_t i = 0; i + 1 < exchanges.size(); ++i) {
    const Exchange& whole = exchanges[i + 1];
    const Answer& answer = whole.answer;
    if (!IsMixed(exchanges[i]) || !HasDf(whole.request) || !whole.complete || answer.error() != NbdError::kOk) {
      continue;
    }
    any = true;
    const auto content = std::ranges::find_if(answer.chunks, IsContent);
    const bool has_content = content != answer.chunks.end();
    if (!has_content || content->type != ChunkType::kOffsetData || FirstUncovered(whole.request, answer)) {
      return Broken("for a range with data and holes " + (has_content ? ContentText(*content) : "no content"),
                    "with DF one OFFSET_DATA with all of it");
    }
  }
  return any ? Holds() : NotApplicable("no READ met both data and a hole and then succeeded with DF");
}

// DF may be refused with EOVERFLOW, so the longest READ that is allowed is asked for.
Judgement DfOverflow(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter({.structured_replies = true}));
  const std::uint64_t length =
      std::min<std::uint64_t>(UsableBytes(entered), entered.block_size.maximum) / GridOf(entered) * GridOf(entered);
  if (length > engine::kPayloadBytesDefaultMax || length == 0) {
    return NotApplicable(fmt::format("a READ with DF would take {} bytes", length));
  }
  NBDSPEC_TRY(answer,
              entered.session.Ask(RequestFor(CommandType::kRead, {.begin = 0, .end = length}, CommandFlag::kDf)));
  if (answer.error() != NbdError::kEoverflow) {
    return NotApplicable(fmt::format("READ of {} bytes with DF: {}", length, engine::ErrorName(answer.error())));
  }
  const auto content = std::ranges::find_if(answer.chunks, IsContent);
  return content == answer.chunks.end()
             ? Holds()
             : Broken("NBD_EOVERFLOW together with " + ContentText(*content), "no content with NBD_EOVERFLOW");
}

Judgement Df64k(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter({.structured_replies = true}));
  constexpr std::uint64_t kLength = 1 << 16;
  if (UsableBytes(entered) < kLength || entered.block_size.maximum < kLength) {
    return NotApplicable("the export or its maximum payload is below 65536 bytes");
  }
  NBDSPEC_TRY(answer,
              entered.session.Ask(RequestFor(CommandType::kRead, {.begin = 0, .end = kLength}, CommandFlag::kDf)));
  return answer.error() == NbdError::kOk
             ? Holds()
             : Broken("READ of 65536 bytes with DF: " + engine::ErrorName(answer.error()), "it succeeds");
}

// Whether `bytes`, which begin where `asked` does, are zero where `answer` has holes.
Judgement JudgeHoles(const Request& asked, const Answer& answer, const Bytes& bytes) {
  for (const Chunk& chunk : answer.chunks) {
    const auto hole = chunk.type == ChunkType::kOffsetHole ? ContentOf(chunk) : std::nullopt;
    if (!hole || !LiesInside(*hole, asked)) {
      continue;
    }
    const auto within = engine::ByteView(bytes).subspan(hole->offset - asked.offset, hole->length);
    const auto byte = std::ranges::find_if(within, [](std::uint8_t b) { return b != 0; });
    if (byte != within.end()) {
      return Broken(fmt::format("{}, where a simple READ gives {:#04x} at offset {}", ContentText(chunk), *byte,
                                hole->offset + static_cast<std::uint64_t>(byte - within.begin())),
                    "a hole reads as zeroes");
    }
  }
  return Holds();
}

Judgement HoleReadsZero(CheckContext& context) {
  NBDSPEC_TRY(survey, SurveyReplies(context, /*structured=*/true));
  NBDSPEC_TRY(simple, context.Enter());
  bool any = false;
  for (const Exchange& exchange : survey.batch.exchanges) {
    const Request& asked = exchange.request;
    const bool has_hole = std::ranges::count(exchange.answer.chunks, ChunkType::kOffsetHole, &Chunk::type) > 0;
    if (!exchange.is_read() || !exchange.legal || !has_hole) {
      continue;
    }
    any = true;
    NBDSPEC_TRY(bytes, ReadBytes(simple.session, {.begin = asked.offset, .end = asked.offset + asked.length}));
    Judgement judgement = JudgeHoles(asked, exchange.answer, bytes);
    if (judgement.kind == Judgement::Kind::kBroken) {
      return judgement;
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
  if (AskAll(entered.session, reads, /*legal=*/true, batch)) {
    const bool failed = std::ranges::any_of(batch.exchanges, [](const Exchange& e) { return e.answer.error() != 0; });
    return failed ? Inconclusive("READ failed") : Holds();
  }
  const bool any = std::ranges::any_of(batch.exchanges, &Exchange::complete);
  return any && batch.ended->kind == ReceiveError::kUndecodable
             ? Broken(batch.ended->text, fmt::format("{} bytes of data, then the next reply", read.length))
             : AsJudgement(*batch.ended);
}

Request PastEnd(const Entered& entered) {
  const std::uint64_t usable = UsableBytes(entered);
  return RequestFor(CommandType::kRead, {.begin = usable + GridOf(entered), .end = usable + 2 * GridOf(entered)});
}

Judgement NoPayloadOnError(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  NBDSPEC_TRY(read, FirstRead(entered));
  Request wrong = PastEnd(entered);
  wrong.cookie = entered.session.NextCookie();
  read.cookie = entered.session.NextCookie();
  Batch batch;
  if (!AskAll(entered.session, {&wrong, 1}, /*legal=*/false, batch)) {
    return batch.ended->is_disconnect() ? Holds() : AsJudgement(*batch.ended);
  }
  const bool after = AskAll(entered.session, {&read, 1}, /*legal=*/true, batch);
  if (batch.exchanges[0].answer.error() == NbdError::kOk) {
    return NotApplicable("a READ past the end of the export succeeded");
  }
  if (after || batch.ended->is_disconnect()) {
    return Holds();
  }
  return batch.ended->kind == ReceiveError::kUndecodable
             ? Broken("after a simple reply with an error " + batch.ended->text, "no data after an error")
             : AsJudgement(*batch.ended);
}

Judgement SimpleErrorCode(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  NBDSPEC_TRY(read, FirstRead(entered));
  const Batch batch = AskOnce(entered.session, PastEnd(entered), /*legal=*/false);
  return JudgeErrorIsDefined(batch);
}

// --- Any reply -------------------------------------------------------------------------------------------------

Judgement ZeroLength(CheckContext& context) { return JudgeZeroLength(context, CommandType::kRead); }

Judgement Baseline(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter(WithStructured(context)));
  NBDSPEC_TRY(read, FirstRead(entered));
  NBDSPEC_TRY(answer, entered.session.Ask(read));
  return answer.error() == NbdError::kOk
             ? Holds()
             : Broken(fmt::format("READ of {} bytes at 0: {}", read.length, engine::ErrorName(answer.error())),
                      "READ works");
}

constexpr Features kStructured = {Feature::kStructuredReplies};
constexpr Features kDf = {Feature::kStructuredReplies, Feature::kDf};

}  // namespace

std::vector<Check> ReadChecks() {
  return {
      {.id = spec::kBaselineReadServer, .claim = "A small READ at 0 succeeds.", .run = Baseline},
      {.id = spec::kTransmissionSimpleReadPayloadLength,
       .claim = "After the data of a simple reply stands the next reply.",
       .run = SimplePayloadLength},
      {.id = spec::kTransmissionSimpleNoPayloadOnError,
       .claim = "A simple reply with an error has no data.",
       .run = NoPayloadOnError},
      {.id = spec::kTransmissionReadSimpleErrorCode,
       .claim = "A READ that fails gets one of the errors of the protocol.",
       .run = SimpleErrorCode},
      {.id = spec::kTransmissionReadZeroNoDisconnect,
       .claim = "After a READ of length 0 the connection goes on.",
       .run = ZeroLength},
      {.id = spec::kStructuredOnlyIfNegotiated,
       .needs = {Feature::kGo},
       .claim = "READ is answered simply after structured replies were refused.",
       .run = OnlyIfNegotiated},
      {.id = spec::kStructuredReadNoSimple,
       .needs = kStructured,
       .claim = "No READ gets a simple reply, not even an error.",
       .run = OverStructuredReplies<NoSimple>},
      {.id = spec::kStructuredReadChunks,
       .needs = kStructured,
       .claim = "READ gets chunks up to one with DONE.",
       .run = OverStructuredReplies<Chunks>},
      {.id = spec::kStructuredReadAlign512,
       .needs = kStructured,
       .claim = "Content chunks begin and end at multiples of 512 inside of the range.",
       .run = OverStructuredReplies<Align512>},
      {.id = spec::kStructuredChunksMinimise,
       .needs = kStructured,
       .claim = "READ is not answered in many tiny chunks.",
       .run = OverStructuredReplies<Minimise>},
      {.id = spec::kStructuredChunkMaxPayload,
       .needs = {Feature::kStructuredReplies, Feature::kBlockSize},
       .claim = "No chunk has more data than the maximum payload.",
       .run = MaxPayload},
      {.id = spec::kStructuredReadFullCoverage,
       .needs = kStructured,
       .claim = "A READ that succeeds brings all that was asked for.",
       .run = OverStructuredReplies<FullCoverage>},
      {.id = spec::kStructuredReadErrorChunk,
       .needs = kStructured,
       .claim = "A READ past the end of the export gets an error chunk.",
       .run = OverStructuredReplies<ErrorChunk>},
      {.id = spec::kStructuredOffsetHoleReadsZero,
       .needs = kStructured,
       .claim = "Where a hole was sent a simple READ gives zeroes.",
       .run = HoleReadsZero},
      {.id = spec::kStructuredReadDfOneContent,
       .needs = kDf,
       .claim = "With DF at most one content chunk comes.",
       .run = OverStructuredReplies<DfOneContent>},
      {.id = spec::kStructuredReadDfMixedAsData,
       .needs = kDf,
       .claim = "With DF a range with data and holes comes as data.",
       .run = DfMixedAsData},
      {.id = spec::kStructuredReadDfEoverflowNoContent,
       .needs = kDf,
       .claim = "NBD_EOVERFLOW in answer to DF brings no content.",
       .run = DfOverflow},
      {.id = spec::kStructuredReadDf64k, .needs = kDf, .claim = "READ of 65536 bytes with DF succeeds.", .run = Df64k},
  };
}

}  // namespace nbdspec::conformance
