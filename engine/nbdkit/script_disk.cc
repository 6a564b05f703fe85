// SPDX-License-Identifier: BSD-3-Clause
#include "engine/nbdkit/script_disk.h"

#include <algorithm>
#include <new>
#include <utility>
#include <variant>

#include "engine/base/check.h"
#include "engine/base/or_return.h"

namespace nbdspec::engine {

namespace {

// Calls `use` with each page index that `range` touches and the part of `range` in that page.
template <typename Use>
void ForEachPage(ByteRange range, std::uint64_t page_bytes, Use use) {
  for (std::uint64_t at = range.begin; at < range.end;) {
    const std::uint64_t index = at / page_bytes;
    // Does not wrap: a disk ends below 2^63.
    const ByteRange part = {.begin = at, .end = std::min(range.end, (index + 1) * page_bytes)};
    use(index, part);
    at = part.end;
  }
}

}  // namespace

std::expected<ScriptDisk, ErrorCode> ScriptDisk::From(const Script& script) {
  ExtentMap extents(script.size, script.initial);
  for (const Step& step : script.steps) {
    if (const auto* const add = std::get_if<AddStep>(&step)) {
      const auto added = extents.Add(add->offset, add->length, add->type);
      if (!added && added.error() == ErrorCode::kOutOfMemory) {
        return std::unexpected(added.error());
      }
    } else if (std::holds_alternative<ClearStep>(step)) {
      extents.Clear();
    }
  }
  return ScriptDisk(std::move(extents));
}

ScriptDisk::Page& ScriptDisk::PageAt(std::uint64_t index) {
  const auto [page, is_new] = pages_.try_emplace(index);
  for (std::uint64_t i = 0; is_new && i < kPageBytes; ++i) {
    page->second[i] = PatternByteAt(index * kPageBytes + i);
  }
  return page->second;
}

void ScriptDisk::ReadWritten(std::uint64_t offset, std::span<std::uint8_t> out) const {
  ForEachPage({.begin = offset, .end = offset + out.size()}, kPageBytes, [&](std::uint64_t index, ByteRange part) {
    const auto to = out.subspan(part.begin - offset, part.length());
    if (const auto page = pages_.find(index); page != pages_.end()) {
      std::ranges::copy(std::span(page->second).subspan(part.begin % kPageBytes, part.length()), to.begin());
      return;
    }
    std::uint64_t at = part.begin;
    std::ranges::generate(to, [&] { return PatternByteAt(at++); });
  });
}

void ScriptDisk::Read(std::uint64_t offset, std::span<std::uint8_t> out) const {
  const ByteRange range = {.begin = offset, .end = offset + out.size()};
  NBDSPEC_CHECK(extents_.range().Contains(range));
  extents_.ForEach(range, [&](Extent extent) {
    const auto to = out.subspan(extent.range.begin - offset, extent.range.length());
    if (IsZero(extent.type)) {
      std::ranges::fill(to, std::uint8_t{0});
    } else {
      ReadWritten(extent.range.begin, to);
    }
    return true;
  });
}

std::expected<void, ErrorCode> ScriptDisk::Write(std::uint64_t offset, ByteView data) {
  const ByteRange range = {.begin = offset, .end = offset + data.size()};
  NBDSPEC_CHECK(extents_.range().Contains(range));
  try {
    // Before anything else: a new page holds what is read there without it, so it changes nothing.
    ForEachPage(range, kPageBytes, [&](std::uint64_t index, ByteRange) { PageAt(index); });
  } catch (const std::bad_alloc&) {
    return std::unexpected(ErrorCode::kOutOfMemory);
  }
  NBDSPEC_RETURN_IF_ERROR(extents_.Add(offset, data.size(), ExtentType::kData));
  ForEachPage(range, kPageBytes, [&](std::uint64_t index, ByteRange part) {
    std::ranges::copy(data.subspan(part.begin - offset, part.length()),
                      std::span(PageAt(index)).subspan(part.begin % kPageBytes).begin());
  });
  return {};
}

std::expected<void, ErrorCode> ScriptDisk::WriteZeroes(ByteRange range, bool may_punch_hole) {
  NBDSPEC_CHECK(extents_.range().Contains(range));
  const auto type = may_punch_hole ? ExtentType::kHoleZero : ExtentType::kZero;
  NBDSPEC_RETURN_IF_ERROR(extents_.Add(range.begin, range.length(), type));
  // Pages that lie in the range whole: none of their bytes can be read again before it is written.
  const std::uint64_t first = range.begin / kPageBytes + (range.begin % kPageBytes == 0 ? 0 : 1);
  const std::uint64_t end = range.end / kPageBytes;
  if (first < end) {
    pages_.erase(pages_.lower_bound(first), pages_.lower_bound(end));
  }
  return {};
}

std::expected<void, ErrorCode> ScriptDisk::Trim(ByteRange range) { return WriteZeroes(range, true); }

}  // namespace nbdspec::engine
