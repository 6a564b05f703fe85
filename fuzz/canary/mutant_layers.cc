// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/canary/mutant_layers.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "engine/layers/block_size_filter.h"
#include "engine/layers/concat_plugin.h"
#include "engine/layers/copy_on_write_filter.h"
#include "engine/layers/layer.h"
#include "engine/layers/sparse_read_filter.h"
#include "engine/layers/truncate_filter.h"
#include "engine/layers/window_filter.h"

namespace nbdspec::fuzz {
namespace {

using engine::ByteRange;
using engine::Bytes;
using engine::ByteView;
using engine::Extent;
using engine::ExtentMap;
using engine::ExtentsRequest;
using engine::ExtentType;
using engine::Layer;
using engine::LayerResult;

// Over a right layer, for what is wrong from the outside.
class Spoiled : public engine::Filter {
 public:
  Spoiled(LayerBug bug, std::unique_ptr<Layer> right) : Filter(std::move(right)), bug_(bug) {}

  [[nodiscard]] bool CanExtents() const override {
    return bug_ == LayerBug::kNoExtentsOffersThem || next().CanExtents();
  }
  LayerResult Extents(const ExtentsRequest& request, ExtentMap& extents) override {
    return bug_ == LayerBug::kNoExtentsOffersThem ? LayerResult{} : next().Extents(request, extents);
  }
  LayerResult Write(std::uint64_t offset, ByteView data) override {
    const bool is_short = bug_ == LayerBug::kDiskForgetsThatTheLastByteIsWritten && !data.empty();
    return next().Write(offset, is_short ? data.first(data.size() - 1) : data);
  }
  LayerResult Flush() override { return bug_ == LayerBug::kNoExtentsFlushesNothing ? LayerResult{} : next().Flush(); }

 private:
  LayerBug bug_;
};

// Wrong about what crosses the border of the first two parts.
class MutantConcat : public engine::ConcatPlugin {
 public:
  MutantConcat(LayerBug bug, std::uint64_t first_bytes, std::vector<std::unique_ptr<Layer>> parts)
      : ConcatPlugin(std::move(parts)), bug_(bug), first_bytes_(first_bytes) {}

  LayerResult Extents(const ExtentsRequest& request, ExtentMap& extents) override {
    auto answered = ConcatPlugin::Extents(request, extents);
    const std::uint64_t border = first_bytes_;
    if (answered && bug_ == LayerBug::kConcatGivesTheLastByteToTheNextPart && request.range.begin < border &&
        border < request.range.end) {
      return AddExtent(extents, {.begin = border - 1, .end = border}, extents.Lookup(border).type);
    }
    return answered;
  }
  LayerResult Read(std::uint64_t offset, std::span<std::uint8_t> into) override {
    const auto read = ConcatPlugin::Read(offset, into);
    const bool crosses = offset < first_bytes_ && offset + into.size() > first_bytes_;
    return bug_ == LayerBug::kConcatGoesOnAfterAnError && crosses ? LayerResult{} : read;
  }

 private:
  LayerBug bug_;
  std::uint64_t first_bytes_;
};

class MutantWindow : public engine::WindowFilter {
 public:
  MutantWindow(LayerBug bug, const LayerSpec& spec, std::unique_ptr<Layer> below)
      : WindowFilter(std::move(below),
                     {.offset = spec.offset,
                      .length = bug == LayerBug::kWindowIsOneByteLonger && spec.size ? std::optional(*spec.size + 1)
                                                                                     : spec.size}),
        bug_(bug) {}

  LayerResult Extents(const ExtentsRequest& request, ExtentMap& extents) override {
    auto answered = WindowFilter::Extents(request, extents);
    if (bug_ != LayerBug::kWindowSaysTheExtentsOneByteLate || !answered) {
      return answered;
    }
    ExtentMap late(extents.size(), ExtentType::kData);
    const ByteRange range = {.begin = request.range.begin, .end = request.range.end - 1};
    answered = CopyExtents(extents, range, late, range.begin + 1);
    extents = std::move(late);
    return answered;
  }
  LayerResult Read(std::uint64_t offset, std::span<std::uint8_t> into) override {
    return bug_ == LayerBug::kWindowReadsAtItsOwnOffset ? next().Read(offset, into) : WindowFilter::Read(offset, into);
  }
  LayerResult Trim(ByteRange range) override {
    const bool is_early = bug_ == LayerBug::kWindowTrimsOneByteEarly && range.begin > 0;
    return WindowFilter::Trim({.begin = range.begin - (is_early ? 1 : 0), .end = range.end});
  }

