// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/inputs/layer_stack_input.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "engine/base/byte_reader.h"
#include "engine/base/check.h"
#include "engine/extents/extent_map.h"
#include "engine/layers/filters.h"
#include "engine/layers/plugins.h"
#include "engine/script/script.h"
#include "engine/wire/protocol.h"

namespace nbdspec::fuzz {
namespace {

using engine::ExtentType;
using engine::Layer;
using engine::NbdError;

// Small: edges and overlaps need few bytes.
constexpr std::uint64_t kDiskBytesMax = 48;
constexpr std::uint64_t kStepsMax = 16;
constexpr unsigned kFiltersMax = 5;

class Reader : public engine::ByteReader {
 public:
  using ByteReader::ByteReader;

  // A stack of filters over a disk, or over a concatenation of `parts_max` stacks at most.
  LayerSpec Stack(unsigned filters_max, unsigned parts_max) {
    const std::uint8_t shape = Byte();
    std::uint64_t filters = shape % (filters_max + 1U);
    LayerSpec spec;
    if (parts_max > 0 && shape >= 192) {  // Its parts are up to two layers deep.
      filters = filters < 2 ? 0 : filters - 2;
      spec.kind = LayerKind::kConcat;
      for (std::uint64_t parts = Below(parts_max + 1U); parts > 0; --parts) {
        spec.below.push_back(Stack(/*filters_max=*/1, /*parts_max=*/0));
      }
    } else {
      spec = Disk();
    }
    for (; filters > 0; --filters) {
      spec = FilterOver(std::move(spec));
    }
    return spec;
  }

  StackStep Step() {
    const std::uint8_t kind = Byte();
    StackStep step = {.call = static_cast<StackCall>(kind % 8U), .offset = Byte(), .length = Byte()};
    if (step.call == StackCall::kWrite) {
      step.fill = Byte();
    }
    if (kind >= 224) {
      step.calls_to_fault = static_cast<std::uint8_t>(1 + Below(4));
      step.fault_error = engine::Pick<std::uint32_t>(
          step.offset, {NbdError::kEio, NbdError::kEperm, NbdError::kEnomem, NbdError::kEnospc, NbdError::kEinval,
                        NbdError::kEshutdown, 9999, 0xffffffff});
    }
    return step;
  }

 private:
  ExtentType Type() { return static_cast<ExtentType>(Below(engine::kExtentTypeCount)); }

  void TakeLiberties(LayerSpec& spec, std::uint8_t byte) {
    spec.lies_outside = (byte & 16) != 0;
    spec.takes_req_one = (byte & 32) != 0;
  }

  LayerSpec Disk() {
    const std::uint8_t style = Byte();
    LayerSpec spec = {.kind = LayerKind::kDisk};
    spec.initial = static_cast<ExtentType>(style % engine::kExtentTypeCount);
    spec.is_read_only = style >= 224;
    TakeLiberties(spec, style);
    spec.disk_bytes = Below(kDiskBytesMax + 1);
    for (std::uint64_t count = Below(6); count > 0; --count) {
      const std::uint64_t begin = Below(kDiskBytesMax);
      const std::uint64_t end = begin + Below(24);
      spec.extents.push_back({.range = {.begin = begin, .end = end}, .type = Type()});
    }
    return spec;
  }

