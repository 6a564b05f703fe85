// SPDX-License-Identifier: BSD-3-Clause
// KnownBytes: what must stand at each byte of an export, as far as the protocol lets a client know it.
//
// One cell per byte, for the parts of an export that are fuzzed (windows); nothing is known outside of them. Where a
// whole page became zero or unknown only that is noted, and its cells are filled when they are looked at: requests for
// megabytes of either are frequent, and cheap for a server.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/base/bytes.h"

namespace nbdspec::fuzz {

// What a write leaves.
struct Effect {
  enum class Kind {
    kPattern,  // engine::PatternByteAt.
    kZeroes,
    kUnknown,  // A trim, or a write that failed.
  };
  Kind kind = Kind::kUnknown;
  std::uint8_t pattern = 0;
  bool operator==(const Effect&) const = default;

  // The byte it leaves at `offset`; nothing when that is unknown.
  [[nodiscard]] std::optional<std::uint8_t> ByteAt(std::uint64_t offset) const;
};

// How a byte came to be known.
enum class Knowledge : std::uint8_t {
  kNone = 0,
  kRead,     // By reading it: its owner may take it back with a hole of unknown contents.
  kWritten,  // By writing it.
  kZeroed,   // By zeroing it.
};

class KnownBytes {
 public:
  // Nothing is known yet. `windows` are apart and ascending.
  explicit KnownBytes(const std::vector<engine::ByteRange>& windows);

  [[nodiscard]] std::vector<engine::ByteRange> windows() const;

  // The bytes at `offset` were read before anything was written.
  void Learn(std::uint64_t offset, engine::ByteView bytes);

  // `effect` stands in `range` now. Parts outside of the windows are ignored, here and below.
  void Apply(engine::ByteRange range, Effect effect);

  // The bytes of `range` that were only read are not known any more.
  void ForgetRead(engine::ByteRange range);

  [[nodiscard]] std::optional<std::uint8_t> At(std::uint64_t offset) const;
  [[nodiscard]] bool IsZeroed(std::uint64_t offset) const;

  // The first offset from `from` on where `bytes`, which stand at `offset`, differ from what is known.
  // Cost: that of memcmp where everything is known and equal.
  [[nodiscard]] std::optional<std::uint64_t> FirstDifference(std::uint64_t offset, engine::ByteView bytes,
                                                             std::uint64_t from) const;

  // The first offset in `range` where a byte is known that is not zero.
  [[nodiscard]] std::optional<std::uint64_t> FirstNonZero(engine::ByteRange range) const;

  // Appends what is known of `range`, byte by byte: kNone and 0 where nothing is.
  void Copy(engine::ByteRange range, engine::Bytes& bytes, std::vector<Knowledge>& knowledge) const;

 private:
  enum class Page : std::uint8_t {
    kCells,    // As its cells tell.
    kUnknown,  // All of it is, whatever its cells tell.
    kZeroes,   // Likewise.
  };
  struct Window {
    engine::ByteRange range;
    engine::Bytes bytes;  // 0 where nothing is known.
    std::vector<Knowledge> knowledge;
    std::vector<Page> pages;
  };

  // Calls visit(page, index of its first byte in range, count) for each page of [at, at + count).
  template <typename Visit>
  static void ForEachPage(Window& window, std::size_t at, std::size_t count, Visit visit);

  // Makes the cells tell.
  static void Settle(Window& window, std::size_t at, std::size_t count);

  // Calls visit(window, index of the first byte in it, count) for each part of `range` that is in a window.
  template <typename Visit>
  void ForEachPart(engine::ByteRange range, Visit visit) const;

  mutable std::vector<Window> windows_;  // Looking settles cells.
};

}  // namespace nbdspec::fuzz
