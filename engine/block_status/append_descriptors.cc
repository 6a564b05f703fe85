// SPDX-License-Identifier: BSD-3-Clause
// Descriptors in wire form, a whole leaf of the map at a time: loops without branches that compilers turn into vectors.

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "engine/base/check.h"
#include "engine/block_status/build.h"
#include "engine/extents/boundary_tree.h"
#include "engine/extents/extent_map.h"
#include "engine/wire/big_endian.h"
#include "engine/wire/protocol.h"

namespace nbdspec::engine {

// The bits of the map are those of base:allocation.
static_assert(static_cast<std::uint32_t>(ExtentType::kHole) == AllocationFlag::kHole);
static_assert(static_cast<std::uint32_t>(ExtentType::kZero) == AllocationFlag::kZero);

namespace {

constexpr std::size_t kDescriptorBytes = 8;
constexpr std::uint64_t kLengthMax = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint64_t kPieceBytes = kLengthMax / 512 * 512;  // As BuildDescriptors cuts.

constexpr bool kIsBigEndian = std::endian::native == std::endian::big;
constexpr std::uint32_t BigEndian(std::uint32_t value) { return kIsBigEndian ? value : __builtin_bswap32(value); }
// The same for values below 256, which is less work.
constexpr std::uint32_t BigEndianOfByte(std::uint32_t value) { return kIsBigEndian ? value : value << 24; }

}  // namespace

// Takes the leaves of a truth in ascending order. Range: the alignment is 1.
class DescriptorWriter {
 public:
  using Tree = BoundaryTree<CacheLineShape>;

  DescriptorWriter(ByteRange asked, std::size_t count_max, Bytes& payload)
      : asked_(asked), room_(count_max), payload_(payload) {}

  void Write(const ExtentMap& truth) {
    truth.tree_.ForEachLeaf(asked_.begin, asked_.end,
                            [this](const Tree::Leaf& leaf, std::uint64_t limit) { return Take(leaf, limit); });
  }

 private:
  // Returns whether more are wanted.
  bool Take(const Tree::Leaf& leaf, std::uint64_t limit) {
    Tree::Leaf::Runs runs;
    const bool is_whole = leaf.base() >= asked_.begin && limit <= asked_.end;
    if (is_whole && leaf.count() <= room_ && leaf.DecodeRuns(limit, runs)) {
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
    } else {
      leaf.ForEach(asked_.begin, asked_.end, limit, [this](std::uint64_t begin, std::uint64_t end, std::uint8_t state) {
        return Take(begin, end, state);
      });
    }
    return room_ > 0;
  }

  // A run of 4 GiB or longer takes several descriptors.
  bool Take(std::uint64_t begin, std::uint64_t end, std::uint32_t state) {
    while (begin < end && room_ > 0) {
      const std::uint64_t length = end - begin > kLengthMax ? kPieceBytes : end - begin;
      const std::array<std::uint32_t, 2> words = {BigEndian(static_cast<std::uint32_t>(length)), BigEndian(state)};
      Append(words.data(), 1);
      begin += length;
    }
    return room_ > 0;
  }

  void Append(const std::uint32_t* words, std::size_t count) {
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(words);
    payload_.insert(payload_.end(), bytes, bytes + count * kDescriptorBytes);
    room_ -= count;
  }

  const ByteRange asked_;
  std::size_t room_;
  Bytes& payload_;
};

void AppendDescriptors(const ExtentMap& truth, ByteRange asked, const BuildOptions& options, Bytes& payload) {
  NBDSPEC_CHECK(options.descriptor_count_max > 0);
  NBDSPEC_CHECK(asked.begin < asked.end && asked.end <= truth.size());
  if (options.alignment == 1) {
    DescriptorWriter(asked, options.req_one ? 1 : options.descriptor_count_max, payload).Write(truth);
    return;
  }
  for (const Descriptor descriptor : BuildDescriptors(truth, asked, options)) {
    PutBigEndian<std::uint32_t>(descriptor.length, payload);
    PutBigEndian<std::uint32_t>(descriptor.status, payload);
  }
}

}  // namespace nbdspec::engine
