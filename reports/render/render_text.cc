// SPDX-License-Identifier: BSD-3-Clause
// The report for people: the target, what did not pass (worst first), what did not run and why, the counts, the exit
// code.

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "reports/render/outcome_text.h"
#include "reports/render/printable.h"
#include "reports/render/render.h"

namespace nbdspec::reports {
namespace {

// The verdicts that are shown with their evidence, worst first.
constexpr std::array kShown = {Verdict::kFail, Verdict::kInconclusive, Verdict::kFlaky, Verdict::kWarn};
// The verdicts of checks that did not run, with the heading of their list.
constexpr std::array kNotAsked = {std::pair{Verdict::kNotApplicable, std::string_view("not applicable")},
                                  std::pair{Verdict::kSkip, std::string_view("skipped")}};

// Worst first; equally bad ones in the order of the run.
std::vector<const Outcome*> WorstFirst(const Run& run) {
  const auto rank = [](Verdict verdict) { return std::ranges::find(kShown, verdict) - kShown.begin(); };
  std::vector<const Outcome*> out;
  for (const Outcome& outcome : run.outcomes) {
    if (rank(outcome.verdict) < std::ssize(kShown)) {
      out.push_back(&outcome);
    }
  }
  std::ranges::sort(
      out, {}, [&](const Outcome* outcome) { return std::tuple(rank(outcome->verdict), outcome->level, outcome); });
  return out;
}

std::string Header(const Run& run, const TextOptions& options) {
  std::string offers;
  for (const auto& [name, value] : run.advertised) {
    offers +=
        fmt::format("{}{} {}", offers.empty() ? "" : "; ", Printable(name), value.empty() ? "-" : Printable(value));
  }
  const std::string title = run.version.empty() ? run.tool : run.tool + " " + run.version;
  return Painted(Paint::kBold, Printable(title), options.color) + "\n" +
         Field("target", Printable(run.target), options) + Field("spec", Printable(run.spec), options) +
         Field("seed", std::to_string(run.seed), options) + Field("offers", offers, options);
}

// The ids that were not asked, under the reason they share.
std::string NotAsked(const Run& run, Verdict verdict, std::string_view title, bool color) {
  std::vector<std::pair<std::string, std::vector<std::string>>> ids_of_reason;  // In the order of the run.
  for (const Outcome& outcome : run.outcomes) {
    if (outcome.verdict != verdict) {
      continue;
    }
    const std::string reason = Reason(outcome);
    auto found = std::ranges::find(ids_of_reason, reason, [](const auto& group) { return group.first; });
    if (found == ids_of_reason.end()) {
      found = ids_of_reason.insert(found, {reason, {}});
    }
    found->second.push_back(Printable(outcome.id));
  }
  if (ids_of_reason.empty()) {
    return "";
  }
  std::string out = "\n" + Painted(Paint::kBold, title, color) + "\n";
  for (const auto& [reason, ids] : ids_of_reason) {
    for (const std::string& line : Wrap(fmt::format("{} ({})", reason, ids.size()), 98)) {
      out += "  " + line + "\n";
    }
    for (const std::string& line : Wrap(fmt::format("{}", fmt::join(ids, ", ")), 94)) {
      out += Painted(Paint::kFaint, "      " + line, color) + "\n";
    }
  }
  return out;
}

// One line each for passes, n/a and skips.
std::string OneLineEach(const Run& run, bool color) {
  std::string out;
  for (const Outcome& outcome : run.outcomes) {
    if (std::ranges::find(kShown, outcome.verdict) != kShown.end()) {
      continue;
    }
    const bool passed = outcome.verdict == Verdict::kPass;
    const std::string reason = passed ? "" : "  " + Reason(outcome);
    const std::string rest = fmt::format("{:<10}  {}{}", Word(outcome.level), Printable(outcome.id), reason);
    const std::vector<std::string> lines = Wrap(rest, 94);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const std::string head = fmt::format("{:<6}", i == 0 ? Word(outcome.verdict) : "");
      out += Painted(PaintOf(outcome.verdict), head, color) + lines[i] + "\n";
    }
  }
  return out.empty() ? "" : "\n" + out;
}

std::string Counts(const Run& run, const Tally& tally, bool color) {
  std::string out = fmt::format("{} {} in {} s:", run.outcomes.size(), run.outcomes.size() == 1 ? "check" : "checks",
                                Seconds(run.duration_ms, 1));
  std::string_view separator = " ";
  for (int i = 0; i < kVerdictCount; ++i) {
    const auto verdict = static_cast<Verdict>(i);
    const bool always = verdict == Verdict::kPass || verdict == Verdict::kFail;
    if (tally.of(verdict) == 0 && !always) {
      continue;
    }
    const std::string count = fmt::format("{} {}", tally.of(verdict), Word(verdict));
    out += separator;
    out += tally.of(verdict) == 0 ? count : Painted(PaintOf(verdict), count, color);
    separator = ", ";
  }
  return out + "\n";
}

std::string Failures(const Tally& tally) {
  constexpr std::array kPhrases = {std::pair{Verdict::kFail, "failed"},
                                   std::pair{Verdict::kInconclusive, "could not be judged"},
                                   std::pair{Verdict::kFlaky, "came out differently when run again"}};
  std::string out;
  for (const auto& [verdict, phrase] : kPhrases) {
    if (tally.of(verdict) > 0) {
      out += fmt::format("{}{} {}", out.empty() ? "" : ", ", tally.of(verdict), phrase);
    }
  }
  return out.empty() ? "something failed" : out;
}

std::string WhyThisExit(const Run& run, const Tally& tally) {
  switch (run.exit) {
    case ExitCode::kSuccess:
      return "nothing failed";
    case ExitCode::kFailure:
      return Failures(tally);
    case ExitCode::kUsage:
      return "the command was not understood, or selected nothing";
    case ExitCode::kTargetUnusable:
      return "the target was never usable";
    case ExitCode::kOurError:
      return "an error of nbdspec itself; please report it with the lines above";
    default:
      return run.exit > 128 ? fmt::format("ended by signal {}", run.exit - 128)
                            : "an exit code that nbdspec does not use";
  }
}

std::string Footer(const Run& run, bool color) {
  const Tally tally = TallyOf(run);
  std::string out = "\n";
  if (!run.trouble.empty()) {
    out += Painted(Paint::kBad, "The run ended early:", color) + "\n";
    for (const std::string& line : Wrap(PrintableLines(run.trouble), 96)) {
      out += "    " + line + "\n";  // Set in: it may quote the server, line by line.
    }
  }
  out += Counts(run, tally, color);
  const Paint paint = run.exit == ExitCode::kSuccess ? Paint::kGood : Paint::kBad;
  return out + Painted(paint, fmt::format("Exit {}: {}.", run.exit, WhyThisExit(run, tally)), color) + "\n";
}

}  // namespace

std::string RenderText(const Run& run, const TextOptions& options) {
  std::string out = Header(run, options);
  for (const Outcome* outcome : WorstFirst(run)) {
    out += "\n" + OutcomeHeading(*outcome, options) + OutcomeDetails(*outcome, options);
  }
  if (options.verbose) {
    out += OneLineEach(run, options.color);
  } else {
    for (const auto& [verdict, title] : kNotAsked) {
      out += NotAsked(run, verdict, title, options.color);
    }
  }
  return out + Footer(run, options.color);
}

}  // namespace nbdspec::reports
