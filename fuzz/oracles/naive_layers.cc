// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/oracles/naive_layers.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/base/check.h"
#include "engine/script/script.h"
#include "engine/wire/protocol.h"

namespace nbdspec::fuzz {

using engine::ByteRange;
using engine::Bytes;
using engine::Extent;
using engine::ExtentType;
using engine::LayerResult;

namespace {

constexpr NaiveCell kSparse = {.type = ExtentType::kHoleZero, .byte = 0};

class NaiveDisk : public NaiveLayer {
 public:
  explicit NaiveDisk(const LayerSpec& spec) : cells_(spec.disk_bytes), is_read_only_(spec.is_read_only) {
    for (std::uint64_t i = 0; i < cells_.size(); ++i) {
      cells_[i].type = spec.initial;
      for (const Extent& extent : spec.extents) {
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
  bool Change(const NaiveChange& change) override {
    for (std::uint64_t i = change.range.begin; i < change.range.end; ++i) {
      cells_.at(i) = change.CellAt(i);
    }
    return true;
  }

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
  // The bytes of the range one by one: those that follow each other in one part make one change of it.
  bool Change(const NaiveChange& change) override {
    std::uint64_t part_begin = 0;
    for (const auto& part : parts_) {
      const std::uint64_t part_end = part_begin + part->Cells().size();
      std::optional<ByteRange> here;
      for (std::uint64_t at = part_begin; at < part_end; ++at) {
        if (change.range.Contains(at)) {
          here = {.begin = here ? here->begin : at, .end = at + 1};
        }
      }
      if (here && !part->Change(change.Part(*here, here->begin - part_begin))) {
        return false;
      }
      part_begin = part_end;
    }
    return true;
  }

 private:
  std::vector<std::unique_ptr<NaiveLayer>> parts_;
};

class NaiveFilter : public NaiveLayer {
 public:
  explicit NaiveFilter(std::unique_ptr<NaiveLayer> below) : below_(std::move(below)) {}
  [[nodiscard]] std::vector<NaiveCell> Cells() const override { return below_->Cells(); }
  [[nodiscard]] bool CanExtents() const override { return below_->CanExtents(); }
  [[nodiscard]] bool CanWrite() const override { return below_->CanWrite(); }
  bool Change(const NaiveChange& change) override { return below_->Change(change); }

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
  bool Change(const NaiveChange& change) override {
    return below().Change(change.Part(change.range, offset_ + change.range.begin));
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
  bool Change(const NaiveChange& change) override {
    const std::uint64_t there = below().Cells().size();
    for (std::uint64_t i = change.range.begin; i < change.range.end; ++i) {
      if (i >= there && change.CellAt(i).byte != 0) {
        return false;
      }
    }
    const ByteRange inside = {.begin = change.range.begin, .end = std::min(change.range.end, there)};
    return inside.begin >= inside.end || below().Change(change.Part(inside, inside.begin));
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
  // Writes whole blocks; zeroes the whole ones and writes zeroes to the others, which a trim leaves alone.
  bool Change(const NaiveChange& change) override {
    if (change.call == StackCall::kWrite) {
      return Write(change);
    }
    for (ByteRange run = {.begin = change.range.begin, .end = 0}; run.begin < change.range.end; run.begin = run.end) {
      const bool is_whole = IsWhole(run.begin, change.range);
      run.end = run.begin;
      while (run.end < change.range.end && IsWhole(run.end, change.range) == is_whole) {
        ++run.end;
      }
      const bool is_left_alone = !is_whole && change.call == StackCall::kTrim;
      const bool has_room = is_left_alone || (is_whole ? below().Change(change.Part(run, run.begin))
                                                       : Write({.range = run, .data = Bytes(run.length())}));
      if (!has_room) {
        return false;
      }
    }
    return true;
  }

 private:
  bool Write(const NaiveChange& change) {
    const std::vector<NaiveCell> all = below().Cells();
    std::optional<std::uint64_t> begin;
    Bytes blocks;
    for (std::uint64_t i = 0; i < all.size(); ++i) {
      if (IsTouched(i, change.range)) {
        begin = begin.value_or(i);
        blocks.push_back(change.range.Contains(i) ? change.CellAt(i).byte : all[i].byte);
      }
    }
    return !begin ||
           below().Change({.range = {.begin = *begin, .end = *begin + blocks.size()}, .data = std::move(blocks)});
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
  // A block that is zeroed as a whole is what that makes it. Else it is data, and a trim leaves it alone.
  bool Change(const NaiveChange& change) override {
    const std::vector<NaiveCell> now = Cells();
    for (std::uint64_t i = 0; i < now.size(); ++i) {
      if (change.call != StackCall::kWrite && IsWhole(i, change.range)) {
        over_[i] = change.CellAt(i);
      } else if (change.call != StackCall::kTrim && IsTouched(i, change.range)) {
        over_[i] = {.type = ExtentType::kData, .byte = change.range.Contains(i) ? change.CellAt(i).byte : now[i].byte};
      }
    }
    return true;
  }

 private:
  std::vector<std::optional<NaiveCell>> over_;
};

}  // namespace

NaiveCell NaiveChange::CellAt(std::uint64_t offset) const {
  switch (call) {
    case StackCall::kWrite:
      return {.type = ExtentType::kData, .byte = data.at(offset - range.begin)};
    case StackCall::kWriteZeroes:
      return {.type = ExtentType::kZero, .byte = 0};
    default:
      return kSparse;
  }
}

NaiveChange NaiveChange::Part(ByteRange part, std::uint64_t moved_to) const {
  NaiveChange changed = {.call = call, .range = {.begin = moved_to, .end = moved_to + part.length()}};
  for (std::uint64_t i = part.begin; call == StackCall::kWrite && i < part.end; ++i) {
    changed.data.push_back(CellAt(i).byte);
  }
  return changed;
}

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

// --- Watched layers ---

namespace {

// What the layer above has to keep to.
struct WatchRules {
  std::uint64_t block_bytes = 1;  // Only whole blocks, or the last.
  bool zeroes_are_not_read = false;
};

class WatchedLayer : public engine::Filter {
 public:
  WatchedLayer(std::unique_ptr<engine::Layer> next, const LayerSpec& spec, WatchRules rules, WatchNotes& notes)
      : Filter(std::move(next)), spec_(spec), rules_(rules), notes_(notes) {}

  [[nodiscard]] bool CanWrite() const override { return !spec_.is_read_only && next().CanWrite(); }

  LayerResult Extents(const engine::ExtentsRequest& request, engine::ExtentMap& extents) override {
    const ByteRange asked = request.range;
    if (!CanExtents()) {
      return Breach("extents without can_extents");
    }
    if (asked.empty()) {
      return Breach("extents of nothing");
    }
    if (extents.size() != size() || extents.extent_count() != 1 || extents.Lookup(0).type != ExtentType::kData) {
      return Breach("extents with a map that is not fresh");
    }
    if (auto entered = Enter("extents", asked); !entered) {
      return entered;
    }
    auto answered = next().Extents(request, extents);
    if (answered && request.req_one && spec_.takes_req_one) {
      const Extent first = extents.Lookup(asked.begin);
      answered = AddExtent(extents, {.begin = first.range.end, .end = size()}, ExtentType::kData);
    }
    if (answered && spec_.lies_outside) {
      answered = AddExtent(extents, {.begin = 0, .end = asked.begin}, ExtentType::kHoleZero);
      answered = answered ? AddExtent(extents, {.begin = asked.end, .end = size()}, ExtentType::kHoleZero) : answered;
    }
    return answered;
  }

  LayerResult Read(std::uint64_t offset, std::span<std::uint8_t> into) override {
    const ByteRange range = {.begin = offset, .end = offset + into.size()};
    if (auto entered = Enter("read", range); !entered) {
      return entered;
    }
    if (rules_.zeroes_are_not_read && HasZeroes(range)) {
      return Breach("read of zeroes [" + std::to_string(range.begin) + ", " + std::to_string(range.end) + ")");
    }
    return next().Read(offset, into);
  }

  LayerResult Write(std::uint64_t offset, engine::ByteView data) override {
    const auto entered = EnterChange("write", {.begin = offset, .end = offset + data.size()});
    return entered ? next().Write(offset, data) : entered;
  }

  LayerResult WriteZeroes(ByteRange range, bool may_punch_hole) override {
    const auto entered = EnterChange("write_zeroes", range);
    return entered ? next().WriteZeroes(range, may_punch_hole) : entered;
  }

  LayerResult Trim(ByteRange range) override {
    const auto entered = EnterChange("trim", range);
    return entered ? next().Trim(range) : entered;
  }

  LayerResult Flush() override {
    notes_.flush_count += spec_.kind == LayerKind::kDisk ? 1U : 0U;
    const auto entered = Fault();
    return entered ? next().Flush() : entered;
  }

 private:
  LayerResult Breach(const std::string& what) {
    if (notes_.breach.empty()) {
      notes_.breach = what + " of " + Print(spec_);
    }
    return std::unexpected(engine::NbdError::kEio);
  }

  LayerResult Fault() {
    if (spec_.kind != LayerKind::kDisk || notes_.calls_to_fault == 0) {
      return {};
    }
    --notes_.calls_to_fault;
    if (notes_.calls_to_fault > 0) {
      return {};
    }
    notes_.is_fault_raised = true;
    return std::unexpected(notes_.fault_error);
  }

  // Whether the call is allowed, and does not fail.
  LayerResult Enter(const char* call, ByteRange range) {
    const std::string what =
        std::string(call) + " [" + std::to_string(range.begin) + ", " + std::to_string(range.end) + ")";
    if (range.begin > range.end || range.end > size()) {
      return Breach(what + " past the end");
    }
    const auto is_on_grid = [this](std::uint64_t at) { return at % rules_.block_bytes == 0 || at == size(); };
    if (!is_on_grid(range.begin) || !is_on_grid(range.end)) {
      return Breach(what + " cuts a block of " + std::to_string(rules_.block_bytes));
    }
    return Fault();
  }

  LayerResult EnterChange(const char* call, ByteRange range) {
    return CanWrite() ? Enter(call, range) : Breach(std::string(call) + " without can_write");
  }

  // The truth below, without what Extents adds to it.
  bool HasZeroes(ByteRange range) {
    if (range.empty()) {
      return false;
    }
    const std::uint64_t calls_to_fault = std::exchange(notes_.calls_to_fault, 0);
    const auto extents = AskExtents(next(), {.range = range});
    notes_.calls_to_fault = calls_to_fault;
    return extents && !extents->ForEach(range, [](Extent extent) { return !engine::IsZero(extent.type); });
  }

  const LayerSpec& spec_;
  WatchRules rules_;
  WatchNotes& notes_;
};

std::unique_ptr<engine::Layer> MakeStack(const LayerSpec& spec, const MakeLayer& make, WatchNotes& notes,
                                         WatchRules rules) {
  const WatchRules below_rules = {
      .block_bytes = spec.kind == LayerKind::kBlockSize ? spec.block_bytes : 1,
      .zeroes_are_not_read = spec.kind == LayerKind::kSparseRead,
  };
  std::vector<std::unique_ptr<engine::Layer>> below;
  for (const LayerSpec& each : spec.below) {
    below.push_back(MakeStack(each, make, notes, below_rules));
  }
  return std::make_unique<WatchedLayer>(make(spec, std::move(below)), spec, rules, notes);
}

}  // namespace

std::unique_ptr<engine::Layer> MakeWatchedStack(const LayerSpec& spec, const MakeLayer& make, WatchNotes& notes) {
  return MakeStack(spec, make, notes, {});
}

}  // namespace nbdspec::fuzz
