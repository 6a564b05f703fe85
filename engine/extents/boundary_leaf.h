// SPDX-License-Identifier: BSD-3-Clause
// BoundaryLeaf: a sorted list of a few boundaries in five cache lines. docs/extent_map.md has the picture.
//
// A boundary is an offset, its key, where a run of bytes of one state begins. The first line says everything about
// the leaf but its keys; the other four hold these, in one of two encodings:
//
//   narrow  60 keys of 32 bits: base + (delta << shift). What are multiples of 2^shift apart, 2^32 of them at most.
//   wide    30 keys of 64 bits: the keys themselves. The rest: keys that are far apart and not aligned.
//
// Free slots hold kPad, which is above every key, so that a search reads whole lines and never branches; there are
// always a few, so that pads are written without counting. The pivots are copies of the first key of each line but the
// first: a search reads them, and then a single line of keys.

#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>

#include "engine/base/check.h"

#if defined(__SSE2__) && !defined(NBDSPEC_WITHOUT_SSE2)
#include <emmintrin.h>
#endif

namespace nbdspec::engine {

// Where a run of bytes begins, and the state of these bytes.
struct Boundary {
  std::uint64_t key = 0;
  std::uint8_t state = 0;  // In [0, 4).
};

// One overwrite: the bytes [begin, end) get `state`. Boundaries are below `size` only: no run begins at the end.
struct Overwrite {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;  // Above begin, at most size.
  std::uint64_t size = 0;
  std::uint8_t state = 0;
};

// Range: count below 64.
constexpr std::uint64_t BitsBelow(unsigned count) { return (std::uint64_t{1} << count) - 1; }

// How many of kPerLine keys are below `bound`.
template <unsigned kPerLine, typename Key>
unsigned CountBelowInLine(const Key* keys, Key bound) {
  unsigned below = 0;
  for (unsigned i = 0; i < kPerLine; ++i) {
    below += keys[i] < bound ? 1 : 0;
  }
  return below;
}

#if defined(__SSE2__) && !defined(NBDSPEC_WITHOUT_SSE2)
// The same with instructions that every x86-64 has: half the time of the above. They compare signed numbers. Keys
// ascend, so the mask of those below is ones up to a place.
inline __m128i Signed(__m128i four) {
  return _mm_xor_si128(four, _mm_set1_epi32(std::numeric_limits<std::int32_t>::min()));
}
inline __m128i SignedBound(std::uint32_t bound) { return Signed(_mm_set1_epi32(static_cast<std::int32_t>(bound))); }
inline __m128i BelowInFour(const std::uint32_t* keys, __m128i signed_bound) {
  return _mm_cmplt_epi32(Signed(_mm_loadu_si128(reinterpret_cast<const __m128i*>(keys))), signed_bound);
}

template <>
inline unsigned CountBelowInLine<16, std::uint32_t>(const std::uint32_t* keys, std::uint32_t bound) {
  const __m128i bounds = SignedBound(bound);
  const __m128i all = _mm_packs_epi16(_mm_packs_epi32(BelowInFour(keys, bounds), BelowInFour(keys + 4, bounds)),
                                      _mm_packs_epi32(BelowInFour(keys + 8, bounds), BelowInFour(keys + 12, bounds)));
  return static_cast<unsigned>(std::countr_one(static_cast<unsigned>(_mm_movemask_epi8(all))));
}
#endif

// Lines of keys of one width, ascending, with the pivots and the pads described above.
template <typename Key, unsigned kPerLine, unsigned kLines = 4>
struct KeyLines {
  static constexpr unsigned kSlots = kLines * kPerLine;
  static constexpr unsigned kFree = kPerLine < 4 ? 1 : kPerLine / 4;  // Always, at the least.
  static constexpr unsigned kCapacity = kSlots - kFree;
  static constexpr Key kPad = std::numeric_limits<Key>::max();
  using Keys = std::array<Key, kSlots>;
  using Pivots = std::array<Key, kLines - 1>;

  static constexpr Keys PadKeys() {
    Keys keys{};
    keys.fill(kPad);
    return keys;
  }
  static constexpr Pivots PadPivots() {
    Pivots pivots{};
    pivots.fill(kPad);
    return pivots;
  }

  // The line in which the keys below `bound` end.
  static unsigned LineOf(const Pivots& pivots, Key bound) {
    unsigned line = 0;
    for (const Key pivot : pivots) {
      line += pivot < bound ? 1 : 0;
    }
    return line;
  }

