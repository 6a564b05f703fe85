// SPDX-License-Identifier: BSD-3-Clause
// Checks of WRITE, FLUSH and CACHE, and of several connections. Spec: proto.md, "Request types", "Transmission flags".
#include <fmt/format.h>

#include "conformance/checks/transmission/asking.h"
#include "engine/spec/ids.h"
#include "engine/wire/messages.h"

namespace nbdspec::conformance {

using engine::ByteRange;
using engine::CommandFlag;
using engine::CommandType;
using engine::NbdError;
using engine::Request;

namespace {

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
  Request read = RequestFor(CommandType::kRead, writing.range);
  read.cookie = entered.session.NextCookie();
  engine::Bytes payload = engine::Encode(engine::ClientMessage(read));
  payload.resize(past_end.length());
  read.cookie = entered.session.NextCookie();
  Batch batch = AskOnce(entered, WriteOf(past_end.begin, std::move(payload)));
  const bool alive = batch.endings.empty() && AskAll(entered, {&read, 1}, batch);
  if (!batch.strays.empty()) {
    return Broken(
        "the data of a WRITE that failed was answered as a request: " + engine::Describe(batch.strays.front()),
        "the data is read and dropped");
  }
  if (batch.first().is_complete() && batch.first().error() == NbdError::kOk) {
    return NotApplicable("the WRITE that ought to fail succeeded");
  }
  return alive || batch.endings.back().is_disconnect()
             ? Holds()
             : Broken("after a WRITE that failed " + batch.endings.back().text, "the next request is answered");
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

}  // namespace

std::vector<Check> WriteChecks() {
  constexpr Features kWritable = {Feature::kWritable};
  return {
      {spec::kBaselineWriteServer, "WRITE is not refused as an unknown command.", Baseline, kWritable},
      {spec::kTransmissionWriteZeroNoDisconnect, "After a WRITE of length 0 the connection goes on.",
       JudgeZeroLength<CommandType::kWrite>, kWritable},
      {spec::kTransmissionWriteThenReply, "READ after the reply to WRITE returns what was written.", ThenReply,
       kWritable},
      {spec::kTransmissionWriteConsumeOnError, "The data of a WRITE past the end of the export is no request.",
       ConsumesPayload, kWritable},
      {spec::kSub<spec::kTransmissionWriteConsumeOnError, "read-only">,
       "The data of a WRITE to a read-only export is no request.",
       ConsumesPayload,
       {Feature::kReadOnly},
       Setup::kReadOnly},
      {spec::kCacheNoSemanticChange, "CACHE changes no bytes.", CacheChangesNothing, {Feature::kCache}},
      {spec::kCacheRejectUnknownFlags, "CACHE with flag bit 15 fails.", CacheRejectsFlags, {Feature::kCache}},
      {spec::kEflagsMultiConnFlushVisible,
       "After FLUSH on any connection all see what was written.",
       FlushVisible,
       {Feature::kMultiConn, Feature::kFlush, Feature::kWritable}},
      {spec::kEflagsMultiConnFuaVisible,
       "All connections see what was written with FUA.",
       FuaVisible,
       {Feature::kMultiConn, Feature::kFua, Feature::kWritable}},
  };
}

}  // namespace nbdspec::conformance
