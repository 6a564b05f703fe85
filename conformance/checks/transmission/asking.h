// SPDX-License-Identifier: BSD-3-Clause
// Asking requests and taking their answers as Exchanges, for the rules; and what requests are made of.

#pragma once

#include <functional>

#include "conformance/checks/check.h"
#include "engine/base/byte_range.h"
#include "engine/exchange/exchange.h"

namespace nbdspec::conformance {

// Requests and their replies, on one connection or several.
struct Batch {
  std::vector<Exchange> exchanges;
  std::vector<ServerMessage> late;                  // Came for a request whose answer was complete.
  std::vector<ServerMessage> strays;                // Came with a cookie never sent.
  std::vector<ReceiveError> endings;                // Why not everything was answered.
  std::vector<std::shared_ptr<Negotiated>> agreed;  // What the exchanges point to.

  [[nodiscard]] const engine::Answer& first() const { return exchanges.front().answer; }
  [[nodiscard]] bool any_complete() const {
    return std::ranges::any_of(exchanges, [](const Exchange& exchange) { return exchange.answer.is_complete(); });
  }
};

// Sends `requests` together and takes their answers, at the end of `batch`. Their cookies differ from each other and
// from those in `batch`. Returns whether all were answered; if not, endings.back() says why.
bool AskAll(Entered& entered, std::span<const Request> requests, Batch& batch);

// A batch of one, with a cookie of its own unless `request` has one.
Batch AskOnce(Entered& entered, Request request);

// Judges the first answer of `batch` by the rule of the check; inconclusive when it is not complete. A server may end
// the connection with a client that breaks a rule, which leaves nothing to judge.
Judgement JudgeFirst(const CheckContext& context, const Batch& batch);

Judgement JudgeBy(const Rule& rule, const Exchange& exchange);

// Whether `is_so` returns true, at once or within ten times the quiet time: a server may be at work yet on what was in
// flight when a connection ended.
bool BecomesSo(const CheckContext& context, const std::function<bool()>& is_so);

// Asks `command` with length 0, then a READ: the connection must last that long.
CheckRun SurvivesZeroLength(std::uint16_t command);
// The first reply to READ begins with the magic of its form. Later ones may only stand in the wrong place.
CheckRun BeginsWithMagic(bool structured);

// Whether a client may send `command`, for some range.
inline bool IsOffered(const Entered& entered, std::uint16_t command) {
  return !LegalityOf({.type = command}, *entered.agreed).is_illegal();
}

// --- Places in an export ---------------------------------------------------------------------------------------

// What offsets and lengths must be multiples of, to be legal and usual: 512, or the minimum block size.
inline std::uint64_t GridOf(const Negotiated& agreed) {
  return std::clamp(agreed.block_size.minimum, 512U, 1U << 16);  // No minimum may be above 64 KiB.
}
inline std::uint64_t GridOf(const Entered& entered) { return GridOf(*entered.agreed); }

// The size of the export without a last part that is off the grid.
inline std::uint64_t UsableBytes(const Entered& entered) {
  // Sizes and block sizes come from the server: keep sums with them far from 2^64.
  const std::uint64_t size = std::min(entered.size(), kExportBytesMax);
  return size / GridOf(entered) * GridOf(entered);
}

// The longest payload in whole cells: what the server takes, and never more than is promised where it says nothing.
std::uint64_t PayloadBytesMax(const Negotiated& agreed);
inline std::uint64_t PayloadBytesMax(const Entered& entered) { return PayloadBytesMax(*entered.agreed); }

// `range` in pieces of at most `piece_bytes`, which is above 0.
std::vector<ByteRange> PiecesOf(ByteRange range, std::uint64_t piece_bytes);

// Not applicable where a request with a payload of `bytes` is longer than the server takes.
Step MayHavePayload(const Entered& entered, std::uint64_t bytes);

// The cell of the grid at `offset`.
inline ByteRange CellAt(const Entered& entered, std::uint64_t offset = 0) {
  return {.begin = offset, .end = offset + GridOf(entered)};
}

// Some grid cells where checks may write, away from both ends: never the first or the last cell of the export.
// Errors: the export is too small, which leaves nothing to judge.
std::expected<ByteRange, Judgement> ScratchRange(const Entered& entered, std::uint64_t cell_count);

// `length` bytes of which none is zero, different with each `seed`.
Bytes Pattern(std::uint64_t length, std::uint64_t seed);

// A request for a range; its cookie is 0, for Session::Ask to replace. Range: one of 4 GiB and more only in the
// extended form.
inline Request RequestFor(std::uint16_t command, ByteRange range, std::uint16_t flags = 0) {
  return {.flags = flags, .type = command, .offset = range.begin, .length = range.length()};
}

// A WRITE.
inline Request WriteOf(std::uint64_t offset, Bytes data, std::uint16_t flags = 0) {
  return {
      .flags = flags, .type = CommandType::kWrite, .offset = offset, .length = data.size(), .payload = std::move(data)};
}

// A BLOCK_STATUS of `range` that only the contexts with `ids` are to answer. Extended form.
Request QueryOf(ByteRange::OffsetAndLength range, std::vector<std::uint32_t> ids, std::uint16_t flags = 0);

// `length` bytes for a payload that is to be dropped. They begin with a READ, whose cookie is used for nothing else: a
// server that takes the payload for what follows the request answers it. Range: what a header has, at least.
Bytes PayloadThatIsARead(Entered& entered, std::uint64_t length);

// The first READ that every client may send. Errors: the export is too small to read.
std::expected<Request, Judgement> FirstRead(const Entered& entered);

// The bytes that an answer to READ gives; nothing when it failed, or gives some bytes twice or not at all.
std::optional<Bytes> BytesRead(const Request& request, const Answer& answer);

// READs that together ask for `range`, each for no more than the maximum payload, and the bytes that they give. Errors:
// one ended, failed, or left out some: then the check that needs the bytes is inconclusive.
std::expected<Bytes, Judgement> ReadBytes(Session& session, ByteRange range);

// Broken at the first byte of `found`, read at `offset`, that is not `wanted`.
Judgement Compare(const Bytes& found, const Bytes& wanted, std::uint64_t offset, std::string_view allowed);

// Judges each of the first exports that the server lists beside the one under test: broken where one is broken, not
// applicable where none can be judged.
CheckRun OnOtherExports(CheckRun judge);

// --- Survey ----------------------------------------------------------------------------------------------------
// Most rules of the transmission phase say something of every answer, so their checks hold the same conversation and
// apply the rule of their requirement (engine/exchange) to each exchange. Replies may come in any order. At most eight
// requests are in flight, and all replies are read (some servers do not survive more).

// Many requests of every kind, and everything that answered them.
struct Survey {
  bool structured = false;
  Batch batch = {};
  std::optional<ReceiveError> ended = {};  // Why legal requests were not answered, the first time.

