// SPDX-License-Identifier: BSD-3-Clause
// Checks of structured reply chunks, whatever request they answer: most are one rule of engine/exchange over a survey.
// Spec: proto.md, "Structured reply chunk message", "Structured reply flags", "Structured reply types".
#include <fmt/format.h>

#include <algorithm>

#include "conformance/checks/transmission/survey.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

namespace {

// Broken when a chunk is among `messages`.
Judgement NoChunkIn(const Survey& survey, const std::vector<engine::ServerMessage>& messages, std::string_view where,
                    std::string_view allowed) {
  const auto chunk = std::ranges::find_if(
      messages, [](const auto& message) { return std::holds_alternative<engine::Chunk>(message); });
  if (chunk != messages.end()) {
    return Broken(fmt::format("{}, {}", engine::Describe(*chunk), where), allowed);
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

Judgement LengthAccurate(CheckContext&, const Survey& survey) {
  if (!survey.any_chunk()) {
    return Inconclusive(survey.ended ? survey.ended->text : "no chunk came");
  }
  const auto& endings = survey.batch.endings;
  const auto ended = std::ranges::find(endings, ReceiveError::kUndecodable, &ReceiveError::kind);
  return ended == endings.end()
             ? Holds()
             : Broken(ended->text, "the next header stands right after the payload whose length was given");
}

// A client sees framing broken where the next header should stand, so the first header tells of the magic only.
Judgement ChunkMagic(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter({.structured_replies = true}));
  NBDSPEC_TRY(read, FirstRead(entered));
  entered.session.Send(read);
  const auto first = entered.session.Next();
  if (first) {
    return std::holds_alternative<engine::Chunk>(*first) ? Holds() : NotApplicable("READ got a simple reply");
  }
  return first.error().kind == ReceiveError::kUndecodable
             ? Broken(first.error().text, "a chunk begins with 0x668e33ef (NBD_STRUCTURED_REPLY_MAGIC)")
             : AsJudgement(first.error());
}

}  // namespace

std::vector<Check> ChunkChecks() {
  constexpr auto kRule = OverStructuredReplies;
  constexpr Features kChunks = {Feature::kStructuredReplies};
  return {
      {spec::kStructuredPayloadNeedsStructured, "A reply with data is structured.", kRule, kChunks},
      {spec::kStructuredErrorsPreferStructured, "Errors of commands other than READ are structured too.", kRule,
       kChunks},
      {spec::kStructuredChunksSameCookie, "Each chunk has the cookie of a request.", WithStructured<SameCookie>,
       kChunks},
      {spec::kStructuredDoneLast, "No chunk follows the one with DONE.", WithStructured<DoneLast>, kChunks},
      {spec::kStructuredChunkMagic, "The first reply to READ begins with the magic of chunks.", ChunkMagic, kChunks},
      {spec::kStructuredChunkLengthAccurate, "Each header begins where the length before it says.",
       WithStructured<LengthAccurate>, kChunks},
      {spec::kStructuredFlagsDoneSet, "The last chunk of each reply has DONE.", kRule, kChunks},
      {spec::kStructuredFlagsNoOther, "No chunk has flags other than DONE.", kRule, kChunks},
      {spec::kStructuredNoneLengthZero, "NONE has no payload.", kRule, kChunks},
      {spec::kStructuredNoneDone, "NONE has DONE.", kRule, kChunks},
      {spec::kStructuredOffsetDataLengthMin, "OFFSET_DATA has at least one byte of data.", kRule, kChunks},
      {spec::kStructuredOffsetDataInBounds, "OFFSET_DATA lies in the requested range.", kRule, kChunks},
      {spec::kStructuredOffsetDataNoOverlap, "OFFSET_DATA covers no byte that an earlier chunk covers.", kRule,
       kChunks},
      {spec::kStructuredOffsetDataReadOnlyReply, "OFFSET_DATA answers READ only.", kRule, kChunks},
      {spec::kStructuredOffsetDataAbsoluteOffset, "The offsets of OFFSET_DATA count from the start of the export.",
       kRule, kChunks},
      {spec::kStructuredOffsetHoleLength12, "OFFSET_HOLE has 12 bytes.", kRule, kChunks},
      {spec::kStructuredOffsetHoleInBounds, "OFFSET_HOLE lies in the requested range.", kRule, kChunks},
      {spec::kStructuredOffsetHoleNoOverlap, "OFFSET_HOLE covers no byte that an earlier chunk covers.", kRule,
       kChunks},
      {spec::kStructuredOffsetHoleNonzero, "OFFSET_HOLE has at least one byte.", kRule, kChunks},
      {spec::kStructuredOffsetHoleReadOnlyReply, "OFFSET_HOLE answers READ only.", kRule, kChunks},
      {spec::kStructuredReadContentBeforeError, "Content comes before the error that lies in it.", kRule, kChunks},

      {spec::kStructuredErrorBit15, "Each error chunk has bit 15 in its type, and room for an error.", kRule, kChunks},
      {spec::kStructuredErrorHeaderLength, "The payload of an error chunk has room for all its parts.", kRule, kChunks},
      {spec::kStructuredErrorLengthMin, "ERROR has at least 6 bytes.", kRule, kChunks},
      {spec::kStructuredErrorNonzero, "The error of ERROR is not 0.", kRule, kChunks},
      {spec::kStructuredErrorMessageFits, "The message of ERROR fits its payload.", kRule, kChunks},
      {spec::kStructuredErrorMessageCap, "No message is longer than 4096 bytes.", kRule, kChunks},
      {spec::kStructuredErrorMessageDisplayable, "Messages are UTF-8 without NUL.", kRule, kChunks},
      {spec::kStructuredErrorOnce, "A reply has at most one ERROR.", kRule, kChunks},
      {spec::kStructuredErrorOffsetLengthMin, "ERROR_OFFSET has at least 14 bytes.", kRule, kChunks},
      {spec::kStructuredErrorOffsetNonzero, "The error of ERROR_OFFSET is not 0.", kRule, kChunks},
      {spec::kStructuredErrorOffsetMessageFits, "The message of ERROR_OFFSET fits its payload.", kRule, kChunks},
      {spec::kStructuredErrorOffsetInBounds, "Error offsets lie in the requested range.", kRule, kChunks},
      {spec::kStructuredErrorOffsetDistinct, "No error offset comes twice in a reply.", kRule, kChunks},
      {spec::kStructuredErrorOffsetOnePerChunk, "At most one error offset lies in a content chunk before it.", kRule,
       kChunks},
      {spec::kStructuredErrorOffsetCommands, "FLUSH and unknown commands get no ERROR_OFFSET.", kRule, kChunks},
      {spec::kStructuredReadNoMixedErrors, "No READ gets both ERROR and ERROR_OFFSET.", kRule, kChunks},
  };
}

}  // namespace nbdspec::conformance
