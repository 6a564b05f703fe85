// SPDX-License-Identifier: BSD-3-Clause
// Faults of requests that meet at the same bytes, in flight or on several connections: what one of them leaves to the
// others. The bytes of two writes in flight may be those of either; these servers give what neither allows. What a READ
// shows beside a write in flight is only advised.
#include <deque>
#include <memory>

#include "engine/faults/fault_tables.h"

namespace nbdspec::engine::faults {

namespace {

constexpr Detector kWrongBytes = Fuzz(kWrongData, kTransmissionWriteThenReply);

// Some bytes and where they stand.
struct Piece {
  std::uint64_t offset = 0;
  Bytes bytes = {};

  [[nodiscard]] std::uint64_t end() const { return offset + bytes.size(); }
  [[nodiscard]] bool Meets(const Request& request) const { return offset < EndOf(request) && request.offset < end(); }
  [[nodiscard]] bool Covers(const Request& request) const {
    return offset <= request.offset && EndOf(request) <= end();
  }
};

Piece PieceOf(const Request& request) { return {.offset = request.offset, .bytes = request.payload}; }
bool Writes(const Request& request) { return request.type == kWrite && !request.payload.empty(); }

// Calls `change(byte of from, byte)` for each of `bytes`, which stand at `offset`, that `from` has too.
template <typename Function>
void ForShared(const Piece& from, std::uint64_t offset, Bytes& bytes, Function change) {
  const std::uint64_t end = std::min(from.end(), offset + bytes.size());
  for (std::uint64_t at = std::max(from.offset, offset); at < end; ++at) {
    change(from.bytes[static_cast<std::size_t>(at - from.offset)], bytes[static_cast<std::size_t>(at - offset)]);
  }
}

void Put(const Piece& from, std::uint64_t offset, Bytes& bytes) {
  ForShared(from, offset, bytes, [](std::uint8_t with, std::uint8_t& byte) { byte = with; });
}

void PutIntoData(const Piece& from, const Request& to, Messages& sent) {
  ForEachRead(to, sent, [&](std::uint64_t offset, Bytes& bytes) { Put(from, offset, bytes); });
}

// Calls `change(before, last, request)` for each WRITE that meets the WRITE `last` right before it. `before`: the last
// WRITE before both that covers the request; null when there is none.
template <typename Function>
Change ChangesSecondWrite(Function change) {
  return ChangesRequest(kAnyCommand, [=, pieces = std::deque<Piece>()](const Connection& on, Request& request) mutable {
    const Request sent = request;
    if (Writes(request) && on.previous.type == kWrite && !pieces.empty() && pieces.front().Meets(request)) {
      const auto before = std::find_if(std::next(pieces.begin()), pieces.end(),
                                       [&](const Piece& piece) { return piece.Covers(request); });
      change(before == pieces.end() ? nullptr : &*before, pieces.front(), request);
    }
    if (Writes(sent)) {
      pieces.push_front(PieceOf(sent));
      pieces.resize(std::min<std::size_t>(pieces.size(), 16));
    }
  });
}

// What two WRITEs share becomes a mixture of both.
Change MixesTwoWrites() {
  return ChangesSecondWrite([](const Piece*, const Piece& last, Request& request) {
    ForShared(last, request.offset, request.payload, [](std::uint8_t with, std::uint8_t& byte) { byte ^= with; });
  });
}

// What was there before two WRITEs stays where they meet.
Change LosesBothOfTwoWrites() {
  return ChangesSecondWrite([](const Piece* before, const Piece&, Request& request) {
    if (before != nullptr) {
      Put(*before, request.offset, request.payload);
    }
  });
}

// After two WRITEs that meet, each second READ shows the first of them, the others the second.
Change FlipsBetweenTwoWrites() {
  return ChangesAnswer(kAnyCommand, [last = Piece(), first = Piece(), count = 0](const Request& to, Messages& sent,
                                                                                 const Connection& on) mutable {
    if (Writes(to)) {
      first = on.previous.type == kWrite && last.Meets(to) ? last : Piece();
      last = PieceOf(to);
    } else if (to.type == kRead && last.Covers(to) && ++count % 2 == 0) {
      PutIntoData(first, to, sent);
    } else if (to.type == kWriteZeroes || to.type == kTrim) {
      first = {};
    }
  });
}

// Each third READ of what was written twice shows the first.
Change ReadsBeforeTheLastWrite() {
  return ChangesAnswer(kAnyCommand, [pieces = std::deque<Piece>(), count = 0](const Request& to, Messages& sent,
                                                                              const Connection&) mutable {
    if (Writes(to)) {
      pieces.push_front(PieceOf(to));
      pieces.resize(std::min<std::size_t>(pieces.size(), 2));
    } else if (to.type == kRead && pieces.size() == 2 && pieces.front().Covers(to) && ++count % 3 == 0) {
      PutIntoData(pieces.back(), to, sent);
    }
  });
}

// READ shows zeroes where the WRITE that came with it, in one piece of bytes, writes.
Change ReadsZeroesBesideAWrite() {
  return ChangesAnswer(kAnyCommand, [written = Piece(), piece_count = std::uint64_t{0}](
                                        const Request& to, Messages& sent, const Connection& on) mutable {
    if (Writes(to)) {
      written = {.offset = to.offset, .bytes = Bytes(to.payload.size())};
      piece_count = on.piece_count;
    } else if (to.type == kRead && piece_count == on.piece_count) {
      PutIntoData(written, to, sent);
    }
  });
}

// A WRITE that was answered some requests ago is applied again, after the one that has replaced it.
Change WritesAgainLater() {
  return ChangesRequest(kAnyCommand, [pieces = std::deque<Piece>()](const Connection& on, Request& request) mutable {
    const Request sent = request;
    if (Writes(request) && on.previous.type != kWrite && !pieces.empty() && pieces.front().Covers(request)) {
      Put(pieces.front(), request.offset, request.payload);
    }
    if (Writes(sent)) {
      pieces.assign(1, PieceOf(sent));
    }
  });
}

// Each connection keeps what it read and shows it again, until it writes there itself; `has_flushed`: until then too.
Change CachesReads(std::function<std::uint64_t(const Request& to)> flush_count) {
  return ChangesAnswer(kAnyCommand, [=, cache = std::deque<Piece>(), flushed = std::uint64_t{0}](
                                        const Request& to, Messages& sent, const Connection&) mutable {
    if (const std::uint64_t now = flush_count(to); now != flushed) {
      flushed = now;
      cache.clear();
    }
    if (engine::Changes(to.type)) {
      std::erase_if(cache, [&](const Piece& piece) { return piece.Meets(to); });
    }
    if (to.type != kRead || !OnSuccess(to, sent) || to.length > (1U << 16)) {
      return;
    }
    for (const Piece& piece : cache) {
      PutIntoData(piece, to, sent);
    }
    ForEachRead(to, sent, [&](std::uint64_t offset, const Bytes& bytes) {
      std::erase_if(cache,
                    [&](const Piece& piece) { return offset <= piece.offset && piece.end() <= offset + bytes.size(); });
      cache.push_back({.offset = offset, .bytes = bytes});
    });
    if (cache.size() > 32) {
      cache.pop_front();
    }
  });
}

// A FLUSH of any connection counts.
Change CachesReadsUntilAFlush() {
  return CachesReads([count = std::make_shared<std::uint64_t>(0)](const Request& to) {
    *count += to.type == kFlush ? 1 : 0;
    return *count;
  });
}

}  // namespace

std::vector<Fault> OverlapFaults() {
  return {
      {"server_mixes_two_writes_that_meet", kWrongBytes, MixesTwoWrites()},
      {"server_loses_both_of_two_writes_that_meet", kWrongBytes, LosesBothOfTwoWrites()},
      {"server_flips_between_two_writes_that_meet", kWrongBytes, FlipsBetweenTwoWrites()},
      {"server_reads_what_was_before_the_last_write", kWrongBytes, ReadsBeforeTheLastWrite()},
      {"server_reads_zeroes_beside_a_write_in_flight",
       By(kTransmissionReadBesideWrite, Fuzz(kWrongData, kTransmissionReadBesideWrite)), ReadsZeroesBesideAWrite()},
      {"server_applies_an_answered_write_again_later", kWrongBytes, WritesAgainLater()},
      {"server_caches_reads_of_each_connection", Fuzz(kWrongData, kEflagsMultiConnFlushVisible),
       CachesReads([](const Request&) { return 0; })},
      {"server_caches_reads_of_each_connection_until_a_flush", Fuzz(kWrongData, kEflagsMultiConnFuaVisible),
       CachesReadsUntilAFlush()},
  };
}

}  // namespace nbdspec::engine::faults
