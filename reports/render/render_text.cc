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
#include <utility>
#include <vector>

#include "reports/render/bars.h"
#include "reports/render/paint.h"
#include "reports/render/printable.h"
#include "reports/render/render.h"
#include "reports/render/sides.h"
#include "reports/render/worst.h"

namespace nbdspec::reports {
namespace {

constexpr std::size_t kIndent = 11;  // Two spaces, a label of up to 8, one space.
constexpr std::size_t kTranscriptLinesShown = 8;
constexpr std::size_t kErrorLinesShown = 6;
constexpr std::size_t kFieldBytesShown = 2000;
constexpr std::size_t kSlowestShown = 5;
constexpr std::size_t kReasonsShown = 6;

// --- Lines ---

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
  const std::string_view kept = verbose ? text : FirstOf(text, kFieldBytesShown);
  return kept.size() == text.size() ? std::string(text)
                                    : fmt::format("{} (and {} more bytes: --verbose)", kept, text.size() - kept.size());
}

// "  label    text", wrapped and indented; nothing when `text` is empty. `text` may hold anything.
std::string Field(std::string_view label, std::string_view text, const TextOptions& options) {
  if (text.empty()) {
    return "";
  }
  return Labelled(label, Wrap(PrintableLines(Clipped(text, options.verbose)), options.columns - kIndent),
                  options.color);
}

// The same on one line, for copying.
std::string Unwrapped(std::string_view label, std::string_view text, const TextOptions& options) {
  return text.empty() ? "" : Labelled(label, std::vector{Printable(text)}, options.color);
}

// `line` in lines that fit. The rest of a wrapped line is indented, so that it cannot look like another line.
void AddWrapped(std::string_view line, const TextOptions& options, std::vector<std::string>& out) {
  const std::vector<std::string> pieces =
      Wrap(Printable(Clipped(line, options.verbose)), options.columns - kIndent - 2);
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    out.push_back((i == 0 ? "" : "  ") + pieces[i]);
  }
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
    AddWrapped(line, options, out);
  }
  return Labelled(label, out, options.color);
}

// Of the conversation what was judged, marked, and the lines nearest to it; all of it when verbose.
std::string Talk(const Evidence& evidence, const TextOptions& options) {
  const std::vector<Message>& messages = evidence.messages;
  if (messages.empty()) {
    return Tail("talk", evidence.transcript, kTranscriptLinesShown, options);
  }
  constexpr std::string_view kMarks[] = {"   ", " ? ", "-> "};  // In the order of Message::Part.
  const auto mark_of = [&](const Message& message) { return kMarks[static_cast<std::size_t>(message.part)]; };
  std::vector<std::string> out;
  if (options.verbose) {
    for (const std::string& line : evidence.transcript) {
      const auto same = std::ranges::find(messages, line, LineOf);
      AddWrapped(std::string(same == messages.end() ? kMarks[0] : mark_of(*same)) + line, options, out);
    }
    return Labelled("talk", out, options.color);
  }
  std::uint64_t line_before = 0;
  std::vector<Message::Part> parts;
  std::ranges::transform(messages, std::back_inserter(parts), &Message::part);
  for (const std::size_t index : NearestToVerdict(parts, kTranscriptLinesShown)) {
    const Message& message = messages[index];
    if (message.line > line_before + 1) {
      const std::uint64_t count = message.line - line_before - 1;
      out.push_back(fmt::format("({} {}: --verbose)", count, count == 1 ? "line" : "lines"));
    }
    AddWrapped(std::string(mark_of(message)) + LineOf(message), options, out);
    line_before = message.line;
  }
  return Labelled("talk", out, options.color);
}

