// SPDX-License-Identifier: BSD-3-Clause
#include "reports/render/bars.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "reports/render/printable.h"

namespace nbdspec::reports {

namespace {

constexpr std::size_t Index(BarKind kind) { return static_cast<std::size_t>(kind); }

std::vector<BarPart> PartsOf(const Bar& bar) {
  std::vector<BarPart> parts;
  std::ranges::transform(bar.stretches, std::back_inserter(parts), [](const Stretch& each) {
    return BarPart{.begin = each.begin, .end = each.end, .kind = KindOf(each)};
  });
  return parts;
}

// "^" below what was judged, and nothing where nothing was.
std::string MarksOf(const Bar& bar, BarScale scale, std::size_t columns) {
  std::vector<BarPart> judged;
  for (const Stretch& stretch : bar.stretches) {
    if (stretch.is_judged) {
      judged.push_back({.begin = stretch.begin, .end = stretch.end});
    }
  }
  std::string marks;
  for (const BarShares& shares : SharesOf(judged, scale, columns)) {
    marks += shares.front() > 0 ? '^' : ' ';
  }
  return marks.substr(0, marks.find_last_not_of(' ') + 1);
}

}  // namespace

BarKind KindOf(const Stretch& stretch) {
  using enum BarKind;
  const std::string_view said = stretch.said;
  return said.empty()                           ? kAsked
         : said == "data"                       ? kData
         : said == "zero" || said == "zeroes"   ? kZero
         : said == "hole"                       ? kHole
         : said == "hole, zero"                 ? kHoleZero
         : said == "not zero"                   ? kWrong
         : said == "wrong" || said == "missing" ? kWrong
                                                : kOther;
}

std::string_view GlyphOf(BarKind kind) {
  constexpr std::array<std::string_view, kBarKindCount> kGlyphs = {"█", "▒", "░", "·",  // In the order of BarKind.
                                                                   "─", "!", "+"};
  return kGlyphs.at(Index(kind));
}

BarScale ScaleOf(const std::vector<Bar>& bars) {
  BarScale scale{.begin = UINT64_MAX, .end = 0};
  for (const Bar& bar : bars) {
    for (const Stretch& stretch : bar.who == "export" ? std::vector<Stretch>{} : bar.stretches) {
      scale.begin = std::min(scale.begin, stretch.begin);
      scale.end = std::max(scale.end, stretch.end);
    }
  }
  return scale.begin < scale.end ? scale : BarScale{};
}

std::vector<BarShares> SharesOf(std::span<const BarPart> parts, BarScale scale, std::uint64_t count) {
  std::vector<BarShares> columns(count);
  std::uint64_t column = 0;
  for (const auto& [begin, end, kind] : parts) {
    const std::uint64_t last = std::min(end, scale.end);
    for (std::uint64_t at = std::max(begin, scale.begin); at < last;) {
      while (column > 0 && scale.At(column, count) > at) {
        --column;
      }
      while (scale.At(column + 1, count) <= at) {
        ++column;
      }
      const std::uint64_t next = std::min(last, scale.At(column + 1, count));
      columns[column][Index(kind)] += next - at;
      at = next;
    }
  }
  return columns;
}

std::string_view GlyphOf(const BarShares& shares) {
  const std::size_t most = static_cast<std::size_t>(std::ranges::max_element(shares) - shares.begin());
  if (shares[most] == 0) {
    return " ";  // Not known.
  }
  if (shares[Index(BarKind::kWrong)] > 0) {
    return GlyphOf(BarKind::kWrong);
  }
  const bool has_more = std::ranges::count(shares, 0U) + 1 < std::ssize(shares);
  return shares[Index(BarKind::kData)] > 0 && has_more ? kMixedGlyph : GlyphOf(static_cast<BarKind>(most));
}

std::string ListOf(const Bar& bar) {
  std::string list;
  for (std::size_t i = 0; i < std::min(bar.stretches.size(), kStretchesListed); ++i) {
    const Stretch& each = bar.stretches[i];
    list += fmt::format("{}[{}, {}){}{}", i == 0 ? "" : "; ", each.begin, each.end, each.said.empty() ? "" : " ",
                        each.said);
  }
  const std::size_t more = bar.stretches.size() - std::min(bar.stretches.size(), kStretchesListed);
  return more == 0 ? list : fmt::format("{}; and {} more", list, more);
}

std::vector<std::string> DrawnAsText(const std::vector<Bar>& bars, std::size_t columns) {
  const BarScale scale = ScaleOf(bars);
  const std::uint64_t count = std::min<std::uint64_t>(columns, scale.end - scale.begin);
  std::vector<std::string> lines;
  for (const Bar& bar : bars) {
    const std::string said = Printable(fmt::format("{}: {}", FirstOf(bar.who, 60), FirstOf(ListOf(bar), 600)));
    std::ranges::copy(Wrap(said, columns), std::back_inserter(lines));
    std::string& drawn = lines.emplace_back();
    for (const BarShares& shares : SharesOf(PartsOf(bar), scale, count)) {
      drawn += GlyphOf(shares);
    }
    if (std::string marks = MarksOf(bar, scale, count); !marks.empty()) {
      lines.push_back(std::move(marks));
    }
  }
  return lines;
}

}  // namespace nbdspec::reports
