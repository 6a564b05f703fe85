// SPDX-License-Identifier: BSD-3-Clause
// Results as tables.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "engine/extents/benchmark/results.h"

namespace nbdspec::engine::speed {
namespace {

using Cells = std::vector<std::string>;

std::string Number(double value) { return fmt::format("{:.{}f}", value, value < 10 ? 2 : value < 100 ? 1 : 0); }

std::string Times(double value) { return Number(value) + "x"; }

// 1000000 as 1e6, 1048576 as 2^20, others as they are.
std::string Size(std::uint64_t n) {
  const std::string digits = std::to_string(n);
  const std::size_t zeros = digits.size() - 1;
  const bool is_power = n >= 1000 && digits == "1" + std::string(zeros, '0');
  return is_power ? "1e" + std::to_string(zeros) : n == (1 << 20) ? "2^20" : digits;
}

std::string Plain(const std::vector<Cells>& table) {
  std::vector<std::size_t> widths(table.front().size());
  for (const Cells& row : table) {
    std::ranges::transform(row, widths, widths.begin(),
                           [](const std::string& cell, std::size_t width) { return std::max(width, cell.size()); });
  }
  std::string text;
  for (const Cells& row : table) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      text += i == 0 ? fmt::format("  {:<{}}", row[i], widths[i]) : fmt::format("  {:>{}}", row[i], widths[i]);
    }
    text += "\n";
  }
  return text;
}

std::string Markdown(const std::vector<Cells>& table) {
  std::string text;
  for (const Cells& row : table) {
    text += fmt::format("| {} |\n", fmt::join(row, " | "));
    if (&row == &table.front()) {
      const std::vector<std::string_view> others(row.size() - 1, " ---: |");
      text += fmt::format("| --- |{}\n", fmt::join(others, ""));
    }
  }
  return text;
}

std::string Table(const std::vector<Cells>& table, TableForm form) {
  return form == TableForm::kPlain ? Plain(table) : Markdown(table);
}

std::string Heading(const std::string& text, TableForm form) {
  return form == TableForm::kPlain ? "\n" + text + "\n" : "\n## " + text + "\n\n";
}

const Result& FirstOf(const Results& results, std::string_view row) {
  return *std::ranges::find(results.all, row, &Result::row);
}

std::string CostTable(const Results& results, const std::string& row, TableForm form) {
  // A column without figures would say nothing.
  Cells subjects = SubjectsOf(results);
  std::erase_if(subjects, [&](const std::string& subject) {
    return std::ranges::none_of(results.all,
                                [&](const Result& one) { return one.row == row && one.subject == subject; });
  });
  std::vector<Cells> table = {{"n"}};
  table.front().insert(table.front().end(), subjects.begin(), subjects.end());
  table.front().insert(table.front().end(), {"best peer", "ours is"});
  for (const std::uint64_t n : SizesOf(results, row)) {
    Cells& cells = table.emplace_back(1, Size(n));
    for (const std::string& subject : subjects) {
      const auto cost = CostOf(results, row, n, subject);
      cells.push_back(cost ? Number(*cost) : "-");
    }
    const auto ours = CostOf(results, row, n, kOurs);
    const std::optional<Best> best = BestPeer(results, row, n);
    cells.push_back(best ? best->subject : "-");
    cells.push_back(best && ours ? Times(best->cost / *ours) : "-");
  }
  const Result& first = FirstOf(results, row);
  return Heading(first.title + ", " + first.unit, form) + Table(table, form);
}

// For each subject: cost at its largest size over cost at its smallest, and the exponent of n that this makes.
std::string GrowthTable(const Results& results, TableForm form) {
  std::vector<Cells> table = {{"row"}};
  const Cells subjects = SubjectsOf(results);
  table.front().insert(table.front().end(), subjects.begin(), subjects.end());
  for (const std::string& row : RowsOf(results)) {
    const std::vector<std::uint64_t> sizes = SizesOf(results, row);
    if (sizes.size() < 2) {
      continue;
    }
    Cells& cells = table.emplace_back(1, row);
    for (const std::string& subject : subjects) {
      std::vector<std::pair<double, double>> measured;  // Size and cost.
      for (const std::uint64_t n : sizes) {
        if (const auto cost = CostOf(results, row, n, subject)) {
          measured.emplace_back(static_cast<double>(n), *cost);
        }
      }
      if (measured.size() < 2) {
        cells.emplace_back("-");
        continue;
      }
      const double size = measured.back().first / measured.front().first;
      const double cost = measured.back().second / measured.front().second;
      cells.push_back(Times(cost) + " n^" + Number(std::log(cost) / std::log(size)));
    }
  }
  if (table.size() == 1) {
    return "";
  }
  return Heading("How cost per operation grows from the smallest to the largest size", form) + Table(table, form);
}

std::string TargetTable(const Results& results, TableForm form) {
  std::vector<Cells> table = {{"row", "n", "against", "wanted", "reached", ""}};
  for (const TargetOutcome& outcome : OutcomesOf(results)) {
    const Target& target = outcome.target;
    const bool is_limit = target.against.empty();
    std::string against = is_limit ? FirstOf(results, target.row).unit : std::string(target.against);
    if (!is_limit && outcome.against != target.against) {
      against += " (" + outcome.against + ")";
    }
    table.push_back({std::string(target.row), Size(target.n), against,
                     is_limit ? "<= " + Number(target.at_least) : ">= " + Times(target.at_least),
                     is_limit ? Number(outcome.reached) : Times(outcome.reached), outcome.met ? "met" : "not met"});
  }
  return table.size() == 1 ? "" : Heading("Targets", form) + Table(table, form);
}

}  // namespace

std::string RenderTables(const Results& results, TableForm form) {
  std::string text = TargetTable(results, form);
  for (const std::string& row : RowsOf(results)) {
    text += CostTable(results, row, form);
  }
  return text + GrowthTable(results, form);
}

std::string RenderPage(const Results& results) {
  std::string page = R"(# How fast the extents map is

Written by `tools/benchmark` from one run of `bazel run -c opt //engine/extents:extent_map_benchmark`; not to be
edited. Every figure is the median of several rounds, in CPU time; lower is better. The rounds of all subjects are
mixed in random order, in one process; machines swing by a third, so believe ratios within a row, and those of
1.3 and more. `ours is` says how many times faster (or smaller) than the best peer the map is. `-`: the subject
cannot do it, or would take more than some ten seconds a round.

)";
  for (const auto& [key, value] : results.machine) {
    page += "- " + key + ": " + value + "\n";
  }
  page += "\n![Cost per operation against the number of extents](extent_map_speed.svg)\n";
  return page + RenderTables(results, TableForm::kMarkdown);
}

}  // namespace nbdspec::engine::speed