  // How many keys are below `bound`, which is at most kPad.
  static unsigned CountBelow(const Keys& keys, const Pivots& pivots, Key bound) {
    const unsigned line = LineOf(pivots, bound);
    return line * kPerLine + CountBelowInLine<kPerLine>(keys.data() + std::size_t{line} * kPerLine, bound);
  }

  static void SetPivots(const Keys& keys, Pivots& pivots) {
    for (unsigned line = 1; line < kLines; ++line) {
      pivots[line - 1] = keys[std::size_t{line} * kPerLine];
    }
  }

  // Whether the first `count` keys ascend, and the rest are pads and pivots as described above. A fuzzer asks after
  // every step: no branches, and no sanitizer, for the bounds are plain to see.
  __attribute__((no_sanitize("address", "undefined"))) static bool AreRight(const Keys& keys, const Pivots& pivots,
                                                                            unsigned count) {
    const Key* key = keys.data();
    const Key* pivot = pivots.data();
    unsigned descents = 0;
    for (unsigned i = 1; i < count; ++i) {
      descents += key[i - 1] < key[i] ? 0U : 1U;
    }
    Key differences = 0;
    for (unsigned i = count; i < kSlots; ++i) {
      differences |= key[i] ^ kPad;
    }
    for (unsigned line = 1; line < kLines; ++line) {
      differences |= pivot[line - 1] ^ key[std::size_t{line} * kPerLine];
    }
    return descents == 0 && differences == 0;
  }

  // Moves the keys [from, count) to `to`, and pads what they leave behind. Range: `to` at most kCapacity when all are
  // there. Moving two whole lines takes less time than finding out how much is to be moved.
  [[gnu::always_inline]] static void Move(Keys& keys, unsigned count, unsigned from, unsigned to) {
    constexpr unsigned kTwoLines = 2 * kPerLine;
    if (count - from <= kTwoLines && std::max(from, to) + kTwoLines <= kSlots) [[likely]] {
      std::memmove(keys.data() + to, keys.data() + from, kTwoLines * sizeof(Key));
    } else {
      std::memmove(keys.data() + to, keys.data() + from, (count - from) * sizeof(Key));
    }
    const unsigned past = count - from + to;
    static constexpr Keys kPads = PadKeys();
    std::memcpy(keys.data() + past, kPads.data(), kFree * sizeof(Key));
    if (past + kFree < count) [[unlikely]] {
      std::fill(keys.begin() + past, keys.begin() + count, kPad);
    }
  }
};

template <typename Shape>
class BoundaryLeaf {
  using Narrow = KeyLines<std::uint32_t, Shape::kNarrowPerLine>;
  using Wide = KeyLines<std::uint64_t, Shape::kNarrowPerLine / 2>;

 public:
  static constexpr unsigned kNarrowMax = Narrow::kCapacity;
  static constexpr unsigned kWideMax = Wide::kCapacity;
  static_assert(kNarrowMax < 64, "A plane has one bit for each key.");

  // The leaf of one boundary, at `base`, narrow, ready for keys that are multiples of 2^shift away.
  void Reset(std::uint64_t base, std::uint8_t state, unsigned shift) {
    base_ = base;
    planes_ = {};
    SetState(0, state);
    count_ = 1;
    shift_ = static_cast<std::uint8_t>(shift);
    is_wide_ = false;
    narrow_pivots_ = Narrow::PadPivots();
    narrow_ = Narrow::PadKeys();
    narrow_[0] = 0;
  }

  // The leaf of the boundaries (base, state) and (key, after). Range: base < key.
  void Reset(std::uint64_t base, std::uint8_t state, std::uint64_t key, std::uint8_t after, unsigned shift) {
    Reset(base, state, shift);
    if (!Fits(key - base)) {
      Encode(std::array<Boundary, 2>{{{base, state}, {key, after}}});
      return;
    }
    narrow_[1] = static_cast<std::uint32_t>((key - base) >> shift);
    Narrow::SetPivots(narrow_, narrow_pivots_);
    SetState(1, after);
    count_ = 2;
  }

  // The key of the first boundary.
  [[nodiscard]] std::uint64_t base() const { return base_; }
  [[nodiscard]] unsigned count() const { return count_; }
  [[nodiscard]] unsigned capacity() const { return is_wide_ ? kWideMax : kNarrowMax; }
  [[nodiscard]] bool is_wide() const { return is_wide_; }
  [[nodiscard]] unsigned shift() const { return shift_; }

