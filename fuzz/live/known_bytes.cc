// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/known_bytes.h"

#include <algorithm>
#include <cstring>

#include "engine/script/script.h"

namespace nbdspec::fuzz {

using engine::ByteRange;

namespace {

// As iterators want it.
std::ptrdiff_t Signed(std::size_t index) { return static_cast<std::ptrdiff_t>(index); }

}  // namespace

std::optional<std::uint8_t> Effect::ByteAt(std::uint64_t offset) const {
  switch (kind) {
    case Kind::kPattern:
      return engine::PatternByteAt(pattern, offset);
    case Kind::kZeroes:
      return std::uint8_t{0};
    case Kind::kUnknown:
      break;
  }
  return {};
}

KnownBytes::KnownBytes(const std::vector<ByteRange>& windows) {
  for (const ByteRange range : windows) {
    windows_.push_back({.range = range,
                        .bytes = engine::Bytes(range.length()),
                        .knowledge = std::vector<Knowledge>(range.length(), Knowledge::kNone)});
  }
}

std::vector<ByteRange> KnownBytes::windows() const {
  std::vector<ByteRange> ranges;
  for (const Window& window : windows_) {
    ranges.push_back(window.range);
  }
  return ranges;
}

template <typename Self, typename Visit>
void KnownBytes::ForEachPart(Self& self, ByteRange range, Visit visit) {
  for (auto& window : self.windows_) {
    const ByteRange part = Intersect(window.range, range);
    if (!part.empty()) {
      visit(window, static_cast<std::size_t>(part.begin - window.range.begin), static_cast<std::size_t>(part.length()));
    }
  }
}

void KnownBytes::Learn(std::uint64_t offset, engine::ByteView bytes) {
  ForEachPart(*this, {.begin = offset, .end = offset + bytes.size()}, [&](Window& window, std::size_t at, auto count) {
    const auto skipped = static_cast<std::size_t>(window.range.begin + at - offset);
    std::memcpy(window.bytes.data() + at, bytes.data() + skipped, count);
    std::fill_n(window.knowledge.begin() + Signed(at), count, Knowledge::kRead);
  });
}

void KnownBytes::Apply(ByteRange range, Effect effect) {
  ForEachPart(*this, range, [&](Window& window, std::size_t at, std::size_t count) {
    const std::span<std::uint8_t> bytes(window.bytes.data() + at, count);
    if (effect.kind == Effect::Kind::kPattern) {
      engine::FillWithPattern(effect.pattern, window.range.begin + at, bytes);
    } else {
      std::ranges::fill(bytes, std::uint8_t{0});
    }
    const bool is_known = effect.kind != Effect::Kind::kUnknown;
    std::fill_n(window.knowledge.begin() + Signed(at), count, is_known ? Knowledge::kWritten : Knowledge::kNone);
  });
}

void KnownBytes::ForgetRead(ByteRange range) {
  ForEachPart(*this, range, [](Window& window, std::size_t at, std::size_t count) {
    for (std::size_t i = at; i < at + count; ++i) {
      if (window.knowledge[i] == Knowledge::kRead) {
        window.knowledge[i] = Knowledge::kNone;
        window.bytes[i] = 0;
      }
    }
  });
}

std::optional<std::uint8_t> KnownBytes::At(std::uint64_t offset) const {
  std::optional<std::uint8_t> byte;
  ForEachPart(*this, {.begin = offset, .end = offset + 1}, [&](const Window& window, std::size_t at, std::size_t) {
    if (window.knowledge[at] != Knowledge::kNone) {
      byte = window.bytes[at];
    }
  });
  return byte;
}

std::optional<std::uint64_t> KnownBytes::FirstDifference(std::uint64_t offset, engine::ByteView bytes,
                                                         std::uint64_t from) const {
  std::optional<std::uint64_t> found;
  ForEachPart(*this, {.begin = std::max(offset, from), .end = offset + bytes.size()},
              [&](const Window& window, std::size_t at, std::size_t count) {
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
  ForEachPart(*this, range, [&](const Window& window, std::size_t at, std::size_t count) {
    const std::uint8_t* begin = window.bytes.data() + at;
    // Where nothing is known a zero stands; memcmp with itself shifted is the fastest way to see only zeroes.
    if (found || (*begin == 0 && std::memcmp(begin, begin + 1, count - 1) == 0)) {
      return;
    }
    found = window.range.begin + at +
            static_cast<std::uint64_t>(std::find_if(begin, begin + count, [](auto byte) { return byte != 0; }) - begin);
  });
  return found;
}

void KnownBytes::Copy(ByteRange range, engine::Bytes& bytes, std::vector<Knowledge>& knowledge) const {
  const std::size_t begin = bytes.size();
  bytes.resize(begin + range.length());
  knowledge.resize(begin + range.length(), Knowledge::kNone);
  ForEachPart(*this, range, [&](const Window& window, std::size_t at, std::size_t count) {
    const auto to = begin + static_cast<std::size_t>(window.range.begin + at - range.begin);
    std::copy_n(window.bytes.begin() + Signed(at), count, bytes.begin() + Signed(to));
    std::copy_n(window.knowledge.begin() + Signed(at), count, knowledge.begin() + Signed(to));
  });
}

}  // namespace nbdspec::fuzz
