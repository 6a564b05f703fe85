// SPDX-License-Identifier: BSD-3-Clause
#include "engine/block_status/build.h"

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <limits>

#include "engine/base/check.h"
#include "engine/extents/boundary_tree.h"
#include "engine/wire/protocol.h"

namespace nbdspec::engine {

// The bits of the map are those of base:allocation.
static_assert(static_cast<std::uint32_t>(ExtentType::kHole) == AllocationFlag::kHole);
static_assert(static_cast<std::uint32_t>(ExtentType::kZero) == AllocationFlag::kZero);

namespace {

constexpr std::uint64_t kCompactLengthMax = std::numeric_limits<std::uint32_t>::max();

// Lengths SHOULD be multiples of 512 where that is possible: so is the piece that a longer run is cut into.
constexpr std::uint32_t kPieceUnitMin = 512;

constexpr bool kIsBigEndian = std::endian::native == std::endian::big;
template <std::unsigned_integral Unsigned>
constexpr Unsigned BigEndian(Unsigned value) {
  return kIsBigEndian ? value : std::byteswap(value);
}
// The same for values below 256, which is less work.
constexpr std::uint32_t BigEndianOfByte(std::uint32_t value) { return kIsBigEndian ? value : value << 24; }

ExtentType Both(ExtentType a, ExtentType b) {
  return static_cast<ExtentType>(static_cast<std::uint8_t>(a) & static_cast<std::uint8_t>(b));
}

}  // namespace

// Appends descriptors in wire form, of ascending runs of one type, or of a whole leaf of the map at a time: loops
// without branches that compilers turn into vectors.
class DescriptorWriter {
 public:
  using Tree = BoundaryTree<CacheLineShape>;

  DescriptorWriter(const BuildOptions& options, Bytes& payload)
      : is_compact_(options.form == HeaderForm::kCompact),
        piece_bytes_(kCompactLengthMax / std::max(options.alignment, kPieceUnitMin) *
                     std::max(options.alignment, kPieceUnitMin)),
        room_(options.req_one ? 1 : options.descriptor_count_max),
        payload_(payload) {}

  [[nodiscard]] bool is_full() const { return room_ == 0; }

  // All of [asked.begin, asked.end). Range: the alignment is 1.
  void WriteLeaves(const ExtentMap& truth, ByteRange asked) {
    truth.tree_.ForEachLeaf(asked.begin, asked.end, [this, asked](const Tree::Leaf& leaf, std::uint64_t limit) {
      WriteLeaf(leaf, limit, asked);
      return !is_full();
    });
  }

  // In the compact form a run of 4 GiB or longer takes several descriptors.
  void WriteRun(std::uint64_t begin, std::uint64_t end, std::uint32_t state) {
    while (is_compact_ && begin < end && !is_full()) {
      const std::uint64_t length = end - begin > kCompactLengthMax ? piece_bytes_ : end - begin;
      const std::array<std::uint32_t, 2> words = {BigEndian(static_cast<std::uint32_t>(length)), BigEndian(state)};
      Append(words.data(), 1);
      begin += length;
    }
    if (begin < end && !is_full()) {
      const std::array<std::uint64_t, 2> words = {BigEndian(end - begin), BigEndian(std::uint64_t{state})};
      Append(words.data(), 1);
    }
  }

 private:
  void WriteLeaf(const Tree::Leaf& leaf, std::uint64_t limit, ByteRange asked) {
    Tree::Leaf::Runs runs;
    const bool is_whole = leaf.base() >= asked.begin && limit <= asked.end;
    if (!is_compact_ || !is_whole || leaf.count() > room_ || !leaf.DecodeRuns(limit, runs)) {
      leaf.ForEach(asked.begin, asked.end, limit, [this](std::uint64_t begin, std::uint64_t end, std::uint8_t state) {
        WriteRun(begin, end, state);
        return !is_full();
      });
      return;
    }
    for (std::uint32_t& length : runs.lengths) {
      length = BigEndian(length);
    }
    for (std::uint32_t& state : runs.states) {
      state = BigEndianOfByte(state);
    }
    std::array<std::uint32_t, 2 * runs.lengths.size()> words;
    for (std::size_t i = 0; i < runs.lengths.size(); ++i) {
      words[2 * i] = runs.lengths[i];
      words[2 * i + 1] = runs.states[i];
    }
    Append(words.data(), leaf.count());
  }

  // Two words each.
  template <typename Word>
  void Append(const Word* words, std::size_t count) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(words);
    payload_.insert(payload_.end(), bytes, bytes + count * 2 * sizeof(Word));
    room_ -= count;
  }

  const bool is_compact_;
  const std::uint64_t piece_bytes_;
  std::size_t room_;
  Bytes& payload_;
};

namespace {

// Takes the extents of the truth in ascending order, turns them into whole blocks, and those into descriptors.
//
//   truth        |  hole,zero  |   zero   | hole,zero  |
//   blocks       |--------|--------|--------|--------|--
//   descriptors  |  hole, |      zero       | hole,    |
//                |  zero  |                 | zero     |
class BlockBuilder {
 public:
  BlockBuilder(ByteRange asked, std::uint64_t alignment, DescriptorWriter& writer)
      : asked_(asked), alignment_(alignment), writer_(writer), run_begin_(asked.begin), run_end_(asked.begin) {}

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
    return !writer_.is_full();
  }

  void Finish() {
    if (run_end_ < asked_.end) {  // A block cut off by the end of the export.
      Claim(asked_.end, block_type_);
    }
    EndRun();
  }

 private:
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
    writer_.WriteRun(run_begin_, run_end_, AllocationFlagsOf(run_type_));
    run_begin_ = run_end_;
  }

  const ByteRange asked_;
  const std::uint64_t alignment_;
  DescriptorWriter& writer_;
  ExtentType block_type_ = ExtentType::kData;  // What is true of all of the block that is not yet complete.
  std::uint64_t run_begin_;                    // The claims not yet written: one type.
  std::uint64_t run_end_;
  ExtentType run_type_ = ExtentType::kData;
};

}  // namespace

std::uint32_t AllocationFlagsOf(ExtentType type) {
  return (IsHole(type) ? AllocationFlag::kHole : 0) | (IsZero(type) ? AllocationFlag::kZero : 0);
}

void AppendDescriptors(const ExtentMap& truth, ByteRange asked, const BuildOptions& options, Bytes& payload) {
  NBDSPEC_CHECK(std::has_single_bit(options.alignment));
  NBDSPEC_CHECK(options.descriptor_count_max > 0);
  NBDSPEC_CHECK(asked.begin < asked.end && asked.end <= truth.size());
  NBDSPEC_CHECK(asked.begin % options.alignment == 0);
  DescriptorWriter writer(options, payload);
  if (options.alignment == 1) {
    writer.WriteLeaves(truth, asked);
    return;
  }
  // The last block is looked at as a whole even where the request ends inside it.
  const std::uint64_t past_block = (options.alignment - asked.end % options.alignment) % options.alignment;
  const std::uint64_t end = std::min(asked.end + past_block, truth.size());
  BlockBuilder builder(asked, options.alignment, writer);
  truth.ForEach({.begin = asked.begin, .end = end}, [&](Extent extent) { return builder.Take(extent); });
  builder.Finish();
}

std::vector<Descriptor> BuildDescriptors(const ExtentMap& truth, ByteRange asked, const BuildOptions& options) {
  const BlockStatus none{.form = options.form};
  Bytes payload = EncodePayload(none);
  AppendDescriptors(truth, asked, options, payload);
  return DecodeInto(none, payload)->descriptors;
}

}  // namespace nbdspec::engine