  [[nodiscard]] std::uint64_t KeyAt(unsigned index) const {
    return is_wide_ ? wide_[index] : base_ + (std::uint64_t{narrow_[index]} << shift_);
  }
  [[nodiscard]] std::uint8_t StateAt(unsigned index) const {
    return static_cast<std::uint8_t>((planes_[0] >> index & 1) | (planes_[1] >> index & 1) << 1);
  }

  // How many keys are below `bound`. Range: bound in [base(), 2^63].
  [[nodiscard]] unsigned CountBelow(std::uint64_t bound) const {
    if (is_wide_) {
      return Wide::CountBelow(wide_, wide_pivots_, bound);
    }
    return Narrow::CountBelow(narrow_, narrow_pivots_, Clamp(RoundUp(bound - base_)));
  }

  // Makes the bytes of `change` one state. Range: its begin is above base(), or equal and base() is 0; its end is below
  // the first key of the next leaf.
  // Returns: whether it was done. Not when the keys would not fit, in number or in encoding.
  [[gnu::always_inline]] bool Apply(const Overwrite& change) {
    if (is_wide_) {
      return Splice<Wide>(wide_, wide_pivots_, change,
                          {.begin = change.begin, .end = change.end, .past_end = change.end + 1});
    }
    const std::uint64_t begin = change.begin - base_;
    const std::uint64_t end = change.end - base_;
    return Splice<Narrow>(narrow_, narrow_pivots_, change,
                          {.begin = Clamp(RoundUp(begin)),
                           .end = Clamp(end >> shift_),
                           .past_end = Clamp((end >> shift_) + 1),
                           .begin_fits = Fits(begin),
                           .end_fits = Fits(end)});
  }

  // What there is to know to overwrite the beginning of the last run, which is what appending does: it takes a third of
  // the time of Apply.
  struct Tail {
    std::uint64_t begin = 0;      // Of the last run.
    std::uint64_t limit = 0;      // Ends below it fit in the leaf; 0 when there is no room, or nothing is known.
    std::uint64_t base = 0;       // Of the leaf.
    std::uint64_t unaligned = 0;  // The bits of a distance from the base that must not be set,
    unsigned shift = 0;           // and how many these are.
    std::uint8_t after = 0;       // The state of the last run,
    std::uint8_t before = 0;      // and of the one before.
    // For each state: what changes in the planes from the last run on when a run of that state comes before it.
    std::array<std::array<std::uint8_t, 2>, 4> flips = {};
    bool operator==(const Tail&) const = default;

    [[nodiscard]] bool Fits(std::uint64_t from, std::uint64_t to, std::uint8_t state) const {
      return from == begin && to > from && to < limit && ((to - base) & unaligned) == 0 && state < 4 &&
             state != after && state != before;
    }
  };

  // Of this leaf, the last of a map that ends at `size`.
  [[nodiscard]] Tail MakeTail(std::uint64_t size) const {
    if (is_wide_ || count_ < 2 || count_ == kNarrowMax) {
      return {};
    }
    constexpr unsigned kShiftMax = 30;  // So that `reach` does not overflow. Above it, any end fits.
    const std::uint64_t reach = std::uint64_t{Narrow::kPad} << std::min<unsigned>(shift_, kShiftMax);
    Tail tail = {.begin = KeyAt(count_ - 1U),
                 .limit = shift_ > kShiftMax || size - base_ <= reach ? size : base_ + reach,
                 .base = base_,
                 .unaligned = (std::uint64_t{1} << shift_) - 1,
                 .shift = shift_,
                 .after = StateAt(count_ - 1U),
                 .before = StateAt(count_ - 2U)};
    for (unsigned state = 0; state < 4; ++state) {
      for (unsigned bit = 0; bit < 2; ++bit) {
        const unsigned old_run = tail.after >> bit & 1U;
        const unsigned new_run = state >> bit & 1U;
        tail.flips[state][bit] = static_cast<std::uint8_t>((old_run ^ new_run) | old_run << 1);
      }
    }
    return tail;
  }

