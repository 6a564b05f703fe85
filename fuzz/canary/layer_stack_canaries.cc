// SPDX-License-Identifier: BSD-3-Clause
// The planted bugs of the target layer_stack: layers that are wrong in one named way each. What a bug does not concern
// is the right layer.

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/layers/filters.h"
#include "engine/layers/layer.h"
#include "engine/layers/plugins.h"
#include "fuzz/canary/canary.h"
#include "fuzz/comparisons/layer_stack_differential.h"
#include "fuzz/inputs/layer_stack_input.h"

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

// A layer that knows which bug it may have. `unit_bytes` is what its bugs measure by: a block, or
// the size of a first part.
template <typename Right>
struct Mutant : Right {
  template <typename... Arguments>
  Mutant(Bug planted, std::uint64_t bytes, Arguments&&... arguments)
      : Right(std::forward<Arguments>(arguments)...), bug(planted), unit_bytes(bytes) {}

  const Bug bug;
  const std::uint64_t unit_bytes;
};

// Over a right layer, for what is wrong from the outside.
struct Spoiled : Mutant<engine::Filter> {
  using Mutant::Mutant;
  [[nodiscard]] bool CanExtents() const override { return bug == "NoExtentsOffersThem"_bug || next().CanExtents(); }
  LayerResult Extents(const ExtentsRequest& request, ExtentMap& extents) override {
    return bug == "NoExtentsOffersThem"_bug ? LayerResult{} : next().Extents(request, extents);
  }
  LayerResult Write(std::uint64_t offset, ByteView data) override {
    const bool is_short = bug == "DiskForgetsThatTheLastByteIsWritten"_bug && !data.empty();
    return next().Write(offset, is_short ? data.first(data.size() - 1) : data);
  }
  LayerResult Flush() override { return bug == "NoExtentsFlushesNothing"_bug ? LayerResult{} : next().Flush(); }
};

// Wrong about what crosses the border of the first two parts.
struct MutantConcat : Mutant<engine::ConcatPlugin> {
  using Mutant::Mutant;
  LayerResult Extents(const ExtentsRequest& request, ExtentMap& extents) override {
    auto answered = ConcatPlugin::Extents(request, extents);
    const std::uint64_t border = unit_bytes;
    if (answered && bug == "ConcatGivesTheLastByteToTheNextPart"_bug && request.range.begin < border &&
        border < request.range.end) {
      return AddExtent(extents, {.begin = border - 1, .end = border}, extents.Lookup(border).type);
    }
    return answered;
  }
  LayerResult Read(std::uint64_t offset, std::span<std::uint8_t> into) override {
    const auto read = ConcatPlugin::Read(offset, into);
    const bool crosses = offset < unit_bytes && offset + into.size() > unit_bytes;
    return bug == "ConcatGoesOnAfterAnError"_bug && crosses ? LayerResult{} : read;
  }
};

struct MutantWindow : Mutant<engine::WindowFilter> {
  using Mutant::Mutant;
  LayerResult Extents(const ExtentsRequest& request, ExtentMap& extents) override {
    auto answered = WindowFilter::Extents(request, extents);
    if (bug != "WindowSaysTheExtentsOneByteLate"_bug || !answered) {
      return answered;
    }
    ExtentMap late(extents.size(), ExtentType::kData);
    const ByteRange range = {.begin = request.range.begin, .end = request.range.end - 1};
    answered = CopyExtents(extents, range, late, range.begin + 1);
    extents = std::move(late);
    return answered;
  }
  LayerResult Read(std::uint64_t offset, std::span<std::uint8_t> into) override {
    return bug == "WindowReadsAtItsOwnOffset"_bug ? next().Read(offset, into) : WindowFilter::Read(offset, into);
  }
  LayerResult Trim(ByteRange range) override {
    const bool is_early = bug == "WindowTrimsOneByteEarly"_bug && range.begin > 0;
    return WindowFilter::Trim({.begin = range.begin - (is_early ? 1 : 0), .end = range.end});
  }
};

