// SPDX-License-Identifier: BSD-3-Clause
// Checks of WRITE, FLUSH and CACHE, and of several connections. Spec: proto.md, "Request types", "Transmission flags".
#include <fmt/format.h>

#include <algorithm>

#include "conformance/checks/exchange.h"
#include "engine/spec/ids.h"
#include "engine/wire/encode.h"

namespace nbdspec::conformance {

using engine::ByteRange;
using engine::Bytes;
using engine::CommandFlag;
using engine::CommandType;
using engine::NbdError;
using engine::Request;

namespace {

constexpr std::uint64_t kCells = 2;

// Broken unless `found`, read at `offset`, is `wanted`.
Judgement Compare(const Bytes& found, const Bytes& wanted, std::uint64_t offset, const std::string& allowed) {
  const auto [at, other] = std::ranges::mismatch(found, wanted);
  return at == found.end() ? Holds()
                           : Broken(fmt::format("{:#04x} at offset {}, not {:#04x}", *at,
                                                offset + static_cast<std::uint64_t>(at - found.begin()), *other),
                                    allowed);
}

Judgement Baseline(CheckContext& context) {
  NBDSPEC_TRY(writing, BeginWriting(context, kCells));
  NBDSPEC_TRY(answer, writing.entered.session.Ask(WriteOf(writing.range.begin, writing.data)));
  return answer.error() == NbdError::kEinval ? Broken("WRITE: NBD_EINVAL, as for an unknown command", "WRITE is known")
                                             : Holds();
}

Judgement ThenReply(CheckContext& context) {
  NBDSPEC_TRY(writing, BeginWriting(context, kCells));
  if (const auto done = Succeed(writing.entered.session, WriteOf(writing.range.begin, writing.data)); !done) {
    return done.error();
  }
  NBDSPEC_TRY(found, ReadBytes(writing.entered.session, writing.range));
  return Compare(found, writing.data, writing.range.begin, "what was written before the reply");
}

// The payload of a WRITE that must fail begins with a READ: a server that does not take the payload off the wire
// answers that READ.
Judgement JudgeConsumed(Session& session, ByteRange target, const Request& read) {
  Request inner = read;
  inner.cookie = session.NextCookie();
  Bytes payload = engine::Encode(engine::ClientMessage(inner));
  payload.resize(target.length());
  Request write = WriteOf(target.begin, std::move(payload));
  write.cookie = session.NextCookie();
  Request after = read;
  after.cookie = session.NextCookie();
  Batch batch;
  const bool alive =
      AskAll(session, {&write, 1}, /*legal=*/false, batch) && AskAll(session, {&after, 1}, /*legal=*/true, batch);
  if (!batch.strays.empty()) {
    return Broken(fmt::format("the data of a WRITE that failed was answered as a request: {}",
                              engine::Describe(batch.strays.front())),
                  "the data is read and dropped");
  }
  if (batch.exchanges.front().complete && batch.exchanges.front().answer.error() == NbdError::kOk) {
    return NotApplicable("the WRITE that ought to fail succeeded");
  }
  if (alive || batch.ended->is_disconnect()) {
    return Holds();
  }
  return Broken("after a WRITE that failed " + batch.ended->text, "the next request is answered");
}

// Past the end, so that nothing is written in any case.
Judgement Consume(CheckContext& context) {
  NBDSPEC_TRY(writing, BeginWriting(context, kCells));
  const std::uint64_t end = UsableBytes(writing.entered) + GridOf(writing.entered);
  return JudgeConsumed(writing.entered.session, {.begin = end, .end = end + GridOf(writing.entered)},
                       RequestFor(CommandType::kRead, writing.range));
}

Judgement ZeroLength(CheckContext& context) { return JudgeZeroLength(context, CommandType::kWrite); }

// --- CACHE -----------------------------------------------------------------------------------------------------

Judgement CacheChangesNothing(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter(WithStructured(context)));
  const auto range = ScratchRange(entered, kCells);
  if (!range) {
    return NotApplicable("the export is too small");
  }
  NBDSPEC_TRY(before, ReadBytes(entered.session, *range));
  NBDSPEC_TRY(answer, entered.session.Ask(RequestFor(CommandType::kCache, *range)));
  const auto after = ReadBytes(entered.session, *range);
  return after ? Compare(*after, before, range->begin, "the same bytes before and after CACHE") : after.error();
}

Judgement CacheRejectsFlags(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter(WithStructured(context)));
  if (UsableBytes(entered) == 0) {
    return NotApplicable("the export is too small");
  }
  Request request = RequestFor(CommandType::kCache, {.begin = 0, .end = GridOf(entered)}, 1U << 15);
  request.cookie = entered.session.NextCookie();
  const Batch batch = AskOnce(entered.session, request, /*legal=*/false);
  if (batch.ended) {
    return batch.ended->is_disconnect() ? Holds() : AsJudgement(*batch.ended);
  }
  return batch.exchanges.front().answer.error() == NbdError::kOk
             ? Broken("CACHE with flag bit 15 succeeded", "an error for flags that are not known")
             : Holds();
}

