// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/oracles/naive_layers.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/base/check.h"

namespace nbdspec::fuzz {
namespace {

using engine::ByteRange;
using engine::Bytes;
using engine::ExtentType;

constexpr NaiveCell kSparse = {.type = ExtentType::kHoleZero, .byte = 0};

ExtentType ZeroType(bool may_punch_hole) { return may_punch_hole ? ExtentType::kHoleZero : ExtentType::kZero; }

class NaiveDisk : public NaiveLayer {
 public:
  explicit NaiveDisk(const LayerSpec& spec) : cells_(spec.disk_bytes), is_read_only_(spec.is_read_only) {
    for (std::uint64_t i = 0; i < cells_.size(); ++i) {
      cells_[i].type = spec.initial;
      for (const engine::Extent& extent : spec.extents) {
        if (extent.range.Contains(i)) {
          cells_[i].type = extent.type;
        }
      }
      cells_[i].byte = engine::IsZero(cells_[i].type) ? std::uint8_t{0} : static_cast<std::uint8_t>(i % 251 + 1);
    }
  }
  [[nodiscard]] std::vector<NaiveCell> Cells() const override { return cells_; }
  [[nodiscard]] bool CanExtents() const override { return true; }
  [[nodiscard]] bool CanWrite() const override { return !is_read_only_; }
  bool Write(std::uint64_t offset, const Bytes& data) override {
    for (const std::uint8_t byte : data) {
      cells_.at(offset++) = {.type = ExtentType::kData, .byte = byte};
    }
    return true;
  }
  bool WriteZeroes(ByteRange range, bool may_punch_hole) override {
    for (std::uint64_t i = range.begin; i < range.end; ++i) {
      cells_.at(i) = {.type = ZeroType(may_punch_hole), .byte = 0};
    }
    return true;
  }
  bool Trim(ByteRange range) override { return WriteZeroes(range, true); }

 private:
  std::vector<NaiveCell> cells_;
  bool is_read_only_;
};

class NaiveConcat : public NaiveLayer {
 public:
  explicit NaiveConcat(std::vector<std::unique_ptr<NaiveLayer>> parts) : parts_(std::move(parts)) {}
  [[nodiscard]] std::vector<NaiveCell> Cells() const override {
    std::vector<NaiveCell> cells;
    for (const auto& part : parts_) {
      for (const NaiveCell& cell : part->Cells()) {
        cells.push_back(cell);
      }
    }
    return cells;
  }
  [[nodiscard]] bool CanExtents() const override {
    return std::ranges::count_if(parts_, [](const auto& part) { return part->CanExtents(); }) > 0;
  }
  [[nodiscard]] bool CanWrite() const override {
    return std::ranges::count_if(parts_, [](const auto& part) { return !part->CanWrite(); }) == 0;
  }
  bool Write(std::uint64_t offset, const Bytes& data) override {
    return InParts({.begin = offset, .end = offset + data.size()},
                   [&](NaiveLayer& part, ByteRange here, std::uint64_t at) {
                     const auto from = data.begin() + static_cast<std::ptrdiff_t>(at - offset);
                     return part.Write(here.begin, Bytes(from, from + static_cast<std::ptrdiff_t>(here.length())));
                   });
  }
  bool WriteZeroes(ByteRange range, bool may_punch_hole) override {
    return InParts(
        range, [&](NaiveLayer& part, ByteRange here, std::uint64_t) { return part.WriteZeroes(here, may_punch_hole); });
  }
  bool Trim(ByteRange range) override {
    return InParts(range, [](NaiveLayer& part, ByteRange here, std::uint64_t) { return part.Trim(here); });
  }

