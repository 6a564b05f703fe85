// SPDX-License-Identifier: BSD-3-Clause
// Results as a picture: one panel for each row, cost up, size to the right, both logarithmic.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "engine/extents/benchmark/results.h"

namespace nbdspec::engine::speed {
namespace {

constexpr int kColumns = 3;
constexpr double kPanelWidth = 300;
constexpr double kPanelHeight = 230;
constexpr double kMarginLeft = 48;
constexpr double kMarginTop = 34;
constexpr double kMarginRight = 14;
constexpr double kMarginBottom = 30;
constexpr double kLegendHeight = 40;

// Told apart also by those who do not see all colours; ours is thick as well. More subjects share the last one.
constexpr std::array<std::string_view, 9> kColours = {"#000000", "#d55e00", "#0072b2", "#009e73", "#cc79a7",
                                                      "#e69f00", "#56b4e9", "#7f7f7f", "#999933"};

std::string_view ColourOf(std::size_t subject) { return kColours[std::min(subject, kColours.size() - 1)]; }

std::string Text(double x, double y, const std::string& text, std::string_view anchor = "middle",
                 std::string_view weight = "normal") {
  std::string escaped;
  for (const char c : text) {
    escaped += c == '<' ? "&lt;" : c == '&' ? "&amp;" : std::string(1, c);
  }
  return fmt::format("<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"{}\" font-weight=\"{}\">{}</text>\n", x, y, anchor,
                     weight, escaped);
}

std::string Line(double x1, double y1, double x2, double y2, std::string_view colour, double width) {
  return fmt::format("<path d=\"M{:.1f} {:.1f}L{:.1f} {:.1f}\" stroke=\"{}\" stroke-width=\"{:.1f}\"/>\n", x1, y1, x2,
                     y2, colour, width);
}

// Decades, so that a panel begins and ends at a labelled line.
struct Scale {
  Scale(double least, double most, double where_low, double where_high)
      : low(static_cast<int>(std::floor(std::log10(least) + 1e-9))),
        high(std::max(low + 1, static_cast<int>(std::ceil(std::log10(most) - 1e-9)))),
        at_low(where_low),
        at_high(where_high) {}
  [[nodiscard]] double At(double value) const {
    return at_low + (std::log10(value) - low) / (high - low) * (at_high - at_low);
  }

  int low;
  int high;
  double at_low;  // Where the panel has it.
  double at_high;
};

std::string Decade(int exponent) {
  return exponent >= 0 && exponent < 3 ? std::to_string(static_cast<int>(std::pow(10, exponent)))
                                       : "1e" + std::to_string(exponent);
}

struct Point {
  double n;
  double cost;
};

// Costs of zero have no place on a logarithmic scale: such a row is for the tables.
std::vector<Point> PointsOf(const Results& results, const std::string& row, const std::string& subject) {
  std::vector<Point> points;
  for (const std::uint64_t n : SizesOf(results, row)) {
    if (const auto cost = CostOf(results, row, n, subject).value_or(0); cost > 0) {
      points.push_back({.n = static_cast<double>(n), .cost = cost});
    }
  }
  return points;
}

std::string Grid(const Result& first, const Scale& across, const Scale& up) {
  const double middle = (across.at_low + across.at_high) / 2;
  std::string svg = Text(middle, up.at_high - kMarginTop + 14, first.title, "middle", "bold") +
                    Text(middle, up.at_high - kMarginTop + 28, first.unit);
  for (int exponent = up.low; exponent <= up.high; ++exponent) {
    const double y = up.At(std::pow(10, exponent));
    svg += Line(across.at_low, y, across.at_high, y, "#dddddd", 1) +
           Text(across.at_low - 5, y + 4, Decade(exponent), "end");
  }
  for (int exponent = across.low; exponent <= across.high; ++exponent) {
    const double x = across.At(std::pow(10, exponent));
    svg += Line(x, up.at_high, x, up.at_low, "#dddddd", 1) + Text(x, up.at_low + 15, Decade(exponent));
  }
  return svg;
}

std::string Panel(const Results& results, const std::string& row, double left, double top) {
  const std::vector<std::string> subjects = SubjectsOf(results);
  std::vector<double> costs;
  for (const std::string& subject : subjects) {
    std::ranges::transform(PointsOf(results, row, subject), std::back_inserter(costs), &Point::cost);
  }
  if (costs.empty()) {
    return {};
  }
  const std::vector<std::uint64_t> sizes = SizesOf(results, row);
  const auto [least, most] = std::ranges::minmax(costs);
  const Scale across(static_cast<double>(sizes.front()), static_cast<double>(sizes.back()), left + kMarginLeft,
                     left + kPanelWidth - kMarginRight);
  const Scale up(least, most, top + kPanelHeight - kMarginBottom, top + kMarginTop);
  std::string svg = Grid(*std::ranges::find(results.all, row, &Result::row), across, up);
  for (std::size_t i = 0; i < subjects.size(); ++i) {
    const std::string_view colour = ColourOf(i);
    std::string path;
    for (const Point& point : PointsOf(results, row, subjects[i])) {
      const double x = across.At(point.n);
      const double y = up.At(point.cost);
      path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x, y);
      svg += fmt::format(R"(<circle cx="{:.1f}" cy="{:.1f}" r="2.5" fill="{}"/>)", x, y, colour) + "\n";
    }
    if (!path.empty()) {
      svg += fmt::format(R"(<path d="{}" fill="none" stroke="{}" stroke-width="{}"/>)", path, colour,
                         subjects[i] == kOurs ? "3" : "1.3") +
             "\n";
    }
  }
  return svg;
}

std::string Legend(const std::vector<std::string>& subjects, double width) {
  std::string svg;
  const double step = (width - 20) / static_cast<double>(std::max<std::size_t>(1, subjects.size()));
  for (std::size_t i = 0; i < subjects.size(); ++i) {
    const double x = 10 + step * static_cast<double>(i);
    svg +=
        Line(x, 20, x + 18, 20, ColourOf(i), subjects[i] == kOurs ? 3 : 1.3) + Text(x + 22, 24, subjects[i], "start");
  }
  return svg;
}

}  // namespace

std::string RenderPlot(const Results& results) {
  std::vector<std::string> rows = RowsOf(results);
  std::erase_if(rows, [&](const std::string& row) { return SizesOf(results, row).size() < 2; });
  const int lines = (static_cast<int>(rows.size()) + kColumns - 1) / kColumns;
  const double width = kColumns * kPanelWidth;
  const double height = kLegendHeight + lines * kPanelHeight;
  std::string svg = fmt::format(
      R"(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {:.1f} {:.1f}" font-family="sans-serif" font-size="11">
<rect width="100%" height="100%" fill="white"/>
)",
      width, height);
  svg += Legend(SubjectsOf(results), width);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::size_t line = i / kColumns;
    const double left = static_cast<double>(i % kColumns) * kPanelWidth;
    const double top = kLegendHeight + static_cast<double>(line) * kPanelHeight;
    svg += Panel(results, rows[i], left, top);
  }
  return svg + "</svg>\n";
}

}  // namespace nbdspec::engine::speed
