// SPDX-License-Identifier: BSD-3-Clause
// What changed between two runs, for people.

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "reports/render/printable.h"
#include "reports/render/render.h"

namespace nbdspec::reports {
namespace {

constexpr std::size_t kColumns = 100;
constexpr std::size_t kFindingBytesMax = 400;

// `label`, set in, then `text` beside it; its other lines below.
std::string Labelled(std::string_view label, std::string_view text, std::size_t indent) {
  std::string out;
  for (const std::string& line : Wrap(text, kColumns - indent - 6)) {
    out += fmt::format("{:{}}{:<5} {}\n", "", indent, out.empty() ? label : "", line);
  }
  return out;
}

std::string RunLine(std::string_view label, const Run& run) {
  std::string text = fmt::format("{}; nbdspec {}", Printable(run.target), Printable(run.version));
  text += run.started.empty() ? "" : ", " + Printable(run.started);
  return Labelled(label, fmt::format("{}; {}", text, CountsLine(run, /*color=*/false)), 2);
}

}  // namespace

std::string_view WordFor(const Outcome* outcome) { return outcome == nullptr ? "not there" : Word(outcome->verdict); }

namespace {

std::string LinesOf(const Difference& difference) {
  const auto& [change, before, after] = difference;
  std::string out = fmt::format("  {}  {} -> {}\n", Printable((after != nullptr ? after : before)->id), WordFor(before),
                                WordFor(after));
  if (change == Change::kChanged) {
    const bool breaks_another = before->requirement != after->requirement;
    const auto finding = [&](const Outcome& outcome) {
      const std::string breaks = breaks_another ? "breaks " + Printable(outcome.requirement) + ": " : "";
      return Shortened(breaks + Reason(outcome), kFindingBytesMax);
    };
    out += Labelled("was", finding(*before), 6) + Labelled("is", finding(*after), 6);
  } else if (change == Change::kNewWarning || change == Change::kNoLongerAsked) {
    out += Labelled("is", Shortened(Reason(*after), kFindingBytesMax), 6);
  }
  return out;
}

std::string WhyThisExit(const Comparison& comparison) {
  const std::size_t failures = comparison.count(Change::kNewFailure);
  switch (comparison.exit) {
    case ExitCode::kFailure:
      return fmt::format("{} new {}", failures, failures == 1 ? "failure" : "failures");
    case ExitCode::kTargetUnusable:
      return "the new run ended early, so failures may not have been found";
    default:
      return "no new failure";
  }
}

}  // namespace

std::string ExitLine(const Comparison& comparison) {
  return fmt::format("Exit {}: {}.", comparison.exit, WhyThisExit(comparison));
}

std::string RenderText(const Comparison& comparison, const TextOptions& options) {
  const std::string conclusion = ExitLine(comparison) + "\n";
  if (options.quiet) {
    return conclusion;
  }
  std::string out = RunLine("old", *comparison.before) + RunLine("new", *comparison.after);
  for (int i = 0; i < kChangeCount; ++i) {
    const auto change = static_cast<Change>(i);
    if (comparison.count(change) > 0) {
      out += fmt::format("\n{} ({})\n", Word(change), comparison.count(change));
    }
    for (const Difference& difference : comparison.differences) {
      if (difference.change != change) {
        continue;
      }
      out += LinesOf(difference);
      if (change == Change::kNewFailure) {
        out += OutcomeDetails(*difference.after, options) + "\n";
      }
    }
  }
  const std::string& trouble = comparison.after->trouble;
  if (!trouble.empty()) {
    out += fmt::format("\nOf the new run: {}\n{}", TroubleHeading(*comparison.after),
                       Labelled("", PrintableLines(trouble), 2));
  }
  return out + "\n" + conclusion;
}

}  // namespace nbdspec::reports
