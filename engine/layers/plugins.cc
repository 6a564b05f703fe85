// SPDX-License-Identifier: BSD-3-Clause
#include "engine/layers/plugins.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/or_return.h"

namespace nbdspec::engine {

namespace {

// No zero, and no power of two as its period. What repeats is copied: a fuzzer makes many disks.
void FillWithData(std::uint64_t offset, std::span<std::uint8_t> out) {
  constexpr std::size_t kPeriod = 251;
  for (std::size_t i = 0; i < std::min(out.size(), kPeriod); ++i) {
    out[i] = static_cast<std::uint8_t>((offset + i) % kPeriod + 1);
  }
  for (std::size_t filled = kPeriod; filled < out.size(); filled *= 2) {
    std::copy_n(out.begin(), std::min(filled, out.size() - filled), out.begin() + static_cast<std::ptrdiff_t>(filled));
  }
}

}  // namespace

Disk::Disk(std::uint64_t size) : Disk(ExtentMap(size, ExtentType::kHoleZero)) {}

Disk::Disk(ExtentMap extents) : extents_(std::move(extents)) {
  NBDSPEC_CHECK(size() <= kDiskBytesMax);
  contents_.resize(size());
  extents_.ForEach(extents_.range(), [this](Extent extent) {
    if (!IsZero(extent.type)) {
      FillWithData(extent.range.begin, std::span(contents_).subspan(extent.range.begin, extent.range.length()));
    }
    return true;
  });
}

ByteView Disk::Read(ByteRange range) const {
  NBDSPEC_CHECK(extents_.range().Contains(range));
  return ByteView(contents_).subspan(range.begin, range.length());
}

LayerResult Disk::Extents(const ExtentsRequest& request, ExtentMap& extents) {
  return CopyExtents(extents_, request.range, extents, request.range.begin);
}

LayerResult Disk::Read(std::uint64_t offset, std::span<std::uint8_t> into) {
  NBDSPEC_CHECK(offset <= size() && into.size() <= size() - offset);
  const ByteView held = Read({.begin = offset, .end = offset + into.size()});
  std::copy(held.begin(), held.end(), into.begin());  // std::ranges::copy goes byte by byte.
  return {};
}

LayerResult Disk::Write(std::uint64_t offset, ByteView data) {
  NBDSPEC_CHECK(offset <= size() && data.size() <= size() - offset);
  const auto added = AddExtent(extents_, {.begin = offset, .end = offset + data.size()}, ExtentType::kData);
  if (added) {
    std::copy(data.begin(), data.end(), contents_.begin() + static_cast<std::ptrdiff_t>(offset));
  }
  return added;
}

LayerResult Disk::WriteZeroes(ByteRange range, bool may_punch_hole) {
  NBDSPEC_CHECK(extents_.range().Contains(range));
  const auto added = AddExtent(extents_, range, may_punch_hole ? ExtentType::kHoleZero : ExtentType::kZero);
  if (added) {
    std::fill_n(contents_.begin() + static_cast<std::ptrdiff_t>(range.begin), range.length(), std::uint8_t{0});
  }
  return added;
}

LayerResult Disk::Trim(ByteRange range) { return WriteZeroes(range, true); }

// --- ConcatPlugin ---

ConcatPlugin::ConcatPlugin(std::vector<std::unique_ptr<Layer>> parts) : parts_(std::move(parts)) {
  for (const auto& part : parts_) {
    NBDSPEC_CHECK(part->size() <= kExportBytesMax - size_);
    size_ += part->size();
  }
}

bool ConcatPlugin::CanExtents() const {
  return std::ranges::any_of(parts_, [](const auto& part) { return part->CanExtents(); });
}

bool ConcatPlugin::CanWrite() const {
  return std::ranges::all_of(parts_, [](const auto& part) { return part->CanWrite(); });
}

LayerResult ConcatPlugin::ForEachPart(ByteRange range, const Visit& visit) {
  LayerResult done;
  std::uint64_t begin = 0;
  for (const auto& part : parts_) {
    const ByteRange here = Intersect(range, {.begin = begin, .end = begin + part->size()});
    if (done && !here.empty()) {
      done = visit(*part, {.begin = here.begin - begin, .end = here.end - begin}, here.begin);
    }
    begin += part->size();
  }
  return done;
}

LayerResult ConcatPlugin::Extents(const ExtentsRequest& request, ExtentMap& extents) {
  return ForEachPart(request.range, [&](Layer& part, ByteRange here, std::uint64_t offset) -> LayerResult {
    const auto answer = AskExtents(part, {.range = here, .req_one = request.req_one});
    return answer ? CopyExtents(*answer, here, extents, offset) : std::unexpected(answer.error());
  });
}

LayerResult ConcatPlugin::Read(std::uint64_t offset, std::span<std::uint8_t> into) {
  const ByteRange range = {.begin = offset, .end = offset + into.size()};
  return ForEachPart(range, [&](Layer& part, ByteRange here, std::uint64_t from) {
    return part.Read(here.begin, into.subspan(from - offset, here.length()));
  });
}

LayerResult ConcatPlugin::Write(std::uint64_t offset, ByteView data) {
  const ByteRange range = {.begin = offset, .end = offset + data.size()};
  return ForEachPart(range, [&](Layer& part, ByteRange here, std::uint64_t from) {
    return part.Write(here.begin, data.subspan(from - offset, here.length()));
  });
}

LayerResult ConcatPlugin::WriteZeroes(ByteRange range, bool may_punch_hole) {
  return ForEachPart(
      range, [&](Layer& part, ByteRange here, std::uint64_t) { return part.WriteZeroes(here, may_punch_hole); });
}

LayerResult ConcatPlugin::Trim(ByteRange range) {
  return ForEachPart(range, [](Layer& part, ByteRange here, std::uint64_t) { return part.Trim(here); });
}

LayerResult ConcatPlugin::Flush() {
  for (const auto& part : parts_) {
    NBDSPEC_RETURN_IF_ERROR(part->Flush());
  }
  return {};
}

}  // namespace nbdspec::engine