struct MutantTruncate : Mutant<engine::TruncateFilter> {
  using Mutant::Mutant;
  LayerResult Extents(const ExtentsRequest& request, ExtentMap& extents) override {
    auto answered = TruncateFilter::Extents(request, extents);
    const std::uint64_t border = next().size();
    if (answered && bug == "TruncateSaysTheTailOneByteLate"_bug && request.range.Contains(border)) {
      return AddExtent(extents, {.begin = border, .end = border + 1}, ExtentType::kData);
    }
    return answered;
  }
  LayerResult Write(std::uint64_t offset, ByteView data) override {
    const std::uint64_t there = next().size() - std::min(offset, next().size());
    const ByteView inside = data.first(std::min<std::uint64_t>(data.size(), there));
    if (bug == "TruncateLosesBytesPastTheEnd"_bug) {
      return inside.empty() ? LayerResult{} : next().Write(offset, inside);
    }
    if (bug == "TruncateWritesBeforeItRefuses"_bug && !inside.empty()) {
      if (auto written = next().Write(offset, inside); !written) {
        return written;
      }
    }
    return TruncateFilter::Write(offset, data);
  }
  LayerResult Trim(ByteRange range) override {
    return bug == "TruncateTrimsPastTheEnd"_bug ? next().Trim(range) : TruncateFilter::Trim(range);
  }
};

struct MutantCopyOnWrite : Mutant<engine::CopyOnWriteFilter> {
  using Mutant::Mutant;
  LayerResult Extents(const ExtentsRequest& request, ExtentMap& extents) override {
    if (bug != "CopyOnWriteSaysWhatIsBelow"_bug) {
      return CopyOnWriteFilter::Extents(request, extents);
    }
    const auto below = AskExtents(next(), request);
    return below ? CopyExtents(*below, request.range, extents, request.range.begin) : std::unexpected(below.error());
  }
  LayerResult Write(std::uint64_t offset, ByteView data) override {
    if (bug == "CopyOnWriteLosesTheRestOfTheBlock"_bug && !data.empty()) {
      const std::uint64_t begin = offset / unit_bytes * unit_bytes;
      const Bytes zeroes(offset - begin);
      if (auto written = CopyOnWriteFilter::Write(begin, zeroes); !written) {
        return written;
      }
    }
    if (bug == "CopyOnWriteForgetsTheLastByteOfABlock"_bug && !data.empty() &&
        (offset + data.size()) % unit_bytes == 0) {
      data = data.first(data.size() - 1);
    }
    return CopyOnWriteFilter::Write(offset, data);
  }
  LayerResult Trim(ByteRange range) override {
    return bug == "CopyOnWriteTrimsBelow"_bug && next().CanWrite() ? next().Trim(range)
                                                                   : CopyOnWriteFilter::Trim(range);
  }
};

struct MutantBlockSize : Mutant<engine::BlockSizeFilter> {
  using Mutant::Mutant;
  LayerResult Extents(const ExtentsRequest& request, ExtentMap& extents) override {
    const bool is_ours = bug == "BlockSizeTakesTheFirstExtentOfABlock"_bug || bug == "BlockSizeMakesUpHoles"_bug ||
                         bug == "BlockSizePassesReqOne"_bug;
    return is_ours ? ExtentsByBlock(request, extents) : BlockSizeFilter::Extents(request, extents);
  }
  LayerResult Read(std::uint64_t offset, std::span<std::uint8_t> into) override {
    return bug == "BlockSizeReadsWhatWasAsked"_bug ? next().Read(offset, into) : BlockSizeFilter::Read(offset, into);
  }
  LayerResult WriteZeroes(ByteRange range, bool may_punch_hole) override {
    return bug == "BlockSizeZeroesCutBlocks"_bug && !range.empty()
               ? next().WriteZeroes({.begin = Down(range.begin), .end = Up(range.end)}, may_punch_hole)
               : BlockSizeFilter::WriteZeroes(range, may_punch_hole);
  }
  LayerResult Trim(ByteRange range) override {
    return BlockSizeFilter::Trim(
        bug == "BlockSizeTrimsTheBlockAfter"_bug ? ByteRange{.begin = range.begin, .end = Up(range.end)} : range);
  }

  [[nodiscard]] std::uint64_t Down(std::uint64_t offset) const { return offset / unit_bytes * unit_bytes; }
  [[nodiscard]] std::uint64_t Up(std::uint64_t offset) const { return std::min(size(), Down(offset + unit_bytes - 1)); }

