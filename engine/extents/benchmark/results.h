// SPDX-License-Identifier: BSD-3-Clause
// What was measured: medians by row, size and subject; what follows from them; and their form as JSON.

#pragma once

#include <cstdint>
#include <expected>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace nbdspec::engine::speed {

inline constexpr std::string_view kOurs = "extent_map";

// One subject in one row at one size.
struct Result {
  std::string row;      // "append_warm"
  std::string title;    // "append, warm pages"
  std::string unit;     // "ns/extent"
  std::uint64_t n = 0;  // Extents or adds.
  std::string subject;
  std::vector<double> rounds;  // Cost in `unit`, one value for each round.
};

struct Results {
  std::map<std::string, std::string> machine;  // "compiler": "...", for the reader.
  std::vector<Result> all;                     // In order of measurement.
};

// Range: not empty.
double Median(std::vector<double> values);

// The rows in order of first appearance, the sizes of one in ascending order, and the subjects that any row has.
std::vector<std::string> RowsOf(const Results& results);
std::vector<std::uint64_t> SizesOf(const Results& results, std::string_view row);
std::vector<std::string> SubjectsOf(const Results& results);

// The median of the rounds; nothing if that was not measured.
std::optional<double> CostOf(const Results& results, std::string_view row, std::uint64_t n, std::string_view subject);

// The cheapest of `subjects` other than ours; nothing if none of them was measured there. An empty list is everyone.
struct Best {
  std::string subject;
  double cost = 0;
};
std::optional<Best> BestPeer(const Results& results, std::string_view row, std::uint64_t n,
                             std::span<const std::string_view> subjects = {});

// What ExtentMap is meant to reach.
struct Target {
  std::string_view row;
  std::uint64_t n;
  std::string_view against;  // A subject, "best peer", "best tree", or "" for a limit in the row's unit.
  double at_least;           // How many times faster than `against`; the limit, if that is "".
};

struct TargetOutcome {
  Target target;
  std::string against;  // The subject that it came out to be.
  double reached = 0;
  bool met = false;
};
// Nothing for a target whose row was not measured.
std::vector<TargetOutcome> OutcomesOf(const Results& results);

std::string ToJson(const Results& results);
// Errors: a sentence saying what is wrong with `text`.
std::expected<Results, std::string> FromJson(std::string_view text);

// For people: the targets, a table for each row, and how cost grows with n.
enum class TableForm : std::uint8_t { kPlain, kMarkdown };
std::string RenderTables(const Results& results, TableForm form);

// The tables as a page that says how to read and repeat them, and shows extent_map_speed.svg.
std::string RenderPage(const Results& results);

// Cost against n, log-log, a panel for each row that has several sizes, as SVG.
std::string RenderPlot(const Results& results);

}  // namespace nbdspec::engine::speed
