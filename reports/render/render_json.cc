// SPDX-License-Identifier: BSD-3-Clause
// The report for programs. Plain ASCII, whatever a peer sent; docs/json.md describes it.

#include <cmath>
#include <concepts>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "reports/render/json_members.h"
#include "reports/render/render.h"

namespace nbdspec::reports {
namespace {

using Json = nlohmann::ordered_json;

// How a member of each type is written.
template <typename Value>
Json JsonOf(const Value& value) {
  return value;
}

Json JsonOf(double number) { return std::isfinite(number) ? number : 0.0; }  // JSON has no infinity.

Json JsonOf(const Advertised& advertised) {
  Json json = Json::object();
  for (const auto& [name, value] : advertised) {
    json[name] = value;
  }
  return json;
}

template <Worded Enum>
Json JsonOf(const Enum& value) {
  return Word(value);
}

template <Membered Thing>
Json JsonOf(const Thing& thing);

template <Membered Thing>
Json JsonOf(const std::vector<Thing>& things) {
  Json json = Json::array();
  for (const Thing& thing : things) {
    json.push_back(JsonOf(thing));
  }
  return json;
}

template <Membered Thing>
Json JsonOf(const Thing& thing) {
  Json json = Json::object();
  VisitMembers(thing, [&](const char* name, const auto& member) { json[name] = JsonOf(member); });
  return json;
}

// All of a run but its outcomes.
Json HeadOf(const Run& run) {
  Json json = {{"format", kJsonFormat}};
  VisitMembers(run, [&]<typename Member>(const char* name, const Member& member) {
    if constexpr (!std::same_as<Member, std::vector<Outcome>>) {
      json[name] = JsonOf(member);
    }
  });
  const Tally tally = TallyOf(run);
  for (int i = 0; i < kVerdictCount; ++i) {
    const auto verdict = static_cast<Verdict>(i);
    json["tally"][std::string(Word(verdict))] = tally.of(verdict);
  }
  const Failures failures = FailuresOf(run);
  json["failures"] = {{"new", failures.fresh}, {"expected", failures.expected}, {"stale", failures.stale}};
  return json;
}

Json WholeOf(const Run& run) {
  Json json = HeadOf(run);
  json["outcomes"] = JsonOf(run.outcomes);
  return json;
}

// Without `indent`: in one line.
std::string Dumped(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string RenderJson(const Run& run) { return Dumped(WholeOf(run), 2); }

std::string RenderJson(const Matrix& matrix) {
  Json json = {{"format", kJsonFormat},
               {"tool", matrix.tool},
               {"version", matrix.version},
               {"exit", matrix.exit},
               {"duration_ms", JsonOf(matrix.duration_ms)},
               {"targets", Json::array()}};
  for (const auto& [name, run] : matrix.runs) {
    json["targets"].push_back({{"name", name}, {"run", WholeOf(run)}});
  }
  return Dumped(json, 2);
}

std::string RenderJson(const Comparison& comparison) {
  Json json = {{"format", kJsonFormat},
               {"old", HeadOf(*comparison.before)},
               {"new", HeadOf(*comparison.after)},
               {"exit", comparison.exit}};
  for (int i = 0; i < kChangeCount; ++i) {
    const auto change = static_cast<Change>(i);
    json["counts"][std::string(Word(change))] = comparison.count(change);
  }
  Json& differences = json["differences"] = Json::array();
  for (const auto& [change, before, after] : comparison.differences) {
    differences.push_back({{"change", Word(change)},
                           {"id", (after != nullptr ? after : before)->id},
                           {"old", before != nullptr ? JsonOf(*before) : Json()},
                           {"new", after != nullptr ? JsonOf(*after) : Json()}});
  }
  return Dumped(json, 2);
}

std::string RenderOutcomeLine(const Outcome& outcome) { return Dumped(JsonOf(outcome)); }

std::string RenderHeadLine(const Run& run) { return Dumped(HeadOf(run)); }

}  // namespace nbdspec::reports
