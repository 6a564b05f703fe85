// SPDX-License-Identifier: BSD-3-Clause
#include "reports/render/outcome_text.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include "reports/render/printable.h"

namespace nbdspec::reports {
namespace {

constexpr std::size_t kColumns = 100;
constexpr std::size_t kIndent = 11;  // Two spaces, a label of up to 8, one space.
constexpr std::size_t kTranscriptLinesShown = 8;
constexpr std::size_t kErrorLinesShown = 6;
constexpr std::size_t kFieldBytesShown = 2000;

std::string UpperCase(std::string_view word) {
  std::string out(word);
  std::ranges::transform(out, out.begin(), [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return out;
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

Paint PaintOf(Verdict verdict) {
  using enum Paint;
  constexpr std::array<Paint, kVerdictCount> kPaints = {kGood,  kBad, kWarning, kFaint,  // In the order of Verdict.
                                                        kFaint, kBad, kBad};
  return kPaints.at(static_cast<std::size_t>(verdict));
}

std::string Painted(Paint paint, std::string_view text, bool color) {
  if (!color) {
    return std::string(text);
  }
  constexpr std::array kCodes = {"1;31", "33", "32", "2", "1"};  // In the order of Paint.
  return fmt::format("\x1b[{}m{}\x1b[0m", kCodes[static_cast<std::size_t>(paint)], text);
}

std::string Field(std::string_view label, std::string_view text, const TextOptions& options) {
  if (text.empty()) {
    return "";
  }
  return Labelled(label, Wrap(PrintableLines(Clipped(text, options.verbose)), kColumns - kIndent), options.color);
}

std::string OutcomeHeading(const Outcome& outcome, const TextOptions& options) {
  return fmt::format("{}  {}  {}\n", Painted(PaintOf(outcome.verdict), UpperCase(Word(outcome.verdict)), options.color),
                     Word(outcome.level), Painted(Paint::kBold, Printable(outcome.id), options.color));
}

std::string OutcomeDetails(const Outcome& outcome, const TextOptions& options) {
  const Evidence& evidence = outcome.evidence;
  std::string out = Field("clause", outcome.statement, options) + Field("spec", outcome.section, options) +
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

}  // namespace nbdspec::reports