// What is said of the bytes, drawn.
std::string Bars(const Evidence& evidence, const TextOptions& options) {
  return evidence.bars.empty()
             ? ""
             : Labelled("bytes", DrawnAsText(evidence.bars, options.columns - kIndent), options.color);
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
  const Sides sides = SidesOf(outcome.binds);
  const bool is_anothers = !outcome.id.starts_with(outcome.requirement);  // Seen in a check of another clause.
  std::string out = Field("breaks", is_anothers ? outcome.requirement : "", options) +
                    Field("clause", outcome.statement, options) + Field("harm", spec::Meaning(outcome.harm), options) +
                    Field("note", NoteOn(outcome), options) + Field("spec", outcome.section, options) +
                    Unwrapped("link", outcome.link, options) + Field(sides.asked, evidence.sent, options) +
                    Field("allowed", evidence.allowed, options) + Field("saw", evidence.saw, options) +
                    Field("place", evidence.place, options) +
                    // How a server ended stands in what was seen.
                    Field("ended", outcome.binds == spec::Role::kClient ? evidence.ended : "", options) +
                    Field("stock", outcome.stock, options);
  if (options.verbose || outcome.verdict != Verdict::kWarn) {
    out += Bars(evidence, options) + Talk(evidence, options) +
           Tail(sides.printed, LinesOf(evidence.standard_error), kErrorLinesShown, options);
  }
  return out + Unwrapped("replay", outcome.replay, options);
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

// The verdicts of checks that did not run, with the heading of their list.
constexpr std::array kNotAsked = {std::pair{Verdict::kNotApplicable, std::string_view("not applicable")},
                                  std::pair{Verdict::kSkip, std::string_view("skipped")}};

}  // namespace

std::vector<const Outcome*> WorstFirst(const Run& run) {
  std::vector<const Outcome*> out;
  for (const Outcome& outcome : run.outcomes) {
    if (IsShown(outcome.verdict) && !IsExpected(outcome)) {
      out.push_back(&outcome);
    }
  }
  std::ranges::sort(out, {}, [](const Outcome* outcome) { return std::pair(OrderOf(*outcome), outcome); });
  return out;
}

namespace {

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

// `text` in lines of the report, each after `margin`.
std::string Block(std::string_view text, std::string_view margin, const TextOptions& options) {
  std::string out;
  for (const std::string& line : Wrap(text, options.columns - margin.size())) {
    out += fmt::format("{}{}\n", margin, line);
  }
  return out;
}

// Outcomes under what they share, in the order of the run.
using Groups = std::vector<std::pair<std::string, std::vector<const Outcome*>>>;

void AddTo(Groups& groups, const std::string& shared, const Outcome& outcome) {
  auto found = std::ranges::find(groups, shared, &Groups::value_type::first);
  if (found == groups.end()) {
    found = groups.insert(found, {shared, {}});
  }
  found->second.push_back(&outcome);
}

}  // namespace

std::vector<std::pair<std::string, std::size_t>> ReasonsOf(const Run& run, Verdict verdict) {
  Groups groups;
  for (const Outcome& outcome : run.outcomes) {
    if (outcome.verdict == verdict) {
      AddTo(groups, Reason(outcome), outcome);
    }
  }
  std::vector<std::pair<std::string, std::size_t>> reasons;
  for (const auto& [reason, outcomes] : groups) {
    reasons.emplace_back(reason, outcomes.size());
  }
  std::ranges::sort(reasons, {},
                    [](const auto& each) { return std::pair(-static_cast<std::ptrdiff_t>(each.second), each.first); });
  return reasons;
}

