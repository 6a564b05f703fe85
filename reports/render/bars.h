// SPDX-License-Identifier: BSD-3-Clause
// Bars: what is said of the bytes of an export, to scale. In text a column stands for a part of it. Private to this
// folder: maps, outcomes as text and outcomes as HTML draw the same kinds.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "reports/model/evidence.h"

namespace nbdspec::reports {

// The first four are the flags of base:allocation.
enum class BarKind { kData, kHole, kZero, kHoleZero, kAsked, kWrong, kOther };
inline constexpr std::size_t kBarKindCount = 7;

// What a stretch is said to be: kOther for words that are not known.
BarKind KindOf(const Stretch& stretch);

// One column wide.
std::string_view GlyphOf(BarKind kind);
// Of a column in which there is data, and something else.
inline constexpr std::string_view kMixedGlyph = "▓";

struct BarPart {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
  BarKind kind = BarKind::kData;
};

struct BarScale {
  std::uint64_t begin = 0;
  std::uint64_t end = 1;  // Above begin.
  // Where the column `index` of `count` begins.
  [[nodiscard]] std::uint64_t At(std::uint64_t index, std::uint64_t count) const {
    return begin + static_cast<std::uint64_t>(static_cast<unsigned __int128>(end - begin) * index / count);
  }
};

// From the first byte that somebody speaks of to the last; an export is as long as it is.
BarScale ScaleOf(const std::vector<Bar>& bars);

// Bytes of each kind.
using BarShares = std::array<std::uint64_t, kBarKindCount>;

// What is said of each of `count` columns, as equal as they can be. Time: parts and columns, where parts do not
// overlap.
std::vector<BarShares> SharesOf(std::span<const BarPart> parts, BarScale scale, std::uint64_t count);

// What shows most of a column; a blank where nothing is said. What is wrong always shows, and so does data.
std::string_view GlyphOf(const BarShares& shares);

// "[0, 4096) data; [4096, 8192) hole": the first few, and how many more there are. As it was said: not harmless yet.
std::string ListOf(const Bar& bar);
inline constexpr std::size_t kStretchesListed = 6;

// Each bar as lines of at most `columns`, of at least 20, to one scale: who says what, the bar, and below it what was
// judged.
std::vector<std::string> DrawnAsText(const std::vector<Bar>& bars, std::size_t columns);

}  // namespace nbdspec::reports
