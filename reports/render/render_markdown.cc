// SPDX-License-Identifier: BSD-3-Clause
// The report for the summary of a CI job, in GitHub's Markdown.
//
// What a peer chose stands only where nothing but its end can have a meaning: in a code block whose fence is longer
// than any in it, in a code span likewise, or as text of HTML. So it can neither break out nor name people or links.

#include <fmt/core.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reports/render/matrix_grid.h"
#include "reports/render/printable.h"
#include "reports/render/render.h"

namespace nbdspec::reports {
namespace {

constexpr std::size_t kTextBytesMax = 1000;

// Backticks, more than `text` has in a row.
std::string FenceFor(std::string_view text, std::size_t least) {
  std::size_t longest = 0;
  std::size_t row = 0;
  for (const char c : text) {
    row = c == '`' ? row + 1 : 0;
    longest = std::max(longest, row);
  }
  return std::string(std::max(longest + 1, least), '`');
}

std::string CodeSpan(std::string_view text) {
  const std::string shown = Printable(text);
  const std::string fence = FenceFor(shown, 1);
  return fmt::format("{} {} {}", fence, shown, fence);  // One space at each end is taken away.
}

std::string CodeBlock(std::string_view text) {
  const std::string shown = PrintableLines(text);
  const std::string fence = FenceFor(shown, 3);
  return fmt::format("{}text\n{}{}{}\n", fence, shown, shown.ends_with('\n') ? "" : "\n", fence);
}

// For inside of HTML elements, in one line.
std::string HtmlText(std::string_view text) {
  std::string out;
  for (const char c : Printable(text)) {
    out += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : std::string{c};
  }
  return out;
}

// `html_summary`, which unfolds `body`. The HTML ends at an empty line, and begins after one.
std::string Folded(const std::string& html_summary, const std::string& body) {
  return fmt::format("<details><summary>{}</summary>\n\n{}\n</details>\n\n", html_summary, body);
}

std::string TextOf(const Outcome& outcome) {
  const std::string summary = fmt::format("<b>{}</b> {} <code>{}</code> {}", Word(outcome.verdict), Word(outcome.level),
                                          HtmlText(outcome.id), HtmlText(outcome.statement));
  return Folded(summary, CodeBlock(OutcomeDetails(outcome, {})));
}

// Why checks were not asked, with how many each reason has.
std::string NotAsked(const Run& run) {
  std::string text;
  for (const Verdict verdict : {Verdict::kNotApplicable, Verdict::kSkip}) {
    for (const auto& [reason, count] : ReasonsOf(run, verdict)) {
      text += fmt::format("{:>4} {}: {}\n", count, Word(verdict), Shortened(reason, kTextBytesMax));
    }
  }
  return text.empty() ? "" : Folded("not asked, and why", CodeBlock(text));
}

// What lists of expected failures have, and what they have in vain.
std::string Expected(const Run& run) {
  std::string text;
  for (const Outcome& outcome : run.outcomes) {
    if (IsExpected(outcome)) {
      const Expectation& expectation = outcome.expectation;
      text += fmt::format("{} {}: {} ({})\n", Word(outcome.verdict), Printable(outcome.id),
                          Shortened(Printable(expectation.reason), kTextBytesMax), Printable(expectation.place));
    }
  }
  return text.empty() ? "" : Folded("expected, and why", CodeBlock(text));
}

std::string Stale(const Run& run) {
  std::string text;
  for (const StaleEntry& entry : run.stale) {
    text += fmt::format("{}: {}: {}\n", Printable(entry.place), Printable(entry.id), Printable(entry.why));
  }
  return text.empty() ? "" : fmt::format("**no longer as expected**\n\n{}\n", CodeBlock(text));
}

// What is wrong with all of the run.
std::string Trouble(const Run& run) {
  return run.trouble.empty() ? ""
                             : fmt::format("**{}**\n\n{}\n", TroubleHeading(run),
                                           CodeBlock(Shortened(PrintableLines(run.trouble), 10 * kTextBytesMax)));
}

// `head`, then as many of `parts`, each a whole, as there is room for.
std::string Joined(std::string head, const std::vector<std::string>& parts) {
  constexpr std::size_t kRest = 200;  // For the line that says what is left out.
  std::size_t left_out = 0;
  for (const std::string& part : parts) {
    const bool has_room = head.size() + part.size() + kRest <= kMarkdownBytesMax;
    head += has_room ? part : "";
    left_out += has_room ? 0 : 1;
  }
  return left_out == 0
             ? head
             : head + fmt::format("And {} more, for which there is no room here; the other reports have them.\n",
                                  left_out);
}

// As HTML: no text that a peer chose can end a cell of it.
std::string Table(const std::vector<std::vector<std::string>>& rows) {
  std::string out = "<table>\n";
  for (const auto& row : rows) {
    out += "<tr>";
    for (const std::string& cell : row) {
      out += fmt::format("<{0}>{1}</{0}>", &row == &rows.front() ? "th" : "td", cell);
    }
    out += "</tr>\n";
  }
  return rows.size() > 1 ? out + "</table>\n\n" : "";
}

std::string Code(std::string_view text) {
  return fmt::format("<code>{}</code>", HtmlText(Shortened(Printable(text), kTextBytesMax)));
}

std::string Servers(const Matrix& matrix) {
  std::vector<std::vector<std::string>> rows = {{"", "server", "", "how it came out"}};
  for (const auto& [name, run] : matrix.runs) {
    rows.push_back({std::to_string(rows.size()), Code(name), Code(run.target), HtmlText(ExitLine(run))});
  }
  return Table(rows);
}

// The checks of which some run has something to tell.
std::string Grid(const Matrix& matrix) {
  std::vector<std::vector<std::string>> rows = {{"check"}};
  for (std::size_t i = 1; i <= matrix.runs.size(); ++i) {
    rows.front().push_back(std::to_string(i));
  }
  for (const GridRow& row : GridRowsOf(matrix)) {
    if (IsTelling(row)) {
      std::vector<std::string>& cells = rows.emplace_back();
      cells.push_back(Code(row.first().id));
      for (const Outcome* const outcome : row.outcomes) {
        cells.emplace_back(CellOf(outcome).meaning);
      }
    }
  }
  return Table(rows);
}

}  // namespace

std::string RenderMarkdown(const Run& run) {
  const std::string head =
      fmt::format("## nbdspec: {}\n\n**{}** {}\n\n", CodeSpan(Shortened(Printable(run.target), kTextBytesMax)),
                  ExitLine(run), CountsLine(run, /*color=*/false)) +
      Trouble(run);
  std::vector<std::string> parts;
  for (const Outcome* const outcome : WorstFirst(run)) {
    parts.push_back(TextOf(*outcome));
  }
  for (std::string part : {Stale(run), Expected(run), NotAsked(run)}) {
    if (!part.empty()) {
      parts.push_back(std::move(part));
    }
  }
  return Joined(head, parts);
}

std::string RenderMarkdown(const Matrix& matrix) {
  const std::string head = fmt::format("## nbdspec: {}\n\n**{}**\n\n",
                                       Counted(static_cast<int>(matrix.runs.size()), "server"), ExitLine(matrix));
  std::vector<std::string> parts = {Servers(matrix), Grid(matrix)};
  for (const auto& [name, run] : matrix.runs) {
    std::string title =
        fmt::format("### {}\n\n", CodeSpan(Shortened(Printable(name), kTextBytesMax))) + Trouble(run) + Stale(run);
    for (const Outcome* const outcome : WorstFirst(run)) {
      parts.push_back(std::exchange(title, "") + TextOf(*outcome));
    }
    if (!title.empty() && run.exit != ExitCode::kSuccess) {
      parts.push_back(title);
    }
  }
  return Joined(head, parts);
}

}  // namespace nbdspec::reports
