// SPDX-License-Identifier: BSD-3-Clause
// Survey: many requests of every kind, and everything that answered them.
//
// Most rules of the transmission phase say something of every reply, so their checks hold the same conversation and
// read what came of it in different ways: a Rule looks at one request and its answer. Replies may come in any order.
// At most eight requests are in flight, and all replies are read (some servers do not survive more).

#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "conformance/checks/check.h"
#include "engine/base/byte_range.h"

namespace nbdspec::conformance {

// One request and what answered it.
struct Exchange {
  engine::Request request;
  Answer answer = {};
  bool legal = true;                // Whether a client may send such a request.
  bool complete = false;            // A simple reply came, or a chunk with DONE.
  std::optional<Ended> ended = {};  // Why it was not completed.

  [[nodiscard]] bool is_read() const { return request.type == engine::CommandType::kRead; }
  [[nodiscard]] bool has_error_chunk() const;
};

struct Batch {
  std::vector<Exchange> exchanges;
  std::vector<engine::ServerMessage> late;    // Came for a request whose answer was complete.
  std::vector<engine::ServerMessage> strays;  // Came with a cookie never sent.
  std::optional<Ended> ended = {};            // Why not everything was answered.
};

// Sends `requests` together and hears what answers them, at the end of `batch`. Their cookies differ from each other
// and from those in `batch`. Returns whether all was answered.
bool AskAll(Session& session, std::span<const engine::Request> requests, bool legal, Batch& batch);

// A batch of one.
Batch AskOnce(Session& session, const engine::Request& request, bool legal = true);

struct Survey {
  bool structured = false;
  engine::InfoExport info = {};
  engine::InfoBlockSize block_size = {};
  Batch batch;  // `ended` is set only when legal requests were not answered.
};

// Reads all over the export (some with DF), every other command that is offered, small writes where they are allowed,
// and at last requests that must fail, each of which may cost a connection.
std::expected<Survey, Judgement> SurveyReplies(CheckContext& context, bool structured);

// What one exchange says about a requirement: Holds, Broken, or NotApplicable with what was missing.
using Rule = Judgement (*)(const Survey& survey, const Exchange& exchange);

// Holds when a rule was kept somewhere and broken nowhere.
Judgement JudgeSurvey(const Survey& survey, Rule rule);

template <Rule rule>
Judgement OverStructuredReplies(CheckContext& context) {
  NBDSPEC_TRY(survey, SurveyReplies(context, /*structured=*/true));
  return JudgeSurvey(survey, rule);
}

template <Rule rule>
Judgement OverSimpleReplies(CheckContext& context) {
  NBDSPEC_TRY(survey, SurveyReplies(context, /*structured=*/false));
  return JudgeSurvey(survey, rule);
}

// For rules that hold in both modes: both where both are offered.
template <Rule rule>
Judgement OverAllReplies(CheckContext& context) {
  Judgement simple = OverSimpleReplies<rule>(context);
  const bool both = context.profile().features.Has(Feature::kStructuredReplies);
  if (!both || simple.kind == Judgement::Kind::kBroken) {
    return simple;
  }
  Judgement structured = OverStructuredReplies<rule>(context);
  return structured.kind == Judgement::Kind::kNotApplicable ? simple : structured;
}

// --- Places in an export ---------------------------------------------------------------------------------------

// What offsets and lengths must be multiples of, to be legal and usual: 512, or the minimum block size.
std::uint64_t GridOf(const Entered& entered);

// The size of the export without a last part that is off the grid.
std::uint64_t UsableBytes(const Entered& entered);

// Some grid cells where checks may write, away from both ends: never the first or the last cell of the export.
// Nothing when the export is too small.
std::optional<engine::ByteRange> ScratchRange(const Entered& entered, std::uint64_t cell_count);

// `length` bytes of which none is zero, different with each `seed`.
engine::Bytes Pattern(std::uint64_t length, std::uint64_t seed);

// A request for a range; its cookie is 0, for Session::Ask to replace.
engine::Request RequestFor(std::uint16_t command, engine::ByteRange range, std::uint16_t flags = 0);

// A WRITE.
engine::Request WriteOf(std::uint64_t offset, engine::Bytes data, std::uint16_t flags = 0);

// The bytes that an answer to READ gives; nothing when it failed or does not cover the request.
std::optional<engine::Bytes> BytesRead(const engine::Request& request, const Answer& answer);

// READ, and the bytes it gives. Errors: it ended, failed, or left out some: then the check that needs the bytes
// is inconclusive.
std::expected<engine::Bytes, Judgement> ReadBytes(Session& session, engine::ByteRange range);

// --- Chunks ----------------------------------------------------------------------------------------------------

// What a content chunk (OFFSET_DATA, OFFSET_HOLE) speaks of; nothing for others, and when it cannot be taken apart.
std::optional<engine::ByteRange::OffsetAndLength> ContentOf(const engine::Chunk& chunk);

// Whether `content` lies inside of what `request` asked for.
bool LiesInside(const engine::ByteRange::OffsetAndLength& content, const engine::Request& request);

// The first byte of `request` that no content chunk of `answer` speaks of.
std::optional<std::uint64_t> FirstUncovered(const engine::Request& request, const Answer& answer);

// "NBD_REPLY_TYPE_OFFSET_DATA [0, 512)".
std::string ContentText(const engine::Chunk& chunk);

}  // namespace nbdspec::conformance