  LayerSpec FilterOver(LayerSpec below) {
    using enum LayerKind;
    const std::uint8_t style = Byte();
    LayerSpec spec = {.kind = engine::Pick(style, {kWindow, kTruncate, kCopyOnWrite, kBlockSize, kSparseRead, kWindow,
                                                   kTruncate, kCopyOnWrite, kBlockSize, kNoExtents})};
    TakeLiberties(spec, style);
    const bool is_sized = style >= 128;
    switch (spec.kind) {
      case kWindow:
        spec.offset = Below(is_sized ? 64 : 16);
        spec.size = is_sized ? std::optional(Below(64)) : std::nullopt;
        break;
      case kTruncate:
        spec.size = is_sized ? std::optional(Below(80)) : std::nullopt;
        spec.round_up_to = 1 + Below(16);
        spec.round_down_to = 1 + Below(16);
        break;
      case kCopyOnWrite:
      case kBlockSize:
        spec.block_bytes = 1 + Below(16);
        break;
      default:
        break;
    }
    spec.below.push_back(std::move(below));
    return spec;
  }
};

std::unique_ptr<Layer> MakeDisk(const LayerSpec& spec) {
  engine::ExtentMap extents(spec.disk_bytes, spec.initial);
  for (const engine::Extent& extent : spec.extents) {
    NBDSPEC_CHECK(extents.Add(extent.range.begin, extent.range.length(), extent.type).has_value());
  }
  return std::make_unique<engine::Disk>(std::move(extents));
}

}  // namespace

LayerStackInput ReadLayerStackInput(engine::ByteView bytes) {
  Reader reader(bytes);
  LayerStackInput input = {.top = reader.Stack(kFiltersMax, /*parts_max=*/3), .steps = {}};
  while (!reader.empty() && input.steps.size() < kStepsMax) {
    input.steps.push_back(reader.Step());
  }
  return input;
}

std::string Print(const LayerSpec& spec) {
  constexpr auto kNames = std::to_array<std::string_view>(
      {"disk", "concat", "window", "truncate", "copy_on_write", "no_extents", "block_size", "sparse_read"});
  const std::string size = spec.size ? " +" + std::to_string(*spec.size) : "";
  std::string text(kNames[static_cast<std::size_t>(spec.kind)]);
  if (spec.kind == LayerKind::kDisk) {
    text += fmt::format(" {} {}", spec.disk_bytes, engine::Print(spec.initial));
    for (const engine::Extent& extent : spec.extents) {
      text += ", " + engine::Print(extent);
    }
    text += spec.is_read_only ? ", read-only" : "";
  } else if (spec.kind == LayerKind::kWindow) {
    text += fmt::format(" {}{}", spec.offset, size);
  } else if (spec.kind == LayerKind::kTruncate) {
    text += fmt::format("{} up to {} down to {}", size, spec.round_up_to, spec.round_down_to);
  } else if (spec.kind == LayerKind::kCopyOnWrite || spec.kind == LayerKind::kBlockSize) {
    text += fmt::format(" {}", spec.block_bytes);
  }
  text += spec.lies_outside ? " lying" : "";
  text += spec.takes_req_one ? " terse" : "";
  for (const LayerSpec& below : spec.below) {
    text += " (" + Print(below) + ")";
  }
  return text;
}

std::unique_ptr<Layer> MakeRightLayer(const LayerSpec& spec, std::vector<std::unique_ptr<Layer>> below) {
  switch (spec.kind) {
    case LayerKind::kDisk:
      return MakeDisk(spec);
    case LayerKind::kConcat:
      return std::make_unique<engine::ConcatPlugin>(std::move(below));
    case LayerKind::kWindow:
      return std::make_unique<engine::WindowFilter>(
          std::move(below.at(0)), engine::WindowFilter::Options{.offset = spec.offset, .length = spec.size});
    case LayerKind::kTruncate:
      return std::make_unique<engine::TruncateFilter>(
          std::move(below.at(0)),
          engine::TruncateFilter::Options{
              .size = spec.size, .round_up_to = spec.round_up_to, .round_down_to = spec.round_down_to});
    case LayerKind::kCopyOnWrite:
      return std::make_unique<engine::CopyOnWriteFilter>(std::move(below.at(0)), spec.block_bytes);
    case LayerKind::kNoExtents:
      return std::make_unique<engine::NoExtentsFilter>(std::move(below.at(0)));
    case LayerKind::kBlockSize:
      return std::make_unique<engine::BlockSizeFilter>(std::move(below.at(0)), spec.block_bytes);
    case LayerKind::kSparseRead:
      return std::make_unique<engine::SparseReadFilter>(std::move(below.at(0)));
  }
  engine::CheckFailed("unknown LayerKind");
}

std::string Print(const StackStep& step, engine::ByteRange range) {
  constexpr auto kNames = std::to_array<std::string_view>(
      {"read", "extents", "extents req_one", "write", "write_zeroes", "punch_hole", "trim", "flush"});
  const auto text = fmt::format("{} {} +{}", kNames[static_cast<std::size_t>(step.call)], range.begin, range.length());
  return step.calls_to_fault == 0
             ? text
             : fmt::format("{}, call {} of a disk fails with {}", text, step.calls_to_fault, step.fault_error);
}

}  // namespace nbdspec::fuzz