  // Gives the bytes from the begin of the last run to `end` the state. Range: `tail` fits them.
  void Append(std::uint64_t end, std::uint8_t state, Tail& tail) {
    const unsigned index = count_;
    planes_[0] ^= std::uint64_t{tail.flips[state][0]} << (index - 1);
    planes_[1] ^= std::uint64_t{tail.flips[state][1]} << (index - 1);
    const auto key = static_cast<std::uint32_t>((end - tail.base) >> tail.shift);
    narrow_[index] = key;
    if (index % Shape::kNarrowPerLine == 0) {
      narrow_pivots_[index / Shape::kNarrowPerLine - 1] = key;
    }
    count_ = static_cast<std::uint8_t>(index + 1);
    tail.begin = end;
    tail.before = state;
    tail.limit = index + 1 < kNarrowMax ? tail.limit : 0;
  }

  // Erases the last boundary, not the only one.
  void DropLast() {
    --count_;
    for (std::uint64_t& plane : planes_) {
      plane &= BitsBelow(count_);
    }
    if (is_wide_) {
      wide_[count_] = Wide::kPad;
      Wide::SetPivots(wide_, wide_pivots_);
    } else {
      narrow_[count_] = Narrow::kPad;
      Narrow::SetPivots(narrow_, narrow_pivots_);
    }
  }

  // Erases the boundaries [from, to), not all of them.
  void Erase(unsigned from, unsigned to) {
    std::array<Boundary, kNarrowMax> all;
    const std::size_t count = Decode(all);
    std::copy(all.begin() + to, all.begin() + static_cast<std::ptrdiff_t>(count), all.begin() + from);
    Encode(std::span(all).first(count - (to - from)));
  }

  // Range: the neighbours of that boundary have other states.
  void SetState(unsigned index, std::uint8_t state) {
    for (unsigned bit = 0; bit < 2; ++bit) {
      planes_[bit] = (planes_[bit] & ~(std::uint64_t{1} << index)) | std::uint64_t{(state & 3U) >> bit & 1U} << index;
    }
  }

  // Writes the boundaries to `into`, which has room; returns how many.
  std::size_t Decode(std::span<Boundary> into) const {
    for (unsigned i = 0; i < count_; ++i) {
      into[i] = {.key = KeyAt(i), .state = StateAt(i)};
    }
    return count_;
  }

  // Whether one leaf holds `boundaries`: 1 or more, ascending.
  static bool Holds(std::span<const Boundary> boundaries) {
    return boundaries.size() <= kWideMax || (boundaries.size() <= kNarrowMax && NarrowShift(boundaries) >= 0);
  }
  void Encode(std::span<const Boundary> boundaries) {
    const int shift = boundaries.size() <= kNarrowMax ? NarrowShift(boundaries) : -1;
    base_ = boundaries.front().key;
    count_ = static_cast<std::uint8_t>(boundaries.size());
    is_wide_ = shift < 0;
    shift_ = static_cast<std::uint8_t>(std::max(shift, 0));
    planes_ = {};
    for (std::size_t i = 0; i < boundaries.size(); ++i) {
      SetState(static_cast<unsigned>(i), boundaries[i].state);
    }
    if (is_wide_) {
      wide_ = Wide::PadKeys();
      for (std::size_t i = 0; i < boundaries.size(); ++i) {
        wide_[i] = boundaries[i].key;
      }
      wide_pivots_ = {};
      Wide::SetPivots(wide_, wide_pivots_);
    } else {
      narrow_ = Narrow::PadKeys();
      for (std::size_t i = 0; i < boundaries.size(); ++i) {
        narrow_[i] = static_cast<std::uint32_t>((boundaries[i].key - base_) >> shift_);
      }
      narrow_pivots_ = {};
      Narrow::SetPivots(narrow_, narrow_pivots_);
    }
  }

  // Calls `visit(begin, end, state)` for the runs that touch [begin, end), cut to it, until it returns false. `limit`
  // is where the last run of the leaf ends. Range: begin below limit, end above base() and begin.
  // Returns: whether every call returned true.
  template <typename Visit>
  bool ForEach(std::uint64_t begin, std::uint64_t end, std::uint64_t limit, Visit&& visit) const {
    if (is_wide_) {
      return Walk(begin, end, limit, visit, [this](unsigned index) { return wide_[index]; });
    }
    return Walk(begin, end, limit, visit,
                [this](unsigned index) { return base_ + (std::uint64_t{narrow_[index]} << shift_); });
  }

  // All runs at once, for those who want to look at many in the shortest time. Of what is past count(), nothing is
  // said.
  struct Runs {
    std::array<std::uint32_t, Narrow::kSlots> lengths;
    std::array<std::uint32_t, Narrow::kSlots> states;
  };

