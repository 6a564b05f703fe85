// SPDX-License-Identifier: BSD-3-Clause
// DisputedBytes: the parts of an export where a byte may have one of several values, and those values.
//
// A write leaves a candidate in its range, beside what was there before. A candidate goes when a later write has been
// answered (later: sent when the candidate was settled), or when a READ showed another one after all writes that could
// still change the byte. Where one candidate is left nothing is disputed any more, and KnownBytes has its value.
//
// Time counts what is sent and what is answered; no two events share a time.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/base/bytes.h"
#include "engine/script/script.h"
#include "fuzz/live/model/known_bytes.h"

namespace nbdspec::fuzz {

// How a request in flight is named: never reused while it is, and never 0.
using Ticket = std::uint32_t;

using Time = std::uint64_t;
inline constexpr Time kNever = std::numeric_limits<Time>::max();

// A request that looks at bytes, as long as it is in flight.
struct Looker {
  engine::ByteRange range;
  std::uint8_t connection = 1;
  Time sent_at = 0;
};

// What a byte may be: what was there before, or what one write left.
struct Candidate {
  bool is_before = false;        // What was there before: KnownBytes has it.
  Ticket ticket = 0;             // Of the write; 0 for none or several.
  Effect effect = {};            // Of the write.
  std::uint8_t connection = 0;   // Of the write; 0 for none or several.
  Time ended_at = kNever;        // When the write was answered,
  Time seen_by_all_at = kNever;  // and when every connection had to see it. Until then, order is open.
  std::array<Time, engine::kConnectionsMax> gone_at = AllNever();  // What a connection sends later cannot see it.

  [[nodiscard]] bool is_unknown() const { return !is_before && effect.kind == Effect::Kind::kUnknown; }
  // Since when it cannot come after what `to` sends.
  [[nodiscard]] Time SettledAt(std::uint8_t to) const { return to == connection ? ended_at : seen_by_all_at; }
  [[nodiscard]] bool IsVisible(const Looker& looker) const { return looker.sent_at < gone_at[looker.connection - 1U]; }
  void LeaveAt(std::uint8_t to, Time time);
  void LeaveAllAt(Time time);

  static constexpr std::array<Time, engine::kConnectionsMax> AllNever() {
    std::array<Time, engine::kConnectionsMax> times{};
    times.fill(kNever);
    return times;
  }
};

// What a READ showed in a part that was disputed: what this write left, or what was there before (0).
struct SeenRun {
  engine::ByteRange range;
  Ticket ticket = 0;
  Effect effect = {};
};

// What nothing explains of the bytes that a READ showed.
struct Unexplained {
  std::optional<std::uint64_t> wrong_at = {};  // The first that may not be shown.
  std::optional<std::uint64_t> open_at = {};   // The first that a write in flight with the READ covers.
};

class DisputedBytes {
 public:
  explicit DisputedBytes(KnownBytes bytes) : bytes_(std::move(bytes)), windows_(bytes_.windows()) {}

  // What stood there before each dispute; what is left of a dispute is put there.
  [[nodiscard]] const KnownBytes& bytes() const { return bytes_; }
  [[nodiscard]] KnownBytes& bytes() { return bytes_; }

  // A write is sent, or something becomes possible that was answered long ago.
  void Add(engine::ByteRange range, const Candidate& candidate);

  // It is answered at `time`. It was sent at `sent_at`.
  struct Answer {
    Effect effect;  // What it left.
    std::uint8_t connection = 1;
    Time sent_at = 0;
    Time time = 0;
    bool is_seen_by_all = false;
  };
  void Settle(engine::ByteRange range, Ticket ticket, const Answer& answer);

  // A FLUSH that was sent at `sent_at` is answered at `time`: all connections see what was answered before it was sent.
  void Flush(Time sent_at, Time time);

  // The regions that overlap `range`, as wide as they are; empty when there are none.
  [[nodiscard]] engine::ByteRange WholeRegions(engine::ByteRange range) const;

  // Removes from the regions of `range` what nobody can see any more: neither `lookers`, those that overlap them, nor
  // what one of the first `connections` connections sends later.
  void Prune(engine::ByteRange range, const std::vector<Looker>& lookers, std::uint8_t connections);

  // What no candidate explains of the bytes `data` at `offset`, seen by `looker`. Where none is wrong and `is_proof`,
  // candidates that they exclude are gone. Appends what was shown.
  Unexplained Refute(const Looker& looker, std::uint64_t offset, engine::ByteView data, bool is_proof,
                     std::vector<SeenRun>& shown);

  // The first byte of `range` that cannot be zero for `looker`, where nothing is written meanwhile.
  [[nodiscard]] std::optional<std::uint64_t> RefuteZeroes(const Looker& looker, engine::ByteRange range) const;

  // What may stand at `offset` for `looker`, each value once; empty when that is anything.
  [[nodiscard]] std::vector<std::uint8_t> ValuesAt(const Looker& looker, std::uint64_t offset) const;

  // Whether only WRITE_ZEROES says what may stand there.
  [[nodiscard]] bool IsZeroed(const Looker& looker, std::uint64_t offset) const;

  // How many regions there are, for tests: what is settled takes no room.
  [[nodiscard]] std::size_t region_count() const { return regions_.size(); }

 private:
  struct Region {
    std::uint64_t end = 0;
    std::vector<Candidate> candidates;
  };
  using Regions = std::map<std::uint64_t, Region>;  // By where they begin; they do not overlap.

  // A run of bytes that `kept` candidates explain.
  struct Run {
    engine::ByteRange range;
    std::vector<std::size_t> kept;  // Indices of candidates.
  };

  [[nodiscard]] Regions::const_iterator FirstIn(engine::ByteRange range) const;
  [[nodiscard]] Regions::iterator FirstIn(engine::ByteRange range);
  void SplitAt(std::uint64_t offset);
  void MakeRoom();
  [[nodiscard]] std::optional<std::uint8_t> ByteOf(const Candidate& candidate, std::uint64_t offset) const;
  [[nodiscard]] std::size_t MatchLength(const Candidate& candidate, std::uint64_t offset, engine::ByteView data) const;
  [[nodiscard]] Unexplained RefuteIn(const Region& region, const Looker& looker, std::uint64_t offset,
                                     engine::ByteView data, std::vector<Run>& runs, std::vector<SeenRun>& shown) const;
  [[nodiscard]] std::optional<std::uint64_t> RefuteZeroesIn(const Region& region, const Looker& looker,
                                                            engine::ByteRange range) const;
  [[nodiscard]] static std::uint64_t FirstAmbiguous(const std::vector<Candidate>& candidates, const Looker& looker,
                                                    engine::ByteRange range, engine::ByteView data);
  void ExcludeByRun(const Looker& looker, const Run& run, engine::ByteView data);
  bool Exclude(const Looker& looker, const Run& run, engine::ByteView data);
  void StandIn(const Run& run, const Candidate& gone, engine::ByteView data, std::vector<Candidate>& candidates) const;
  [[nodiscard]] static bool IsOver(const Region& region, std::uint8_t connections);

  KnownBytes bytes_;
  std::vector<engine::ByteRange> windows_;
  Regions regions_;
};

}  // namespace nbdspec::fuzz
