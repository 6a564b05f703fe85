// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/clients/client_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/spec/catalogue.h"

namespace nbdspec::conformance {

namespace {

using engine::Record;
using engine::Ruling;

constexpr std::string_view kByHand = "nbdspec did not start the client, and does not know how it ended";

}  // namespace

bool ClientPlay::was_met() const {
  return std::ranges::any_of(run.records, [](const Record& record) { return record.changed_at.has_value(); });
}

std::optional<ClientJudgement> FindHarm(const Performance& performance, ClientTasks tasks) {
  for (std::size_t i = 0; i < performance.plays.size(); ++i) {
    const ClientPlay& play = performance.plays[i];
    if ((play.tasks & tasks) == 0) {
      continue;
    }
    const auto broken = [&](std::string saw, std::string_view allowed, spec::Harm harm) {
      return ClientJudgement{.judgement = Broken(std::move(saw), allowed), .place = {.play = i}, .harm = harm};
    };
    if (play.run.has_crashed()) {
      return broken(fmt::format("the client was {}", play.run.ended), "an end of its own", spec::Harm::kDenial);
    }
    if (play.run.has_hung()) {
      return broken("the client did not end in its time", "an end, with success or without", spec::Harm::kDenial);
    }
    if (play.succeeded() && play.bytes == BytesVerdict::kWrong) {
      return broken(fmt::format("it exited with status 0, and {}", play.bytes_text), "the right bytes, or an error",
                    spec::Harm::kData);
    }
  }
  return {};
}

ClientJudgement JudgeCopes(const Performance& performance) { return JudgeCopesAt(performance, kAnyTask); }

ClientJudgement JudgeCopesAt(const Performance& performance, ClientTasks tasks) {
  if (auto harm = FindHarm(performance, tasks)) {
    return *std::move(harm);
  }
  const bool is_changed = !performance.scenario->changes.empty() && !performance.scenario->is_met_by_all;
  bool any = false;
  std::string why = "the client never met it";
  for (std::size_t i = 0; i < performance.plays.size(); ++i) {
    const ClientPlay& play = performance.plays[i];
    const bool may_fail = (play.tasks & performance.scenario->may_fail) != 0;
    if ((play.tasks & tasks) == 0) {
      continue;
    }
    if (play.run.is_by_hand) {
      why = kByHand;
    } else if (play.cannot()) {
      why = fmt::format("it says that it cannot do this (exit status {})", ClientPlay::kCannotStatus);
    } else if ((is_changed && !play.was_met()) || (may_fail && !play.succeeded()) || play.run.records.empty()) {
      continue;
    } else if (!play.succeeded()) {
      return {.judgement = Broken(fmt::format("the client {}", play.run.ended), "success: the server keeps the rules"),
              .place = {.play = i}};
    } else {
      any = true;
    }
  }
  return {.judgement = any ? Holds() : NotApplicable(std::move(why))};
}

ClientJudgement JudgeNotices(const Performance& performance) {
  if (auto harm = FindHarm(performance)) {
    return *std::move(harm);
  }
  const bool is_changed = !performance.scenario->changes.empty() && !performance.scenario->is_met_by_all;
  bool any = false;
  for (std::size_t i = 0; i < performance.plays.size(); ++i) {
    const ClientPlay& play = performance.plays[i];
    const bool may_succeed = (play.tasks & (performance.scenario->may_fail | ClientTask::kVisits)) != 0;
    if (play.run.is_by_hand) {
      return {.judgement = NotApplicable(std::string(kByHand))};
    }
    if (play.cannot() || (is_changed && !play.was_met()) || play.run.records.empty()) {
      continue;
    }
    if (play.succeeded() && !may_succeed) {
      return {.judgement = Broken("it exited with status 0", performance.scenario->serves == Serves::kWrong
                                                                 ? "an error: the server broke a rule"
                                                                 : "an error: the server did not do it"),
              .place = {.play = i}};
    }
    any = any || !may_succeed;
  }
  return {.judgement = any ? Holds() : NotApplicable("the client never met it")};
}

ClientJudgement JudgeRule(const Performance& performance, std::string_view requirement) {
  ClientJudgement judgement{.judgement = NotApplicable("the client did not connect")};
  for (std::size_t i = 0; i < performance.plays.size(); ++i) {
    const ClientPlay& play = performance.plays[i];
    for (std::size_t c = 0; c < play.rulings.size(); ++c) {
      const auto ruling = std::ranges::find(play.rulings[c], requirement, &engine::ConductRuling::requirement);
      const Place place{.play = i, .connection = c, .message = ruling->index};
      switch (ruling->ruling.kind) {
        case Ruling::Kind::kViolated:
          return {.judgement = Broken(ruling->ruling.saw, ruling->ruling.expected), .place = place};
        case Ruling::Kind::kKept:
          judgement = {.judgement = Holds(), .place = place};
          break;
        case Ruling::Kind::kInapplicable:
          if (!judgement.judgement.holds()) {
            judgement.judgement.saw = ruling->ruling.missing;
          }
          break;
      }
    }
  }
  return judgement;
}

namespace {

// The rules of engine/conduct.
std::vector<ClientCheck> WireChecks() {
  std::vector<ClientCheck> checks;
  for (const engine::ClientRule& rule : engine::AllClientRules()) {
    const std::string_view id = rule.requirement;
    checks.push_back({.id = std::string(id),
                      .claim = "in every scenario: " + std::string(spec::RequirementOf(id).statement),
                      .judge = [id](const Performance& performance) { return JudgeRule(performance, id); }});
  }
  return checks;
}

}  // namespace

std::vector<ScenarioCheck> AllScenarioChecks() {
  std::vector<ScenarioCheck> all = CopingChecks();
  for (auto& more : {OddityChecks(), NoticingChecks(), TlsClientChecks()}) {
    all.insert(all.end(), more.begin(), more.end());
  }
  return all;
}

std::span<const ClientCheck> AllClientChecks() {
  static const std::vector<ClientCheck> kAll = [] {
    std::vector<ClientCheck> all = WireChecks();
    for (const ScenarioCheck& row : AllScenarioChecks()) {
      all.push_back({.id = row.id, .claim = row.claim, .scenario = row.id, .judge = row.judge});
    }
    // Rows of the catalogue stand in one array, in order.
    std::ranges::sort(all, {}, [](const ClientCheck& check) {
      return std::pair(&spec::RequirementOf(check.id), std::string_view(check.id));
    });
    return all;
  }();
  return kAll;
}

}  // namespace nbdspec::conformance