  LayerResult ExtentsByBlock(const ExtentsRequest& request, ExtentMap& extents) {
    const ByteRange blocks = {.begin = Down(request.range.begin), .end = Up(request.range.end)};
    const auto below =
        AskExtents(next(), {.range = blocks, .req_one = request.req_one && bug == "BlockSizePassesReqOne"_bug});
    LayerResult added = below ? LayerResult{} : std::unexpected(below.error());
    for (std::uint64_t begin = blocks.begin; added && begin < blocks.end; begin += unit_bytes) {
      const ByteRange block = {.begin = begin, .end = Up(begin + 1)};
      auto every = static_cast<unsigned>(ExtentType::kHoleZero);
      unsigned any = 0;
      below->ForEach(block, [&](Extent extent) {
        every &= static_cast<unsigned>(extent.type);
        any |= static_cast<unsigned>(extent.type);
        return true;
      });
      ExtentType type = static_cast<ExtentType>(every);
      if (bug == "BlockSizeTakesTheFirstExtentOfABlock"_bug) {
        type = below->Lookup(begin).type;
      } else if (bug == "BlockSizeMakesUpHoles"_bug) {
        type = static_cast<ExtentType>(every | (any & static_cast<unsigned>(ExtentType::kHole)));
      }
      added = AddExtent(extents, block, type);
    }
    return added;
  }
};

struct MutantSparseRead : Mutant<engine::SparseReadFilter> {
  using Mutant::Mutant;
  LayerResult Extents(const ExtentsRequest& request, ExtentMap& extents) override {
    if (bug != "SparseReadPassesAUsedMap"_bug) {
      return SparseReadFilter::Extents(request, extents);
    }
    const auto added = AddExtent(extents, request.range, ExtentType::kHoleZero);
    return added ? next().Extents(request, extents) : added;
  }

  LayerResult Read(std::uint64_t offset, std::span<std::uint8_t> into) override {
    const ByteRange range = {.begin = offset, .end = offset + into.size()};
    if (into.empty() || bug == "SparseReadReadsZeroes"_bug) {
      return next().Read(offset, into);
    }
    const auto extents = Known(range);
    return extents ? ReadBy(*extents, range, into) : std::unexpected(extents.error());
  }

