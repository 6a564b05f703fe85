// SPDX-License-Identifier: BSD-3-Clause
// A stretch of the export of which we know every byte: what was written there, and what requests make of it.

#pragma once

#include <string_view>
#include <vector>

#include "conformance/checks/transmission/asking.h"

namespace nbdspec::conformance {

// The smallest offset and length that a client may use, whatever the server advertises.
inline std::uint64_t UnitOf(const Entered& entered) { return std::clamp(entered.block_size().minimum, 1U, 1U << 16); }

class KnownStretch {
 public:
  // `range` with `margin` bytes more on either side, in whole cells of the grid, inside the export. Nothing is written
  // yet. Range: inside UsableBytes, or near it.
  static KnownStretch Around(const Entered& entered, ByteRange range, std::uint64_t margin);

  // Just what `write`, a WRITE that has succeeded, wrote.
  static KnownStretch Of(const Request& write) {
    KnownStretch stretch(RangeOf(write));
    stretch.bytes_ = write.payload;
    return stretch;
  }

  [[nodiscard]] ByteRange range() const { return range_; }

  // Writes bytes of which none is zero, different with each `seed`. Errors: a WRITE fails or ends.
  Step Fill(Entered& entered, std::uint64_t seed);

  // Knows what the server has, by READs of `piece_bytes` or one cell each.
  Step Learn(Entered& entered, std::uint64_t piece_bytes = 4096);

  // What `request`, which has succeeded, makes of the stretch.
  void Apply(const Request& request);

  // Any byte may be in `range` from now on. Only the last such range is remembered, until it is filled again.
  void Forget(ByteRange range) { unknown_ = Intersect(range, range_); }

  // The bytes that a READ of `range` must give. Range: inside the stretch, without what is forgotten.
  [[nodiscard]] Bytes BytesOf(ByteRange range) const;

  // The offset of the first of `found`, read of the stretch while `write` was in flight, that is neither what is known
  // here nor what `write`, a WRITE of the stretch, leaves.
  [[nodiscard]] std::optional<std::uint64_t> FirstNeither(const Bytes& found, const Request& write) const;

  // Broken at the first byte that is another one; `after` says what was done before, `allowed` what is promised.
  Judgement Compare(Entered& entered, std::string_view after, std::string_view allowed) const;

 private:
  explicit KnownStretch(ByteRange range) : range_(range), bytes_(range.length()) {}

  ByteRange range_;
  ByteRange unknown_ = {};
  Bytes bytes_;
};

// Requests of which a server may refuse some.
class Attempts {
 public:
  // Asks `request`. Returns whether it succeeded. Errors: it ended.
  std::expected<bool, Judgement> Ask(Entered& entered, const Request& request);

  // The bytes that READ of `range` with `flags` gives; nothing when it is refused. Errors: it ended. A success that
  // does not give all bytes is Broken.
  std::expected<std::optional<Bytes>, Judgement> Read(Entered& entered, ByteRange range, std::uint16_t flags = 0);

  // The same of a READ that is on its way.
  std::expected<std::optional<Bytes>, Judgement> Await(Entered& entered, const Request& read);

  // Holds where some request succeeded.
  [[nodiscard]] Judgement Conclude() const;

 private:
  // Counts an answer. Returns whether it is a success.
  bool Take(const Request& request, std::uint32_t error);

  int done_count_ = 0;
  std::string refusal_;  // The first.
};

// Fills the bytes around the range of `request`, asks it, applies it, and reads all back. A refusal is not judged.
Step JudgeAmidData(CheckContext& context, Entered& entered, Attempts& attempts, const Request& request,
                   std::string_view allowed);

// The request of `command` for `range`; WRITE has bytes of which none is zero.
Request CommandOn(CheckContext& context, std::uint16_t command, std::uint16_t flags, ByteRange range);

// --- Where servers break ---------------------------------------------------------------------------------------

// A unit, and lengths one unit below, at, and above 512 bytes, 4 KiB, 64 KiB and 1 MiB, as far as `length_max`; each at
// offsets around the same edges, near a quarter of the export.
std::vector<ByteRange> EdgeRanges(const Entered& entered, std::uint64_t length_max);

// The last unit of the export, its last cell, and its last three.
std::vector<ByteRange> RangesAtTheEnd(const Entered& entered);

// Some ranges, of which none is longer than a payload may be, over each power of two in `powers` that is inside of the
// export with 64 KiB to spare.
std::vector<ByteRange> RangesOverPowersOf2(const Entered& entered, ByteRange powers);

}  // namespace nbdspec::conformance
