// SPDX-License-Identifier: BSD-3-Clause
// Checks that a server does the third and the hundredth time what it did the first: a selection of contexts, an unknown
// export, a request. Spec: proto.md, NBD_OPT_SET_META_CONTEXT, NBD_OPT_INFO, "Transmission".
#include "conformance/checks/data/known_stretch.h"
#include "conformance/checks/metadata/meta_contexts.h"
#include "conformance/checks/options/haggling.h"

namespace nbdspec::conformance {

namespace {

constexpr int kOptionsMax = 8;  // Of one kind on a connection. Servers bound the options of one handshake.
constexpr int kRequests = 320;  // On one connection: more than fit a byte.

// Selects nothing and base:allocation by turns, `count` times, so that the last time decides.
Judgement SelectTimes(CheckContext& context, int count, bool selects_last) {
  NBDSPEC_TRY(session, context.HaggleStructured());
  for (int i = 1; i <= count; ++i) {
    const bool selects = ((count - i) % 2 == 0) == selects_last;
    const std::vector<std::string> queries = {selects ? std::string(kBaseAllocation) : "x-nbdspec-none:none"};
    NBDSPEC_TRY(replies, AskContexts(context, session, OptionType::kSetMetaContext, queries));
    if (selects && replies.CountOf(kBaseAllocation) == 0) {
      return Broken(fmt::format("the SET_META_CONTEXT number {} for base:allocation: {}", i, replies.Text()),
                    "base:allocation is selected each time");
    }
  }
  NBDSPEC_TRY(batch, EnterAndAskStatus(context, std::move(session)));
  const std::string when = fmt::format("by the last of {} SET_META_CONTEXT", count);
  if (selects_last) {
    return MustHaveStatus(context, batch, when, "the last selection counts");
  }
  return Require(
      StatusCount(batch) == 0,
      fmt::format("{} chunks with the status of contexts that the last of {} SET_META_CONTEXT did not select",
                  StatusCount(batch), count),
      "the last selection counts, which has no contexts");
}

Judgement LastSelectionCounts(CheckContext& context) {
  for (int count = 3; count <= kOptionsMax; ++count) {
    Judgement judgement = SelectTimes(context, count, /*selects_last=*/true);
    if (judgement.holds()) {
      judgement = SelectTimes(context, count, /*selects_last=*/false);
    }
    if (!judgement.holds()) {
      return judgement;
    }
  }
  return Holds();
}

// Asks for exports that are not there, several times on one connection, then enters the one that is.
template <std::uint32_t option>
Judgement UnknownTimes(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  for (int i = 1; i <= kOptionsMax; ++i) {
    const auto replies = session.Ask(InfoOption(option, context.UnknownName()));
    if (!replies) {
      return replies.error().is_disconnect() && i > 1
                 ? NotApplicable(
                       fmt::format("the connection ended at unknown export number {}, as it may when a client "
                                   "seems to deny service",
                                   i))
                 : AsJudgement(replies.error());
    }
    const std::uint32_t type = replies->back().type;
    if (type == OptionReplyType::kErrUnknown) {
      continue;
    }
    if (i == 1) {
      return NotApplicable("an unknown export gets " + OptionReplyName(type));
    }
    const bool is_wrong = !replies->back().is_error() || type == OptionReplyType::kErrInvalid ||
                          type == OptionReplyType::kErrUnsup || type == OptionReplyType::kErrBlockSizeReqd;
    const std::string saw = fmt::format("unknown export number {} gets {}", i, OptionReplyName(type));
    return is_wrong ? Broken(saw, "NBD_REP_ERR_UNKNOWN as the first time") : NotApplicable(saw);
  }
  const auto entered = context.EnterExport(std::move(session));
  return entered ? Holds()
                 : Broken(fmt::format("after {} unknown exports the right one cannot be entered: {}", kOptionsMax,
                                      entered.error().saw),
                          "the session goes on after each unknown export");
}

// WRITE and READ by turns on one connection, the READs of what was written long before.
Judgement HundredsOfRequests(CheckContext& context) {
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  NBDSPEC_TRY(scratch, ScratchRange(entered, 16));
  KnownStretch stretch = KnownStretch::Around(entered, scratch, 0);
  NBDSPEC_TRY(filled, stretch.Fill(entered, context.random()));
  const std::uint64_t grid = GridOf(entered);
  for (int i = 1; i <= kRequests; ++i) {
    const std::uint64_t begin = scratch.begin + static_cast<std::uint64_t>(i) % 16 * grid;
    const Request write = CommandOn(context, CommandType::kWrite, 0, {.begin = begin, .end = begin + grid});
    Attempts attempts;
    NBDSPEC_TRY(is_done, attempts.Ask(entered, write));
    if (!is_done) {
      return Inconclusive(attempts.Conclude().saw);
    }
    stretch.Apply(write);
    const std::uint64_t other = scratch.begin + context.random() % 16 * grid;
    NBDSPEC_TRY(found, ReadBytes(entered.session, {.begin = other, .end = other + grid}));
    Judgement judgement =
        Compare(found, stretch.BytesOf({.begin = other, .end = other + grid}), other, "what was written before");
    if (!judgement.holds()) {
      judgement.saw = fmt::format("after {} WRITEs and READs: {}", i, judgement.saw);
      return judgement;
    }
  }
  return Holds();
}

// The same for a client that only reads, with many READs in flight.
Judgement HundredsOfReads(CheckContext& context) {
  constexpr std::size_t kInFlight = 8;
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  const std::uint64_t grid = GridOf(entered);
  const std::uint64_t cells = std::min<std::uint64_t>(UsableBytes(entered) / grid, 16);
  if (cells == 0) {
    return NotApplicable("the export is too small");
  }
  KnownStretch stretch = KnownStretch::Around(entered, {.begin = 0, .end = cells * grid}, 0);
  NBDSPEC_TRY(learnt, stretch.Learn(entered));
  for (int i = 0; i < kRequests; i += kInFlight) {
    std::vector<std::pair<std::uint64_t, ByteRange>> asked;
    for (std::size_t j = 0; j < kInFlight; ++j) {
      const std::uint64_t begin = context.random() % cells * grid;
      Request read = RequestFor(CommandType::kRead, {.begin = begin, .end = begin + grid});
      read.cookie = entered.session.NextCookie();
      entered.session.Send(read);
      asked.emplace_back(read.cookie, ByteRange{.begin = begin, .end = begin + grid});
    }
    for (const auto& [cookie, range] : asked) {
      NBDSPEC_TRY(answer, entered.session.NextAnswer(cookie));
      const auto found = BytesRead(RequestFor(CommandType::kRead, range), answer);
      if (!found) {
        return About({.cookie = cookie}, Broken(fmt::format("a READ after {} others: {}", i, ErrorName(answer.error())),
                                                "it succeeds as before"));
      }
      Judgement judgement = Compare(*found, stretch.BytesOf(range), range.begin, "the same bytes each time");
      if (!judgement.holds()) {
        judgement.saw = fmt::format("a READ after {} others: {}", i, judgement.saw);
        return About({.cookie = cookie}, std::move(judgement));
      }
    }
  }
  return Holds();
}

}  // namespace

std::vector<Check> RepetitionChecks() {
  return {
      {kSub<kOptionSetMetaContextReplaces, "many-times">, "The third to eighth SET_META_CONTEXT counts as the first.",
       LastSelectionCounts, kBase},
      {kSub<kOptionInfoUnknownExport, "many-times">,
       "The third to eighth unknown export of INFO is refused as the first.", UnknownTimes<OptionType::kInfo>,
       Feature::kInfo},
      {kSub<kOptionInfoUnknownExport, "go-many-times">,
       "The third to eighth unknown export of GO is refused as the first.", UnknownTimes<OptionType::kGo>,
       Feature::kGo},
      {kSub<kTransmissionWriteThenReply, "hundreds">,
       "The hundredth WRITE and READ of a connection do what the first did.", HundredsOfRequests, kWritable},
      {kSub<kBaselineReadServer, "hundreds">, "The hundredth READ of a connection gives what the first gave.",
       HundredsOfReads},
  };
}

}  // namespace nbdspec::conformance