namespace {

// Why checks were not asked, and how many: the reasons of most of them.
std::string NotAsked(const Run& run, Verdict verdict, std::string_view title, const TextOptions& options) {
  const auto reasons = ReasonsOf(run, verdict);
  std::string out;
  std::size_t rest = 0;
  for (std::size_t i = 0; i < reasons.size(); ++i) {
    const auto& [reason, count] = reasons[i];
    rest += i < kReasonsShown ? 0 : count;
    out += i < kReasonsShown ? Block(fmt::format("{} ({})", reason, count), "  ", options) : "";
  }
  out += rest == 0 ? "" : fmt::format("  for {} other reasons ({})\n", reasons.size() - kReasonsShown, rest);
  return out.empty() ? "" : "\n" + Painted(Paint::kBold, title, options.color) + " (--verbose shows which)\n" + out;
}

// What lists have, under the reason that they give for it.
std::string ExpectedOnes(const Run& run, const TextOptions& options) {
  Groups groups;
  for (const Outcome& outcome : run.outcomes) {
    if (IsExpected(outcome)) {
      const std::string& reason = outcome.expectation.reason;
      AddTo(groups, Printable(reason.substr(0, reason.find('\n'))), outcome);
    }
  }
  std::string out;
  for (const auto& [reason, outcomes] : groups) {
    out += Block(reason, "  ", options);
    for (const Outcome* const outcome : outcomes) {
      out += Painted(Paint::kFaint,
                     Block(fmt::format("{}  {}  ({})", Word(outcome->verdict), Printable(outcome->id),
                                       Printable(outcome->expectation.place)),
                           "      ", options),
                     options.color);
    }
  }
  return out.empty() ? "" : "\n" + Painted(Paint::kBold, "expected", options.color) + "\n" + out;
}

std::string Stale(const Run& run, const TextOptions& options) {
  std::string out;
  for (const StaleEntry& entry : run.stale) {
    out += Block(fmt::format("{}: {}: {}", Printable(entry.place), Printable(entry.id), Printable(entry.why)), "  ",
                 options);
  }
  return out.empty() ? ""
                     : "\n" + Painted(Paint::kBad, "no longer as expected", options.color) + "\n" + out +
                           Block("Take these entries out, or have `nbdspec expected update` do it.", "  ", options);
}

// One line each for passes, n/a and skips.
std::string OneLineEach(const Run& run, const TextOptions& options) {
  std::string out;
  for (const Outcome& outcome : run.outcomes) {
    if (IsShown(outcome.verdict)) {
      continue;
    }
    const bool passed = outcome.verdict == Verdict::kPass;
    const std::string reason = passed ? "" : "  " + Reason(outcome);
    const std::string rest = fmt::format("{:<10}  {}{}", Word(outcome.level), Printable(outcome.id), reason);
    const std::vector<std::string> lines = Wrap(rest, options.columns - 6);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      const std::string head = fmt::format("{:<6}", i == 0 ? Word(outcome.verdict) : "");
      out += Painted(PaintOf(outcome.verdict), head, options.color) + lines[i] + "\n";
    }
  }
  return out.empty() ? "" : "\n" + out;
}

std::string Slowest(const Run& run, const TextOptions& options) {
  std::vector<const Outcome*> slowest;
  for (const Outcome& outcome : run.outcomes) {
    slowest.push_back(&outcome);
  }
  const auto shown = std::min(slowest.size(), kSlowestShown);
  std::ranges::sort(slowest, {}, [](const Outcome* outcome) {
    return std::pair(std::isfinite(outcome->duration_ms) ? -outcome->duration_ms : 0, outcome);
  });
  std::vector<std::string> texts;
  for (const Outcome* const outcome : std::span(slowest).first(shown)) {
    texts.push_back(fmt::format("{} {} s", Printable(outcome->id), Seconds(outcome->duration_ms, 1)));
  }
  return "\n" + Block(fmt::format("slowest: {}", fmt::join(texts, ", ")), "", options);
}

}  // namespace

std::string CountsLine(const Run& run, bool color) {
  const Tally tally = TallyOf(run);
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
  return fmt::format("{} {} in {} s: {}", run.outcomes.size(), run.outcomes.size() == 1 ? "check" : "checks",
                     Seconds(run.duration_ms, 1), fmt::join(counts, ", "));
}

