// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/oracles/naive_layers.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/or_return.h"
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

NaiveLayer::NaiveLayer(const LayerSpec& spec) : spec_(spec), below_(spec.below.begin(), spec.below.end()) {
  for (const NaiveLayer& layer : below_) {
    below_bytes_ += layer.Cells().size();
  }
  own_.resize(spec.kind == LayerKind::kCopyOnWrite ? below_bytes_ : 0);
  for (std::uint64_t i = 0; spec.kind == LayerKind::kDisk && i < spec.disk_bytes; ++i) {
    ExtentType type = spec.initial;
    for (const Extent& extent : spec.extents) {
      type = extent.range.Contains(i) ? extent.type : type;
    }
    const auto data = static_cast<std::uint8_t>(i % 251 + 1);
    own_.emplace_back(NaiveCell{.type = type, .byte = engine::IsZero(type) ? std::uint8_t{0} : data});
  }
}

std::vector<NaiveCell> NaiveLayer::Cells() const {
  std::vector<NaiveCell> cells;
  for (const NaiveLayer& layer : below_) {
    for (const NaiveCell& cell : layer.Cells()) {
      cells.push_back(cell);
    }
  }
  switch (spec_.kind) {
    case LayerKind::kDisk:
    case LayerKind::kCopyOnWrite:
      cells.resize(own_.size());
      for (std::uint64_t i = 0; i < cells.size(); ++i) {
        cells[i] = own_[i].value_or(cells[i]);
      }
      return cells;
    case LayerKind::kWindow: {
      std::vector<NaiveCell> seen;
      for (std::uint64_t i = spec_.offset; i < cells.size() && (!spec_.size || i < spec_.offset + *spec_.size); ++i) {
        seen.push_back(cells[i]);
      }
      return seen;
    }
    case LayerKind::kTruncate: {
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
    case LayerKind::kNoExtents:
      for (NaiveCell& cell : cells) {
        cell.type = ExtentType::kData;
      }
      return cells;
    case LayerKind::kBlockSize: {
      std::vector<NaiveCell> blocks = cells;
      for (std::uint64_t i = 0; i < cells.size(); ++i) {
        auto bits = static_cast<unsigned>(ExtentType::kHoleZero);
        for (std::uint64_t other = BlockOf(i).begin; other < BlockOf(i).end; ++other) {
          bits &= static_cast<unsigned>(cells[other].type);
        }
        blocks[i].type = static_cast<ExtentType>(bits);
      }
      return blocks;
    }
    case LayerKind::kConcat:
    case LayerKind::kSparseRead:  // Reads what it would have read, with less work.
      return cells;
  }
  engine::CheckFailed("unknown LayerKind");
}

bool NaiveLayer::CanExtents() const {
  switch (spec_.kind) {
    case LayerKind::kDisk:
    case LayerKind::kTruncate:
    case LayerKind::kCopyOnWrite:
      return true;
    case LayerKind::kNoExtents:
      return false;
    default:
      return std::ranges::any_of(below_, &NaiveLayer::CanExtents);
  }
}

bool NaiveLayer::CanWrite() const {
  return spec_.kind == LayerKind::kCopyOnWrite ||
         (!spec_.is_read_only && std::ranges::all_of(below_, &NaiveLayer::CanWrite));
}

bool NaiveLayer::Change(const NaiveChange& change) {
  switch (spec_.kind) {
    case LayerKind::kDisk:
      for (std::uint64_t i = change.range.begin; i < change.range.end; ++i) {
        own_.at(i) = change.CellAt(i);
      }
      return true;
    case LayerKind::kConcat:
      return ChangeParts(change);
    case LayerKind::kWindow:
      return below_.at(0).Change(change.Part(change.range, spec_.offset + change.range.begin));
    case LayerKind::kTruncate:
      return ChangeHeld(change);
    case LayerKind::kBlockSize:
      return change.call == StackCall::kWrite ? WriteBlocks(change) : ChangeBlocks(change);
    case LayerKind::kCopyOnWrite:
      CopyBlocks(change);
      return true;
    case LayerKind::kNoExtents:
    case LayerKind::kSparseRead:
      return below_.at(0).Change(change);
  }
  engine::CheckFailed("unknown LayerKind");
}

ByteRange NaiveLayer::BlockOf(std::uint64_t offset) const {
  const std::uint64_t begin = offset / spec_.block_bytes * spec_.block_bytes;
  return {.begin = begin, .end = std::min(below_bytes_, begin + spec_.block_bytes)};
}

// The bytes of the range one by one: those that follow each other in one part make one change of it.
bool NaiveLayer::ChangeParts(const NaiveChange& change) {
  std::uint64_t part_begin = 0;
  for (NaiveLayer& part : below_) {
    const std::uint64_t part_end = part_begin + part.Cells().size();
    std::optional<ByteRange> here;
    for (std::uint64_t at = part_begin; at < part_end; ++at) {
      if (change.range.Contains(at)) {
        here = {.begin = here ? here->begin : at, .end = at + 1};
      }
    }
    if (here && !part.Change(change.Part(*here, here->begin - part_begin))) {
      return false;
    }
    part_begin = part_end;
  }
  return true;
}

// What a truncation has grown takes zeroes only.
bool NaiveLayer::ChangeHeld(const NaiveChange& change) {
  for (std::uint64_t i = change.range.begin; i < change.range.end; ++i) {
    if (i >= below_bytes_ && change.CellAt(i).byte != 0) {
      return false;
    }
  }
  const ByteRange inside = {.begin = change.range.begin, .end = std::min(change.range.end, below_bytes_)};
  return inside.begin >= inside.end || below_.at(0).Change(change.Part(inside, inside.begin));
}

// Zeroes the whole blocks and writes zeroes to the others, which a trim leaves alone.
bool NaiveLayer::ChangeBlocks(const NaiveChange& change) {
  for (ByteRange run = {.begin = change.range.begin, .end = 0}; run.begin < change.range.end; run.begin = run.end) {
    const bool is_whole = change.range.Contains(BlockOf(run.begin));
    run.end = run.begin;
    while (run.end < change.range.end && change.range.Contains(BlockOf(run.end)) == is_whole) {
      ++run.end;
    }
    const bool is_left_alone = !is_whole && change.call == StackCall::kTrim;
    const bool has_room = is_left_alone || (is_whole ? below_.at(0).Change(change.Part(run, run.begin))
                                                     : WriteBlocks({.range = run, .data = Bytes(run.length())}));
    if (!has_room) {
      return false;
    }
  }
  return true;
}

bool NaiveLayer::WriteBlocks(const NaiveChange& change) {
  const std::vector<NaiveCell> all = below_.at(0).Cells();
  std::optional<std::uint64_t> begin;
  Bytes blocks;
  for (std::uint64_t i = 0; i < all.size(); ++i) {
    if (!Intersect(change.range, BlockOf(i)).empty()) {
      begin = begin.value_or(i);
      blocks.push_back(change.range.Contains(i) ? change.CellAt(i).byte : all[i].byte);
    }
  }
  return !begin ||
         below_.at(0).Change({.range = {.begin = *begin, .end = *begin + blocks.size()}, .data = std::move(blocks)});
}

// A block that is zeroed as a whole is what that makes it. Else it is data, and a trim leaves it alone.
void NaiveLayer::CopyBlocks(const NaiveChange& change) {
  const std::vector<NaiveCell> now = Cells();
  for (std::uint64_t i = 0; i < now.size(); ++i) {
    if (change.call != StackCall::kWrite && change.range.Contains(BlockOf(i))) {
      own_[i] = change.CellAt(i);
    } else if (change.call != StackCall::kTrim && !Intersect(change.range, BlockOf(i)).empty()) {
      own_[i] = {.type = ExtentType::kData, .byte = change.range.Contains(i) ? change.CellAt(i).byte : now[i].byte};
    }
  }
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
    NBDSPEC_RETURN_IF_ERROR(Enter("extents", asked));
    NBDSPEC_RETURN_IF_ERROR(next().Extents(request, extents));
    if (request.req_one && spec_.takes_req_one) {
      const Extent first = extents.Lookup(asked.begin);
      NBDSPEC_RETURN_IF_ERROR(AddExtent(extents, {.begin = first.range.end, .end = size()}, ExtentType::kData));
    }
    if (spec_.lies_outside) {
      NBDSPEC_RETURN_IF_ERROR(AddExtent(extents, {.begin = 0, .end = asked.begin}, ExtentType::kHoleZero));
      return AddExtent(extents, {.begin = asked.end, .end = size()}, ExtentType::kHoleZero);
    }
    return {};
  }

  LayerResult Read(std::uint64_t offset, std::span<std::uint8_t> into) override {
    const ByteRange range = {.begin = offset, .end = offset + into.size()};
    NBDSPEC_RETURN_IF_ERROR(Enter("read", range));
    if (rules_.zeroes_are_not_read && HasZeroes(range)) {
      return Breach(fmt::format("read of zeroes [{}, {})", range.begin, range.end));
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
    const auto what = fmt::format("{} [{}, {})", call, range.begin, range.end);
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
