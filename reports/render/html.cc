// SPDX-License-Identifier: BSD-3-Clause
#include "reports/render/html.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "reports/render/page_assets.h"
#include "reports/render/printable.h"

namespace nbdspec::reports {

// --- Text ---

namespace {

std::string Escaped(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

}  // namespace

std::string Html(std::string_view text) { return Escaped(Printable(text)); }

std::string HtmlLines(std::string_view text, std::size_t bytes_max) {
  const std::string_view kept = FirstOf(text, bytes_max);
  std::string out = Escaped(PrintableLines(kept));
  if (kept.size() < text.size()) {
    out += fmt::format(" (and {} more bytes)", text.size() - kept.size());
  }
  return out;
}

std::string Link(std::string_view address, const std::string& text) {
  const bool is_web = address.starts_with("https://") || address.starts_with("http://");
  return is_web ? fmt::format(R"(<a href="{}">{}</a>)", Html(address), text) : text;
}

std::string_view ClassOf(Verdict verdict) {
  constexpr std::array<std::string_view, kVerdictCount> kClasses = {
      "pass", "fail", "warn", "na", "skipped", "inconclusive", "flaky"};  // In the order of the enumerators.
  return kClasses.at(static_cast<std::size_t>(verdict));
}

std::string_view AreaOf(std::string_view id) { return id.substr(0, id.find_first_of("./")); }

std::string Tag(Verdict verdict) {
  return fmt::format(R"(<span class="tag {}">{}</span>)", ClassOf(verdict), Html(Word(verdict)));
}

std::string Anchors::For(std::string_view id) {
  std::string name(id.substr(0, 200));
  for (char& c : name) {
    const bool is_plain = ('a' <= c && c <= 'z') || ('A' <= c && c <= 'Z') || ('0' <= c && c <= '9');
    c = is_plain || std::string_view("._/-").contains(c) ? c : '-';
  }
  std::string anchor = name;
  for (int i = 2; !given_.insert(anchor).second; ++i) {
    anchor = fmt::format("{}-{}", name, i);
  }
  return anchor;
}

// --- The page ---

std::string Page(std::string_view title, const std::string& body) {
  // What the policy names by its hash runs; nothing else does, and nothing is loaded.
  constexpr std::string_view kHead =
      R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{}</title>
)";
  return fmt::format(kHead, kPageStyleSha256, kPageScriptSha256, Html(title)) + "<style>" + std::string(kPageStyle) +
         "</style>\n</head>\n<body>\n" + body +
         "<footer><p>Made by nbdspec. What a clause says is in nbdspec's words; the link leads to the specification's. "
         "<code>nbdspec explain ID</code> says more of a check.</p></footer>\n<script>" +
         std::string(kPageScript) + "</script>\n</body>\n</html>\n";
}

Result ResultOf(int exit) {
  switch (exit) {
    case ExitCode::kSuccess:
      return {"Passed", "pass"};
    case ExitCode::kFailure:
      return {"Failed", "fail"};
    case ExitCode::kStale:
      return {"Not as expected", "warn"};
    case ExitCode::kTargetUnusable:
      return {"Unusable", "fail"};
    default:
      return {"Not finished", "inconclusive"};
  }
}

std::string TopOf(int exit, std::string_view tool, std::string_view what, std::string_view headline) {
  const Result result = ResultOf(exit);
  return fmt::format(
      "<a class=\"skip\" href=\"#findings\">Skip to what was found</a>\n<header class=\"top {}\">\n<div "
      "class=\"tool\"><p class=\"quiet\">{}</p><button type=\"button\" id=\"theme\" hidden>Light or "
      "dark</button></div>\n<h1><span class=\"word\">{}:</span> {}</h1>\n<p "
      "class=\"headline\"><strong>{}</strong></p>\n",
      result.css_class, Html(tool), result.word, Html(what), Html(headline));
}

std::string Heading(std::string_view title, std::size_t count) {
  return fmt::format("<h2>{} <span class=\"count\">{}</span></h2>", title, count);
}

std::string FoldedHeading(std::string_view title, std::size_t count) {
  return fmt::format(
      "<span class=\"heading2\" role=\"heading\" aria-level=\"2\">{} <span class=\"count\">{}</span></span>", title,
      count);
}

std::string Counts(const Run& run) {
  const Tally tally = TallyOf(run);
  std::string out = "<ul class=\"tally\">\n";
  for (int i = 0; i < kVerdictCount; ++i) {
    const auto verdict = static_cast<Verdict>(i);
    if (tally.of(verdict) > 0) {
      out += fmt::format("<li class=\"tag {}\">{} {}</li>\n", ClassOf(verdict), tally.of(verdict), Html(Word(verdict)));
    }
  }
  return out + "</ul>\n";
}

namespace {

std::string Select(std::string_view name, std::string_view label, const std::set<std::string>& values) {
  std::string out = fmt::format(R"(<label>{} <select name="{}"><option value="">all</option>)", label, name);
  for (const std::string& value : values) {
    out += value.empty() ? "" : fmt::format(R"(<option>{}</option>)", Html(value));
  }
  return out + "</select></label>\n";
}

}  // namespace

std::string Filter(const std::vector<const Outcome*>& outcomes, bool has_several_runs) {
  std::set<Verdict> verdicts;
  std::set<std::string> areas;
  std::set<std::string> levels;
  std::set<std::string> harms;
  for (const Outcome* const outcome : outcomes) {
    verdicts.insert(outcome->verdict);
    areas.insert(std::string(AreaOf(outcome->id)));
    levels.insert(std::string(Word(outcome->level)));
    harms.insert(std::string(Word(outcome->harm)));
  }
  std::string out = R"(<form class="filter" id="filter" hidden aria-label="Filter the outcomes" role="search">
<label class="text">Text <input type="search" name="text" autocomplete="off" spellcheck="false"></label>
<fieldset><legend>Verdict</legend>)";
  for (const Verdict verdict : verdicts) {
    out += fmt::format(R"(<label><input type="checkbox" name="verdict" value="{}" checked> {}</label>)",
                       ClassOf(verdict), Html(Word(verdict)));
  }
  out += "</fieldset>\n" + Select("area", "Area", areas) + Select("level", "Level", levels) +
         Select("harm", "Harm", harms);
  out +=
      has_several_runs ? "<label><input type=\"checkbox\" name=\"differs\"> only where servers differ</label>\n" : "";
  return verdicts.empty()
             ? ""
             : out + "<button type=\"reset\">Reset</button>\n<output class=\"shown\" id=\"shown\"></output>\n</form>\n";
}

}  // namespace nbdspec::reports