 private:
  // The bytes of `range` one by one: those that follow each other in one part make one call.
  template <typename Change>
  bool InParts(ByteRange range, const Change& change) {
    std::uint64_t at = 0;
    for (const auto& part : parts_) {
      const std::uint64_t part_bytes = part->Cells().size();
      std::optional<ByteRange> here;
      const std::uint64_t part_begin = at;
      for (std::uint64_t i = 0; i < part_bytes; ++i, ++at) {
        if (range.Contains(at)) {
          here = {.begin = here ? here->begin : i, .end = i + 1};
        }
      }
      if (here && !change(*part, *here, part_begin + here->begin)) {
        return false;
      }
    }
    return true;
  }

  std::vector<std::unique_ptr<NaiveLayer>> parts_;
};

class NaiveFilter : public NaiveLayer {
 public:
  explicit NaiveFilter(std::unique_ptr<NaiveLayer> below) : below_(std::move(below)) {}
  [[nodiscard]] std::vector<NaiveCell> Cells() const override { return below_->Cells(); }
  [[nodiscard]] bool CanExtents() const override { return below_->CanExtents(); }
  [[nodiscard]] bool CanWrite() const override { return below_->CanWrite(); }
  bool Write(std::uint64_t offset, const Bytes& data) override { return below_->Write(offset, data); }
  bool WriteZeroes(ByteRange range, bool may_punch_hole) override { return below_->WriteZeroes(range, may_punch_hole); }
  bool Trim(ByteRange range) override { return below_->Trim(range); }

 protected:
  NaiveLayer& below() { return *below_; }
  [[nodiscard]] const NaiveLayer& below() const { return *below_; }

 private:
  std::unique_ptr<NaiveLayer> below_;
};

class NaiveNoExtents : public NaiveFilter {
 public:
  using NaiveFilter::NaiveFilter;
  [[nodiscard]] bool CanExtents() const override { return false; }
  [[nodiscard]] std::vector<NaiveCell> Cells() const override {
    std::vector<NaiveCell> cells = below().Cells();
    for (NaiveCell& cell : cells) {
      cell.type = ExtentType::kData;
    }
    return cells;
  }
};

class NaiveWindow : public NaiveFilter {
 public:
  NaiveWindow(std::unique_ptr<NaiveLayer> below, const LayerSpec& spec)
      : NaiveFilter(std::move(below)), offset_(spec.offset), length_(spec.size) {}
  [[nodiscard]] std::vector<NaiveCell> Cells() const override {
    const std::vector<NaiveCell> all = below().Cells();
    std::vector<NaiveCell> cells;
    for (std::uint64_t i = offset_; i < all.size() && (!length_ || i < offset_ + *length_); ++i) {
      cells.push_back(all[i]);
    }
    return cells;
  }
  bool Write(std::uint64_t offset, const Bytes& data) override { return below().Write(offset_ + offset, data); }
  bool WriteZeroes(ByteRange range, bool may_punch_hole) override {
    return below().WriteZeroes({.begin = offset_ + range.begin, .end = offset_ + range.end}, may_punch_hole);
  }
  bool Trim(ByteRange range) override {
    return below().Trim({.begin = offset_ + range.begin, .end = offset_ + range.end});
  }

 private:
  std::uint64_t offset_;
  std::optional<std::uint64_t> length_;
};

class NaiveTruncate : public NaiveFilter {
 public:
  NaiveTruncate(std::unique_ptr<NaiveLayer> below, const LayerSpec& spec)
      : NaiveFilter(std::move(below)), spec_(spec) {}
  [[nodiscard]] bool CanExtents() const override { return true; }
  [[nodiscard]] std::vector<NaiveCell> Cells() const override {
    std::vector<NaiveCell> cells = below().Cells();
    std::uint64_t bytes = spec_.size.value_or(cells.size());
    while (bytes % spec_.round_up_to != 0) {
      ++bytes;
    }
    while (bytes % spec_.round_down_to != 0) {
      --bytes;
    }
    cells.resize(bytes, kSparse);
    return cells;
  }
  bool Write(std::uint64_t offset, const Bytes& data) override {
    const std::uint64_t there = below().Cells().size();
    Bytes inside;
    for (std::uint64_t i = 0; i < data.size(); ++i) {
      if (offset + i < there) {
        inside.push_back(data[i]);
      } else if (data[i] != 0) {
        return false;
      }
    }
    return inside.empty() || below().Write(offset, inside);
  }
  bool WriteZeroes(ByteRange range, bool may_punch_hole) override {
    range.end = std::min(range.end, below().Cells().size());
    return range.begin >= range.end || below().WriteZeroes(range, may_punch_hole);
  }
  bool Trim(ByteRange range) override {
    range.end = std::min(range.end, below().Cells().size());
    return range.begin >= range.end || below().Trim(range);
  }

