// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/oracles/cell_oracle.h"

#include <algorithm>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "engine/base/check.h"

namespace nbdspec::fuzz {

using engine::ErrorCode;
using engine::Extent;
using engine::ExtentType;

namespace {

// Up to it there is a cell for each byte: that needs no sorting.
constexpr std::uint64_t kByteCellsMax = 64;

constexpr std::size_t kStartsMax = 64;
constexpr std::uint8_t kNoType = 0xff;

// The index of the first of `places`, ascending, that is not below `place`; `count` if there is none.
std::size_t LowerBound(const std::uint64_t* places, std::size_t count, std::uint64_t place) {
  const std::uint64_t* base = places;
  std::size_t left = count;
  while (left > 0) {
    const std::size_t half = left / 2;
    const bool is_below = base[half] < place;
    base = is_below ? base + half + 1 : base;
    left = is_below ? left - half - 1 : half;
  }
  return static_cast<std::size_t>(base - places);
}

// Puts `place` where it belongs, unless it is there. Returns the new count.
std::size_t Insert(std::uint64_t* places, std::size_t count, std::uint64_t place) {
  const std::size_t at = LowerBound(places, count, place);
  if (at < count && places[at] == place) {
    return count;
  }
  for (std::size_t i = count; i > at; --i) {
    places[i] = places[i - 1];
  }
  places[at] = place;
  return count + 1;
}

void Fill(std::uint8_t* begin, const std::uint8_t* end, std::uint8_t type) {
  for (; begin < end; ++begin) {
    *begin = type;
  }
}

struct Cells {
  const std::uint64_t* places;
  const std::uint8_t* types;
  std::size_t count;
};

#if defined(__SSE2__)
constexpr std::size_t kAtOnce = 16;

// Bit i: whether types[i] is not types[i - 1], for kAtOnce types.
inline std::uint64_t StartsAtOnce(const std::uint8_t* types) {
  const __m128i here = _mm_loadu_si128(reinterpret_cast<const __m128i*>(types));
  const __m128i before = _mm_loadu_si128(reinterpret_cast<const __m128i*>(types - 1));
  return static_cast<std::uint64_t>(_mm_movemask_epi8(_mm_cmpeq_epi8(here, before))) ^ 0xffff;
}
#else
constexpr std::size_t kAtOnce = 1;

inline std::uint64_t StartsAtOnce(const std::uint8_t* types) { return types[0] != types[-1]; }
#endif

// Bit i: whether types[i] is not types[i - 1], for all before `past`, at most 64; then some more, that mean nothing.
inline std::uint64_t RunStarts(const std::uint8_t* types, const std::uint8_t* past) {
  std::uint64_t starts = 0;
  for (std::size_t i = 0; i < kStartsMax && types + i < past; i += kAtOnce) {
    starts |= StartsAtOnce(types + i) << i;
  }
  return starts;
}

// Writes the maximal extents in [begin, end), which is not empty, to `out`; `cell` holds `begin`. Returns their count.
std::size_t WriteExtents(Cells cells, std::size_t cell, std::uint64_t begin, std::uint64_t end, Extent* out) {
  Extent* here = out;
  here->range.begin = begin;
  here->type = static_cast<ExtentType>(cells.types[cell]);
  // There is a start at cells.count, which ends the last run.
  for (std::size_t from = cell + 1;; from += kStartsMax) {
    std::uint64_t starts = RunStarts(cells.types + from, cells.types + cells.count + 1);
    for (; starts != 0; starts &= starts - 1) {
      const std::size_t next = from + static_cast<std::size_t>(__builtin_ctzll(starts));
      if (cells.places[next] >= end) {
        here->range.end = end;
        return static_cast<std::size_t>(here - out) + 1;
      }
      here->range.end = cells.places[next];
      ++here;
      here->range.begin = cells.places[next];
      here->type = static_cast<ExtentType>(cells.types[next]);
    }
  }
}

}  // namespace

void CellOracle::Begin(const engine::Script& script) {
  size_ = script.size;
  initial_ = static_cast<std::uint8_t>(script.initial);
  const std::size_t count_max = size_ <= kByteCellsMax ? static_cast<std::size_t>(size_) : 1 + 2 * script.steps.size();
  if (places_ == nullptr || room_ < count_max) {
    places_ = std::make_unique_for_overwrite<std::uint64_t[]>(count_max + 1);
    cells_ = std::make_unique_for_overwrite<std::uint8_t[]>(count_max + kAtOnce);
    extents_ = std::make_unique_for_overwrite<Extent[]>(count_max);
    room_ = count_max;
  }
  MakeCells(script);
  Clear();
  Fill(&cells_[count_], &cells_[count_] + kAtOnce, kNoType);
}

void CellOracle::MakeCells(const engine::Script& script) {
  count_ = 0;
  if (size_ <= kByteCellsMax) {
    for (; count_ < size_; ++count_) {
      places_[count_] = count_;
    }
  } else {
    places_[count_++] = 0;
    for (const engine::Step& step : script.steps) {
      if (const auto* add = std::get_if<engine::AddStep>(&step)) {
        for (const std::uint64_t place : {add->offset, add->offset + add->length}) {
          count_ = place < size_ ? Insert(places_.get(), count_, place) : count_;
        }
      }
    }
  }
  places_[count_] = size_;
}

std::size_t CellOracle::CellFrom(std::uint64_t offset) const {
  return size_ <= kByteCellsMax ? static_cast<std::size_t>(offset) : LowerBound(places_.get(), count_, offset);
}

std::expected<void, ErrorCode> CellOracle::Add(std::uint64_t offset, std::uint64_t length, ExtentType type) {
  if (static_cast<int>(type) > 3) {
    return std::unexpected(ErrorCode::kInvalidType);
  }
  if (offset + length < offset) {  // It wrapped.
    return std::unexpected(ErrorCode::kOutOfRange);
  }
  if (offset >= size_ || length == 0) {
    return {};
  }
  const std::size_t begin = CellFrom(offset);
  const std::size_t end = offset + length >= size_ ? count_ : CellFrom(offset + length);
  NBDSPEC_CHECK(places_[begin] == offset && places_[end] == std::min(offset + length, size_));
  Fill(cells_.get() + begin, cells_.get() + end, static_cast<std::uint8_t>(type));
  return {};
}

void CellOracle::Clear() { Fill(cells_.get(), cells_.get() + count_, initial_); }

std::span<const Extent> CellOracle::Extents(engine::ByteRange bounds) const {
  const std::uint64_t end = std::min(bounds.end, size_);
  if (bounds.begin >= end) {
    return {};
  }
  const std::size_t from = bounds.begin == 0 ? 0 : CellFrom(bounds.begin);
  const std::size_t cell = from < count_ && places_[from] == bounds.begin ? from : from - 1;
  const Cells cells = {.places = places_.get(), .types = cells_.get(), .count = count_};
  return {extents_.get(), WriteExtents(cells, cell, bounds.begin, end, extents_.get())};
}

}  // namespace nbdspec::fuzz
