// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/canary/canaries_page.h"

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
#include <string_view>
#include <utility>

#include "fuzz/canary/canary.h"
#include "fuzz/canary/registry.h"
#include "fuzz/canary/trial.h"

namespace nbdspec::fuzz {
namespace {

using engine::Trouble;

constexpr std::array kColumns = {Generator::kOurs, Generator::kUniform, Generator::kRapidcheck, Generator::kLibfuzzer};

// The trials of one generator with one bug.
struct Trials {
  std::vector<TrialResult> all = {};
  double seconds_max = 0;

  template <typename Is>
  [[nodiscard]] auto Count(const Is& is) const {
    return std::ranges::count_if(all, is);
  }
  [[nodiscard]] auto found() const { return Count(&TrialResult::is_found); }
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

// How often it was reached, triggered and detected; the medians of inputs and of seconds.
std::string Cells(const Canary& canary, const Trials& trials) {
  if (trials.all.empty()) {
    return " | – | | ";
  }
  const auto noted = [&](bool CanaryNotes::* is) {
    const auto count = trials.Count([is](const TrialResult& trial) { return trial.notes.*is; });
    return canary.has_notes || trials.is_always_found() ? std::to_string(count) : std::string("?");
  };
  std::uint64_t inputs_in_vain = std::numeric_limits<std::uint64_t>::max();
  for (const TrialResult& trial : trials.all) {
    inputs_in_vain = trial.is_found ? inputs_in_vain : std::min(inputs_in_vain, trial.inputs);
  }
  const auto inputs = Median(trials, &TrialResult::inputs);
  const auto seconds = Median(trials, &TrialResult::seconds);
  return fmt::format(" | {} {} {}/{} | {} | {}", noted(&CanaryNotes::is_reached), noted(&CanaryNotes::is_triggered),
                     trials.found(), trials.all.size(),
                     inputs ? Rounded(*inputs) : ">" + std::to_string(inputs_in_vain),
                     !seconds           ? ""
                     : *seconds < 0.001 ? "<0.001"
                                        : Rounded(*seconds));
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
      return std::unexpected(Trouble{"line " + std::to_string(number) + " is no trial of a planted bug: " +
                                     "take lines that `canaries run` of this version printed"});
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

  void Count(const Trials& tried) {
    ++bugs;
    always += tried.is_always_found() ? 1 : 0;
    never += tried.found() == 0 ? 1 : 0;
    trials += tried.all.size();
    soon += static_cast<std::size_t>(
        tried.Count([](const TrialResult& trial) { return trial.is_found && trial.seconds <= 1; }));
    shapes.insert(std::to_string(tried.all.size()) + " of " + Rounded(tried.seconds_max) + " s");
    if (const auto inputs = Median(tried, &TrialResult::inputs)) {
      ++medians;
      logs += std::log(*inputs);
    }
  }

  [[nodiscard]] std::string Shapes() const { return fmt::format("{}", fmt::join(shapes, ", ")); }
};

// The trials of bugs, or of what is none, with one generator.
template <typename IsAsked>
Tally TallyOf(const Results& results, Generator generator, const IsAsked& is_asked) {
  Tally tally;
  for (const Planted& planted : AllPlanted()) {
    const auto found = results.find({planted.name(), generator});
    if (found != results.end() && is_asked(planted)) {
      tally.Count(found->second);
    }
  }
  return tally;
}

std::string SummaryRow(Generator generator, const Tally& tally, const std::string& more) {
  return fmt::format("| {} | {} | {} of {} | {} | {:.1f} % | {} ({}) |{}\n", NameOf(generator), tally.Shapes(),
                     tally.always, tally.bugs, tally.never,
                     100.0 * static_cast<double>(tally.soon) / static_cast<double>(tally.trials),
                     Rounded(std::exp(tally.logs / static_cast<double>(tally.medians))), tally.medians, more);
}

constexpr std::string_view kIntroduction =
    R"(<!-- Written by tools/canaries; canaries_test compares its bugs with those there are. -->
# Planted bugs, and how soon they are found

Each of these bugs is planted in a copy or wrapper of a subject ([`fuzz/canary`](../fuzz/canary)), or is a fault of
the reference server ([`engine/faults`](../engine/faults)), switchable by its name in one program that no release links (`bazel run //fuzz/canary:canaries -- list`), and behind the comparison that
the fuzz target itself uses. Every trial begins with an empty corpus and another seed, and has one core. Generators:

- **ours**: libFuzzer with the mutator of the target (`InputMutator`) and, for the maps, counters of their states:
  how many extents, how many levels, which splits and joins.
- **uniform**: random bytes of a random length.
- **rapidcheck**: the property of the maps (`fuzz/properties`); for other targets, RapidCheck's vectors of bytes.
- **libfuzzer**: libFuzzer with its own mutator, and no counters but those of the code.

libFuzzer has no dictionary here, and the code of the mutants themselves is not instrumented. Seconds are of processor
time, on a machine that does other things too; libFuzzer needs the first hundredth of each trial to begin. A median is
over all trials, those that found nothing included: if it is one of these, the table says how many inputs were tried
in vain. The geometric mean is of the medians that there are, in brackets how many.

Five of the planted bugs are none (family `equivalent`: other code, the same behaviour): nobody may find them. Their
trials are shorter, for they take all of their time; each of ours still makes several times the inputs that the
hardest bug may take in `canaries_test`.

To measure again: `tools/canaries RESULTS`, which goes on where an earlier run of it ended; it takes about half an
hour of one core.

)";

constexpr std::string_view kWhatTheyShow =
    R"(
What each of them shows:

- **uniform** and **rapidcheck**: every string of bytes is some input of most targets, so chance finds most bugs, and
  soon, for its inputs are long. It does not make what has a form (`report_input`, `wire_decode`), nor maps of many
  extents (`extent_map`).
- **libfuzzer**: the code guides it into forms that chance does not meet, but it grows its inputs from nothing: it needs
  more of them than any other, and does not get to the large maps either.
- **Our mutator** finds what they miss: without the counters, too, all bugs of the maps within the second.
- **Our counters** of states help libFuzzer's own mutator with trees of some height. With our mutator they change
  little: it makes large maps at once, which need not grow.
)";

constexpr std::string_view kSummaryHead =
    "| generator | trials of each bug | bugs found in all trials | in none | trials that found it within 1 s | "
    "geometric mean of median inputs |";
constexpr std::string_view kSummaryRule = "|---|---|---|---|---|---|";

bool IsBug(const Planted& planted) { return planted.canary->family != Family::kEquivalent; }

// The names of the generators, each followed by `more`.
std::string Columns(std::string_view more) {
  std::string columns;
  for (const Generator generator : kColumns) {
    columns += fmt::format(" | {}{}", NameOf(generator), more);
  }
  return columns;
}

std::string ByTarget(const Results& results) {
  std::string page = "\nBugs found in all trials, by target (in brackets those found in none):\n\n| target | bugs" +
                     Columns("") + " |\n|---|---|---|---|---|---|\n";
  for (const CanaryTarget& target : CanaryTargets()) {
    const auto is_asked = [&](const Planted& planted) { return planted.target == &target && IsBug(planted); };
    page += fmt::format("| {} | {}", target.name, std::ranges::count_if(AllPlanted(), is_asked));
    for (const Generator generator : kColumns) {
      const Tally tally = TallyOf(results, generator, is_asked);
      page += fmt::format(" | {}", tally.always) + (tally.never > 0 ? fmt::format(" ({})", tally.never) : "");
    }
    page += " |\n";
  }
  return page;
}

std::string Summaries(const Results& results) {
  std::string page = std::string(kSummaryHead) + " found of what is no bug |\n" + std::string(kSummaryRule) + "---|\n";
  for (const Generator generator : kColumns) {
    const Tally tally = TallyOf(results, generator, IsBug);
    const Tally equivalents = TallyOf(results, generator, [](const Planted& planted) { return !IsBug(planted); });
    if (tally.bugs > 0) {
      page += SummaryRow(generator, tally,
                         fmt::format(" {} of {} ({}) |", equivalents.bugs - equivalents.never, equivalents.bugs,
                                     equivalents.Shapes()));
    }
  }
  page +=
      "\nThe mutator and the counters apart, with the bugs of the two targets that have both, extent_map and\n"
      "boundary_tree (**mutator**: no counters of states; **counters**: libFuzzer's own mutator):\n\n" +
      std::string(kSummaryHead) + "\n" + std::string(kSummaryRule) + "\n";
  for (const Generator generator :
       {Generator::kOurs, Generator::kMutator, Generator::kCounters, Generator::kLibfuzzer}) {
    const Tally tally = TallyOf(results, generator,
                                [](const Planted& planted) { return planted.target->counts_states && IsBug(planted); });
    if (tally.bugs > 0) {
      page += SummaryRow(generator, tally, "");
    }
  }
  return page;
}

}  // namespace

