// SPDX-License-Identifier: BSD-3-Clause
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <sstream>
#include <utility>

#include "engine/base/or_return.h"
#include "fuzz/canary/canary.h"
#include "fuzz/canary/trial.h"

namespace nbdspec::fuzz {
namespace {

using engine::Trouble;

constexpr std::array kColumns = {Generator::kOurs, Generator::kUniform, Generator::kRapidcheck, Generator::kLibfuzzer};
constexpr std::array kEngines = {Generator::kLikely, Generator::kOurs, Generator::kLibfuzzer, Generator::kAflOurs,
                                 Generator::kAfl};

// The trials of one generator with one bug.
struct Trials {
  std::vector<TrialResult> all = {};
  double seconds_max = 0;

  [[nodiscard]] auto found() const { return std::ranges::count_if(all, &TrialResult::is_found); }
  [[nodiscard]] bool is_always_found() const { return found() == std::ssize(all); }
};

using Results = std::map<std::pair<std::string, Generator>, Trials>;

std::string Rounded(double number) {
  return number < 10 ? fmt::format("{:.2g}", number) : fmt::format("{:.0f}", number);
}

// The median of a number of each trial; none if that is of one which found nothing.
template <typename Number>
std::optional<double> Median(const Trials& trials, Number TrialResult::* number) {
  std::vector<double> numbers;
  for (const TrialResult& trial : trials.all) {
    numbers.push_back(trial.is_found ? static_cast<double>(trial.*number) : HUGE_VAL);
  }
  std::ranges::sort(numbers);
  const double median =
      numbers.empty() ? HUGE_VAL : (numbers[(numbers.size() - 1) / 2] + numbers[numbers.size() / 2]) / 2;
  return std::isinf(median) ? std::nullopt : std::optional(median);
}

using Cells = std::vector<std::string>;

std::string Line(const Cells& cells) { return fmt::format("| {} |\n", fmt::join(cells, " | ")); }

std::string Head(const Cells& cells) {
  return Line(cells) + fmt::format("|{}\n", fmt::join(Cells(cells.size(), "---|"), ""));
}

// How often it was reached, triggered and detected; the medians of inputs and of seconds.
Cells CellsOf(const Canary& canary, const Trials& trials) {
  if (trials.all.empty()) {
    return {"–", "", ""};
  }
  const auto noted = [&](bool CanaryNotes::* is) {
    const auto count = std::ranges::count_if(trials.all, [is](const TrialResult& trial) { return trial.notes.*is; });
    return canary.has_notes || trials.is_always_found() ? std::to_string(count) : std::string("?");
  };
  std::uint64_t inputs_in_vain = std::numeric_limits<std::uint64_t>::max();
  for (const TrialResult& trial : trials.all) {
    inputs_in_vain = trial.is_found ? inputs_in_vain : std::min(inputs_in_vain, trial.inputs);
  }
  const auto inputs = Median(trials, &TrialResult::inputs);
  const auto seconds = Median(trials, &TrialResult::seconds);
  return {fmt::format("{} {} {}/{}", noted(&CanaryNotes::is_reached), noted(&CanaryNotes::is_triggered), trials.found(),
                      trials.all.size()),
          inputs ? Rounded(*inputs) : fmt::format(">{}", inputs_in_vain),
          !seconds           ? ""
          : *seconds < 0.001 ? "<0.001"
                             : Rounded(*seconds)};
}

std::expected<Results, Trouble> ReadResults(std::istream& lines) {
  std::set<std::string> bugs;
  std::ranges::transform(AllPlanted(), std::inserter(bugs, bugs.end()), &Planted::name);
  Results results;
  std::string text;
  for (std::size_t number = 1; std::getline(lines, text); ++number) {
    std::istringstream line(text);
    std::string bug;
    std::string generator;
    std::uint64_t seed = 0;
    double seconds_max = 0;
    TrialResult trial;
    line >> bug >> generator >> seed >> seconds_max >> trial.is_found >> trial.inputs >> trial.seconds >>
        trial.notes.is_reached >> trial.notes.is_triggered;
    const auto named = GeneratorNamed(generator);
    if (!line || !named || !bugs.contains(bug)) {
      return std::unexpected(Trouble{fmt::format(
          "line {} is no trial of a planted bug: take lines that `canaries run` of this version printed", number)});
    }
    Trials& trials = results[{bug, *named}];
    trials.all.push_back(trial);
    trials.seconds_max = std::max(trials.seconds_max, seconds_max);
  }
  return results;
}

// What a generator did with many bugs.
struct Tally {
  std::size_t bugs = 0;
  std::size_t always = 0;  // Bugs found in each trial.
  std::size_t never = 0;
  std::size_t trials = 0;
  std::size_t soon = 0;  // Trials.
  std::size_t medians = 0;
  double logs = 0;               // Of the medians.
  std::set<std::string> shapes;  // Of the trials of a bug.
};

Tally TallyOf(const Results& results, Generator generator, const auto& is_asked) {
  Tally tally;
  for (const Planted& planted : AllPlanted()) {
    const auto found = results.find({planted.name(), generator});
    if (found == results.end() || !is_asked(planted)) {
      continue;
    }
    const Trials& tried = found->second;
    ++tally.bugs;
    tally.always += tried.is_always_found() ? 1 : 0;
    tally.never += tried.found() == 0 ? 1 : 0;
    tally.trials += tried.all.size();
    tally.soon += static_cast<std::size_t>(std::ranges::count_if(
        tried.all, [](const TrialResult& trial) { return trial.is_found && trial.seconds <= 1; }));
    tally.shapes.insert(fmt::format("{} of {} s", tried.all.size(), Rounded(tried.seconds_max)));
    if (const auto inputs = Median(tried, &TrialResult::inputs)) {
      ++tally.medians;
      tally.logs += std::log(*inputs);
    }
  }
  return tally;
}

bool IsBug(const Planted& planted) { return planted.canary->family != Family::kEquivalent; }

// What each of `generators` did with the bugs that are asked for; `with_none`: and with what is no bug.
std::string Summary(const Results& results, const auto& generators, const auto& is_asked, bool with_none) {
  Cells head = {"generator",
                "trials of each bug",
                "bugs found in all trials",
                "in none",
                "trials that found it within 1 s",
                "geometric mean of median inputs"};
  if (with_none) {
    head.emplace_back("found of what is no bug");
  }
  std::string table = Head(head);
  for (const Generator generator : generators) {
    const Tally bugs =
        TallyOf(results, generator, [&](const Planted& planted) { return is_asked(planted) && IsBug(planted); });
    const Tally none = TallyOf(results, generator, [](const Planted& planted) { return !IsBug(planted); });
    if (bugs.bugs == 0) {
      continue;
    }
    const double soon = static_cast<double>(bugs.soon) / static_cast<double>(bugs.trials);
    const double mean = std::exp(bugs.logs / static_cast<double>(bugs.medians));
    Cells cells = {std::string(NameOf(generator)),
                   fmt::format("{}", fmt::join(bugs.shapes, ", ")),
                   fmt::format("{} of {}", bugs.always, bugs.bugs),
                   std::to_string(bugs.never),
                   fmt::format("{:.1f} %", 100 * soon),
                   fmt::format("{} ({})", Rounded(mean), bugs.medians)};
    if (with_none) {
      cells.push_back(fmt::format("{} of {} ({})", none.bugs - none.never, none.bugs, fmt::join(none.shapes, ", ")));
    }
    table += Line(cells);
  }
  return table;
}

std::string ByTarget(const Results& results, const auto& generators) {
  Cells head = {"target", "bugs"};
  for (const Generator generator : generators) {
    head.emplace_back(NameOf(generator));
  }
  std::string table = Head(head);
  for (const CanaryTarget& target : CanaryTargets()) {
    const auto is_asked = [&](const Planted& planted) { return planted.target == &target && IsBug(planted); };
    Cells cells = {target.name, std::to_string(std::ranges::count_if(AllPlanted(), is_asked))};
    for (const Generator generator : generators) {
      const Tally tally = TallyOf(results, generator, is_asked);
      cells.push_back(std::to_string(tally.always) + (tally.never > 0 ? fmt::format(" ({})", tally.never) : ""));
    }
    table += Line(cells);
  }
  return table;
}

using Rows = std::map<std::string, std::string>;

// A line for each bug: of its trials, or the one in `rows`. Errors: it has neither.
std::expected<std::string, Trouble> BugsOf(const CanaryTarget& target, const Results& results, const Rows& rows) {
  Cells head = {"bug", "family"};
  for (const Generator generator : kColumns) {
    head.insert(head.end(), {std::string(NameOf(generator)), "inputs", "s"});
  }
  std::string table = Head(head);
  for (const Canary& canary : target.canaries) {
    const std::string bug = Planted{.target = &target, .canary = &canary}.name();
    if (!results.contains({bug, Generator::kOurs})) {
      const auto row = rows.find(bug);
      if (row == rows.end()) {
        return std::unexpected(Trouble{bug + " has no trial, and no row: run tools/canaries"});
      }
      table += row->second + "\n";
      continue;
    }
    Cells cells = {canary.name, std::string(NameOf(canary.family))};
    for (const Generator generator : kColumns) {
      const auto tried = results.find({bug, generator});
      std::ranges::move(CellsOf(canary, tried == results.end() ? Trials{} : tried->second), std::back_inserter(cells));
    }
    table += Line(cells);
  }
  return table;
}

// The tables that sum up.
std::string Summaries(const Results& results) {
  std::string page = Summary(results, kColumns, [](const Planted&) { return true; }, /*with_none=*/true);
  page +=
      "\nThe mutator and the counters apart, with the bugs of the two targets that have both, extent_map and\n"
      "boundary_tree (**mutator**: no counters of states; **counters**: libFuzzer's own mutator):\n\n" +
      Summary(
          results, std::array{Generator::kOurs, Generator::kMutator, Generator::kCounters, Generator::kLibfuzzer},
          [](const Planted& planted) { return planted.target->counts_states; }, /*with_none=*/false);
  page +=
      "\nBugs found in all trials, by target (in brackets those found in none):\n\n" + ByTarget(results, kColumns) +
      "\nBelow, for each generator: in how many trials the bug was reached (its code ran), triggered (it made a\n"
      "difference) and detected (the target reported it), `?` where the subject cannot tell; the medians of inputs and "
      "seconds.\n";
  return page;
}

// What stands in `page` between the line that says who writes it and the first target.
std::string SummariesOf(const std::string& page) {
  const std::size_t mark = page.find("\n<!-- Below");
  const std::size_t begin = mark == std::string::npos ? mark : page.find("\n\n", mark);
  const std::size_t end = begin == std::string::npos ? begin : page.find("\n## ", begin);
  return end == std::string::npos ? "" : page.substr(begin + 2, end - begin - 2);
}

// The bugs that some trial of `generator` did not find.
std::string NotFound(const Results& results, Generator generator) {
  std::string bugs;
  for (const auto& [key, trials] : results) {
    if (key.second == generator && !trials.is_always_found()) {
      bugs += (bugs.empty() ? "" : ", ") + key.first;
    }
  }
  return bugs.empty() ? "none" : bugs;
}

}  // namespace

std::expected<std::string, Trouble> EnginesTables(std::istream& lines) {
  NBDSPEC_ASSIGN_OR_RETURN(results, ReadResults(lines));
  std::string page = Summary(results, kEngines, [](const Planted&) { return true; }, /*with_none=*/false);
  page += "\nBugs found in all trials, by target (in brackets those found in none):\n\n" + ByTarget(results, kEngines) +
          "\nWhat a trial did not find:\n\n";
  for (const Generator generator : kEngines) {
    page += fmt::format("- **{}**: {}\n", NameOf(generator), NotFound(results, generator));
  }
  return page;
}

std::map<std::string, std::string> CanariesRows(std::string_view page) {
  std::map<std::string, std::string> rows;
  std::string target;
  std::istringstream lines{std::string(page)};
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("## ")) {
      target = line.substr(3);
    } else if (!target.empty() && line.starts_with("| ") && !line.starts_with("| bug |")) {
      rows.emplace(target + "/" + line.substr(2, line.find(' ', 2) - 2), line);
    }
  }
  return rows;
}

std::expected<std::string, Trouble> CanariesTables(std::istream& lines, std::istream& page) {
  NBDSPEC_ASSIGN_OR_RETURN(results, ReadResults(lines));
  const std::string before{std::istreambuf_iterator<char>(page), std::istreambuf_iterator<char>()};
  const bool is_whole = std::ranges::all_of(
      AllPlanted(), [&](const Planted& planted) { return results.contains({planted.name(), Generator::kOurs}); });
  std::string tables = is_whole ? Summaries(results) : SummariesOf(before);
  const Rows rows = CanariesRows(before);
  for (const CanaryTarget& target : CanaryTargets()) {
    NBDSPEC_ASSIGN_OR_RETURN(bugs, BugsOf(target, results, rows));
    tables += "\n## " + target.name + "\n\n" + bugs;
  }
  return tables;
}

}  // namespace nbdspec::fuzz
