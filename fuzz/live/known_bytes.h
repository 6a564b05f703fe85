// SPDX-License-Identifier: BSD-3-Clause
// KnownBytes: what must stand at each byte of an export, as far as the protocol lets a client know it.
//
// One cell per byte, for the parts of an export that are fuzzed (windows); nothing is known outside of them.

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
};

class KnownBytes {
 public:
  // Nothing is known yet. `windows` are apart and ascending.
  explicit KnownBytes(const std::vector<engine::ByteRange>& windows);
  KnownBytes() = default;

  [[nodiscard]] std::vector<engine::ByteRange> windows() const;

  // The bytes at `offset` were read before anything was written.
  void Learn(std::uint64_t offset, engine::ByteView bytes);

  // `effect` stands in `range` now. Parts outside of the windows are ignored, here and below.
  void Apply(engine::ByteRange range, Effect effect);

  // The bytes of `range` that were only read are not known any more.
  void ForgetRead(engine::ByteRange range);

  [[nodiscard]] std::optional<std::uint8_t> At(std::uint64_t offset) const;

  // The first offset from `from` on where `bytes`, which stand at `offset`, differ from what is known.
  // Cost: that of memcmp where everything is known and equal.
  [[nodiscard]] std::optional<std::uint64_t> FirstDifference(std::uint64_t offset, engine::ByteView bytes,
                                                             std::uint64_t from) const;

  // The first offset in `range` where a byte is known that is not zero.
  [[nodiscard]] std::optional<std::uint64_t> FirstNonZero(engine::ByteRange range) const;

  // Appends what is known of `range`, byte by byte: kNone and 0 where nothing is.
  void Copy(engine::ByteRange range, engine::Bytes& bytes, std::vector<Knowledge>& knowledge) const;

 private:
  struct Window {
    engine::ByteRange range;
    engine::Bytes bytes;  // 0 where nothing is known.
    std::vector<Knowledge> knowledge;
  };

  // Calls visit(window, index of the first byte in it, count) for each part of `range` that is in a window.
  template <typename Self, typename Visit>
  static void ForEachPart(Self& self, engine::ByteRange range, Visit visit);

  std::vector<Window> windows_;
};

}  // namespace nbdspec::fuzz