std::expected<std::string, Trouble> CanariesPage(std::istream& lines) {
  const auto results = ReadResults(lines);
  if (!results) {
    return std::unexpected(results.error());
  }
  std::string page = std::string(kIntroduction) + Summaries(*results) + ByTarget(*results) + std::string(kWhatTheyShow);
  page +=
      "\nBelow, for each generator: in how many trials the bug was reached (its code ran), triggered (it made a\n"
      "difference) and detected (the target reported it), `?` where the subject cannot tell; the medians of inputs and "
      "seconds.\n";
  for (const CanaryTarget& target : CanaryTargets()) {
    page += "\n## " + target.name + "\n\n| bug | family" + Columns(" | inputs | s") +
            " |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n";
    for (const Canary& canary : target.canaries) {
      const std::string bug = Planted{.target = &target, .canary = &canary}.name();
      page += fmt::format("| {} | {}", canary.name, NameOf(canary.family));
      for (const Generator generator : kColumns) {
        const auto tried = results->find({bug, generator});
        if (generator == Generator::kOurs && tried == results->end()) {
          return std::unexpected(Trouble{bug + " has no trial: run tools/canaries"});
        }
        page += Cells(canary, tried == results->end() ? Trials{} : tried->second);
      }
      page += " |\n";
    }
  }
  return page;
}

std::vector<std::string> BugsOnPage(std::istream& page) {
  std::vector<std::string> bugs;
  std::string target;
  std::string line;
  while (std::getline(page, line)) {
    if (line.starts_with("## ")) {
      target = line.substr(3);
    } else if (!target.empty() && line.starts_with("| ") && !line.starts_with("| bug |")) {
      bugs.push_back(target + "/" + line.substr(2, line.find(' ', 2) - 2));
    }
  }
  std::ranges::sort(bugs);
  return bugs;
}

}  // namespace nbdspec::fuzz