 private:
  LayerBug bug_;
};

class MutantTruncate : public engine::TruncateFilter {
 public:
  MutantTruncate(LayerBug bug, const LayerSpec& spec, std::unique_ptr<Layer> below)
      : TruncateFilter(std::move(below), {.size = bug == LayerBug::kTruncateRoundsUpWhatIsRound && spec.size
                                                      ? std::optional(*spec.size + 1)
                                                      : spec.size,
                                          .round_up_to = spec.round_up_to,
                                          .round_down_to = spec.round_down_to}),
        bug_(bug) {}

  LayerResult Extents(const ExtentsRequest& request, ExtentMap& extents) override {
    auto answered = TruncateFilter::Extents(request, extents);
    const std::uint64_t border = next().size();
    if (answered && bug_ == LayerBug::kTruncateSaysTheTailOneByteLate && request.range.Contains(border)) {
      return AddExtent(extents, {.begin = border, .end = border + 1}, ExtentType::kData);
    }
    return answered;
  }
  LayerResult Write(std::uint64_t offset, ByteView data) override {
    const std::uint64_t there = next().size() - std::min(offset, next().size());
    const ByteView inside = data.first(std::min<std::uint64_t>(data.size(), there));
    if (bug_ == LayerBug::kTruncateLosesBytesPastTheEnd) {
      return inside.empty() ? LayerResult{} : next().Write(offset, inside);
    }
    if (bug_ == LayerBug::kTruncateWritesBeforeItRefuses && !inside.empty()) {
      if (auto written = next().Write(offset, inside); !written) {
        return written;
      }
    }
    return TruncateFilter::Write(offset, data);
  }
  LayerResult Trim(ByteRange range) override {
    return bug_ == LayerBug::kTruncateTrimsPastTheEnd ? next().Trim(range) : TruncateFilter::Trim(range);
  }

 private:
  LayerBug bug_;
};

class MutantCopyOnWrite : public engine::CopyOnWriteFilter {
 public:
  MutantCopyOnWrite(LayerBug bug, const LayerSpec& spec, std::unique_ptr<Layer> below)
      : CopyOnWriteFilter(std::move(below), spec.block_bytes), bug_(bug), block_bytes_(spec.block_bytes) {}

  LayerResult Extents(const ExtentsRequest& request, ExtentMap& extents) override {
    if (bug_ != LayerBug::kCopyOnWriteSaysWhatIsBelow) {
      return CopyOnWriteFilter::Extents(request, extents);
    }
    const auto below = AskExtents(next(), request);
    return below ? CopyExtents(*below, request.range, extents, request.range.begin) : std::unexpected(below.error());
  }
  LayerResult Write(std::uint64_t offset, ByteView data) override {
    if (bug_ == LayerBug::kCopyOnWriteLosesTheRestOfTheBlock && !data.empty()) {
      const std::uint64_t begin = offset / block_bytes_ * block_bytes_;
      const Bytes zeroes(offset - begin);
      if (auto written = CopyOnWriteFilter::Write(begin, zeroes); !written) {
        return written;
      }
    }
    if (bug_ == LayerBug::kCopyOnWriteForgetsTheLastByteOfABlock && !data.empty() &&
        (offset + data.size()) % block_bytes_ == 0) {
      data = data.first(data.size() - 1);
    }
    return CopyOnWriteFilter::Write(offset, data);
  }
  LayerResult Trim(ByteRange range) override {
    return bug_ == LayerBug::kCopyOnWriteTrimsBelow && next().CanWrite() ? next().Trim(range)
                                                                         : CopyOnWriteFilter::Trim(range);
  }

