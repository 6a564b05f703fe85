// SPDX-License-Identifier: BSD-3-Clause
// Results as a picture: one panel for each row, cost up, size to the right, both logarithmic.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
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

std::string Short(double value) {
  std::array<char, 32> text;
  std::snprintf(text.data(), text.size(), "%.1f", value);
  return text.data();
}

struct Attributes {
  std::string anchor = "middle";
  std::string weight = "normal";
};

std::string Text(double x, double y, const std::string& text, const Attributes& attributes) {
  std::string escaped;
  for (const char c : text) {
    escaped += c == '<' ? "&lt;" : c == '&' ? "&amp;" : std::string(1, c);
  }
  return "<text x=\"" + Short(x) + "\" y=\"" + Short(y) + "\" text-anchor=\"" + attributes.anchor +
         "\" font-weight=\"" + attributes.weight + "\">" + escaped + "</text>\n";
}

std::string Line(double x1, double y1, double x2, double y2, std::string_view colour, double width) {
  return "<path d=\"M" + Short(x1) + " " + Short(y1) + "L" + Short(x2) + " " + Short(y2) + "\" stroke=\"" +
         std::string(colour) + "\" stroke-width=\"" + Short(width) + "\"/>\n";
}

// Decades, so that a panel begins and ends at a labelled line.
class Scale {
 public:
  Scale(double least, double most, double at_least, double at_most)
      : low_(static_cast<int>(std::floor(std::log10(least) + 1e-9))),
        high_(std::max(low_ + 1, static_cast<int>(std::ceil(std::log10(most) - 1e-9)))),
        at_low_(at_least),
        at_high_(at_most) {}
  [[nodiscard]] double At(double value) const {
    return at_low_ + (std::log10(value) - low_) / (high_ - low_) * (at_high_ - at_low_);
  }
  [[nodiscard]] int low() const { return low_; }
  [[nodiscard]] int high() const { return high_; }

 private:
  int low_;
  int high_;
  double at_low_;
  double at_high_;
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
    if (const Result* result = Find(results, row, n, subject); result != nullptr && Median(result->rounds) > 0) {
      points.push_back({.n = static_cast<double>(n), .cost = Median(result->rounds)});
    }
  }
  return points;
}

class Panel {
 public:
  Panel(const Results& results, std::string row, double left, double top)
      : results_(results), row_(std::move(row)), left_(left), top_(top) {}

  [[nodiscard]] std::string Render() const {
    std::vector<double> costs;
    for (const std::string& subject : SubjectsOf(results_)) {
      std::ranges::transform(PointsOf(results_, row_, subject), std::back_inserter(costs), &Point::cost);
    }
    if (costs.empty()) {
      return {};
    }
    const std::vector<std::uint64_t> sizes = SizesOf(results_, row_);
    const auto [least, most] = std::ranges::minmax(costs);
    const Scale across(static_cast<double>(sizes.front()), static_cast<double>(sizes.back()), left_ + kMarginLeft,
                       left_ + kPanelWidth - kMarginRight);
    const Scale up(least, most, top_ + kPanelHeight - kMarginBottom, top_ + kMarginTop);
    return Grid(across, up) + Curves(across, up);
  }

 private:
  [[nodiscard]] std::string Grid(const Scale& across, const Scale& up) const {
    const Result& first = *std::ranges::find(results_.all, row_, &Result::row);
    const double right = left_ + kPanelWidth - kMarginRight;
    const double bottom = top_ + kPanelHeight - kMarginBottom;
    std::string svg = Text((left_ + kMarginLeft + right) / 2, top_ + 14, first.title, {.weight = "bold"}) +
                      Text((left_ + kMarginLeft + right) / 2, top_ + 28, first.unit, {});
    for (int exponent = up.low(); exponent <= up.high(); ++exponent) {
      const double y = up.At(std::pow(10, exponent));
      svg += Line(left_ + kMarginLeft, y, right, y, "#dddddd", 1) +
             Text(left_ + kMarginLeft - 5, y + 4, Decade(exponent), {.anchor = "end"});
    }
    for (int exponent = across.low(); exponent <= across.high(); ++exponent) {
      const double x = across.At(std::pow(10, exponent));
      svg += Line(x, top_ + kMarginTop, x, bottom, "#dddddd", 1) + Text(x, bottom + 15, Decade(exponent), {});
    }
    return svg;
  }

  [[nodiscard]] std::string Curves(const Scale& across, const Scale& up) const {
    std::string svg;
    const std::vector<std::string> subjects = SubjectsOf(results_);
    for (std::size_t i = 0; i < subjects.size(); ++i) {
      const std::string colour(kColours[std::min(i, kColours.size() - 1)]);
      std::string path;
      for (const Point& point : PointsOf(results_, row_, subjects[i])) {
        const std::string x = Short(across.At(point.n));
        const std::string y = Short(up.At(point.cost));
        path += (path.empty() ? "M" : "L") + x + " " + y;
        svg += "<circle cx=\"" + x + "\" cy=\"" + y + "\" r=\"2.5\" fill=\"" + colour + "\"/>\n";
      }
      if (!path.empty()) {
        svg += "<path d=\"" + path + "\" fill=\"none\" stroke=\"" + colour + "\" stroke-width=\"" +
               (subjects[i] == kOurs ? "3" : "1.3") + "\"/>\n";
      }
    }
    return svg;
  }

  const Results& results_;
  const std::string row_;
  const double left_;
  const double top_;
};

std::string Legend(const std::vector<std::string>& subjects, double width) {
  std::string svg;
  const double step = (width - 20) / static_cast<double>(std::max<std::size_t>(1, subjects.size()));
  for (std::size_t i = 0; i < subjects.size(); ++i) {
    const double x = 10 + step * static_cast<double>(i);
    svg += Line(x, 20, x + 18, 20, kColours[std::min(i, kColours.size() - 1)], subjects[i] == kOurs ? 3 : 1.3) +
           Text(x + 22, 24, subjects[i], {.anchor = "start"});
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
  std::string svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + Short(width) + " " + Short(height) +
                    "\" font-family=\"sans-serif\" font-size=\"11\">\n<rect width=\"100%\" height=\"100%\" "
                    "fill=\"white\"/>\n" +
                    Legend(SubjectsOf(results), width);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const std::size_t line = i / kColumns;
    const double left = static_cast<double>(i % kColumns) * kPanelWidth;
    const double top = kLegendHeight + static_cast<double>(line) * kPanelHeight;
    svg += Panel(results, rows[i], left, top).Render();
  }
  return svg + "</svg>\n";
}

}  // namespace nbdspec::engine::speed
