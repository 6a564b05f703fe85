// SPDX-License-Identifier: BSD-3-Clause
// RequestHistory: whose bytes may stand on a disk after a power cut, by what was requested and answered before it.
//
//   write a   |------|  answered                 b was answered before the flush was sent: covered. a had ended before
//   write b             |------|  answered       b began, so that nothing of it may come back. c was answered after
//   flush                          |-----|       the flush was sent: a power cut may lose it or not. Allowed: b, c.
//   write c                       |---|
//   power cut                             X
//
// A request begins when it is sent and ends when its answer has come. A write is covered when a FLUSH that succeeded
// was sent after it had succeeded (transmission.flush.covers-completed), or when it had FUA and succeeded
// (transmission.fua.no-early-reply). A byte may be what any write left, unless a covered write certainly came after
// that one: it began when that one had ended. What requests in flight do to each other NBD does not order.
//
// A FLUSH or FUA that failed says that what was not covered yet may be lost, and no later FLUSH covers that, unless
// asked otherwise: many kernels report that a sync failed once, and drop what it was to write.
//
// A write that failed may have left anything in its range (structured.error.client-no-assumption).

#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "engine/base/byte_range.h"

namespace nbdspec::engine {

class RequestHistory {
 public:
  // The number of a request, from 1, in the order of their beginning. kBefore stands for what was there before all.
  using Number = std::size_t;
  static constexpr Number kBefore = 0;

  // `flush_covers_all`: a FLUSH covers what other connections wrote, too: CAN_MULTI_CONN. `flush_covers_given_up`: and
  // what one that failed was to cover (flush.no-success-after-loss).
  explicit RequestHistory(bool flush_covers_all, bool flush_covers_given_up = false)
      : flush_covers_all_(flush_covers_all), flush_covers_given_up_(flush_covers_given_up) {}

  // A WRITE, WRITE_ZEROES or TRIM of `range`, with FUA or not.
  Number BeginWrite(ByteRange range, bool has_fua, std::uint8_t connection = 1);
  Number BeginFlush(std::uint8_t connection = 1);

  // The answer to `request` has come. One that has none is in flight for good.
  void End(Number request, bool succeeded);

  // Whose bytes may stand at `offset` after a power cut now: numbers of writes, ascending, kBefore among them. Never
  // empty. Cost: O(n^2) in the writes that cover `offset`.
  [[nodiscard]] std::vector<Number> MayStandAt(std::uint64_t offset) const;

  // `range` cut where writes begin and end: within each piece MayStandAt is the same everywhere. Ascending; without
  // gaps.
  [[nodiscard]] std::vector<ByteRange> CellsOf(ByteRange range) const;

  // Whether `write` has failed, so that any bytes may stand in its range until another one has written there.
  [[nodiscard]] bool MayLeaveAnything(Number write) const {
    return write != kBefore && requests_[write - 1].ended != kNever && !requests_[write - 1].has_succeeded;
  }

  // Whether an answer has promised that `write` lasts.
  [[nodiscard]] bool IsCovered(Number write) const { return write == kBefore || requests_[write - 1].is_covered; }

 private:
  static constexpr std::uint64_t kNever = std::numeric_limits<std::uint64_t>::max();
  struct Request {
    ByteRange range;
    bool is_flush = false;
    bool has_fua = false;
    std::uint8_t connection = 1;
    std::uint64_t begun = 0;
    std::uint64_t ended = kNever;
    bool has_succeeded = false;
    bool is_covered = false;
    bool is_given_up = false;  // A FLUSH or FUA has failed since it began.
  };

  Number Begin(Request request);
  [[nodiscard]] bool CertainlyBefore(Number first, Number second) const;

  bool flush_covers_all_;
  bool flush_covers_given_up_;
  std::vector<Request> requests_;
  std::uint64_t clock_ = 0;
};

}  // namespace nbdspec::engine
