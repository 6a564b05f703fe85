// SPDX-License-Identifier: BSD-3-Clause
// Faults of what lasts: servers that say of bytes that they are on permanent storage, and a power cut takes them.
//
// The layer that the reference serves is a VolatileDisk then: what is not made durable is lost. Each of these makes
// less durable than was promised.
#include "engine/faults/fault_tables.h"

namespace nbdspec::engine::faults {

namespace {

constexpr std::uint16_t kFua = CommandFlag::kFua;
constexpr std::uint16_t kNoHole = CommandFlag::kNoHole;

// What of a request is made durable.
using Part = std::function<ByteRange(const Request& request)>;

// FLUSH makes durable only `part` of what this connection changed, and only of the first `count_max` changes since the
// last FLUSH.
Change Flushes(Part part, std::size_t count_max = SIZE_MAX) {
  return ChangesRequest(kAnyCommand, [part = std::move(part), count_max, changed = std::vector<ByteRange>()](
                                         const Connection& on, Request& request) mutable {
    if (Changes(request.type) && changed.size() < count_max) {
      changed.push_back(part(request));
    } else if (request.type == kFlush) {
      for (const ByteRange range : std::exchange(changed, {})) {
        (void)on.layer->Persist(range);
      }
      request.type = kCache;
    }
  });
}

// FUA makes durable only `part` of the request.
Change Forces(Part part) {
  return Both(ClearsRequestFlags(kAnyCommand, kFua),
              ChangesAnswer(kAnyCommand, OnFlag(kFua),
                            [part = std::move(part)](const Request& to, Messages&, const Connection& on) {
                              (void)on.layer->Persist(part(to));
                            }));
}

ByteRange WholeRange(const Request& request) { return RangeOf(request); }

// All of those that are not `left_out`.
Part Without(std::function<bool(const Request& request)> left_out) {
  return [left_out = std::move(left_out)](const Request& request) {
    return left_out(request) ? ByteRange() : RangeOf(request);
  };
}

auto Is(std::uint16_t command) {
  return [command](const Request& request) { return request.type == command; };
}

bool IsZeroingWithoutHole(const Request& request) { return request.type == kWriteZeroes && Has(request, kNoHole); }

// At most the first `bytes` of each.
Part FirstBytes(std::uint64_t bytes) {
  return [bytes](const Request& request) {
    return ByteRange{.begin = request.offset, .end = std::min(EndOf(request), request.offset + bytes)};
  };
}

// Only whole blocks of `bytes`.
Part WholeBlocks(std::uint64_t bytes) {
  return [bytes](const Request& request) {
    const std::uint64_t begin = (request.offset + bytes - 1) / bytes * bytes;
    return ByteRange{.begin = begin, .end = std::max(begin, EndOf(request) / bytes * bytes)};
  };
}

// Not what is nearer to the end of the disk than `bytes`.
Change FlushesShortOfTheEnd(std::uint64_t bytes) {
  return ChangesRequest(kFlush, [bytes](const Connection& on, Request& request) {
    (void)on.layer->Persist({.begin = 0, .end = on.layer->size() - bytes});
    request.type = kCache;
  });
}

// Only the first FLUSH of a connection does anything.
Change FlushesOnce() {
  return ChangesRequest(kFlush, [is_first = true](const Connection&, Request& request) mutable {
    request.type = std::exchange(is_first, false) ? kFlush : kCache;
  });
}

// FLUSH is answered first, and done when the next request of its connection comes.
Change FlushesWithTheNextRequest() {
  return ChangesRequest(kAnyCommand, [owes = false](const Connection& on, Request& request) mutable {
    const bool is_flush = request.type == kFlush;
    if (std::exchange(owes, is_flush)) {
      (void)on.layer->Flush();
    }
    request.type = is_flush ? kCache : request.type;
  });
}

// The same of FUA.
Change ForcesWithTheNextRequest() {
  return ChangesRequest(kAnyCommand, [owed = ByteRange()](const Connection& on, Request& request) mutable {
    (void)on.layer->Persist(std::exchange(owed, Has(request, kFua) ? RangeOf(request) : ByteRange()));
    request.flags &= static_cast<std::uint16_t>(~kFua);
  });
}

// Each connection's first WRITE is durable at once, and FLUSH does nothing.
Change PersistsFirstWriteAlone() {
  return Both(
      Forgets(kFlush),
      ChangesAnswer(kWrite, Always, [is_first = true](const Request& to, Messages&, const Connection& on) mutable {
        if (std::exchange(is_first, false)) {
          (void)on.layer->Persist(RangeOf(to));
        }
      }));
}

// FLUSH does nothing after a WRITE of more than 8 KiB.
Change FlushesNothingAfterALongWrite() {
  return ChangesRequest(kFlush, [](const Connection& on, Request& request) {
    request.type = on.previous.type == kWrite && on.previous.length > 8192 ? kCache : kFlush;
  });
}

}  // namespace

std::vector<Fault> StorageFaults() {
  static constexpr auto kFlushes = kTransmissionFlushCoversCompleted;
  static constexpr auto kForces = kTransmissionFuaNoEarlyReply;
  return {
      {"server_answers_flush_and_does_nothing",
       By(kFlushes, kFlushNoEarlySuccess, kSub<kFlushNoEarlySuccess, "scattered">, Fuzz(kWrongData, kFlushes)),
       Forgets(kFlush)},
      {"server_flushes_own_connection_alone", By(kSub<kFlushes, "other-connection">, Fuzz(kWrongData, kFlushes)),
       Flushes(WholeRange)},
      {"server_flushes_once", By(kSub<kFlushes, "again">, Fuzz(kWrongData, kFlushes)), FlushesOnce()},
      {"server_answers_flush_and_does_it_with_the_next_request", By(kFlushes, kFlushNoEarlySuccess),
       FlushesWithTheNextRequest()},
      {"server_flushes_no_zeroes",
       By(kSub<kFlushes, "zeroes">, kSub<kFlushes, "zeroes-then-write">, Fuzz(kWrongData, kFlushes)),
       Flushes(Without(Is(kWriteZeroes)))},
      {"server_flushes_no_allocated_zeroes", By(kSub<kFlushes, "zeroes-no-hole">, Fuzz(kWrongData, kFlushes)),
       Flushes(Without(IsZeroingWithoutHole))},
      {"server_flushes_first_megabyte_half", kSub<kFlushes, "long">, Flushes(FirstBytes(512 << 10))},
      {"server_flushes_all_but_last_sector_of_a_request",
       By(kFlushes, kSub<kFlushes, "long">, Fuzz(kWrongData, kFlushes)), Flushes([](const Request& request) {
         return ByteRange{.begin = request.offset, .end = std::max(request.offset, EndOf(request) - kSectorBytes)};
       })},
      {"server_flushes_whole_sectors_only", By(kSub<kFlushes, "unaligned">, Fuzz(kWrongData, kFlushes)),
       Flushes(WholeBlocks(kSectorBytes))},
      {"server_flushes_short_of_the_end", kSub<kFlushes, "end">, FlushesShortOfTheEnd(1)},
      {"server_flushes_first_change_alone",
       By(kSub<kFlushes, "trim-beside">, kSub<kFlushNoEarlySuccess, "scattered">, Fuzz(kWrongData, kFlushes)),
       Flushes(WholeRange, 1)},
      {"server_flushes_40_changes", kSub<kFlushNoEarlySuccess, "scattered">, Flushes(WholeRange, 40)},
      {"server_makes_first_write_durable_and_no_other", By(kSub<kFlushes, "overwritten">, Fuzz(kWrongData, kFlushes)),
       PersistsFirstWriteAlone()},
      {"server_flushes_nothing_while_a_long_write_waits", kSub<kFlushes, "in-flight">, FlushesNothingAfterALongWrite()},
      {"server_ignores_fua_of_write",
       By(kForces, kSub<kForces, "long">, kSub<kForces, "unaligned">, kSub<kForces, "overwriting">,
          kSub<kForces, "scattered">, kSub<kForces, "other-connection">, Fuzz(kWrongData, kForces)),
       ClearsRequestFlags(kWrite, kFua)},
      {"server_answers_fua_and_does_it_with_the_next_request",
       By(kForces, kSub<kForces, "long">, kSub<kForces, "overwriting">), ForcesWithTheNextRequest()},
      {"server_ignores_fua_of_write_zeroes", By(kSub<kForces, "zeroes">, Fuzz(kWrongData, kForces)),
       ClearsRequestFlags(kWriteZeroes, kFua)},
      {"server_ignores_fua_with_no_hole", By(kSub<kForces, "zeroes-no-hole">, Fuzz(kWrongData, kForces)),
       Forces(Without(IsZeroingWithoutHole))},
      {"server_forces_first_64k", By(kSub<kForces, "long">, Fuzz(kWrongData, kForces)), Forces(FirstBytes(64 << 10))},
      {"server_forces_whole_sectors_only", By(kSub<kForces, "unaligned">, Fuzz(kWrongData, kForces)),
       Forces(WholeBlocks(kSectorBytes))},
      {"server_forces_whole_pages_only", By(kSub<kForces, "scattered">, Fuzz(kWrongData, kForces)),
       Forces(WholeBlocks(4096))},
      {"server_trims_too_much_with_fua", kSub<kForces, "trim">,
       ChangesRequest(kTrim, [](Request& request) { request.length += kSectorBytes; })},
  };
}

}  // namespace nbdspec::engine::faults
