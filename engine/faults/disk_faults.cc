// SPDX-License-Identifier: BSD-3-Clause
// Faults of what a server makes of a failing disk: it hides errors, gives them to the wrong request, or loses its place
// in the stream.
//
// The layer that the reference serves is a VolatileDisk then, and checks make it fail.
#include "engine/faults/fault_tables.h"

namespace nbdspec::engine::faults {

namespace {

constexpr std::uint16_t kFua = CommandFlag::kFua;

// Answers to `command` say success in place of an error, where `when` holds.
Change Swallows(std::uint16_t command, When when = Always) {
  return Fails(command, kOk, [when = std::move(when)](const Request& to, const Messages& sent) {
    return OnError(to, sent) && when(to, sent);
  });
}

std::uint32_t ErrorOf(const Messages& sent) {
  if (const auto* simple = std::get_if<SimpleReply>(&sent.front())) {
    return simple->error;
  }
  const auto& chunk = std::get<Chunk>(sent.front());
  const auto error = DecodeErrorPayload(chunk.type, chunk.payload);
  return error ? error->error : kOk;
}

// All errors of a connection but the first are swallowed.
Change ReportsOneError(std::uint16_t command) {
  return ChangesAnswer(command, OnError, [is_first = true](const Request& to, Messages& sent) mutable {
    if (!std::exchange(is_first, false)) {
      AnswerWith(to, kOk, sent);
    }
  });
}

// The next request of a kind gets the error of the one before it.
Change ReportsErrorsOneLate(std::uint16_t command) {
  return ChangesAnswer(command, [late = kOk](const Request& to, Messages& sent) mutable {
    const std::uint32_t error = OnError(to, sent) ? ErrorOf(sent) : kOk;
    AnswerWith(to, std::exchange(late, error), sent);
  });
}

// WRITEs are answered at once and done at FLUSH, which says success though they may fail.
Change WritesBehindAndHidesErrors() {
  return ChangesRequest(kAnyCommand, [kept = std::vector<Request>()](const Connection& on, Request& request) mutable {
    if (request.type == kWrite) {
      kept.push_back(request);
      Forget(request);
    } else if (request.type == kFlush) {
      for (const Request& each : std::exchange(kept, {})) {
        (void)on.layer->Write(each.offset, each.payload);
      }
    }
  });
}

// No FLUSH does anything after one that failed.
Change FlushesUntilOneFails() {
  return ChangesRequest(kFlush, [has_failed = false](const Connection& on, Request& request) mutable {
    request.type = has_failed ? kCache : kFlush;
    has_failed = has_failed || !on.layer->Flush();
  });
}

// Each FLUSH is answered by what the disk says then, whatever it said before.
Change FlushesByTheDiskAlone() {
  return Both(Forgets(kFlush),
              ChangesAnswer(kFlush, Always, [](const Request& to, Messages& sent, const Connection& on) {
                const LayerResult flushed = on.layer->Flush();
                AnswerWith(to, flushed ? kOk : flushed.error(), sent);
              }));
}

// The same with a memory for failures, which is of one connection.
Change FlushesByConnectionAlone() {
  return Both(Forgets(kFlush),
              ChangesAnswer(kFlush, Always,
                            [failed = LayerResult()](const Request& to, Messages& sent, const Connection& on) mutable {
                              failed = failed ? on.layer->Flush() : failed;
                              AnswerWith(to, failed ? kOk : failed.error(), sent);
                            }));
}

bool OnFailingChunks(const Request& to, const Messages& sent) {
  return to.length > 0 && OnError(to, sent) && std::holds_alternative<Chunk>(sent.front());
}
bool OnFailingSimply(const Request& to, const Messages& sent) {
  return to.length > 0 && OnError(to, sent) && std::holds_alternative<SimpleReply>(sent.front());
}

// A READ that failed with an error chunk is answered by what `change` makes of that; likewise with a simple reply.
Change OnFailingChunkRead(std::function<void(const Request& to, Messages& sent)> change) {
  return ChangesAnswer(kRead, OnFailingChunks, std::move(change));
}
Change OnFailingSimpleRead(std::function<void(const Request& to, Messages& sent)> change) {
  return ChangesAnswer(kRead, OnFailingSimply, std::move(change));
}

// A data chunk that announces the whole request, and has half of it.
Chunk HalfADataChunk(const Request& to, std::uint16_t flags = 0) {
  Chunk chunk = DataChunk(to, to.offset, Bytes(to.length), flags);
  chunk.length_field = static_cast<std::uint32_t>(chunk.payload.size());
  chunk.payload.resize(chunk.payload.size() / 2);
  return chunk;
}

SimpleReply HalfASimpleReply(const Request& to) { return {.cookie = to.cookie, .data = Bytes(to.length / 2)}; }

// `first` before the error chunk.
Change SendsBeforeError(std::function<Chunk(const Request& to)> first) {
  return OnFailingChunkRead(
      [first = std::move(first)](const Request& to, Messages& sent) { sent.insert(sent.begin(), first(to)); });
}

}  // namespace

std::vector<Fault> DiskFaults() {
  static constexpr auto kWriting = kTransmissionWriteErrorCode;
  static constexpr auto kZeroing = kWriteZeroesErrorCode;
  static constexpr auto kFlushes = kTransmissionFlushCoversCompleted;
  static constexpr auto kForces = kTransmissionFuaNoEarlyReply;
  static constexpr auto kErrorChunk = kSub<kStructuredReadErrorChunk, "failing-disk">;
  return {
      {"server_swallows_write_error",
       By(kSub<kWriting, "failing-disk">, kSub<kWriting, "broken-disk">, kSub<kWriting, "half-done">,
          kSub<kWriting, "in-flight">, kSub<kForces, "failing-disk">),
       Swallows(kWrite)},
      {"server_swallows_write_error_of_full_disk", kSub<kWriting, "full-disk">,
       Swallows(kWrite, [](const Request&, const Messages& sent) { return ErrorOf(sent) == kEnospc; })},
      {"server_swallows_error_of_long_write", kSub<kWriting, "long">, Swallows(kWrite, OnLonger(64 << 10))},
      {"server_reports_one_write_error", kSub<kWriting, "broken-disk">, ReportsOneError(kWrite)},
      {"server_reports_write_errors_to_the_next", By(kSub<kWriting, "failing-disk">, kSub<kWriting, "in-flight">),
       ReportsErrorsOneLate(kWrite)},
      {"server_swallows_write_zeroes_error",
       By(kSub<kZeroing, "failing-disk">, kSub<kZeroing, "broken-disk">, kSub<kZeroing, "zeroing-alone">,
          kSub<kZeroing, "half-done">),
       Swallows(kWriteZeroes)},
      {"server_swallows_error_of_allocated_zeroes", kSub<kZeroing, "no-hole">,
       Swallows(kWriteZeroes, OnFlag(CommandFlag::kNoHole))},
      {"server_reports_write_zeroes_errors_to_the_next", kSub<kZeroing, "failing-disk">,
       ReportsErrorsOneLate(kWriteZeroes)},
      {"server_swallows_flush_error",
       By(kSub<kFlushNoEarlySuccess, "failing-sync">, kSub<kFlushNoEarlySuccess, "failing-sync-once">,
          kSub<kFlushNoEarlySuccess, "full-disk">, kSub<kFlushes, "failing-sync-zeroes">,
          kSub<kFlushes, "failing-sync-other-connection">),
       Swallows(kFlush)},
      {"server_reports_flush_errors_to_the_next", kSub<kFlushNoEarlySuccess, "failing-sync">,
       ReportsErrorsOneLate(kFlush)},
      {"server_writes_behind_and_hides_errors", kSub<kFlushNoEarlySuccess, "failing-writes">,
       WritesBehindAndHidesErrors()},
      {"server_flushes_until_one_fails", kSub<kFlushes, "after-failing-sync">, FlushesUntilOneFails()},
      {"server_forgets_that_flush_failed",
       By(kFlushNoSuccessAfterLoss, kSub<kFlushNoSuccessAfterLoss, "other-connection">), FlushesByTheDiskAlone()},
      {"server_forgets_that_other_connections_flush_failed", kSub<kFlushNoSuccessAfterLoss, "other-connection">,
       FlushesByConnectionAlone()},
      {"server_swallows_fua_error",
       By(kSub<kForces, "failing-sync">, kSub<kForces, "failing-sync-once">, kSub<kForces, "failing-disk">),
       Swallows(kWrite, OnFlag(kFua))},
      {"server_swallows_fua_error_of_zeroes", kSub<kForces, "failing-sync-zeroes">,
       Swallows(kWriteZeroes, OnFlag(kFua))},
      {"server_reports_fua_errors_to_the_next", kSub<kForces, "failing-sync-once">, ReportsErrorsOneLate(kWrite)},
      {"server_reads_zeroes_for_simple_errors", kSub<kTransmissionReadSimpleErrorCode, "failing-disk">,
       OnFailingSimpleRead([](const Request& to, Messages& sent) { sent = {SimpleZeroes(to)}; })},
      {"server_reads_zeroes_for_errors", kErrorChunk, OnFailingChunkRead([](const Request& to, Messages& sent) {
         sent = {DataChunk(to, to.offset, Bytes(to.length), ChunkFlag::kDone)};
       })},
      {"server_calls_a_hole_what_it_cannot_read", kErrorChunk,
       OnFailingChunkRead(
           [](const Request& to, Messages& sent) { sent = {HoleChunk(to, to.offset, to.length, ChunkFlag::kDone)}; })},
      {"server_reads_nothing_for_errors", kErrorChunk,
       OnFailingChunkRead([](const Request& to, Messages& sent) { sent = {NoneChunk(to)}; })},
      {"server_reports_error_at_last_byte", kErrorChunk, OnFailingChunkRead([](const Request& to, Messages& sent) {
         sent = {DataChunk(to, to.offset, Bytes(to.length)),
                 ErrorChunk(to, {.error = kEio, .offset = EndOf(to) - 1}, ChunkFlag::kDone)};
       })},
      {"server_sends_error_within_data_chunk", By(kStructuredReadCompleteChunk, kStructuredReadPadUsed),
       SendsBeforeError([](const Request& to) { return HalfADataChunk(to); })},
      {"server_disconnects_within_data_chunk", kStructuredReadCompleteChunk,
       OnFailingChunkRead([](const Request& to, Messages& sent) { sent = {HalfADataChunk(to), HardDisconnect{}}; })},
      {"server_pads_failed_read_with_garbage", kStructuredReadPadZero,
       SendsBeforeError([](const Request& to) { return DataChunk(to, to.offset, Bytes(to.length, 0x5a)); })},
      {"server_marks_content_done_and_cuts_it_short", kStructuredDoneNotWhileErrorPossible,
       OnFailingChunkRead(
           [](const Request& to, Messages& sent) { sent = {HalfADataChunk(to, ChunkFlag::kDone), HardDisconnect{}}; })},
      {"server_marks_content_done_before_error", kStructuredDoneNotWhileErrorPossible,
       SendsBeforeError(
           [](const Request& to) { return DataChunk(to, to.offset, Bytes(to.length), ChunkFlag::kDone); })},
      {"server_goes_on_within_a_simple_reply",
       By(kTransmissionReadLateErrorDisconnect, kTransmissionReadLateErrorNoData),
       OnFailingSimpleRead([](const Request& to, Messages& sent) { sent = {HalfASimpleReply(to)}; })},
      {"server_sends_error_within_a_simple_reply", kTransmissionReadLateErrorNoData,
       OnFailingSimpleRead(
           [](const Request& to, Messages& sent) { sent = {HalfASimpleReply(to), sent.front(), HardDisconnect{}}; })},
      {"server_disconnects_when_chunks_fail", kSub<kTransmissionDisconnectOnlyAllowedServer, "failing-read">,
       Disconnects(kRead, OnFailingChunks)},
      {"server_disconnects_when_write_fails", kSub<kTransmissionDisconnectOnlyAllowedServer, "failing-disk">,
       Disconnects(kWrite, OnError)},
      {"server_disconnects_when_flush_fails", kSub<kTransmissionDisconnectOnlyAllowedServer, "failing-disk">,
       Disconnects(kFlush, OnError)},
      {"server_never_answers_what_fails", kSub<kTransmissionReplyPerRequest, "failing-disk">,
       NeverAnswers(kAnyCommand, OnError)},
      {"server_answers_twice_what_fails", kSub<kTransmissionReplyPerRequest, "failing-disk">,
       ChangesAnswer(kAnyCommand, OnError, [](Messages& sent) { sent.push_back(sent.back()); })},
  };
}

}  // namespace nbdspec::engine::faults
