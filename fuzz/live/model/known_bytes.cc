// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/model/known_bytes.h"

#include <algorithm>
#include <cstring>

#include "engine/script/script.h"

namespace nbdspec::fuzz {

using engine::ByteRange;

namespace {

constexpr std::size_t kPageBytes = 16 << 10;

// As iterators want it.
std::ptrdiff_t Signed(std::size_t index) { return static_cast<std::ptrdiff_t>(index); }

}  // namespace

std::optional<std::uint8_t> Effect::ByteAt(std::uint64_t offset) const {
  if (kind == Kind::kUnknown) {
    return {};
  }
  return kind == Kind::kZeroes ? std::uint8_t{0} : engine::PatternByteAt(pattern, offset);
}

KnownBytes::KnownBytes(const std::vector<ByteRange>& windows) {
  for (const ByteRange range : windows) {
    windows_.push_back({.range = range,
                        .bytes = engine::Bytes(range.length()),
                        .knowledge = std::vector<Knowledge>(range.length(), Knowledge::kNone),
                        .pages = std::vector<Page>(range.length() / kPageBytes + 1, Page::kCells)});
  }
}

std::vector<ByteRange> KnownBytes::windows() const {
  std::vector<ByteRange> ranges;
  for (const Window& window : windows_) {
    ranges.push_back(window.range);
  }
  return ranges;
}

template <typename Visit>
void KnownBytes::ForEachPart(ByteRange range, Visit visit) const {
  for (Window& window : windows_) {
    const ByteRange part = Intersect(window.range, range);
    if (!part.empty()) {
      visit(window, static_cast<std::size_t>(part.begin - window.range.begin), static_cast<std::size_t>(part.length()));
    }
  }
}

template <typename Visit>
void KnownBytes::ForEachPage(Window& window, std::size_t at, std::size_t count, Visit visit) {
  for (const std::size_t end = at + count; at < end;) {
    const std::size_t next = std::min(end, (at / kPageBytes + 1) * kPageBytes);
    visit(window.pages[at / kPageBytes], at, next - at);
    at = next;
  }
}

void KnownBytes::Settle(Window& window, std::size_t at, std::size_t count) {
  ForEachPage(window, at, count, [&](Page& page, std::size_t begin, std::size_t) {
    if (page == Page::kCells) {
      return;
    }
    const std::size_t first = begin / kPageBytes * kPageBytes;
    const std::size_t size = std::min(kPageBytes, window.bytes.size() - first);
    std::fill_n(window.bytes.begin() + Signed(first), size, std::uint8_t{0});
    std::fill_n(window.knowledge.begin() + Signed(first), size,
                page == Page::kZeroes ? Knowledge::kZeroed : Knowledge::kNone);
    page = Page::kCells;
  });
}

void KnownBytes::Learn(std::uint64_t offset, engine::ByteView bytes) {
  ForEachPart({.begin = offset, .end = offset + bytes.size()}, [&](Window& window, std::size_t at, auto count) {
    Settle(window, at, count);
    const auto skipped = static_cast<std::size_t>(window.range.begin + at - offset);
    std::memcpy(window.bytes.data() + at, bytes.data() + skipped, count);
    std::fill_n(window.knowledge.begin() + Signed(at), count, Knowledge::kRead);
  });
}

void KnownBytes::Apply(ByteRange range, Effect effect) {
  const Knowledge knowledge = effect.kind == Effect::Kind::kPattern  ? Knowledge::kWritten
                              : effect.kind == Effect::Kind::kZeroes ? Knowledge::kZeroed
                                                                     : Knowledge::kNone;
  ForEachPart(range, [&](Window& window, std::size_t at, std::size_t count) {
    ForEachPage(window, at, count, [&](Page& page, std::size_t begin, std::size_t size) {
      if (size == kPageBytes && effect.kind != Effect::Kind::kPattern) {
        page = effect.kind == Effect::Kind::kZeroes ? Page::kZeroes : Page::kUnknown;
        return;
      }
      Settle(window, begin, size);
      const std::span<std::uint8_t> bytes(window.bytes.data() + begin, size);
      if (effect.kind == Effect::Kind::kPattern) {
        engine::FillWithPattern(effect.pattern, window.range.begin + begin, bytes);
      } else {
        std::ranges::fill(bytes, std::uint8_t{0});
      }
      std::fill_n(window.knowledge.begin() + Signed(begin), size, knowledge);
    });
  });
}

void KnownBytes::ForgetRead(ByteRange range) {
  ForEachPart(range, [](Window& window, std::size_t at, std::size_t count) {
    ForEachPage(window, at, count, [&](const Page& page, std::size_t begin, std::size_t size) {
      for (std::size_t i = begin; page == Page::kCells && i < begin + size; ++i) {
        if (window.knowledge[i] == Knowledge::kRead) {
          window.knowledge[i] = Knowledge::kNone;
          window.bytes[i] = 0;
        }
      }
    });
  });
}

std::optional<std::uint8_t> KnownBytes::At(std::uint64_t offset) const {
  engine::Bytes byte;
  std::vector<Knowledge> knowledge;
  Copy({.begin = offset, .end = offset + 1}, byte, knowledge);
  return knowledge[0] == Knowledge::kNone ? std::nullopt : std::optional(byte[0]);
}

bool KnownBytes::IsZeroed(std::uint64_t offset) const {
  engine::Bytes byte;
  std::vector<Knowledge> knowledge;
  Copy({.begin = offset, .end = offset + 1}, byte, knowledge);
  return knowledge[0] == Knowledge::kZeroed;
}

std::optional<std::uint64_t> KnownBytes::FirstDifference(std::uint64_t offset, engine::ByteView bytes,
                                                         std::uint64_t from) const {
  std::optional<std::uint64_t> found;
  ForEachPart({.begin = std::max(offset, from), .end = offset + bytes.size()},
              [&](Window& window, std::size_t at, std::size_t count) {
                Settle(window, at, count);
                const std::uint8_t* seen = bytes.data() + (window.range.begin + at - offset);
                if (found || std::memcmp(window.bytes.data() + at, seen, count) == 0) {
                  return;
                }
                for (std::size_t i = 0; i < count; ++i) {
                  if (window.knowledge[at + i] != Knowledge::kNone && window.bytes[at + i] != seen[i]) {
                    found = window.range.begin + at + i;
                    return;
                  }
                }
              });
  return found;
}

std::optional<std::uint64_t> KnownBytes::FirstNonZero(ByteRange range) const {
  std::optional<std::uint64_t> found;
  ForEachPart(range, [&](Window& window, std::size_t at, std::size_t count) {
    ForEachPage(window, at, count, [&](const Page& page, std::size_t first, std::size_t size) {
      const std::uint8_t* begin = window.bytes.data() + first;
      // Where nothing is known a zero stands; memcmp with itself shifted is the fastest way to see only zeroes.
      if (found || page != Page::kCells || (*begin == 0 && std::memcmp(begin, begin + 1, size - 1) == 0)) {
        return;
      }
      found =
          window.range.begin + first +
          static_cast<std::uint64_t>(std::find_if(begin, begin + size, [](auto byte) { return byte != 0; }) - begin);
    });
  });
  return found;
}

void KnownBytes::Copy(ByteRange range, engine::Bytes& bytes, std::vector<Knowledge>& knowledge) const {
  const std::size_t begin = bytes.size();
  bytes.resize(begin + range.length());
  knowledge.resize(begin + range.length(), Knowledge::kNone);
  ForEachPart(range, [&](Window& window, std::size_t at, std::size_t count) {
    Settle(window, at, count);
    const auto to = begin + static_cast<std::size_t>(window.range.begin + at - range.begin);
    std::copy_n(window.bytes.begin() + Signed(at), count, bytes.begin() + Signed(to));
    std::copy_n(window.knowledge.begin() + Signed(at), count, knowledge.begin() + Signed(to));
  });
}

}  // namespace nbdspec::fuzz
