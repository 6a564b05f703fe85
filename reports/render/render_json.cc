// SPDX-License-Identifier: BSD-3-Clause
// The report for programs. Plain ASCII, whatever a peer sent; docs/json.md describes it.

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "reports/render/render.h"

namespace nbdspec::reports {
namespace {

using Json = nlohmann::ordered_json;

// JSON has no infinity.
double Finite(double number) { return std::isfinite(number) ? number : 0; }

Json JsonOf(const Outcome& outcome) {
  const Evidence& evidence = outcome.evidence;
  return {
      {"id", outcome.id},
      {"requirement", outcome.requirement},
      {"level", Word(outcome.level)},
      {"verdict", Word(outcome.verdict)},
      {"statement", outcome.statement},
      {"section", outcome.section},
      {"evidence",
       {
           {"sent", evidence.sent},
           {"allowed", evidence.allowed},
           {"saw", evidence.saw},
           {"place", evidence.place},
           {"transcript", evidence.transcript},
           {"standard_error", evidence.standard_error},
           {"ended", evidence.ended},
       }},
      {"replay", outcome.replay},
      {"duration_ms", Finite(outcome.duration_ms)},
      {"expected",
       {
           {"overlay", Word(outcome.expectation.overlay)},
           {"reason", outcome.expectation.reason},
           {"link", outcome.expectation.link},
           {"place", outcome.expectation.place},
       }},
  };
}

}  // namespace

std::string RenderJson(const Run& run) {
  Json advertised = Json::object();
  for (const auto& [name, value] : run.advertised) {
    advertised[name] = value;
  }
  const Tally counts = TallyOf(run);
  Json tally = Json::object();
  for (int i = 0; i < kVerdictCount; ++i) {
    const auto verdict = static_cast<Verdict>(i);
    tally[std::string(Word(verdict))] = counts.of(verdict);
  }
  Json outcomes = Json::array();
  for (const Outcome& outcome : run.outcomes) {
    outcomes.push_back(JsonOf(outcome));
  }
  Json stale = Json::array();
  for (const StaleEntry& entry : run.stale) {
    stale.push_back({{"place", entry.place}, {"id", entry.id}, {"why", entry.why}});
  }
  const Failures failures = FailuresOf(run);
  const Json json = {
      {"format", 1},
      {"tool", run.tool},
      {"version", run.version},
      {"spec", run.spec},
      {"target", run.target},
      {"server", {{"words", run.server.words}, {"program", run.server.program}, {"version", run.server.version}}},
      {"seed", run.seed},
      {"advertised", advertised},
      {"exit", run.exit},
      {"trouble", run.trouble},
      {"duration_ms", Finite(run.duration_ms)},
      {"tally", tally},
      {"failures", {{"new", failures.fresh}, {"expected", failures.expected}, {"stale", failures.stale}}},
      {"stale", stale},
      {"outcomes", outcomes},
  };
  return json.dump(2, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace) + "\n";
}

}  // namespace nbdspec::reports
