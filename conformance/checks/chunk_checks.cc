// SPDX-License-Identifier: BSD-3-Clause
// Checks of structured reply chunks, whatever request they answer. Spec: proto.md, "Structured reply chunk message",
// "Structured reply flags", "Structured reply types".
#include <fmt/format.h>

#include <algorithm>

#include "conformance/checks/chunk_rules.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::Chunk;
using engine::ChunkFlag;
using engine::ChunkName;
using engine::ChunkType;

namespace {

// --- Replies as a whole ----------------------------------------------------------------------------------------

bool AnyChunk(const Survey& survey) {
  return std::ranges::any_of(survey.batch.exchanges, [](const Exchange& e) { return !e.answer.chunks.empty(); });
}

Judgement SameCookie(CheckContext& context) {
  NBDSPEC_TRY(survey, SurveyReplies(context, /*structured=*/true));
  const auto& strays = survey.batch.strays;
  const auto stray = std::ranges::find_if(strays, [](const auto& m) { return std::holds_alternative<Chunk>(m); });
  if (stray == strays.end()) {
    return AnyChunk(survey) ? Holds() : Inconclusive("no chunk came");
  }
  return Broken(fmt::format("{}, with a cookie of no request", engine::Describe(*stray)),
                "all chunks of a reply have the cookie of the request");
}

Judgement DoneLast(CheckContext& context) {
  NBDSPEC_TRY(survey, SurveyReplies(context, /*structured=*/true));
  const auto& late = survey.batch.late;
  const auto chunk = std::ranges::find_if(late, [](const auto& m) { return std::holds_alternative<Chunk>(m); });
  if (chunk == late.end()) {
    return AnyChunk(survey) ? Holds() : Inconclusive("no chunk came");
  }
  return Broken(fmt::format("{}, after the chunk with DONE for the same request", engine::Describe(*chunk)),
                "the chunk with DONE is the last one of its reply");
}

Judgement DoneSet(const Survey&, const Exchange& exchange) {
  if (exchange.answer.chunks.empty()) {
    return NotApplicable("no chunk came");
  }
  if (exchange.complete) {
    return Holds();
  }
  const bool silent = exchange.ended && exchange.ended->kind == ReceiveError::kTimedOut;
  return silent ? Broken(fmt::format("{} chunks, none of them with DONE; then {}", exchange.answer.chunks.size(),
                                     exchange.ended->text),
                         "the final chunk has DONE")
                : NotApplicable("the reply was cut off");
}

Judgement NoOtherFlags(const Survey&, const Exchange& exchange) {
  return JudgeEach(exchange, IsAny, "no chunk came", [](const Chunk& chunk) {
    return (chunk.flags & ~ChunkFlag::kDone) == 0
               ? Holds()
               : Broken(fmt::format("{} with flags {}", ChunkName(chunk.type), engine::ChunkFlagNames(chunk.flags)),
                        "no flag but DONE, unless it can be ignored safely");
  });
}

Judgement PayloadNeedsStructured(const Survey&, const Exchange& exchange) {
  const auto& simple = exchange.answer.simple;
  return simple && !simple->data.empty()
             ? Broken(fmt::format("a simple reply with {} bytes of data", simple->data.size()),
                      "a structured reply, since it has a payload")
             : Holds();
}

Judgement PreferStructured(const Survey&, const Exchange& exchange) {
  if (exchange.is_read() || exchange.answer.error() == engine::NbdError::kOk) {
    return NotApplicable("no error came in answer to anything but READ");
  }
  return exchange.answer.simple
             ? Broken(fmt::format("a simple reply with {}", engine::ErrorName(exchange.answer.error())),
                      "an error chunk, which can carry a message")
             : Holds();
}

// A client sees framing broken where the next header should stand, so the first header tells of the magic only.
Judgement ChunkMagic(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter({.structured_replies = true}));
  entered.session.Send(engine::Request{.cookie = 1, .length = static_cast<std::uint32_t>(GridOf(entered))});
  const auto first = entered.session.Next();
  if (first) {
    return std::holds_alternative<Chunk>(*first) ? Holds() : NotApplicable("READ got a simple reply");
  }
  return first.error().kind == ReceiveError::kUndecodable
             ? Broken(first.error().text, "a chunk begins with 0x668e33ef (NBD_STRUCTURED_REPLY_MAGIC)")
             : AsJudgement(first.error());
}

Judgement LengthAccurate(CheckContext& context) {
  NBDSPEC_TRY(survey, SurveyReplies(context, /*structured=*/true));
  if (!AnyChunk(survey)) {
    return Inconclusive(survey.ended ? survey.ended->text : "no chunk came");
  }
  for (const Exchange& exchange : survey.batch.exchanges) {
    if (exchange.ended && exchange.ended->kind == ReceiveError::kUndecodable) {
      return Broken(exchange.ended->text, "the next header stands right after the payload whose length was given");
    }
  }
  return Holds();
}

// --- Chunk types -----------------------------------------------------------------------------------------------

