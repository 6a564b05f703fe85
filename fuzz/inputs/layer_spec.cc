// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/inputs/layer_spec.h"

#include <utility>

#include "engine/base/check.h"
#include "engine/extents/extent_map.h"
#include "engine/layers/filters.h"
#include "engine/layers/plugins.h"
#include "engine/script/script.h"

namespace nbdspec::fuzz {
namespace {

using engine::Layer;

std::string PrintDisk(const LayerSpec& spec) {
  std::string text = "disk " + std::to_string(spec.disk_bytes) + " " + engine::Print(spec.initial);
  for (const engine::Extent& extent : spec.extents) {
    text += ", " + engine::Print(extent);
  }
  return text + (spec.is_read_only ? ", read-only" : "");
}

std::string PrintOptions(const LayerSpec& spec) {
  const std::string size = spec.size ? " +" + std::to_string(*spec.size) : "";
  switch (spec.kind) {
    case LayerKind::kDisk:
      return PrintDisk(spec);
    case LayerKind::kConcat:
      return "concat";
    case LayerKind::kWindow:
      return "window " + std::to_string(spec.offset) + size;
    case LayerKind::kTruncate:
      return "truncate" + size + " up to " + std::to_string(spec.round_up_to) + " down to " +
             std::to_string(spec.round_down_to);
    case LayerKind::kCopyOnWrite:
      return "copy_on_write " + std::to_string(spec.block_bytes);
    case LayerKind::kNoExtents:
      return "no_extents";
    case LayerKind::kBlockSize:
      return "block_size " + std::to_string(spec.block_bytes);
    case LayerKind::kSparseRead:
      return "sparse_read";
  }
  NBDSPEC_CHECK(false && "every kind is listed");
  return "";
}

std::unique_ptr<Layer> MakeDisk(const LayerSpec& spec) {
  engine::ExtentMap extents(spec.disk_bytes, spec.initial);
  for (const engine::Extent& extent : spec.extents) {
    NBDSPEC_CHECK(extents.Add(extent.range.begin, extent.range.length(), extent.type).has_value());
  }
  return std::make_unique<engine::Disk>(std::move(extents));
}

}  // namespace

std::string Print(const LayerSpec& spec) {
  std::string text = PrintOptions(spec);
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
  NBDSPEC_CHECK(false && "every kind is listed");
  return nullptr;
}

}  // namespace nbdspec::fuzz
