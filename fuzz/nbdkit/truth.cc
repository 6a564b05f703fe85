// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/nbdkit/truth.h"

#include <memory>
#include <variant>

#include "engine/base/check.h"
#include "engine/oracle/oracles.h"

namespace nbdspec::fuzz {

using engine::ByteRange;
using engine::Extent;
using engine::ExtentType;

Truth Truth::Of(const engine::Script& script) {
  const auto oracle = std::make_shared<engine::LastWriterOracle>(script.size, script.initial);
  std::set<std::uint64_t> edges;
  for (const engine::Step& step : script.steps) {
    if (const auto* const add = std::get_if<engine::AddStep>(&step)) {
      if (oracle->Add(add->offset, add->length, add->type)) {
        edges.insert({add->offset, add->offset + add->length});
      }
    } else if (std::holds_alternative<engine::ClearStep>(step)) {
      oracle->Clear();
    }
  }
  return {script.size, std::move(edges), [oracle](std::uint64_t offset) { return oracle->TypeAt(offset); }};
}

Truth Truth::Part(ByteRange range) const {
  NBDSPEC_CHECK(range.end <= size_);
  std::set<std::uint64_t> edges;
  for (const std::uint64_t edge : edges_) {
    if (edge >= range.begin) {
      edges.insert(edge - range.begin);
    }
  }
  return {range.length(), std::move(edges),
          [below = type_at_, shift = range.begin](std::uint64_t offset) { return below(offset + shift); }};
}

Truth Truth::Resized(std::uint64_t size) const {
  std::set<std::uint64_t> edges = edges_;
  edges.insert(size_);
  return {size, std::move(edges), [below = type_at_, size_below = size_](std::uint64_t offset) {
            return offset < size_below ? below(offset) : ExtentType::kHoleZero;
          }};
}

Truth Truth::InBlocks(std::uint64_t block_bytes) const {
  std::set<std::uint64_t> edges;
  for (const std::uint64_t edge : edges_) {
    const std::uint64_t begin = edge / block_bytes * block_bytes;
    edges.insert(begin);
    if (edge != begin && edge < size_) {
      edges.insert(begin + block_bytes);
    }
  }
  return {size_ / block_bytes * block_bytes, std::move(edges),
          [below = type_at_, edges_below = edges_, block_bytes](std::uint64_t offset) {
            const std::uint64_t begin = offset / block_bytes * block_bytes;
            auto bits = static_cast<std::uint8_t>(below(begin));
            for (auto edge = edges_below.upper_bound(begin); edge != edges_below.end() && *edge - begin < block_bytes;
                 ++edge) {
              bits &= static_cast<std::uint8_t>(below(*edge));
            }
            return static_cast<ExtentType>(bits);
          }};
}

Truth Truth::WithoutClaims() const {
  return {size_, {}, [](std::uint64_t) { return ExtentType::kData; }};
}

Truth Truth::With(ByteRange range, ExtentType type) const {
  std::set<std::uint64_t> edges = edges_;
  edges.insert({range.begin, range.end});
  return {size_, std::move(edges), [below = type_at_, range, type](std::uint64_t offset) {
            return range.Contains(offset) ? type : below(offset);
          }};
}

std::vector<Extent> Truth::Extents(ByteRange bounds) const {
  bounds = Intersect(bounds, {.begin = 0, .end = size_});
  if (bounds.empty()) {
    return {};
  }
  std::set<std::uint64_t> cuts = {bounds.begin, bounds.end};
  cuts.insert(edges_.upper_bound(bounds.begin), edges_.lower_bound(bounds.end));
  std::vector<Extent> extents;
  for (auto begin = cuts.begin(); std::next(begin) != cuts.end(); ++begin) {
    extents.push_back({.range = {.begin = *begin, .end = *std::next(begin)}, .type = type_at_(*begin)});
  }
  return Merged(extents);
}

std::vector<Extent> Merged(const std::vector<Extent>& extents) {
  std::vector<Extent> merged;
  for (const Extent& extent : extents) {
    if (!merged.empty() && merged.back().type == extent.type) {
      merged.back().range.end = extent.range.end;
    } else {
      merged.push_back(extent);
    }
  }
  return merged;
}

}  // namespace nbdspec::fuzz
