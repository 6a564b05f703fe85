// SPDX-License-Identifier: BSD-3-Clause
// Roaring bitmaps of blocks, one for each bit of a type. It fits where everything is aligned to blocks.
//
// A block is 4 KiB; a byte if the space is small. A bitmap has the blocks whose bit differs from the initial type's,
// so an untouched map is empty.

#pragma once

#include <roaring/roaring.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "engine/base/byte_range.h"
#include "engine/base/check.h"
#include "engine/extents/extent.h"

namespace nbdspec::engine::speed {

class RoaringSubject {
 public:
  static constexpr const char* kName = "roaring";
  static constexpr bool kOverwrites = true;
  static constexpr std::uint64_t kRandomAddsMax = 1'000'000;
  static constexpr bool kLayoutIsOneForAll = false;

  explicit RoaringSubject(std::uint64_t size) : shift_(size > (std::uint64_t{1} << 32) ? 12 : 0) {
    NBDSPEC_CHECK((size >> shift_) <= (std::uint64_t{1} << 32));
    for (roaring_bitmap_t*& bits : planes_) {
      bits = roaring_bitmap_create();
    }
  }
  RoaringSubject(const RoaringSubject&) = delete;
  RoaringSubject& operator=(const RoaringSubject&) = delete;
  ~RoaringSubject() {
    for (roaring_bitmap_t* bits : planes_) {
      roaring_bitmap_free(bits);
    }
  }

  void Add(ByteRange range, ExtentType type) {
    const auto first = static_cast<std::uint32_t>(range.begin >> shift_);
    const auto last = static_cast<std::uint32_t>((range.end - 1) >> shift_);
    for (unsigned plane = 0; plane < planes_.size(); ++plane) {
      if (((FlippedBits(type) >> plane) & 1) != 0) {
        roaring_bitmap_add_range_closed(planes_[plane], first, last);
      } else {
        roaring_bitmap_remove_range_closed(planes_[plane], first, last);
      }
    }
  }

  void Clear() {
    for (roaring_bitmap_t* bits : planes_) {
      roaring_bitmap_clear(bits);
    }
  }

  template <typename Visit>
  bool ForEach(ByteRange bounds, Visit&& visit) const {
    const std::uint64_t first = bounds.begin >> shift_;
    std::array<Runs, 2> runs = {Runs(planes_[0], first), Runs(planes_[1], first)};
    std::uint64_t begin = bounds.begin;
    while (begin < bounds.end) {
      unsigned flipped = 0;
      std::uint64_t end = bounds.end;
      for (unsigned plane = 0; plane < runs.size(); ++plane) {
        runs[plane].SkipBefore((begin >> shift_) + 1);
        const bool inside = (runs[plane].begin() << shift_) <= begin;
        flipped |= static_cast<unsigned>(inside) << plane;
        end = std::min(end, (inside ? runs[plane].end() : runs[plane].begin()) << shift_);
      }
      if (!visit(Extent{.range = {.begin = begin, .end = end}, .type = TypeOf(flipped)})) {
        return false;
      }
      begin = end;
    }
    return true;
  }

  [[nodiscard]] ExtentType TypeAt(std::uint64_t offset) const {
    const auto block = static_cast<std::uint32_t>(offset >> shift_);
    const unsigned low = roaring_bitmap_contains(planes_[0], block) ? 1 : 0;
    const unsigned high = roaring_bitmap_contains(planes_[1], block) ? 2 : 0;
    return TypeOf(low | high);
  }

 private:
  static constexpr auto kInitial = static_cast<unsigned>(ExtentType::kHole);
  static unsigned FlippedBits(ExtentType type) { return static_cast<unsigned>(type) ^ kInitial; }
  static ExtentType TypeOf(unsigned flipped) { return static_cast<ExtentType>(flipped ^ kInitial); }

  // The runs of set bits of a bitmap, in order. The library has no such iterator, so blocks are read in batches.
  class Runs {
   public:
    static constexpr std::uint64_t kNone = std::uint64_t{1} << 33;  // Past all blocks, and no overflow when shifted.

    Runs(const roaring_bitmap_t* bits, std::uint64_t first) {
      roaring_init_iterator(bits, &source_);
      roaring_move_uint32_iterator_equalorlarger(&source_, static_cast<std::uint32_t>(first));
      Next();
    }
    [[nodiscard]] std::uint64_t begin() const { return begin_; }
    [[nodiscard]] std::uint64_t end() const { return end_; }

    // To the first run that ends at or after `block`.
    void SkipBefore(std::uint64_t block) {
      while (end_ < block) {
        Next();
      }
    }

   private:
    bool Fill() {
      at_ = 0;
      count_ = roaring_read_uint32_iterator(&source_, blocks_.data(), static_cast<std::uint32_t>(blocks_.size()));
      return count_ > 0;
    }

    void Next() {
      if (at_ == count_ && !Fill()) {
        begin_ = end_ = kNone;
        return;
      }
      begin_ = blocks_[at_];
      end_ = begin_;
      do {
        while (at_ < count_ && blocks_[at_] == end_) {
          ++at_;
          ++end_;
        }
      } while (at_ == count_ && Fill());
    }

    roaring_uint32_iterator_t source_;
    std::array<std::uint32_t, 128> blocks_;
    std::size_t at_ = 0;
    std::size_t count_ = 0;
    std::uint64_t begin_ = 0;
    std::uint64_t end_ = 0;
  };

  int shift_;
  std::array<roaring_bitmap_t*, 2> planes_ = {};
};

}  // namespace nbdspec::engine::speed
