// SPDX-License-Identifier: BSD-3-Clause
// The report for people: the target, what did not pass (worst first), what did not run and why, the counts, the exit
// code.

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include "reports/render/printable.h"
#include "reports/render/render.h"

namespace nbdspec::reports {
namespace {

constexpr std::size_t kColumns = 100;
constexpr std::size_t kIndent = 11;  // Two spaces, a label of up to 8, one space.
constexpr std::size_t kTranscriptLinesShown = 8;
constexpr std::size_t kErrorLinesShown = 6;
constexpr std::size_t kFieldBytesShown = 2000;

// --- Lines ---

// The escape sequences of terminals, of which a report uses these.
enum class Paint { kBad, kWarning, kGood, kFaint, kBold };

Paint PaintOf(Verdict verdict) {
  using enum Paint;
  constexpr std::array<Paint, kVerdictCount> kPaints = {kGood,  kBad, kWarning, kFaint,  // In the order of Verdict.
                                                        kFaint, kBad, kBad};
  return kPaints.at(static_cast<std::size_t>(verdict));
}

// `text` in that colour, or as it is.
std::string Painted(Paint paint, std::string_view text, bool color) {
  if (!color) {
    return std::string(text);
  }
  constexpr std::array kCodes = {"1;31", "33", "32", "2", "1"};  // In the order of Paint.
  return fmt::format("\x1b[{}m{}\x1b[0m", kCodes[static_cast<std::size_t>(paint)], text);
}

// `label` beside the first of `lines`, the others below it.
std::string Labelled(std::string_view label, std::span<const std::string> lines, bool color) {
  std::string out;
  for (const std::string& line : lines) {
    const std::string head = out.empty() ? fmt::format("  {:<{}}", label, kIndent - 2) : std::string(kIndent, ' ');
    std::string whole = Painted(Paint::kFaint, head, color && out.empty()) + line;
    whole.erase(whole.find_last_not_of(' ') + 1);
    out += whole + "\n";
  }
  return out;
}

std::vector<std::string> LinesOf(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

std::string Clipped(std::string_view text, bool verbose) {
  if (verbose || text.size() <= kFieldBytesShown) {
    return std::string(text);
  }
  // Half a character would look like the peer's fault.
  std::size_t kept = kFieldBytesShown;
  while (kept > kFieldBytesShown - 4 && (static_cast<unsigned char>(text[kept]) & 0xc0) == 0x80) {
    --kept;
  }
  return fmt::format("{} (and {} more bytes: --verbose)", text.substr(0, kept), text.size() - kept);
}

// "  label    text", wrapped and indented; nothing when `text` is empty. `text` may hold anything.
std::string Field(std::string_view label, std::string_view text, const TextOptions& options) {
  if (text.empty()) {
    return "";
  }
  return Labelled(label, Wrap(PrintableLines(Clipped(text, options.verbose)), kColumns - kIndent), options.color);
}

// The last `shown` of `lines` below a line that says how many came before; all of them when verbose.
std::string Tail(std::string_view label, std::span<const std::string> lines, std::size_t shown,
                 const TextOptions& options) {
  std::vector<std::string> out;
  if (lines.size() > shown && !options.verbose) {
    out.push_back(fmt::format("({} earlier lines: --verbose)", lines.size() - shown));
    lines = lines.last(shown);
  }
  for (const std::string& line : lines) {
    // The rest of a wrapped line is indented, so that it cannot look like another line.
    const std::vector<std::string> pieces = Wrap(Printable(Clipped(line, options.verbose)), kColumns - kIndent - 2);
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      out.push_back((i == 0 ? "" : "  ") + pieces[i]);
    }
  }
  return Labelled(label, out, options.color);
}

}  // namespace

// --- One outcome ---

std::string OutcomeHeading(const Outcome& outcome, const TextOptions& options) {
  std::string word(Word(outcome.verdict));
  std::ranges::transform(word, word.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return fmt::format("{}  {}  {}\n", Painted(PaintOf(outcome.verdict), word, options.color), Word(outcome.level),
                     Painted(Paint::kBold, Printable(outcome.id), options.color));
}

std::string OutcomeDetails(const Outcome& outcome, const TextOptions& options) {
  const Evidence& evidence = outcome.evidence;
  const bool is_anothers = !outcome.id.starts_with(outcome.requirement);  // Seen in a check of another clause.
  std::string out = Field("breaks", is_anothers ? outcome.requirement : "", options) +
                    Field("clause", outcome.statement, options) + Field("spec", outcome.section, options) +
                    Field("sent", evidence.sent, options) + Field("allowed", evidence.allowed, options) +
                    Field("saw", evidence.saw, options) + Field("place", evidence.place, options);
  if (options.verbose || outcome.verdict != Verdict::kWarn) {
    out += Tail("talk", evidence.transcript, kTranscriptLinesShown, options) +
           Tail("stderr", LinesOf(evidence.standard_error), kErrorLinesShown, options);
  }
  if (!outcome.replay.empty()) {
    out += Labelled("replay", std::vector{Printable(outcome.replay)}, options.color);
  }
  return out;
}

std::string Reason(const Outcome& outcome) {
  const Evidence& evidence = outcome.evidence;
  for (const std::string* text : {&evidence.saw, &evidence.allowed, &evidence.sent}) {
    if (!text->empty()) {
      return Printable(*text);
    }
  }
  return "no reason given";
}

std::string Seconds(double milliseconds, int digits) {
  const bool is_time = std::isfinite(milliseconds) && milliseconds > 0;
  return fmt::format("{:.{}f}", is_time ? milliseconds / 1000 : 0.0, digits);
}

// --- The report ---

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
    const bool says_all = run.exit == ExitCode::kTargetUnusable;  // Then it is most of them.
    const std::string shown = says_all ? "" : fmt::format("{}", fmt::join(ids, ", "));
    for (const std::string& line : Wrap(shown, 94)) {
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
  std::vector<std::string> counts;
  for (int i = 0; i < kVerdictCount; ++i) {
    const auto verdict = static_cast<Verdict>(i);
    const std::string count = fmt::format("{} {}", tally.of(verdict), Word(verdict));
    if (tally.of(verdict) > 0) {
      counts.push_back(Painted(PaintOf(verdict), count, color));
    } else if (verdict == Verdict::kPass || verdict == Verdict::kFail) {
      counts.push_back(count);
    }
  }
  return fmt::format("{} {} in {} s: {}\n", run.outcomes.size(), run.outcomes.size() == 1 ? "check" : "checks",
                     Seconds(run.duration_ms, 1), fmt::join(counts, ", "));
}

std::string Failures(const Tally& tally) {
  constexpr std::array kPhrases = {std::pair{Verdict::kFail, "failed"},
                                   std::pair{Verdict::kInconclusive, "could not be judged"},
                                   std::pair{Verdict::kFlaky, "came out differently when run again"}};
  std::vector<std::string> failures;
  for (const auto& [verdict, phrase] : kPhrases) {
    if (tally.of(verdict) > 0) {
      failures.push_back(fmt::format("{} {}", tally.of(verdict), phrase));
    }
  }
  return failures.empty() ? "something failed" : fmt::format("{}", fmt::join(failures, ", "));
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
      return "the target could not be used, or not all of it";
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
    const std::string_view heading =
        run.exit == ExitCode::kTargetUnusable ? "The target cannot be used:" : "The run ended early:";
    out += Painted(Paint::kBad, heading, color) + "\n";
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