  [[nodiscard]] bool any_chunk() const {
    return std::ranges::any_of(batch.exchanges, [](const Exchange& e) { return !e.answer.chunks().empty(); });
  }
};

// What a whole survey says about a requirement.
using SurveyRule = Judgement (*)(CheckContext& context, const Survey& survey);
// The rule of the check: holds when it was kept somewhere and violated nowhere.
Judgement KeepsRule(CheckContext& context, const Survey& survey);
CheckRun WithSimple(SurveyRule rule = KeepsRule);
CheckRun WithStructured(SurveyRule rule = KeepsRule);
// With simple replies and then, where they are offered, with structured ones: both must keep the rule.
CheckRun InBothModes(SurveyRule rule = KeepsRule);

// Of a survey of which no reply is wrong.
Judgement HoldsWhereAnswered(const Survey& survey);
// One reply came to each request; silence is none.
Judgement RepliesOnce(CheckContext& context, const Survey& survey);
// Rules of several requirements: each reply has the cookie of a request; each header begins where the length before it
// says; no reply begins with one of `magics`, by the decoder's words for a header that it cannot take.
Judgement EchoesCookies(CheckContext& context, const Survey& survey);
Judgement HasAccurateLengths(CheckContext& context, const Survey& survey);
template <std::uint32_t... magics>
Judgement NoMagicOf(CheckContext& /*context*/, const Survey& survey) {
  for (const ReceiveError& ended : survey.batch.endings) {
    for (const std::uint32_t magic : {magics...}) {
      if (ended.text.starts_with("reply magic is " + MagicText(magic))) {
        return About(SubjectOf(ended), Broken(ended.text, "magics that the specification gives to replies"));
      }
    }
  }
  return HoldsWhereAnswered(survey);
}

}  // namespace nbdspec::conformance