 private:
  LayerBug bug_;
  std::uint64_t block_bytes_;
};

class MutantBlockSize : public engine::BlockSizeFilter {
 public:
  MutantBlockSize(LayerBug bug, const LayerSpec& spec, std::unique_ptr<Layer> below)
      : BlockSizeFilter(std::move(below), spec.block_bytes), bug_(bug), block_bytes_(spec.block_bytes) {}

  LayerResult Extents(const ExtentsRequest& request, ExtentMap& extents) override {
    const bool is_ours = bug_ == LayerBug::kBlockSizeTakesTheFirstExtentOfABlock ||
                         bug_ == LayerBug::kBlockSizeMakesUpHoles || bug_ == LayerBug::kBlockSizePassesReqOne;
    return is_ours ? ExtentsByBlock(request, extents) : BlockSizeFilter::Extents(request, extents);
  }
  LayerResult Read(std::uint64_t offset, std::span<std::uint8_t> into) override {
    return bug_ == LayerBug::kBlockSizeReadsWhatWasAsked ? next().Read(offset, into)
                                                         : BlockSizeFilter::Read(offset, into);
  }
  LayerResult WriteZeroes(ByteRange range, bool may_punch_hole) override {
    return bug_ == LayerBug::kBlockSizeZeroesCutBlocks && !range.empty()
               ? next().WriteZeroes({.begin = Down(range.begin), .end = Up(range.end)}, may_punch_hole)
               : BlockSizeFilter::WriteZeroes(range, may_punch_hole);
  }
  LayerResult Trim(ByteRange range) override {
    return BlockSizeFilter::Trim(
        bug_ == LayerBug::kBlockSizeTrimsTheBlockAfter ? ByteRange{.begin = range.begin, .end = Up(range.end)} : range);
  }

 private:
  [[nodiscard]] std::uint64_t Down(std::uint64_t offset) const { return offset / block_bytes_ * block_bytes_; }
  [[nodiscard]] std::uint64_t Up(std::uint64_t offset) const {
    return std::min(size(), Down(offset + block_bytes_ - 1));
  }

  LayerResult ExtentsByBlock(const ExtentsRequest& request, ExtentMap& extents) {
    const ByteRange blocks = {.begin = Down(request.range.begin), .end = Up(request.range.end)};
    const auto below =
        AskExtents(next(), {.range = blocks, .req_one = request.req_one && bug_ == LayerBug::kBlockSizePassesReqOne});
    LayerResult added = below ? LayerResult{} : std::unexpected(below.error());
    for (std::uint64_t begin = blocks.begin; added && begin < blocks.end; begin += block_bytes_) {
      const ByteRange block = {.begin = begin, .end = Up(begin + 1)};
      auto every = static_cast<unsigned>(ExtentType::kHoleZero);
      unsigned any = 0;
      below->ForEach(block, [&](Extent extent) {
        every &= static_cast<unsigned>(extent.type);
        any |= static_cast<unsigned>(extent.type);
        return true;
      });
      ExtentType type = static_cast<ExtentType>(every);
      if (bug_ == LayerBug::kBlockSizeTakesTheFirstExtentOfABlock) {
        type = below->Lookup(begin).type;
      } else if (bug_ == LayerBug::kBlockSizeMakesUpHoles) {
        type = static_cast<ExtentType>(every | (any & static_cast<unsigned>(ExtentType::kHole)));
      }
      added = AddExtent(extents, block, type);
    }
    return added;
  }

  LayerBug bug_;
  std::uint64_t block_bytes_;
};

class MutantSparseRead : public engine::SparseReadFilter {
 public:
  MutantSparseRead(LayerBug bug, std::unique_ptr<Layer> below) : SparseReadFilter(std::move(below)), bug_(bug) {}

  LayerResult Extents(const ExtentsRequest& request, ExtentMap& extents) override {
    if (bug_ != LayerBug::kSparseReadPassesAUsedMap) {
      return SparseReadFilter::Extents(request, extents);
    }
    const auto added = AddExtent(extents, request.range, ExtentType::kHoleZero);
    return added ? next().Extents(request, extents) : added;
  }