namespace {

// What was found, what is new first.
std::string Found(const Run& run) {
  const Tally tally = TallyOf(run);
  const Failures failures = FailuresOf(run);
  const bool has_list = failures.expected + failures.stale > 0;
  std::vector<std::string> found;
  if (std::ranges::find(run.outcomes, kSanityBefore, &Outcome::id) != run.outcomes.end()) {
    found.emplace_back("the server serves no ordinary client");
  }
  if (has_list && failures.fresh > 0) {
    found.push_back(Counted(failures.fresh, "new failure"));
  }
  constexpr std::array kPhrases = {std::pair{Verdict::kFail, "failed"},
                                   std::pair{Verdict::kInconclusive, "could not be judged"},
                                   std::pair{Verdict::kFlaky, "came out differently when run again"}};
  for (const auto& [verdict, phrase] : kPhrases) {
    if (!has_list && tally.of(verdict) > 0) {
      found.push_back(fmt::format("{} {}", tally.of(verdict), phrase));
    }
  }
  if (found.empty() && failures.stale == 0) {
    found.emplace_back(has_list ? "nothing new failed" : "nothing failed");
  }
  if (failures.stale > 0) {
    found.push_back(fmt::format("{} no longer {}", Counted(failures.stale, "expected failure"),
                                failures.stale == 1 ? "holds" : "hold"));
  }
  if (failures.expected > 0) {
    found.push_back(fmt::format("{} expected", failures.expected));
  }
  return fmt::format("{}", fmt::join(found, ", "));
}

std::string WhyThisExit(const Run& run) {
  switch (run.exit) {
    case ExitCode::kSuccess:
    case ExitCode::kFailure:
    case ExitCode::kStale:
      return Found(run);
    case ExitCode::kUsage:
      return "the command was not understood, or selected nothing";
    case ExitCode::kTargetUnusable:
      return "the target could not be used, or not all of it";
    case ExitCode::kOurError:
      return "nbdspec was killed, or failed itself, before the run was over";  // Who ends otherwise writes another
                                                                               // code.
    default:
      return run.exit > 128 ? fmt::format("ended by signal {}", run.exit - 128)
                            : "an exit code that nbdspec does not use";
  }
}

}  // namespace

std::string ExitLine(const Run& run) { return fmt::format("Exit {}: {}.", run.exit, WhyThisExit(run)); }

std::string_view TroubleHeading(const Run& run) {
  return run.exit == ExitCode::kTargetUnusable ? "The target cannot be used:" : "The run ended early:";
}

namespace {

// What is wrong with all of the run, set in: it may quote the peer, line by line.
std::string TroubleOf(const Run& run, const TextOptions& options) {
  if (run.trouble.empty()) {
    return "";
  }
  return Painted(Paint::kBad, TroubleHeading(run), options.color) + "\n" +
         Block(PrintableLines(run.trouble), "    ", options);
}

std::string Conclusion(const Run& run, const TextOptions& options) {
  const Paint paint = run.exit == ExitCode::kSuccess ? Paint::kGood : Paint::kBad;
  return Painted(paint, ExitLine(run), options.color) + "\n";
}

}  // namespace

std::string RenderText(const Run& run, const TextOptions& options) {
  const std::string trouble = TroubleOf(run, options);
  if (options.quiet) {
    return trouble + Conclusion(run, options);
  }
  std::string out = Header(run, options) + (trouble.empty() ? "" : "\n" + trouble);
  for (const Outcome* outcome : WorstFirst(run)) {
    out += "\n" + OutcomeHeading(*outcome, options) + OutcomeDetails(*outcome, options);
  }
  out += Stale(run, options) + ExpectedOnes(run, options);
  if (options.verbose) {
    out += OneLineEach(run, options) + Slowest(run, options);
  } else {
    for (const auto& [verdict, title] : kNotAsked) {
      out += NotAsked(run, verdict, title, options);
    }
  }
  return out + "\n" + CountsLine(run, options.color) + "\n" + Conclusion(run, options);
}

}  // namespace nbdspec::reports