  // Writes the runs, the last of which ends at `limit`. Returns: whether it did; not if the leaf is wide, or a run is
  // (about) 4 GiB long or longer.
  bool DecodeRuns(std::uint64_t limit, Runs& runs) const {
    const std::uint64_t last_length = limit - KeyAt(count_ - 1U);
    if (is_wide_ || last_length > UINT32_MAX) {
      return false;
    }
    // All runs together; then each of them is looked at.
    if (std::uint64_t{narrow_[count_ - 1U]} << shift_ > UINT32_MAX) {
      std::uint32_t bits = 0;
      for (unsigned i = 0; i + 1 < count_; ++i) {
        bits |= narrow_[i + 1] - narrow_[i];
      }
      if (std::uint64_t{bits} << shift_ > UINT32_MAX) {
        return false;
      }
    }
    for (unsigned i = 0; i + 1 < Narrow::kSlots; ++i) {
      runs.lengths[i] = (narrow_[i + 1] - narrow_[i]) << shift_;
    }
    runs.lengths[count_ - 1U] = static_cast<std::uint32_t>(last_length);
    // Four bits of a plane become four numbers.
    static constexpr auto kSpread = [] {
      std::array<std::array<std::uint32_t, 4>, 16> spread{};
      for (unsigned bits_of_four = 0; bits_of_four < 16; ++bits_of_four) {
        for (unsigned i = 0; i < 4; ++i) {
          spread[bits_of_four][i] = bits_of_four >> i & 1;
        }
      }
      return spread;
    }();
    for (unsigned i = 0; i < Narrow::kSlots; i += 4) {
      const std::array<std::uint32_t, 4>& low = kSpread[planes_[0] >> i & 15];
      const std::array<std::uint32_t, 4>& high = kSpread[planes_[1] >> i & 15];
      for (unsigned j = 0; j < 4; ++j) {
        runs.states[i + j] = low[j] | high[j] << 1;
      }
    }
    return true;
  }

  // Asks for the lines from memory before they are needed.
  void Prefetch() const {
    const char* line = reinterpret_cast<const char*>(this);
    for (std::size_t at = 0; at < sizeof(BoundaryLeaf); at += 64) {
      __builtin_prefetch(line + at);
    }
  }

  // Aborts unless all of the above holds.
  void CheckInvariants() const {
    NBDSPEC_CHECK(count_ >= 1 && count_ <= capacity());
    NBDSPEC_CHECK(((planes_[0] | planes_[1]) & ~BitsBelow(count_)) == 0);
    const std::uint64_t changes = (planes_[0] ^ planes_[0] >> 1) | (planes_[1] ^ planes_[1] >> 1);
    NBDSPEC_CHECK((~changes & BitsBelow(count_ - 1U)) == 0);  // Neighbours differ.
    if (is_wide_) {
      NBDSPEC_CHECK(wide_[0] == base_);
      NBDSPEC_CHECK(Wide::AreRight(wide_, wide_pivots_, count_));
    } else {
      NBDSPEC_CHECK(shift_ < 63);
      NBDSPEC_CHECK(narrow_[0] == 0);
      NBDSPEC_CHECK(Narrow::AreRight(narrow_, narrow_pivots_, count_));
      NBDSPEC_CHECK(narrow_[count_ - 1U] <= (~std::uint64_t{0} - base_) >> shift_);  // No key wraps.
    }
  }

 private:
  template <typename Key>
  struct EncodedRange {
    Key begin;     // Rounded up.
    Key end;       // Rounded down.
    Key past_end;  // Above `end` and every key up to it, below the others.
    bool begin_fits = true;
    bool end_fits = true;
  };

  // The least shift that encodes `boundaries` in 32 bits, with room to grow where alignment allows; -1 when none does.
  static int NarrowShift(std::span<const Boundary> boundaries) {
    std::uint64_t bits = 0;
    for (const Boundary& boundary : boundaries) {
      bits |= boundary.key - boundaries.front().key;
    }
    if (bits == 0) {
      return 0;
    }
    const std::uint64_t span = boundaries.back().key - boundaries.front().key;
    const int width = static_cast<int>(std::bit_width(span));
    int least = std::max(0, width - 32);
    least += span >> least >= Narrow::kPad ? 1 : 0;
    const int most = std::countr_zero(bits);
    constexpr int kBitsWithRoom = 30;  // The last leaf may grow to four times its span.
    return least > most ? -1 : std::clamp(width - kBitsWithRoom, least, most);
  }

