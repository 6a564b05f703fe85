// SPDX-License-Identifier: BSD-3-Clause
// One outcome as HTML: its clause, and the evidence drawn.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "reports/render/bars.h"
#include "reports/render/html.h"
#include "reports/render/printable.h"
#include "reports/render/render.h"
#include "reports/render/sides.h"

namespace nbdspec::reports {
namespace {

constexpr std::size_t kTranscriptLinesMax = 80;

// --- The exchange ---

std::string FieldsOf(const Message& message) {
  std::string out;
  for (const MessageField& field : message.fields) {
    const std::string_view element = field.is_judged ? "mark" : "span";
    out += fmt::format(R"(<{0} class="field"><i>{1}</i> {2}</{0}> )", element, Html(field.name), Html(field.value));
  }
  return out;
}

std::string DrawnMessage(const Message& message, bool has_several, const Sides& sides) {
  constexpr std::array<std::string_view, 3> kSides = {"client", "server", "note"};      // In the order of From.
  constexpr std::array<std::string_view, 3> kParts = {"", " asked", " judged"};         // In the order of Part.
  constexpr std::array<std::string_view, 3> kWords = {"", "asked", "this was judged"};  // The same.
  const auto part = static_cast<std::size_t>(message.part);
  const std::string_view side = kSides.at(static_cast<std::size_t>(message.from));
  std::string out = fmt::format(R"(<li class="msg {}{}">)", side, kParts.at(part));
  if (message.from == Message::From::kNobody) {
    return out + Html(message.text) + "</li>\n";
  }
  // For those who do not see the arrows.
  out += fmt::format(R"(<span class="sr">{}: </span>)", message.from == Message::From::kClient ? sides.to : sides.from);
  out += message.name.empty() ? fmt::format("<span class=\"mono\">{}</span> ", Html(message.text))
                              : fmt::format("<span class=\"name\">{}</span> {}", Html(message.name), FieldsOf(message));
  out += fmt::format(R"(<span class="where">line {}{}, bytes {} to {}</span>)", message.line,
                     has_several ? fmt::format(", connection {}", message.connection) : "", message.offset,
                     message.offset + message.length);
  out += part == 0 ? "" : fmt::format(R"( <span class="part">{}</span>)", kWords.at(part));
  return out + "</li>\n";
}

std::string Exchange(const std::vector<Message>& messages, std::size_t messages_max, const Sides& sides) {
  if (messages.empty()) {
    return "";
  }
  std::vector<Message::Part> parts;
  std::ranges::transform(messages, std::back_inserter(parts), &Message::part);
  const bool has_several = std::ranges::any_of(messages, [&](const Message& each) { return each.connection != 1; });
  std::string out = fmt::format(
      "<h4>The exchange</h4>\n<div class=\"talk\"><div class=\"ends\" aria-hidden=\"true\"><span>{}</span>"
      "<span>{}</span></div>\n<ol>\n",
      sides.client, sides.server);
  std::uint64_t line_before = 0;
  for (const std::size_t index : NearestToVerdict(parts, messages_max)) {
    const Message& message = messages[index];
    if (message.line > line_before + 1) {
      const std::uint64_t count = message.line - line_before - 1;
      out += fmt::format("<li class=\"gap\">{} {} not shown</li>\n", count, count == 1 ? "line" : "lines");
    }
    out += DrawnMessage(message, has_several, sides);
    line_before = message.line;
  }
  return out + "</ol></div>\n";
}

// --- Bars ---

constexpr double kUnits = 1000;  // The width of a bar.

double PositionOf(std::uint64_t offset, const BarScale& scale) {
  const std::uint64_t inside = std::clamp(offset, scale.begin, scale.end) - scale.begin;
  return kUnits * static_cast<double>(inside) / static_cast<double>(scale.end - scale.begin);
}

std::string_view ClassOf(BarKind kind) {
  constexpr std::array<std::string_view, kBarKindCount> kClasses = {"data",      "hole",  "zero",
                                                                    "hole-zero",  // In its order.
                                                                    "only",      "wrong", "other"};
  return kClasses.at(static_cast<std::size_t>(kind));
}

std::string DrawnBar(const Bar& bar, const BarScale& scale) {
  constexpr double kWidthMin = 3;                                   // Else a byte of a gigabyte would not show.
  const bool has_titles = bar.stretches.size() > kStretchesListed;  // For what is not listed.
  std::string rects;
  for (const Stretch& stretch : bar.stretches) {
    const double x = PositionOf(stretch.begin, scale);
    const double width = std::max(kWidthMin, PositionOf(stretch.end, scale) - x);
    rects +=
        fmt::format(R"(<rect class="{}{}" x="{:.1f}" y="1" width="{:.1f}" height="18">{}</rect>)",
                    ClassOf(KindOf(stretch)), stretch.is_judged ? " is-judged" : "", std::min(x, kUnits - kWidthMin),
                    width, has_titles ? fmt::format("<title>{}</title>", Html(ListOf({"", {stretch}}))) : "");
  }
  const std::string list = ListOf(bar);
  return fmt::format(
      "<div class=\"bar\"><span class=\"who\">{}</span><svg viewBox=\"0 0 1000 20\" preserveAspectRatio=\"none\" "
      "role=\"img\" aria-label=\"{}\">{}</svg><span class=\"list mono\">{}</span></div>\n",
      Html(bar.who), Html(bar.who + ": " + list), rects, Html(list));
}

std::string Bars(const std::vector<Bar>& bars) {
  if (bars.empty()) {
    return "";
  }
  const BarScale scale = ScaleOf(bars);
  std::string out = "<h4>The bytes, to scale</h4>\n<figure class=\"bars\">\n";
  for (const Bar& bar : bars) {
    out += DrawnBar(bar, scale);
  }
  return out + fmt::format(
                   "<div class=\"bar\"><span class=\"ends mono\"><span>{}</span><span>{}</span></span></div>\n"
                   "</figure>\n",
                   scale.begin, scale.end);
}

std::string Folded(std::string_view heading, const std::string& lines, bool is_open) {
  return lines.empty() ? ""
                       : fmt::format("<details{}><summary>{}</summary><pre>{}</pre></details>\n",
                                     is_open ? " open" : "", heading, lines);
}

std::string Transcript(const Evidence& evidence) {
  const std::vector<std::string>& all = evidence.transcript;
  const std::size_t first = all.size() - std::min(all.size(), kTranscriptLinesMax);
  std::string lines = first == 0 ? "" : fmt::format("({} earlier lines: --json has them)\n", first);
  for (std::size_t i = first; i < all.size(); ++i) {
    lines += Html(FirstOf(all[i], 400)) + "\n";
  }
  return lines;
}

std::string Term(std::string_view name, std::string_view text, std::string_view as = "") {
  return text.empty() ? ""
                      : fmt::format("<dt>{}</dt><dd{}>{}</dd>\n", name,
                                    as.empty() ? "" : fmt::format(" class=\"{}\"", as), HtmlLines(text));
}

// Where the clause stands, whose words are the heading, and why the verdict is what it is.
std::string Clause(const Outcome& outcome) {
  const bool is_anothers = !outcome.id.starts_with(outcome.requirement);  // Seen in a check of another clause.
  std::string out;
  if (!outcome.section.empty()) {
    out += fmt::format("<dt>clause</dt><dd>{}{}, {}</dd>\n", Word(outcome.level),
                       is_anothers ? fmt::format(" <code>{}</code>", Html(outcome.requirement)) : "",
                       Link(outcome.link, Html(outcome.section)));
  }
  if (const std::string_view note = NoteOn(outcome); !note.empty()) {
    out += fmt::format("<dt>note</dt><dd>{}</dd>\n", note);
  }
  const Expectation& expectation = outcome.expectation;
  if (!expectation.place.empty()) {
    out += fmt::format("<dt>expected</dt><dd>{} {}</dd>\n", HtmlLines(expectation.reason),
                       Link(expectation.link, fmt::format("({})", Html(expectation.place))));
  }
  return out;
}

std::string BodyOf(const Outcome& outcome, Detail detail) {
  const Evidence& evidence = outcome.evidence;
  const Sides sides = SidesOf(outcome.binds);
  const bool is_all = detail == Detail::kAll;
  const std::size_t error_bytes_max = is_all ? 6000 : 600;
  std::string out =
      "<dl class=\"said\">\n" + Term("harm", spec::Meaning(outcome.harm)) + Clause(outcome) +
      Term(outcome.binds == spec::Role::kServer ? "asked" : sides.asked, evidence.sent) +
      Term("allowed", evidence.allowed) + Term("saw", evidence.saw, evidence.saw.contains('\n') ? "saw mono" : "saw") +
      Term("where", evidence.place) +
      Term("ended", evidence.ended.empty() ? "" : fmt::format("the {} {}", Word(outcome.binds), evidence.ended)) +
      Term("stock", is_all ? outcome.stock : "") + "</dl>\n" + Exchange(evidence.messages, is_all ? 24 : 2, sides) +
      Bars(evidence.bars) +
      Folded(sides.heading, HtmlLines(LastOf(evidence.standard_error, error_bytes_max), error_bytes_max), is_all);
  if (is_all && !evidence.transcript.empty()) {
    out += Folded(fmt::format("The whole conversation, {} lines", evidence.transcript.size()), Transcript(evidence),
                  /*is_open=*/false);
  }
  if (!outcome.replay.empty()) {
    out += fmt::format("<h4>See it again</h4>\n<div class=\"again\"><code>{}</code></div>\n", Html(outcome.replay));
  }
  return out;
}

}  // namespace

std::string Attributes(const Outcome& outcome, std::string_view anchor) {
  return fmt::format(R"(id="{}" data-verdict="{}" data-level="{}" data-area="{}" data-harm="{}")", anchor,
                     ClassOf(outcome.verdict), Word(outcome.level), Html(AreaOf(outcome.id)), Word(outcome.harm));
}

std::string Whole(const Outcome& outcome, std::string_view anchor, bool is_open, Detail detail) {
  return fmt::format(
      "<details class=\"outcome {}\" {}{}>\n<summary>{} {}<span class=\"heading3\" "
      "role=\"heading\" aria-level=\"3\">{}</span> <code class=\"id\">{}</code></summary>\n<div class=\"body\">\n{}<p "
      "class=\"quiet\"><a href=\"#{}\">Link to this</a></p>\n</div>\n</details>\n",
      ClassOf(outcome.verdict), Attributes(outcome, anchor), is_open ? " open" : "", Tag(outcome.verdict),
      outcome.requirement.empty() ? "" : fmt::format("<span class=\"level\">{}</span> ", Word(outcome.level)),
      Html(outcome.statement.empty() ? Reason(outcome) : outcome.statement), Html(outcome.id), BodyOf(outcome, detail),
      anchor);
}

}  // namespace nbdspec::reports