  LayerResult Read(std::uint64_t offset, std::span<std::uint8_t> into) override {
    const ByteRange range = {.begin = offset, .end = offset + into.size()};
    if (into.empty() || bug_ == LayerBug::kSparseReadReadsZeroes) {
      return next().Read(offset, into);
    }
    const auto extents = Known(range);
    return extents ? ReadBy(*extents, range, into) : std::unexpected(extents.error());
  }

 private:
  std::expected<ExtentMap, std::uint32_t> Known(ByteRange range) {
    if (bug_ == LayerBug::kSparseReadAsksWhatOffersNoExtents) {
      ExtentMap extents(size(), ExtentType::kData);
      const auto answered = next().Extents({.range = range}, extents);
      return answered ? std::expected<ExtentMap, std::uint32_t>(std::move(extents)) : std::unexpected(answered.error());
    }
    if (bug_ == LayerBug::kSparseReadTrustsWhatItWasNotAsked) {
      return AskExtents(next(), {.range = {.begin = range.begin, .end = range.begin + 1}});
    }
    if (bug_ == LayerBug::kSparseReadKeepsExtentsBetweenRequests) {
      if (!kept_) {
        auto all = AskExtents(next(), {.range = {.begin = 0, .end = size()}});
        if (!all) {
          return all;
        }
        kept_ = std::move(*all);
      }
      return *kept_->Clone();
    }
    auto extents = AskExtents(next(), {.range = range});
    if (!extents && bug_ == LayerBug::kSparseReadHidesErrorsOfExtents) {
      return ExtentMap(size(), ExtentType::kData);
    }
    return extents;
  }

  LayerResult ReadBy(const ExtentMap& extents, ByteRange range, std::span<std::uint8_t> into) {
    LayerResult read;
    extents.ForEach(range, [&](Extent extent) {
      auto here = into.subspan(extent.range.begin - range.begin, extent.range.length());
      const bool is_zero =
          IsZero(extent.type) || (bug_ == LayerBug::kSparseReadTakesHolesForZeroes && extent.type == ExtentType::kHole);
      std::ranges::fill(here, std::uint8_t{0});
      if (!is_zero) {
        const bool is_short = bug_ == LayerBug::kSparseReadSkipsTheByteBeforeAZero && extent.range.end < range.end;
        read = next().Read(extent.range.begin, is_short ? here.first(here.size() - 1) : here);
      }
      return read.has_value();
    });
    return read;
  }

  LayerBug bug_;
  std::optional<ExtentMap> kept_;
};

}  // namespace

MakeLayer MakeMutantLayer(LayerBug bug) {
  return [bug](const LayerSpec& spec, std::vector<std::unique_ptr<Layer>> below) -> std::unique_ptr<Layer> {
    switch (spec.kind) {
      case LayerKind::kDisk:
        if (bug != LayerBug::kDiskForgetsThatTheLastByteIsWritten) {
          break;
        }
        return std::make_unique<Spoiled>(bug, MakeRightLayer(spec, std::move(below)));
      case LayerKind::kNoExtents:
        if (bug != LayerBug::kNoExtentsOffersThem && bug != LayerBug::kNoExtentsFlushesNothing) {
          break;
        }
        return std::make_unique<Spoiled>(bug, MakeRightLayer(spec, std::move(below)));
      case LayerKind::kConcat: {
        const std::uint64_t first_bytes = below.empty() ? 0 : below[0]->size();
        return std::make_unique<MutantConcat>(bug, first_bytes, std::move(below));
      }
      case LayerKind::kWindow:
        return std::make_unique<MutantWindow>(bug, spec, std::move(below.at(0)));
      case LayerKind::kTruncate:
        return std::make_unique<MutantTruncate>(bug, spec, std::move(below.at(0)));
      case LayerKind::kCopyOnWrite:
        return std::make_unique<MutantCopyOnWrite>(bug, spec, std::move(below.at(0)));
      case LayerKind::kBlockSize:
        return std::make_unique<MutantBlockSize>(bug, spec, std::move(below.at(0)));
      case LayerKind::kSparseRead:
        return std::make_unique<MutantSparseRead>(bug, std::move(below.at(0)));
    }
    return MakeRightLayer(spec, std::move(below));
  };
}

}  // namespace nbdspec::fuzz