Judgement NoneEmpty(const Survey&, const Exchange& exchange) {
  return JudgeEach(exchange, ChunkType::kNone, [](const Chunk& chunk) {
    return chunk.payload.empty() ? Holds() : Broken(BytesText(chunk), "no payload");
  });
}

Judgement NoneDone(const Survey&, const Exchange& exchange) {
  return JudgeEach(exchange, ChunkType::kNone, [](const Chunk& chunk) {
    return chunk.is_done() ? Holds() : Broken("NBD_REPLY_TYPE_NONE without DONE", "NONE always has DONE");
  });
}

Judgement DataNotEmpty(const Survey&, const Exchange& exchange) {
  return JudgeEach(exchange, ChunkType::kOffsetData, [](const Chunk& chunk) {
    return chunk.payload.size() >= 9 ? Holds() : Broken(BytesText(chunk), "at least 9: an offset and a byte of data");
  });
}

Judgement HoleLength(const Survey&, const Exchange& exchange) {
  return JudgeEach(exchange, ChunkType::kOffsetHole, [](const Chunk& chunk) {
    return chunk.payload.size() == 12 ? Holds() : Broken(BytesText(chunk), "exactly 12 bytes");
  });
}

Judgement HoleNotEmpty(const Survey&, const Exchange& exchange) {
  return JudgeEach(exchange, ChunkType::kOffsetHole, [](const Chunk& chunk) {
    const auto hole = ContentOf(chunk);
    return !hole || hole->length > 0 ? Holds() : Broken(ContentText(chunk), "a hole of at least one byte");
  });
}

Judgement InBounds(const Exchange& exchange, std::uint16_t type) {
  if (!exchange.is_read()) {
    return NotApplicable("no READ");
  }
  return JudgeEach(exchange, type, [&](const Chunk& chunk) {
    const auto content = ContentOf(chunk);
    return !content || LiesInside(*content, exchange.request)
               ? Holds()
               : Broken(ContentText(chunk), "inside of the range that was asked for");
  });
}

Judgement DataInBounds(const Survey&, const Exchange& exchange) { return InBounds(exchange, ChunkType::kOffsetData); }
Judgement HoleInBounds(const Survey&, const Exchange& exchange) { return InBounds(exchange, ChunkType::kOffsetHole); }

// An offset from the start of the request puts the chunk before the request.
Judgement DataAbsolute(const Survey&, const Exchange& exchange) {
  if (!exchange.is_read() || exchange.request.offset < exchange.request.length) {
    return NotApplicable("no READ where relative offsets would show");
  }
  return JudgeEach(exchange, ChunkType::kOffsetData, [&](const Chunk& chunk) {
    auto content = ContentOf(chunk);
    if (!content || content->offset >= exchange.request.length) {
      return Holds();
    }
    content->offset += exchange.request.offset;
    return LiesInside(*content, exchange.request) ? Broken(ContentText(chunk), "offsets count from the export's start")
                                                  : Holds();
  });
}

// Chunks of `type` against those before them that `earlier` picks.
template <typename Earlier>
Judgement NoOverlap(const Exchange& exchange, std::uint16_t type, Earlier earlier) {
  const auto& chunks = exchange.answer.chunks;
  return JudgeEach(exchange, type, [&](const Chunk& chunk) {
    const auto content = ContentOf(chunk);
    for (const Chunk* before = chunks.data(); content && before != &chunk; ++before) {
      const auto other = earlier(*before) ? PlaceOf(*before) : std::nullopt;
      if (other && Overlap(*content, *other)) {
        return Broken(fmt::format("{}, after {}", ContentText(chunk), engine::Describe(*before)),
                      "no byte that an earlier chunk of the reply spoke of");
      }
    }
    return Holds();
  });
}

Judgement DataNoOverlap(const Survey&, const Exchange& exchange) {
  return NoOverlap(exchange, ChunkType::kOffsetData, IsAny);
}
Judgement HoleNoOverlap(const Survey&, const Exchange& exchange) {
  return NoOverlap(exchange, ChunkType::kOffsetHole, IsAny);
}

Judgement ContentBeforeError(const Survey&, const Exchange& exchange) {
  const auto is_error = [](const Chunk& chunk) { return chunk.type == ChunkType::kErrorOffset; };
  if (std::ranges::none_of(exchange.answer.chunks, is_error)) {
    return NotApplicable("no " + ChunkName(ChunkType::kErrorOffset) + " came");
  }
  Judgement data = NoOverlap(exchange, ChunkType::kOffsetData, is_error);
  return data.kind == Judgement::Kind::kBroken ? data : NoOverlap(exchange, ChunkType::kOffsetHole, is_error);
}

Judgement AnswersOnlyRead(const Exchange& exchange, std::uint16_t type) {
  if (exchange.is_read()) {
    return NotApplicable("only READ was answered with chunks");
  }
  return JudgeEach(exchange, IsAny, "no chunk came", [&](const Chunk& chunk) {
    return chunk.type == type ? Broken(ContentText(chunk), "only READ is answered so") : Holds();
  });
}

