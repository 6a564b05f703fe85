// SPDX-License-Identifier: BSD-3-Clause
#include "engine/layers/concat_plugin.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"

namespace nbdspec::engine {

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
    if (auto flushed = part->Flush(); !flushed) {
      return flushed;
    }
  }
  return {};
}

}  // namespace nbdspec::engine
