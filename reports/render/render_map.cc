// SPDX-License-Identifier: BSD-3-Clause
// The map of an export: text and SVG as bars, in which every kind of extent that is there shows; and JSON.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <numeric>
#include <pugixml.hpp>
#include <sstream>
#include <string_view>
#include <vector>

#include "reports/render/bars.h"
#include "reports/render/printable.h"
#include "reports/render/render.h"

namespace nbdspec::reports {

namespace {

// What base:allocation says of an extent: its two known flags as a number.
constexpr std::size_t kKindCount = 4;
struct Kind {
  std::string_view name;  // As `nbdinfo --map` has it.
  std::string_view meaning;
  std::string_view color;  // In SVG.
};
constexpr std::array<Kind, kKindCount> kKinds = {{{"data", "data", "#2b6cb0"},
                                                  {"hole", "a hole that need not read as zeroes", "#d69e2e"},
                                                  {"zero", "zeroes that are allocated", "#a0aec0"},
                                                  {"hole,zero", "a hole that reads as zeroes", "#edf2f7"}}};

BarScale ScaleOf(const ExtentMap& map) { return {.begin = 0, .end = std::max<std::uint64_t>(map.size, 1)}; }

std::size_t KindOf(const MappedExtent& extent) { return static_cast<std::size_t>(extent.flags & (kKindCount - 1)); }

// The columns of a bar of all of the export.
std::vector<BarShares> ColumnsOf(const ExtentMap& map, std::uint64_t count) {
  std::vector<BarPart> parts;
  parts.reserve(map.extents.size());
  for (const MappedExtent& extent : map.extents) {
    parts.push_back({.begin = extent.begin, .end = extent.end, .kind = static_cast<BarKind>(KindOf(extent))});
  }
  return SharesOf(parts, ScaleOf(map), count);
}

// "1.5 GiB".
std::string Size(std::uint64_t bytes) {
  constexpr std::string_view kUnits[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  std::size_t unit = 0;
  auto value = static_cast<double>(bytes);
  for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) {
    value /= 1024;
  }
  return unit == 0 ? fmt::format("{} bytes", bytes) : fmt::format("{:.4g} {}", value, kUnits[unit]);
}

struct Total {
  std::uint64_t bytes = 0;
  std::uint64_t extents = 0;
};

std::array<Total, kKindCount> TotalsOf(const ExtentMap& map) {
  std::array<Total, kKindCount> totals;
  for (const MappedExtent& extent : map.extents) {
    totals[KindOf(extent)].bytes += extent.end - extent.begin;
    ++totals[KindOf(extent)].extents;
  }
  return totals;
}

double Percent(std::uint64_t bytes, std::uint64_t size) {
  return size == 0 ? 0 : 100 * static_cast<double>(bytes) / static_cast<double>(size);
}

std::string Head(const ExtentMap& map) {
  return fmt::format("{}, export \"{}\": {} bytes ({}), {} extent{}", Printable(map.target), Printable(map.export_name),
                     map.size, Size(map.size), map.extents.size(), map.extents.size() == 1 ? "" : "s");
}

std::string Bars(const ExtentMap& map, std::size_t columns) {
  constexpr std::size_t kLabel = 12;  // Of where a line begins.
  constexpr std::uint64_t kRowsMax = 16;
  const std::uint64_t width = std::max<std::size_t>(columns, kLabel + 20) - kLabel;
  // Few extents fit on a line; many show more on several.
  const std::uint64_t rows = std::clamp<std::uint64_t>(map.extents.size() / (width / 4), 1, kRowsMax);
  const std::uint64_t cells = std::min(width * rows, map.size);
  const std::vector<BarShares> parts = ColumnsOf(map, cells);
  std::string text;
  for (std::uint64_t cell = 0; cell < cells; ++cell) {
    if (cell % width == 0) {
      text += fmt::format("{}{:>{}} ", cell == 0 ? "" : "\n", Size(ScaleOf(map).At(cell, cells)), kLabel - 1);
    }
    text += GlyphOf(parts[cell]);
  }
  return text + "\n";
}

}  // namespace

std::string RenderText(const ExtentMap& map, std::size_t columns, bool every_extent) {
  std::string text = Head(map) + "\n";
  if (map.size > 0) {
    text += "\n" + Bars(map, columns) + "\n";
  }
  const auto totals = TotalsOf(map);
  for (std::size_t kind = 0; kind < kKindCount; ++kind) {
    if (totals[kind].extents > 0) {
      text += fmt::format("  {} {:<9} {:>12} {:6.2f} %  in {} extent{}: {}\n", GlyphOf(static_cast<BarKind>(kind)),
                          kKinds[kind].name, Size(totals[kind].bytes), Percent(totals[kind].bytes, map.size),
                          totals[kind].extents, totals[kind].extents == 1 ? "" : "s", kKinds[kind].meaning);
    }
  }
  if (totals[0].extents > 0 && map.extents.size() > 1) {
    text += fmt::format("  {} data and something else\n", kMixedGlyph);
  }
  if (every_extent) {
    text += "\n";
    for (const MappedExtent& extent : map.extents) {
      text += fmt::format("{:>20} {:>20}  {:#x} {}\n", extent.begin, extent.end - extent.begin, extent.flags,
                          kKinds[KindOf(extent)].name);
    }
  }
  return text + (map.trouble.empty() ? "" : "\nThat is not all: " + PrintableLines(map.trouble) + "\n");
}

std::string RenderJson(const ExtentMap& map) {
  nlohmann::ordered_json extents = nlohmann::ordered_json::array();
  for (const MappedExtent& extent : map.extents) {
    extents.push_back({{"offset", extent.begin},
                       {"length", extent.end - extent.begin},
                       {"type", extent.flags},
                       {"description", kKinds[KindOf(extent)].name}});
  }
  const nlohmann::ordered_json json = {
      {"target", Printable(map.target)}, {"export", Printable(map.export_name)}, {"size", map.size},
      {"context", "base:allocation"},    {"trouble", Printable(map.trouble)},    {"extents", std::move(extents)}};
  return json.dump(2) + "\n";
}

std::string RenderSvg(const ExtentMap& map) {
  constexpr std::uint64_t kWidth = 1000;
  constexpr double kBar = 60;
  constexpr double kTop = 40;
  pugi::xml_document document;
  pugi::xml_node svg = document.append_child("svg");
  svg.append_attribute("xmlns") = "http://www.w3.org/2000/svg";
  svg.append_attribute("viewBox") = "-10 0 1020 200";
  svg.append_attribute("role") = "img";
  svg.append_attribute("font-family") = "sans-serif";
  svg.append_attribute("font-size") = "14";
  svg.append_child("title").text() = Head(map).c_str();
  const auto add_text = [&](double x, double y, const std::string& words) {
    pugi::xml_node text = svg.append_child("text");
    text.append_attribute("x") = x;
    text.append_attribute("y") = y;
    text.text() = words.c_str();
  };
  const auto add_box = [&](double x, double y, double width, double height, std::size_t kind) {
    pugi::xml_node box = svg.append_child("rect");
    box.append_attribute("x") = x;
    box.append_attribute("y") = y;
    box.append_attribute("width") = width;
    box.append_attribute("height") = height;
    box.append_attribute("fill") = std::string(kKinds[kind].color).c_str();
    return box;
  };
  add_text(0, 20, Head(map));
  // A column for each part, of the kinds that it has in their shares; those of one kind only are drawn at once.
  const std::uint64_t columns = std::min(kWidth, map.size);
  const std::vector<BarShares> parts = ColumnsOf(map, columns);
  const double column = columns == 0 ? 0 : static_cast<double>(kWidth) / static_cast<double>(columns);
  const auto sum_of = [](const BarShares& shares) { return std::reduce(shares.begin(), shares.end()); };
  const auto only_kind = [&](std::uint64_t part, std::size_t kind) {
    return part < columns && parts[part][kind] > 0 && parts[part][kind] == sum_of(parts[part]);
  };
  for (std::uint64_t part = 0; part < columns;) {
    std::uint64_t end = part + 1;
    double y = kTop;
    for (std::size_t kind = 0; kind < kKindCount; ++kind) {
      while (only_kind(part, kind) && only_kind(end, kind)) {
        ++end;
      }
      const double height = kBar * Percent(parts[part][kind], sum_of(parts[part])) / 100;
      if (height > 0) {
        add_box(static_cast<double>(part) * column, y, static_cast<double>(end - part) * column, height, kind);
        y += height;
      }
    }
    part = end;
  }
  const auto totals = TotalsOf(map);
  double y = kTop + kBar + 30;
  for (std::size_t kind = 0; kind < kKindCount; ++kind) {
    if (totals[kind].extents > 0) {
      add_box(0, y - 12, 14, 14, kind).append_attribute("stroke") = "#4a5568";
      add_text(24, y,
               fmt::format("{}: {}, {:.2f} %, {} extents", kKinds[kind].meaning, Size(totals[kind].bytes),
                           Percent(totals[kind].bytes, map.size), totals[kind].extents));
      y += 22;
    }
  }
  if (!map.trouble.empty()) {
    add_text(0, y, "That is not all: " + Printable(map.trouble));
  }
  std::ostringstream out;
  document.save(out, " ", pugi::format_indent | pugi::format_no_declaration);
  return out.str();
}

}  // namespace nbdspec::reports
