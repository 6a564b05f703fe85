// SPDX-License-Identifier: BSD-3-Clause
// The report for test harnesses: the Test Anything Protocol, version 13, which Perl's reads; https://testanything.org.

#include <fmt/core.h>

#include <string>
#include <string_view>

#include "reports/render/printable.h"
#include "reports/render/render.h"
#include "reports/render/sides.h"

namespace nbdspec::reports {
namespace {

// `text` with a backslash before each character of `special`, and before each backslash.
std::string Escaped(std::string_view text, char special) {
  std::string out;
  for (const char c : text) {
    out += c == '\\' || c == special ? std::string{'\\', c} : std::string{c};
  }
  return out;
}

// A string in double quotes, as YAML has them. Its characters are printable ones and line feeds.
std::string QuotedYaml(std::string_view text) {
  std::string out = "\"";
  for (const char c : Escaped(PrintableLines(text), '"')) {
    out += c == '\n' ? std::string("\\n") : std::string{c};
  }
  return out + "\"";
}

std::string YamlOf(const Outcome& outcome) {
  const Evidence& evidence = outcome.evidence;
  std::string out = "  ---\n";
  const auto add = [&](std::string_view key, std::string_view value) {
    out += value.empty() ? "" : fmt::format("  {}: {}\n", key, QuotedYaml(value));
  };
  add("verdict", Word(outcome.verdict));
  add("level", Word(outcome.level));
  add("breaks", outcome.id.starts_with(outcome.requirement) ? "" : outcome.requirement);
  add("clause", outcome.statement);
  add("harm", spec::Meaning(outcome.harm));
  add("section", outcome.section);
  add(SidesOf(outcome.binds).asked, evidence.sent);
  add("allowed", evidence.allowed);
  add("saw", evidence.saw);
  add("place", evidence.place);
  add("stock", outcome.stock);
  add("replay", outcome.replay);
  return out + "  ...\n";
}

// In a description a # begins a directive.
std::string Description(std::string_view text) { return Escaped(Printable(text), '#'); }

// `whose`: what stands before the name of each test.
std::string LineOf(const Outcome& outcome, std::size_t number, std::string_view whose) {
  const std::string rest = fmt::format("ok {} - {}{}", number, Description(whose), Description(outcome.id));
  switch (outcome.verdict) {
    case Verdict::kPass:
      return rest + "\n";
    case Verdict::kNotApplicable:
    case Verdict::kSkip:
      return fmt::format("{} # skip {}: {}\n", rest, Word(outcome.verdict), Reason(outcome));
    case Verdict::kWarn:
    case Verdict::kFail:
    case Verdict::kInconclusive:
    case Verdict::kFlaky:
      break;
  }
  std::string directive;
  if (IsExpected(outcome)) {
    directive = fmt::format(" # todo expected: {}", Printable(outcome.expectation.reason));
  } else if (outcome.verdict == Verdict::kWarn) {
    directive = fmt::format(" # todo warn, {}: {}", Word(outcome.level), Printable(outcome.statement));
  }
  return fmt::format("not {}{}\n{}", rest, directive, YamlOf(outcome));
}

std::string LinesOf(const Run& run, std::string_view whose, std::size_t& number) {
  std::string out;
  for (const Outcome& outcome : run.outcomes) {
    out += LineOf(outcome, ++number, whose);
  }
  for (const StaleEntry& entry : run.stale) {
    const std::string text = fmt::format("{}{}: {}: {}", whose, entry.place, entry.id, entry.why);
    out += fmt::format("not ok {} - {}\n", ++number, Description(text));
  }
  return out;
}

}  // namespace

std::string RenderTap(const Run& run) {
  std::size_t number = 0;
  const std::string lines = LinesOf(run, "", number);
  std::string out = fmt::format("TAP version 13\n# {} {}: {}\n1..{}\n{}# {}\n", Printable(run.tool),
                                Printable(run.version), Printable(run.target), number, lines, ExitLine(run));
  return run.trouble.empty() ? out : out + fmt::format("Bail out! {}\n", Printable(run.trouble));
}

std::string RenderTap(const Matrix& matrix) {
  std::string lines;
  std::size_t number = 0;
  for (const auto& [name, run] : matrix.runs) {
    lines += fmt::format("# {}: {}\n", Printable(name), Printable(run.target)) + LinesOf(run, name + ": ", number);
    // To bail out would end the tests of the others, too.
    lines +=
        run.trouble.empty() ? "" : fmt::format("not ok {} - {}\n", ++number, Description(name + ": " + run.trouble));
  }
  return fmt::format("TAP version 13\n# {} {}\n1..{}\n{}# {}\n", Printable(matrix.tool), Printable(matrix.version),
                     number, lines, ExitLine(matrix));
}

}  // namespace nbdspec::reports