  [[nodiscard]] std::uint64_t RoundUp(std::uint64_t delta) const {
    return (delta + (std::uint64_t{1} << shift_) - 1) >> shift_;
  }
  static std::uint32_t Clamp(std::uint64_t delta) {
    return static_cast<std::uint32_t>(std::min<std::uint64_t>(delta, Narrow::kPad));
  }
  [[nodiscard]] bool Fits(std::uint64_t delta) const {
    return (delta & ((std::uint64_t{1} << shift_) - 1)) == 0 && delta >> shift_ < Narrow::kPad;
  }

  // The boundaries [from, to) lie in [begin, end] and go; up to two come. Branches that data decide cost more than all
  // the rest, so there are few.
  template <typename Encoding>
  [[gnu::always_inline]] bool Splice(typename Encoding::Keys& keys, typename Encoding::Pivots& pivots,
                                     const Overwrite& change, EncodedRange<typename Encoding::Keys::value_type> range) {
    const unsigned from = Encoding::CountBelow(keys, pivots, range.begin);
    const unsigned to = Encoding::CountBelow(keys, pivots, range.past_end);
    const unsigned after = StateAt(to - 1);
    const bool has_begin = (from == 0) | (StateAt(from - (from == 0 ? 0U : 1U)) != change.state);
    const bool has_end = (after != change.state) & (change.end < change.size);
    const unsigned added = (has_begin ? 1U : 0U) + (has_end ? 1U : 0U);
    const unsigned count = count_ - (to - from) + added;
    if ((count > Encoding::kCapacity) | (has_begin & !range.begin_fits) | (has_end & !range.end_fits)) {
      return false;
    }
    Encoding::Move(keys, count_, to, from + added);
    // What is not wanted is a pad that goes where always one is.
    constexpr unsigned kLast = Encoding::kSlots - 1;
    keys[has_begin ? from : kLast] = has_begin ? range.begin : Encoding::kPad;
    keys[has_end ? from + added - 1 : kLast] = has_end ? range.end : Encoding::kPad;
    Encoding::SetPivots(keys, pivots);
    const unsigned begin_state = has_begin ? change.state : 0U;
    const unsigned end_state = has_end ? after : 0U;
    for (unsigned bit = 0; bit < 2; ++bit) {
      const std::uint64_t plane = planes_[bit];
      const std::uint64_t fresh = (begin_state >> bit & 1) | (end_state >> bit & 1) << (has_begin ? 1U : 0U);
      planes_[bit] = (plane & BitsBelow(from)) | fresh << from | plane >> to << (from + added);
    }
    count_ = static_cast<std::uint8_t>(count);
    return true;
  }

  template <typename Visit, typename KeyOf>
  bool Walk(std::uint64_t begin, std::uint64_t end, std::uint64_t limit, Visit& visit, KeyOf key_of) const {
    unsigned index = begin > base_ ? CountBelow(begin + 1) - 1 : 0;
    const unsigned past = end < limit ? CountBelow(end) : count_;
    std::uint64_t plane_0 = planes_[0] >> index;
    std::uint64_t plane_1 = planes_[1] >> index;
    std::uint64_t here = std::max(begin, base_);
    for (++index; index < past; ++index) {
      const std::uint64_t next = key_of(index);
      if (!visit(here, next, static_cast<std::uint8_t>((plane_0 & 1) | (plane_1 & 1) << 1))) {
        return false;
      }
      here = next;
      plane_0 >>= 1;
      plane_1 >>= 1;
    }
    return visit(here, std::min(end, limit), static_cast<std::uint8_t>((plane_0 & 1) | (plane_1 & 1) << 1));
  }

  std::uint64_t base_;
  std::array<std::uint64_t, 2> planes_;  // Bit i of plane b is bit b of the state that boundary i begins.
  std::uint8_t count_;
  std::uint8_t shift_;  // Narrow only.
  bool is_wide_;
  std::uint64_t unused_ = 0;  // Keys begin at a line.
  union {
    typename Narrow::Pivots narrow_pivots_;
    typename Wide::Pivots wide_pivots_;
  };
  union {
    typename Narrow::Keys narrow_;
    typename Wide::Keys wide_;
  };
};

}  // namespace nbdspec::engine
