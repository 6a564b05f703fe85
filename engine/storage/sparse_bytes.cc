// SPDX-License-Identifier: BSD-3-Clause
#include "engine/storage/sparse_bytes.h"

#include <algorithm>

namespace nbdspec::engine {

namespace {

// Calls visit(number of the page, range of bytes in it, how many bytes of the whole come before) for each page that
// `range` touches.
template <typename Visit>
void ForEachPage(ByteRange range, Visit visit) {
  constexpr std::uint64_t kBytes = SparseBytes::kPageBytes;
  for (std::uint64_t at = range.begin; at < range.end;) {
    const std::uint64_t begin = at % kBytes;
    const std::uint64_t count = std::min(kBytes - begin, range.end - at);
    visit(at / kBytes, ByteRange{.begin = begin, .end = begin + count}, at - range.begin);
    at += count;
  }
}

template <typename Page>
auto Part(Page& page, ByteRange range) {
  return std::span(page).subspan(range.begin, range.length());
}

}  // namespace

void SparseBytes::Read(std::uint64_t offset, std::span<std::uint8_t> into) const {
  ForEachPage({.begin = offset, .end = offset + into.size()},
              [&](std::uint64_t number, ByteRange range, std::uint64_t done) {
                const auto part = into.subspan(done, range.length());
                const auto page = pages_.find(number);
                if (page == pages_.end()) {
                  std::ranges::fill(part, std::uint8_t{0});
                } else {
                  std::ranges::copy(Part(page->second, range), part.begin());
                }
              });
}

void SparseBytes::Write(std::uint64_t offset, ByteView data) {
  ForEachPage({.begin = offset, .end = offset + data.size()},
              [&](std::uint64_t number, ByteRange range, std::uint64_t done) {
                std::ranges::copy(data.subspan(done, range.length()), Part(pages_[number], range).begin());
              });
}

void SparseBytes::Zero(ByteRange range) {
  // The pages that are there, not all that the range has: it may be terabytes.
  auto page = pages_.lower_bound(range.begin / kPageBytes);
  while (page != pages_.end() && page->first * kPageBytes < range.end) {
    const std::uint64_t begin = page->first * kPageBytes;
    const ByteRange zeroed = Intersect(range, {.begin = begin, .end = begin + kPageBytes});
    if (zeroed.length() == kPageBytes) {
      page = pages_.erase(page);
    } else {
      std::ranges::fill(Part(page->second, {.begin = zeroed.begin - begin, .end = zeroed.end - begin}),
                        std::uint8_t{0});
      ++page;
    }
  }
}

}  // namespace nbdspec::engine