 private:
  LayerSpec spec_;
};

// What block size and copy on write have in common: blocks, of which the last may be short.
class NaiveBlocks : public NaiveFilter {
 public:
  NaiveBlocks(std::unique_ptr<NaiveLayer> below, const LayerSpec& spec)
      : NaiveFilter(std::move(below)), block_bytes_(spec.block_bytes), bytes_(this->below().Cells().size()) {}

 protected:
  // The block that holds `offset`.
  [[nodiscard]] ByteRange BlockOf(std::uint64_t offset) const {
    const std::uint64_t begin = offset / block_bytes_ * block_bytes_;
    return {.begin = begin, .end = std::min(bytes_, begin + block_bytes_)};
  }

  // Whether all of the block that holds `offset` is in `range`.
  [[nodiscard]] bool IsWhole(std::uint64_t offset, ByteRange range) const { return CountIn(offset, range, false) == 0; }

  // Whether any of it is.
  [[nodiscard]] bool IsTouched(std::uint64_t offset, ByteRange range) const { return CountIn(offset, range, true) > 0; }

 private:
  // How many bytes of the block are in `range`, or are not.
  [[nodiscard]] std::uint64_t CountIn(std::uint64_t offset, ByteRange range, bool is_in) const {
    std::uint64_t count = 0;
    for (std::uint64_t i = BlockOf(offset).begin; i < BlockOf(offset).end; ++i) {
      count += range.Contains(i) == is_in ? 1U : 0U;
    }
    return count;
  }

  std::uint64_t block_bytes_;
  std::uint64_t bytes_;
};

class NaiveBlockSize : public NaiveBlocks {
 public:
  using NaiveBlocks::NaiveBlocks;
  [[nodiscard]] std::vector<NaiveCell> Cells() const override {
    const std::vector<NaiveCell> all = below().Cells();
    std::vector<NaiveCell> cells = all;
    for (std::uint64_t i = 0; i < cells.size(); ++i) {
      auto bits = static_cast<unsigned>(ExtentType::kHoleZero);
      for (std::uint64_t other = BlockOf(i).begin; other < BlockOf(i).end; ++other) {
        bits &= static_cast<unsigned>(all[other].type);
      }
      cells[i].type = static_cast<ExtentType>(bits);
    }
    return cells;
  }
  bool Write(std::uint64_t offset, const Bytes& data) override {
    const ByteRange range = {.begin = offset, .end = offset + data.size()};
    const std::vector<NaiveCell> all = below().Cells();
    std::optional<std::uint64_t> begin;
    Bytes blocks;
    for (std::uint64_t i = 0; i < all.size(); ++i) {
      if (IsTouched(i, range)) {
        begin = begin.value_or(i);
        blocks.push_back(range.Contains(i) ? data[i - offset] : all[i].byte);
      }
    }
    return !begin || below().Write(*begin, blocks);
  }
  bool WriteZeroes(ByteRange range, bool may_punch_hole) override {
    return InRuns(range, [&](ByteRange run, bool is_whole) {
      return is_whole ? below().WriteZeroes(run, may_punch_hole) : Write(run.begin, Bytes(run.length()));
    });
  }
  bool Trim(ByteRange range) override {
    return InRuns(range, [&](ByteRange run, bool is_whole) { return !is_whole || below().Trim(run); });
  }

