// SPDX-License-Identifier: BSD-3-Clause
#include "engine/block_status/build.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "engine/base/check.h"

namespace nbdspec::engine {
namespace {

constexpr std::uint64_t kLengthMax = std::numeric_limits<std::uint32_t>::max();

// Lengths SHOULD be multiples of 512 where that is possible: so is the piece that a longer run is cut into.
constexpr std::uint32_t kPieceUnitMin = 512;

ExtentType Both(ExtentType a, ExtentType b) {
  return static_cast<ExtentType>(static_cast<std::uint8_t>(a) & static_cast<std::uint8_t>(b));
}

// Takes the extents of the truth in ascending order, turns them into whole blocks, and those into descriptors.
//
//   truth        |  hole,zero  |   zero   | hole,zero  |
//   blocks       |--------|--------|--------|--------|--
//   descriptors  |  hole, |      zero       | hole,    |
//                |  zero  |                 | zero     |
class Builder {
 public:
  Builder(ByteRange asked, const BuildOptions& options)
      : asked_(asked),
        alignment_(options.alignment),
        piece_max_(kLengthMax / std::max(alignment_, std::uint64_t{kPieceUnitMin}) *
                   std::max(alignment_, std::uint64_t{kPieceUnitMin})),
        count_max_(options.req_one ? 1 : options.descriptor_count_max),
        run_begin_(asked.begin),
        run_end_(asked.begin) {}

  // Takes the extent that begins where the last one ended. Returns whether more are wanted.
  bool Take(Extent extent) {
    std::uint64_t begin = extent.range.begin;
    if ((begin & (alignment_ - 1)) != 0) {
      block_type_ = Both(block_type_, extent.type);
      const std::uint64_t block_end = RoundDown(begin) + alignment_;
      if (extent.range.end < block_end) {
        return true;
      }
      Claim(block_end, block_type_);
      begin = block_end;
    }
    const std::uint64_t whole_end = RoundDown(extent.range.end);
    if (begin < whole_end) {
      Claim(whole_end, extent.type);
    }
    block_type_ = extent.type;  // Of the block that the extent ends in, if it does not fill it.
    return !full();
  }

  std::vector<Descriptor> Finish() {
    if (run_end_ < asked_.end) {  // A block cut off by the end of the export.
      Claim(asked_.end, block_type_);
    }
    EndRun();
    return std::move(descriptors_);
  }

 private:
  [[nodiscard]] bool full() const { return descriptors_.size() >= count_max_; }
  [[nodiscard]] std::uint64_t RoundDown(std::uint64_t offset) const { return offset & ~(alignment_ - 1); }

  // Claims `type` from the end of the last claim up to `end`.
  void Claim(std::uint64_t end, ExtentType type) {
    if (type != run_type_) {
      EndRun();
    }
    run_type_ = type;
    run_end_ = std::min(end, asked_.end);
  }

  void EndRun() {
    while (run_begin_ < run_end_ && !full()) {
      const std::uint64_t rest = run_end_ - run_begin_;
      const std::uint64_t length = rest > kLengthMax ? piece_max_ : rest;
      descriptors_.push_back({.length = static_cast<std::uint32_t>(length), .status = AllocationFlagsOf(run_type_)});
      run_begin_ += length;
    }
  }

  const ByteRange asked_;
  const std::uint64_t alignment_;
  const std::uint64_t piece_max_;
  const std::uint64_t count_max_;
  ExtentType block_type_ = ExtentType::kData;  // What is true of all of the block that is not yet complete.
  std::uint64_t run_begin_;                    // The claims not yet in descriptors_: one type.
  std::uint64_t run_end_;
  ExtentType run_type_ = ExtentType::kData;
  std::vector<Descriptor> descriptors_;
};

}  // namespace

std::uint32_t AllocationFlagsOf(ExtentType type) {
  return (IsHole(type) ? AllocationFlag::kHole : 0) | (IsZero(type) ? AllocationFlag::kZero : 0);
}

std::vector<Descriptor> BuildDescriptors(const ExtentMap& truth, ByteRange asked, const BuildOptions& options) {
  NBDSPEC_CHECK(std::has_single_bit(options.alignment));
  NBDSPEC_CHECK(options.descriptor_count_max > 0);
  NBDSPEC_CHECK(asked.begin < asked.end && asked.end <= truth.size());
  NBDSPEC_CHECK(asked.begin % options.alignment == 0);
  // The last block is looked at as a whole even where the request ends inside it.
  const std::uint64_t past_block = (options.alignment - asked.end % options.alignment) % options.alignment;
  const std::uint64_t end = std::min(asked.end + past_block, truth.size());
  Builder builder(asked, options);
  truth.ForEach({.begin = asked.begin, .end = end}, [&](Extent extent) { return builder.Take(extent); });
  return builder.Finish();
}

}  // namespace nbdspec::engine
