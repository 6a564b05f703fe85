// SPDX-License-Identifier: BSD-3-Clause
// The report for CI, in the strictest of the dialects of JUnit XML, that of Ant's tasks: one <testsuite> at the root
// with when and where it ran, properties first, then the test cases with at most one element each, then what was
// printed.

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <pugixml.hpp>
#include <sstream>
#include <string>
#include <string_view>

#include "reports/render/printable.h"
#include "reports/render/render.h"

namespace nbdspec::reports {
namespace {

// Viewers show the message in one line.
constexpr std::size_t kMessageBytesMax = 400;

// What a verdict is in JUnit's words.
enum class Kind { kPassed, kFailure, kError, kSkipped };

Kind KindOf(const Outcome& outcome) {
  using enum Kind;
  constexpr std::array<Kind, kVerdictCount> kKinds = {kPassed,  kFailure, kSkipped,
                                                      kSkipped,  // In the order of Verdict.
                                                      kSkipped, kError,   kFailure};
  return IsExpected(outcome) ? kSkipped : kKinds.at(static_cast<std::size_t>(outcome.verdict));
}

void SetAttribute(pugi::xml_node node, const char* name, std::string_view value) {
  node.append_attribute(name).set_value(Printable(value).c_str());
}

std::string Message(const Outcome& outcome) {
  std::string message = fmt::format("{}: {}", Word(outcome.level), Printable(outcome.statement));
  if (!outcome.evidence.saw.empty()) {
    message += fmt::format("; saw {}", Printable(outcome.evidence.saw));
  }
  return Shortened(message, kMessageBytesMax);
}

// In UTC and without a zone, as the schema wants it; the epoch where nobody knows.
std::string Timestamp(const Run& run) {
  std::tm time{};
  const char* const end = ::strptime(run.started.c_str(), "%Y-%m-%dT%H:%M:%SZ", &time);
  const std::time_t seconds = end == nullptr || *end != '\0' ? 0 : ::timegm(&time);
  ::gmtime_r(&seconds, &time);  // A report may have been written by anybody, and tell of a 30th of February.
  std::array<char, 40> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S", &time);
  constexpr std::string_view kEpoch = "1970-01-01T00:00:00";
  return std::string(text.data()).size() == kEpoch.size() ? text.data() : std::string(kEpoch);
}

pugi::xml_node AppendCase(pugi::xml_node suite, std::string_view class_name, std::string_view name,
                          double duration_ms) {
  pugi::xml_node node = suite.append_child("testcase");
  SetAttribute(node, "name", name);
  SetAttribute(node, "classname", class_name);
  SetAttribute(node, "time", Seconds(duration_ms, 3));
  return node;
}

void AppendOutcome(pugi::xml_node suite, const Outcome& outcome) {
  const std::string phase = outcome.id.substr(0, outcome.id.find_first_of("./"));  // The part of the protocol.
  pugi::xml_node node = AppendCase(suite, "nbdspec." + phase, outcome.id, outcome.duration_ms);
  if (outcome.verdict == Verdict::kPass) {
    return;
  }
  const Kind kind = KindOf(outcome);
  constexpr TextOptions kWhole = {.color = false, .verbose = true};
  const std::string details = OutcomeHeading(outcome, kWhole) + OutcomeDetails(outcome, kWhole);
  if (kind == Kind::kFailure || kind == Kind::kError) {
    pugi::xml_node bad = node.append_child(kind == Kind::kFailure ? "failure" : "error");
    SetAttribute(bad, "message", Message(outcome));
    SetAttribute(bad, "type", Word(outcome.verdict));
    bad.text().set(details.c_str());
    return;
  }
  const bool is_expected = IsExpected(outcome);
  const bool is_warning = outcome.verdict == Verdict::kWarn;
  pugi::xml_node skipped = node.append_child("skipped");
  SetAttribute(skipped, "message",
               fmt::format("{}{}: {}", is_expected ? "expected " : "", Word(outcome.verdict),
                           is_expected  ? Printable(outcome.expectation.reason)
                           : is_warning ? Message(outcome)
                                        : Reason(outcome)));
  if (is_warning || is_expected) {
    skipped.text().set(details.c_str());
  }
}

void AppendProperties(pugi::xml_node suite, const Run& run) {
  pugi::xml_node properties = suite.append_child("properties");
  const auto append = [&](std::string_view name, std::string_view value) {
    pugi::xml_node property = properties.append_child("property");
    SetAttribute(property, "name", name);
    SetAttribute(property, "value", value);
  };
  append("tool", run.tool);
  append("version", run.version);
  append("spec", run.spec);
  append("target", run.target);
  append("seed", std::to_string(run.seed));
  append("exit", std::to_string(run.exit));
  for (const auto& [name, value] : run.advertised) {
    append("offers " + name, value);
  }
}

// The suite of one run, under `name`.
void AppendSuite(pugi::xml_node parent, const Run& run, std::string_view name) {
  const auto count = [&](Kind kind) { return std::ranges::count(run.outcomes, kind, KindOf); };
  const int troubles = run.trouble.empty() ? 0 : 1;
  const auto stale_count = static_cast<std::ptrdiff_t>(run.stale.size());

  pugi::xml_node suite = parent.append_child("testsuite");
  SetAttribute(suite, "name", name);
  SetAttribute(suite, "timestamp", Timestamp(run));
  SetAttribute(suite, "hostname", run.host.empty() ? "localhost" : run.host);
  SetAttribute(suite, "time", Seconds(run.duration_ms, 3));
  SetAttribute(suite, "tests", std::to_string(std::ssize(run.outcomes) + stale_count + troubles));
  SetAttribute(suite, "errors", std::to_string(count(Kind::kError) + troubles));
  SetAttribute(suite, "skipped", std::to_string(count(Kind::kSkipped)));
  SetAttribute(suite, "failures", std::to_string(count(Kind::kFailure) + stale_count));
  AppendProperties(suite, run);
  if (!run.trouble.empty()) {
    // Else a run that never began would look like one in which nothing failed.
    pugi::xml_node error = AppendCase(suite, "nbdspec.run", "the run ended early", 0).append_child("error");
    SetAttribute(error, "message", run.trouble);
    SetAttribute(error, "type", "trouble");
  }
  for (const StaleEntry& entry : run.stale) {
    pugi::xml_node failure = AppendCase(suite, "nbdspec.expected", entry.place, 0).append_child("failure");
    SetAttribute(failure, "message", fmt::format("{}: {}", entry.id, entry.why));
    SetAttribute(failure, "type", "stale");
  }
  for (const Outcome& outcome : run.outcomes) {
    AppendOutcome(suite, outcome);
  }
  suite.append_child("system-out").text().set(fmt::format("{}\n{}\n", CountsLine(run, false), ExitLine(run)).c_str());
  suite.append_child("system-err").text().set(PrintableLines(run.trouble).c_str());
}

std::string NameOf(const Run& run) { return fmt::format("{} {}", run.tool, run.target); }

// Begins a document that has a declaration.
void Declare(pugi::xml_document& document) {
  pugi::xml_node declaration = document.append_child(pugi::node_declaration);
  declaration.append_attribute("version").set_value("1.0");
  declaration.append_attribute("encoding").set_value("UTF-8");
}

std::string TextOf(const pugi::xml_document& document) {
  std::ostringstream out;
  document.save(out, "  ");
  return out.str();
}

}  // namespace

std::string RenderJunit(const Run& run) {
  pugi::xml_document document;
  Declare(document);
  AppendSuite(document, run, NameOf(run));
  return TextOf(document);
}

std::string RenderJunit(const Matrix& matrix) {
  pugi::xml_document document;
  Declare(document);
  pugi::xml_node suites = document.append_child("testsuites");
  for (std::size_t i = 0; i < matrix.runs.size(); ++i) {
    const auto& [name, run] = matrix.runs[i];
    AppendSuite(suites, run, fmt::format("{}: {}", name, NameOf(run)));
    pugi::xml_node suite = suites.last_child();
    suite.prepend_attribute("package").set_value("nbdspec");  // Which the schema demands of several.
    suite.prepend_attribute("id").set_value(std::to_string(i).c_str());
  }
  return TextOf(document);
}

}  // namespace nbdspec::reports