 private:
  // The bytes of `range` in runs of whole blocks and of cut ones.
  template <typename Change>
  bool InRuns(ByteRange range, const Change& change) {
    for (std::uint64_t begin = range.begin; begin < range.end;) {
      const bool is_whole = IsWhole(begin, range);
      std::uint64_t end = begin;
      while (end < range.end && IsWhole(end, range) == is_whole) {
        ++end;
      }
      if (!change({.begin = begin, .end = end}, is_whole)) {
        return false;
      }
      begin = end;
    }
    return true;
  }
};

class NaiveCopyOnWrite : public NaiveBlocks {
 public:
  NaiveCopyOnWrite(std::unique_ptr<NaiveLayer> below, const LayerSpec& spec)
      : NaiveBlocks(std::move(below), spec), over_(this->below().Cells().size()) {}
  [[nodiscard]] bool CanExtents() const override { return true; }
  [[nodiscard]] bool CanWrite() const override { return true; }
  [[nodiscard]] std::vector<NaiveCell> Cells() const override {
    std::vector<NaiveCell> cells = below().Cells();
    for (std::uint64_t i = 0; i < cells.size(); ++i) {
      cells[i] = over_[i].value_or(cells[i]);
    }
    return cells;
  }
  bool Write(std::uint64_t offset, const Bytes& data) override {
    const ByteRange range = {.begin = offset, .end = offset + data.size()};
    const std::vector<NaiveCell> now = Cells();
    for (std::uint64_t i = 0; i < now.size(); ++i) {
      if (IsTouched(i, range)) {
        over_[i] = {.type = ExtentType::kData, .byte = range.Contains(i) ? data[i - offset] : now[i].byte};
      }
    }
    return true;
  }
  bool WriteZeroes(ByteRange range, bool may_punch_hole) override {
    Write(range.begin, Bytes(range.length()));
    return ZeroWholeBlocks(range, ZeroType(may_punch_hole));
  }
  bool Trim(ByteRange range) override { return ZeroWholeBlocks(range, ExtentType::kHoleZero); }

 private:
  bool ZeroWholeBlocks(ByteRange range, ExtentType type) {
    for (std::uint64_t i = range.begin; i < range.end; ++i) {
      if (IsWhole(i, range)) {
        over_[i] = {.type = type, .byte = 0};
      }
    }
    return true;
  }

  std::vector<std::optional<NaiveCell>> over_;
};

}  // namespace

std::unique_ptr<NaiveLayer> MakeNaiveStack(const LayerSpec& spec) {
  std::vector<std::unique_ptr<NaiveLayer>> below;
  for (const LayerSpec& each : spec.below) {
    below.push_back(MakeNaiveStack(each));
  }
  switch (spec.kind) {
    case LayerKind::kDisk:
      return std::make_unique<NaiveDisk>(spec);
    case LayerKind::kConcat:
      return std::make_unique<NaiveConcat>(std::move(below));
    case LayerKind::kWindow:
      return std::make_unique<NaiveWindow>(std::move(below.at(0)), spec);
    case LayerKind::kTruncate:
      return std::make_unique<NaiveTruncate>(std::move(below.at(0)), spec);
    case LayerKind::kCopyOnWrite:
      return std::make_unique<NaiveCopyOnWrite>(std::move(below.at(0)), spec);
    case LayerKind::kNoExtents:
      return std::make_unique<NaiveNoExtents>(std::move(below.at(0)));
    case LayerKind::kBlockSize:
      return std::make_unique<NaiveBlockSize>(std::move(below.at(0)), spec);
    case LayerKind::kSparseRead:  // Reads what it would have read, with less work.
      return std::make_unique<NaiveFilter>(std::move(below.at(0)));
  }
  NBDSPEC_CHECK(false && "every kind is listed");
  return nullptr;
}

}  // namespace nbdspec::fuzz