// --- Several connections ---------------------------------------------------------------------------------------

Judgement FlushVisible(CheckContext& context) {
  NBDSPEC_TRY(writing, BeginWriting(context, kCells));
  NBDSPEC_TRY(flusher, context.Enter(WithStructured(context)));
  NBDSPEC_TRY(reader, context.Enter(WithStructured(context)));
  NBDSPEC_TRY(stale, ReadBytes(reader.session, writing.range));  // So that a cache of its own would have it.
  if (const auto done = Succeed(writing.entered.session, WriteOf(writing.range.begin, writing.data)); !done) {
    return done.error();
  }
  if (const auto done = Succeed(flusher.session, RequestFor(CommandType::kFlush, {})); !done) {
    return done.error();
  }
  NBDSPEC_TRY(found, ReadBytes(reader.session, writing.range));
  return Compare(found, writing.data, writing.range.begin,
                 "what one connection wrote, after a FLUSH on a second one, read on a third");
}

Judgement FuaVisible(CheckContext& context) {
  NBDSPEC_TRY(writing, BeginWriting(context, kCells));
  NBDSPEC_TRY(reader, context.Enter(WithStructured(context)));
  NBDSPEC_TRY(stale, ReadBytes(reader.session, writing.range));
  const Request write = WriteOf(writing.range.begin, writing.data, CommandFlag::kFua);
  if (const auto done = Succeed(writing.entered.session, write); !done) {
    return done.error();
  }
  NBDSPEC_TRY(found, ReadBytes(reader.session, writing.range));
  return Compare(found, writing.data, writing.range.begin, "what another connection wrote with FUA");
}

}  // namespace

std::vector<Check> WriteChecks() {
  return {
      {.id = spec::kBaselineWriteServer,
       .needs = {Feature::kWritable},
       .claim = "WRITE is not refused as an unknown command.",
       .run = Baseline},
      {.id = spec::kTransmissionWriteZeroNoDisconnect,
       .needs = {Feature::kWritable},
       .claim = "After a WRITE of length 0 the connection goes on.",
       .run = ZeroLength},
      {.id = spec::kTransmissionWriteThenReply,
       .needs = {Feature::kWritable},
       .claim = "READ after the reply to WRITE gives what was written.",
       .run = ThenReply},
      {.id = spec::kTransmissionWriteConsumeOnError,
       .needs = {Feature::kWritable},
       .claim = "The data of a WRITE past the end of the export is no request.",
       .run = Consume},
      {.id = spec::kSub<spec::kTransmissionWriteConsumeOnError, "read-only">,
       .needs = {Feature::kReadOnly},
       .setup = Setup::kReadOnly,
       .claim = "The data of a WRITE to a read-only export is no request.",
       .run = Consume},
      {.id = spec::kCacheNoSemanticChange,
       .needs = {Feature::kCache},
       .claim = "CACHE changes no bytes.",
       .run = CacheChangesNothing},
      {.id = spec::kCacheRejectUnknownFlags,
       .needs = {Feature::kCache},
       .claim = "CACHE with flag bit 15 fails.",
       .run = CacheRejectsFlags},
      {.id = spec::kEflagsMultiConnFlushVisible,
       .needs = {Feature::kMultiConn, Feature::kFlush, Feature::kWritable},
       .claim = "After FLUSH on any connection all see what was written.",
       .run = FlushVisible},
      {.id = spec::kEflagsMultiConnFuaVisible,
       .needs = {Feature::kMultiConn, Feature::kFua, Feature::kWritable},
       .claim = "What was written with FUA is seen by all connections.",
       .run = FuaVisible},
  };
}

}  // namespace nbdspec::conformance
