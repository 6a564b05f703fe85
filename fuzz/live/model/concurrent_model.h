// SPDX-License-Identifier: BSD-3-Clause
// ConcurrentModel: which bytes may a reply show, when requests overlap in time? It judges byte by byte: no request is
// promised to happen at once.
//
//   write a   |--------|          both may have happened in either order
//   write b        |-------|
//   read          |--|            may show anything, though a right server seldom shows a byte that is neither what
//                                 was there before nor what either wrote (docs/reads_during_writes.md)
//   read                     |--| shows what either wrote, and from then on it is that one
//
// A request begins when it is sent and ends when its reply has come.
//
// A READ may show what a write left unless another write certainly came between: sent after the answer to the first,
// answered before the READ was sent. What is in flight may be seen by one READ and not by the next: mirrors, and
// servers that try again, are right. Once all writes to a byte are answered it has one value, and the first READ that
// is sent then says which.
//
// What one connection wrote is only then certain for another when a FLUSH after it, or its FUA, was answered
// (eflags.multi-conn.flush-visible, fua-visible); until then it is like a write in flight for the other one.

#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/byte_range.h"
#include "fuzz/live/model/disputed_bytes.h"
#include "fuzz/live/model/known_bytes.h"
#include "fuzz/live/model/timeline.h"

namespace nbdspec::fuzz {

// When a connection has to see what another one wrote.
enum class Sharing {
  kAtOnce,   // When that is answered: there is no cache.
  kAtFlush,  // When a FLUSH, or FUA, is.
  kNever,    // Without CAN_MULTI_CONN.
};

// Why a byte cannot be shown.
struct Refutation {
  enum class Promise { kWriteThenReply, kZeroesThenReply, kFlushIsVisible, kFuaIsVisible };
  std::vector<std::uint8_t> possible;  // What could stand there.
  Promise broken = Promise::kWriteThenReply;
  std::vector<std::string> timeline;  // A line for each request that tells.
};

class ConcurrentModel {
 public:
  ConcurrentModel(KnownBytes bytes, Sharing sharing) : disputed_(std::move(bytes)), sharing_(sharing) {}

  // While it learns, what READs show is taken for what the bytes are: nothing else is in flight.
  void SetLearning(bool is_learning) { is_learning_ = is_learning; }

  // Connections 1 to `count` exist from now on.
  void Connect(std::uint8_t count);

  // All connections are new; nothing is in flight.
  void Reconnect();

  void Begin(Ticket ticket, const Access& access);

  // The reply has come: `succeeded`, or with an error, or it never will.
  void End(Ticket ticket, bool succeeded);

  // What nothing explains of `data` at `offset`, which the request `ticket` shows.
  [[nodiscard]] Unexplained Refute(Ticket ticket, std::uint64_t offset, engine::ByteView data);

  // Whether the reply to `ticket` may claim that `range` reads as zeroes. Returns the first offset where it may not.
  [[nodiscard]] std::optional<std::uint64_t> RefuteZeroes(Ticket ticket, engine::ByteRange range);

  // Why `ticket` may not show `byte` at `offset`.
  [[nodiscard]] Refutation Explain(Ticket ticket, std::uint64_t offset, std::uint8_t byte) const;

  // What the bytes are where nothing is disputed.
  [[nodiscard]] const KnownBytes& bytes() const { return disputed_.bytes(); }
  [[nodiscard]] KnownBytes& bytes() { return disputed_.bytes(); }
  [[nodiscard]] const DisputedBytes& disputed() const { return disputed_; }

 private:
  // What was written and is not yet certain for all connections.
  struct Unflushed {
    engine::ByteRange range;
    Time ended_at = 0;
  };

  static Looker LookerOf(const TimedAccess& each) {
    return {.range = each.access.range, .connection = each.access.connection, .sent_at = each.sent_at};
  }
  void EndWrite(const TimedAccess& ended);
  void Forget(engine::ByteRange range);
  void NoteUnflushed(const TimedAccess& ended);
  void Prune(engine::ByteRange range);
  [[nodiscard]] Refutation::Promise BrokenPromise(const std::vector<TimedAccess>& history, const TimedAccess& looking,
                                                  std::uint64_t offset) const;
  [[nodiscard]] std::size_t IndexOf(Ticket ticket) const;

  DisputedBytes disputed_;
  Sharing sharing_;
  bool is_learning_ = false;
  std::uint8_t connections_ = 1;
  std::vector<TimedAccess> in_flight_;  // In the order they were sent.
  std::vector<Unflushed> unflushed_;
  std::deque<TimedAccess> past_;  // The last ones that were answered.
  Time clock_ = 0;
};

}  // namespace nbdspec::fuzz
