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
      request.flags = 0;
      request.type = kCache;
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

}  // namespace

std::vector<Fault> DiskFaults() {
  static constexpr auto kWriting = kTransmissionWriteErrorCode;
  static constexpr auto kZeroing = kWriteZeroesErrorCode;
  static constexpr auto kFlushes = kTransmissionFlushCoversCompleted;
  static constexpr auto kForces = kTransmissionFuaNoEarlyReply;
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
      {"server_swallows_fua_error",
       By(kSub<kForces, "failing-sync">, kSub<kForces, "failing-sync-once">, kSub<kForces, "failing-disk">),
       Swallows(kWrite, OnFlag(kFua))},
      {"server_swallows_fua_error_of_zeroes", kSub<kForces, "failing-sync-zeroes">,
       Swallows(kWriteZeroes, OnFlag(kFua))},
      {"server_reports_fua_errors_to_the_next", kSub<kForces, "failing-sync-once">, ReportsErrorsOneLate(kWrite)},
  };
}

}  // namespace nbdspec::engine::faults