Judgement DataAnswersRead(const Survey&, const Exchange& exchange) {
  return AnswersOnlyRead(exchange, ChunkType::kOffsetData);
}
Judgement HoleAnswersRead(const Survey&, const Exchange& exchange) {
  return AnswersOnlyRead(exchange, ChunkType::kOffsetHole);
}

constexpr Features kStructured = {Feature::kStructuredReplies};

}  // namespace

std::vector<Check> ChunkChecks() {
  return {
      {.id = spec::kStructuredPayloadNeedsStructured,
       .needs = kStructured,
       .claim = "Whatever has data comes in chunks.",
       .run = OverStructuredReplies<PayloadNeedsStructured>},
      {.id = spec::kStructuredErrorsPreferStructured,
       .needs = kStructured,
       .claim = "Errors of commands other than READ come in chunks too.",
       .run = OverStructuredReplies<PreferStructured>},
      {.id = spec::kStructuredChunksSameCookie,
       .needs = kStructured,
       .claim = "No chunk has a cookie of no request.",
       .run = SameCookie},
      {.id = spec::kStructuredDoneLast,
       .needs = kStructured,
       .claim = "After the chunk with DONE nothing follows for the request.",
       .run = DoneLast},
      {.id = spec::kStructuredChunkMagic,
       .needs = kStructured,
       .claim = "The first reply to READ begins with the magic of chunks.",
       .run = ChunkMagic},
      {.id = spec::kStructuredChunkLengthAccurate,
       .needs = kStructured,
       .claim = "Every header stands where the one before it said.",
       .run = LengthAccurate},
      {.id = spec::kStructuredFlagsDoneSet,
       .needs = kStructured,
       .claim = "The last chunk of every reply has DONE.",
       .run = OverStructuredReplies<DoneSet>},
      {.id = spec::kStructuredFlagsNoOther,
       .needs = kStructured,
       .claim = "No chunk has flags other than DONE.",
       .run = OverStructuredReplies<NoOtherFlags>},
      {.id = spec::kStructuredNoneLengthZero,
       .needs = kStructured,
       .claim = "NONE has no payload.",
       .run = OverStructuredReplies<NoneEmpty>},
      {.id = spec::kStructuredNoneDone,
       .needs = kStructured,
       .claim = "NONE has DONE.",
       .run = OverStructuredReplies<NoneDone>},
      {.id = spec::kStructuredOffsetDataLengthMin,
       .needs = kStructured,
       .claim = "OFFSET_DATA has at least one byte of data.",
       .run = OverStructuredReplies<DataNotEmpty>},
      {.id = spec::kStructuredOffsetDataInBounds,
       .needs = kStructured,
       .claim = "OFFSET_DATA lies in the range asked for.",
       .run = OverStructuredReplies<DataInBounds>},
      {.id = spec::kStructuredOffsetDataNoOverlap,
       .needs = kStructured,
       .claim = "OFFSET_DATA covers no byte that an earlier chunk covers.",
       .run = OverStructuredReplies<DataNoOverlap>},
      {.id = spec::kStructuredOffsetDataReadOnlyReply,
       .needs = kStructured,
       .claim = "Only READ is answered with OFFSET_DATA.",
       .run = OverStructuredReplies<DataAnswersRead>},
      {.id = spec::kStructuredOffsetDataAbsoluteOffset,
       .needs = kStructured,
       .claim = "The offsets of OFFSET_DATA count from the start of the export.",
       .run = OverStructuredReplies<DataAbsolute>},
      {.id = spec::kStructuredOffsetHoleLength12,
       .needs = kStructured,
       .claim = "OFFSET_HOLE has 12 bytes.",
       .run = OverStructuredReplies<HoleLength>},
      {.id = spec::kStructuredOffsetHoleInBounds,
       .needs = kStructured,
       .claim = "OFFSET_HOLE lies in the range asked for.",
       .run = OverStructuredReplies<HoleInBounds>},
      {.id = spec::kStructuredOffsetHoleNoOverlap,
       .needs = kStructured,
       .claim = "OFFSET_HOLE covers no byte that an earlier chunk covers.",
       .run = OverStructuredReplies<HoleNoOverlap>},
      {.id = spec::kStructuredOffsetHoleNonzero,
       .needs = kStructured,
       .claim = "OFFSET_HOLE has at least one byte.",
       .run = OverStructuredReplies<HoleNotEmpty>},
      {.id = spec::kStructuredOffsetHoleReadOnlyReply,
       .needs = kStructured,
       .claim = "Only READ is answered with OFFSET_HOLE.",
       .run = OverStructuredReplies<HoleAnswersRead>},
      {.id = spec::kStructuredReadContentBeforeError,
       .needs = kStructured,
       .claim = "Content comes before the error that lies in it.",
       .run = OverStructuredReplies<ContentBeforeError>},
  };
}

}  // namespace nbdspec::conformance
