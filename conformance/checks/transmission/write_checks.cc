// SPDX-License-Identifier: BSD-3-Clause
// Checks of WRITE, FLUSH and CACHE, of several connections, and of TRIM and WRITE_ZEROES. Spec: proto.md, "Request
// types", "Transmission flags".
#include "conformance/checks/transmission/asking.h"
#include "engine/wire/messages.h"

namespace nbdspec::conformance {

namespace {

// A session in transmission, a place to write, and data that is not there.
struct Writing {
  Entered entered;
  ByteRange range;
  Bytes data;
};

// With a range of `cell_count` cells (see ScratchRange).
std::expected<Writing, Judgement> BeginWriting(CheckContext& context, std::uint64_t cell_count) {
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  NBDSPEC_TRY(range, ScratchRange(entered, cell_count));
  return Writing{.entered = std::move(entered), .range = range, .data = Pattern(range.length(), context.random())};
}

// Asks and needs success. Errors: it ended or failed, which leaves nothing to judge.
std::expected<Answer, Judgement> Succeed(Session& session, const Request& request) {
  NBDSPEC_TRY(answer, session.Ask(request));
  if (answer.error() != NbdError::kOk) {
    return Stop(Inconclusive(fmt::format("{}: {}", Describe(request), ErrorName(answer.error()))));
  }
  return std::move(answer);
}

constexpr std::uint64_t kCells = 2;

Judgement Baseline(CheckContext& context) {
  NBDSPEC_TRY(writing, BeginWriting(context, kCells));
  NBDSPEC_TRY(answer, writing.entered.session.Ask(WriteOf(writing.range.begin, writing.data)));
  return Require(answer.error() != NbdError::kEinval, "WRITE: NBD_EINVAL, as for an unknown command", "WRITE is known");
}

Judgement ThenReply(CheckContext& context) {
  NBDSPEC_TRY(writing, BeginWriting(context, kCells));
  NBDSPEC_TRY(done, Succeed(writing.entered.session, WriteOf(writing.range.begin, writing.data)));
  NBDSPEC_TRY(found, ReadBytes(writing.entered.session, writing.range));
  return Compare(found, writing.data, writing.range.begin, "what was written before the reply");
}

// The payload of a WRITE past the end, where nothing is written in any case, begins with a READ: a server that does not
// take the payload off the wire answers that READ.
Judgement ConsumesPayload(CheckContext& context) {
  NBDSPEC_TRY(writing, BeginWriting(context, kCells));
  Entered& entered = writing.entered;
  const ByteRange past_end = CellAt(entered, UsableBytes(entered) + GridOf(entered));
  Batch batch = AskOnce(entered, WriteOf(past_end.begin, PayloadThatIsARead(entered, past_end.length())));
  Request read = RequestFor(CommandType::kRead, writing.range);
  read.cookie = entered.session.NextCookie();
  const bool alive = batch.endings.empty() && AskAll(entered, {&read, 1}, batch);
  if (!batch.strays.empty()) {
    return About(SubjectOf(batch.strays.front()),
                 Broken("the data of a WRITE that failed was answered as a request: " + Describe(batch.strays.front()),
                        "the data is read and dropped"));
  }
  if (batch.first().is_complete() && batch.first().error() == NbdError::kOk) {
    return NotApplicable("the WRITE that ought to fail succeeded");
  }
  return alive || batch.endings.back().is_disconnect()
             ? Holds()
             : About(WhatFollows(SubjectOf(batch.exchanges.front())),
                     Broken("after a WRITE that failed " + batch.endings.back().text, "the next request is answered"));
}

// --- CACHE -----------------------------------------------------------------------------------------------------

Judgement CacheChangesNothing(CheckContext& context) {
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  NBDSPEC_TRY(range, ScratchRange(entered, kCells));
  NBDSPEC_TRY(before, ReadBytes(entered.session, range));
  NBDSPEC_TRY(answer, entered.session.Ask(RequestFor(CommandType::kCache, range)));
  NBDSPEC_TRY(after, ReadBytes(entered.session, range));
  return Compare(after, before, range.begin, "the same bytes before and after CACHE");
}

Judgement CacheRejectsFlags(CheckContext& context) {
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  NBDSPEC_TRY(read, FirstRead(entered));
  const Batch batch = AskOnce(entered, RequestFor(CommandType::kCache, CellAt(entered), 1U << 15));
  const bool is_disconnected = !batch.endings.empty() && batch.endings.back().is_disconnect();
  return is_disconnected ? Holds() : JudgeFirst(context, batch);
}

// --- Several connections ---------------------------------------------------------------------------------------

Judgement FlushVisible(CheckContext& context) {
  NBDSPEC_TRY(writing, BeginWriting(context, kCells));
  NBDSPEC_TRY(flusher, context.EnterWithChunks());
  NBDSPEC_TRY(reader, context.EnterWithChunks());
  NBDSPEC_TRY(stale, ReadBytes(reader.session, writing.range));  // So that a cache of its own would have it.
  NBDSPEC_TRY(written, Succeed(writing.entered.session, WriteOf(writing.range.begin, writing.data)));
  NBDSPEC_TRY(flushed, Succeed(flusher.session, RequestFor(CommandType::kFlush, {})));
  NBDSPEC_TRY(found, ReadBytes(reader.session, writing.range));
  return Compare(found, writing.data, writing.range.begin,
                 "what one connection wrote, after a FLUSH on a second one, read on a third");
}

Judgement FuaVisible(CheckContext& context) {
  NBDSPEC_TRY(writing, BeginWriting(context, kCells));
  NBDSPEC_TRY(reader, context.EnterWithChunks());
  NBDSPEC_TRY(stale, ReadBytes(reader.session, writing.range));
  NBDSPEC_TRY(written, Succeed(writing.entered.session, WriteOf(writing.range.begin, writing.data, CommandFlag::kFua)));
  NBDSPEC_TRY(found, ReadBytes(reader.session, writing.range));
  return Compare(found, writing.data, writing.range.begin, "what another connection wrote with FUA");
}

constexpr std::uint64_t kFilledCells = 4;

// A session and a range that was just filled with data.
std::expected<Writing, Judgement> Fill(CheckContext& context) {
  NBDSPEC_TRY(filled, BeginWriting(context, kFilledCells));
  NBDSPEC_TRY(written, Succeed(filled.entered.session, WriteOf(filled.range.begin, filled.data)));
  return std::move(filled);
}

// Zeroes the middle of a range, whose ends must stay.
template <std::uint16_t flags>
Judgement ReadsZero(CheckContext& context) {
  NBDSPEC_TRY(filled, Fill(context));
  const std::uint64_t grid = GridOf(filled.entered);
  const ByteRange middle = {.begin = filled.range.begin + grid, .end = filled.range.end - grid};
  NBDSPEC_TRY(answer, filled.entered.session.Ask(RequestFor(CommandType::kWriteZeroes, middle, flags)));
  if (answer.error() != NbdError::kOk) {
    return NotApplicable("WRITE_ZEROES: " + ErrorName(answer.error()));
  }
  NBDSPEC_TRY(found, ReadBytes(filled.entered.session, middle));
  return Compare(found, Bytes(found.size()), middle.begin, "zeroes after WRITE_ZEROES");
}

// WRITE_ZEROES with each of `flags`, of what was just filled with data, by the rule of the check.
template <std::uint16_t... flags>
Judgement ByRule(CheckContext& context) {
  Judgement judgement;
  for (const std::uint16_t each : {flags...}) {
    NBDSPEC_TRY(filled, Fill(context));
    judgement = JudgeFirst(context, AskOnce(filled.entered, RequestFor(CommandType::kWriteZeroes, filled.range, each)));
    if (!judgement.holds()) {
      return judgement;
    }
  }
  return judgement;
}

Judgement FastNoAlter(CheckContext& context) {
  NBDSPEC_TRY(filled, Fill(context));
  NBDSPEC_TRY(answer,
              filled.entered.session.Ask(RequestFor(CommandType::kWriteZeroes, filled.range, CommandFlag::kFastZero)));
  if (answer.error() != NbdError::kEnotsup) {
    return NotApplicable("WRITE_ZEROES with FAST_ZERO: " + ErrorName(answer.error()));
  }
  NBDSPEC_TRY(found, ReadBytes(filled.entered.session, filled.range));
  return Compare(found, filled.data, filled.range.begin, "the contents stay as they are after NBD_ENOTSUP");
}

// A quarter of the export in one request: more than the maximum payload where the export is large.
Judgement FastNoEoverflow(CheckContext& context) {
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  const std::uint64_t grid = GridOf(entered);
  const std::uint64_t quarter = std::min<std::uint64_t>(UsableBytes(entered) / 4, 1U << 30) / grid * grid;
  if (quarter == 0) {
    return NotApplicable("the export is too small");
  }
  const std::uint64_t begin = UsableBytes(entered) / 2 / grid * grid;
  return JudgeFirst(context,
                    AskOnce(entered, RequestFor(CommandType::kWriteZeroes, {.begin = begin, .end = begin + quarter},
                                                CommandFlag::kFastZero)));
}

}  // namespace

std::vector<Check> WriteChecks() {
  constexpr std::uint16_t kFast = CommandFlag::kFastZero;
  constexpr std::uint16_t kNoHole = CommandFlag::kNoHole;
  constexpr Features kFastZero = Feature::kWriteZeroes | Feature::kFastZero | Feature::kWritable;
  return {
      {kBaselineWriteServer, "WRITE is not refused as an unknown command.", Baseline, kWritable},
      {kTransmissionWriteZeroNoDisconnect, "After a WRITE of length 0 the connection goes on.",
       SurvivesZeroLength(CommandType::kWrite), kWritable},
      {kTransmissionWriteThenReply, "READ after the reply to WRITE returns what was written.", ThenReply, kWritable},
      {kTransmissionWriteConsumeOnError, "The data of a WRITE past the end of the export is no request.",
       ConsumesPayload, kWritable},
      {kSub<kTransmissionWriteConsumeOnError, "read-only">, "The data of a WRITE to a read-only export is no request.",
       ConsumesPayload, Feature::kReadOnly, Setup::kReadOnly},
      {kCacheNoSemanticChange, "CACHE changes no bytes.", CacheChangesNothing, Feature::kCache},
      {kCacheRejectUnknownFlags, "CACHE with flag bit 15 fails.", CacheRejectsFlags, Feature::kCache},
      {kEflagsMultiConnFlushVisible, "After FLUSH on any connection all see what was written.", FlushVisible,
       Feature::kMultiConn | Feature::kFlush | Feature::kWritable},
      {kEflagsMultiConnFuaVisible, "All connections see what was written with FUA.", FuaVisible,
       Feature::kMultiConn | Feature::kFua | Feature::kWritable},
      {kTrimZeroNoDisconnect, "After a TRIM of length 0 the connection goes on.",
       SurvivesZeroLength(CommandType::kTrim), Feature::kTrim | Feature::kWritable},
      {kWriteZeroesZeroNoDisconnect, "After a WRITE_ZEROES of length 0 the connection goes on.",
       SurvivesZeroLength(CommandType::kWriteZeroes), kZeroing},
      {kWriteZeroesReadsZero, "READ after the reply to WRITE_ZEROES returns zeroes.", ReadsZero<0>, kZeroing},
      {kSub<kWriteZeroesReadsZero, "no-hole">, "READ after the reply to WRITE_ZEROES with NO_HOLE returns zeroes.",
       ReadsZero<kNoHole>, kZeroing},
      {kSub<kWriteZeroesReadsZero, "fast">, "READ after WRITE_ZEROES with FAST_ZERO that succeeds returns zeroes.",
       ReadsZero<kFast>, kFastZero},
      {kWriteZeroesNoFastNoEnotsup, "WRITE_ZEROES without FAST_ZERO does not get NBD_ENOTSUP.", ByRule<0, kNoHole>,
       kFastZero},
      {kWriteZeroesFastNoEoverflow, "A long WRITE_ZEROES with FAST_ZERO does not get NBD_EOVERFLOW.", FastNoEoverflow,
       kFastZero},
      {kWriteZeroesFastNoAlter, "WRITE_ZEROES with FAST_ZERO that gets NBD_ENOTSUP changes nothing.", FastNoAlter,
       kFastZero},
      {kWriteZeroesUnadvertisedNoEnotsup, "Where FAST_ZERO is not offered WRITE_ZEROES does not get NBD_ENOTSUP.",
       ByRule<0, kNoHole>, kZeroing},
      {kWriteZeroesUnadvertisedEinval, "Where FAST_ZERO is not offered WRITE_ZEROES with FAST_ZERO gets NBD_EINVAL.",
       ByRule<kFast>, kZeroing},
  };
}

}  // namespace nbdspec::conformance