  std::expected<ExtentMap, std::uint32_t> Known(ByteRange range) {
    if (bug == "SparseReadAsksWhatOffersNoExtents"_bug) {
      ExtentMap extents(size(), ExtentType::kData);
      const auto answered = next().Extents({.range = range}, extents);
      return answered ? std::expected<ExtentMap, std::uint32_t>(std::move(extents)) : std::unexpected(answered.error());
    }
    if (bug == "SparseReadTrustsWhatItWasNotAsked"_bug) {
      return AskExtents(next(), {.range = {.begin = range.begin, .end = range.begin + 1}});
    }
    if (bug == "SparseReadKeepsExtentsBetweenRequests"_bug) {
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
    if (!extents && bug == "SparseReadHidesErrorsOfExtents"_bug) {
      return ExtentMap(size(), ExtentType::kData);
    }
    return extents;
  }

  LayerResult ReadBy(const ExtentMap& extents, ByteRange range, std::span<std::uint8_t> into) {
    LayerResult read;
    extents.ForEach(range, [&](Extent extent) {
      auto here = into.subspan(extent.range.begin - range.begin, extent.range.length());
      const bool is_zero =
          IsZero(extent.type) || (bug == "SparseReadTakesHolesForZeroes"_bug && extent.type == ExtentType::kHole);
      std::ranges::fill(here, std::uint8_t{0});
      if (!is_zero) {
        const bool is_short = bug == "SparseReadSkipsTheByteBeforeAZero"_bug && extent.range.end < range.end;
        read = next().Read(extent.range.begin, is_short ? here.first(here.size() - 1) : here);
      }
      return read.has_value();
    });
    return read;
  }

  std::optional<ExtentMap> kept_;
};

MakeLayer MakeMutantLayer(Bug bug) {
  return [bug](LayerSpec spec, std::vector<std::unique_ptr<Layer>> below) -> std::unique_ptr<Layer> {
    if (spec.size && ((spec.kind == LayerKind::kWindow && bug == "WindowIsOneByteLonger"_bug) ||
                      (spec.kind == LayerKind::kTruncate && bug == "TruncateRoundsUpWhatIsRound"_bug))) {
      ++*spec.size;
    }
    switch (spec.kind) {
      case LayerKind::kDisk:
      case LayerKind::kNoExtents:
        return std::make_unique<Spoiled>(bug, 0, MakeRightLayer(spec, std::move(below)));
      case LayerKind::kConcat: {
        const std::uint64_t first_bytes = below.empty() ? 0 : below[0]->size();
        return std::make_unique<MutantConcat>(bug, first_bytes, std::move(below));
      }
      case LayerKind::kWindow:
        return std::make_unique<MutantWindow>(
            bug, 0, std::move(below.at(0)), engine::WindowFilter::Options{.offset = spec.offset, .length = spec.size});
      case LayerKind::kTruncate:
        return std::make_unique<MutantTruncate>(
            bug, 0, std::move(below.at(0)),
            engine::TruncateFilter::Options{
                .size = spec.size, .round_up_to = spec.round_up_to, .round_down_to = spec.round_down_to});
      case LayerKind::kCopyOnWrite:
        return std::make_unique<MutantCopyOnWrite>(bug, spec.block_bytes, std::move(below.at(0)), spec.block_bytes);
      case LayerKind::kBlockSize:
        return std::make_unique<MutantBlockSize>(bug, spec.block_bytes, std::move(below.at(0)), spec.block_bytes);
      case LayerKind::kSparseRead:
        return std::make_unique<MutantSparseRead>(bug, 0, std::move(below.at(0)));
    }
    return nullptr;
  };
}

constexpr NamedBug kPlantedBugs[] = {
    {"DiskForgetsThatTheLastByteIsWritten", Family::kEdge, 100},
    {"ConcatGivesTheLastByteToTheNextPart", Family::kEdge, 700},
    {"ConcatGoesOnAfterAnError", Family::kError, 2500},
    {"WindowIsOneByteLonger", Family::kEdge, 550},
    {"WindowSaysTheExtentsOneByteLate", Family::kEdge, 100},
    {"WindowTrimsOneByteEarly", Family::kEdge, 1500},
    {"WindowReadsAtItsOwnOffset", Family::kRule, 100},
    {"TruncateRoundsUpWhatIsRound", Family::kEdge, 300},
    {"TruncateSaysTheTailOneByteLate", Family::kEdge, 100},
    {"TruncateLosesBytesPastTheEnd", Family::kClip, 400},
    {"TruncateWritesBeforeItRefuses", Family::kOrder, 400},
    {"TruncateTrimsPastTheEnd", Family::kClip, 400},
    {"CopyOnWriteLosesTheRestOfTheBlock", Family::kLost, 100},
    {"CopyOnWriteForgetsTheLastByteOfABlock", Family::kEdge, 150},
    {"CopyOnWriteTrimsBelow", Family::kRule, 150},
    {"CopyOnWriteSaysWhatIsBelow", Family::kRule, 100},
    {"NoExtentsOffersThem", Family::kRule, 200},
    {"NoExtentsFlushesNothing", Family::kLost, 250},
    {"BlockSizeTakesTheFirstExtentOfABlock", Family::kRule, 100},
    {"BlockSizeMakesUpHoles", Family::kBits, 100},
    {"BlockSizePassesReqOne", Family::kReqOne, 850},
    {"BlockSizeReadsWhatWasAsked", Family::kRule, 100},
    {"BlockSizeTrimsTheBlockAfter", Family::kEdge, 200},
    {"BlockSizeZeroesCutBlocks", Family::kBits, 100},
    {"SparseReadTakesHolesForZeroes", Family::kBits, 150},
    {"SparseReadSkipsTheByteBeforeAZero", Family::kEdge, 150},
    {"SparseReadReadsZeroes", Family::kBits, 100},
    {"SparseReadHidesErrorsOfExtents", Family::kError, 950},
    {"SparseReadTrustsWhatItWasNotAsked", Family::kRule, 150},
    {"SparseReadAsksWhatOffersNoExtents", Family::kRule, 2500},
    {"SparseReadKeepsExtentsBetweenRequests", Family::kStale, 150},
    {"SparseReadPassesAUsedMap", Family::kStale, 100},
};

Found FindWith(ByteView input, const Bug& bug) { return FindLayerStackDisagreement(input, MakeMutantLayer(bug)); }

}  // namespace

CanaryTarget LayerStackCanaries() {
  CanaryTarget target = CanariesFor(LayerStackTarget(), CanariesOf(kPlantedBugs, FindWith));
  target.right.push_back([](ByteView input) { return FindWith(input, kNoBug); });
  return target;
}

}  // namespace nbdspec::fuzz
