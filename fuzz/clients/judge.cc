// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/clients/judge.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "conformance/clients/client_transcript.h"
#include "engine/spec/catalogue.h"

namespace nbdspec::fuzz {

namespace {

using conformance::ClientPlay;
using conformance::ClientTask;
using conformance::ClientTasks;
using conformance::Scenario;

std::string TaskName(ClientTasks tasks) {
  constexpr std::pair<ClientTasks, std::string_view> kNames[] = {{ClientTask::kCopiesOut, "copy-out"},
                                                                 {ClientTask::kCopiesIn, "copy-in"},
                                                                 {ClientTask::kMaps, "map"},
                                                                 {ClientTask::kVisits, "visit"}};
  std::string name;
  for (const auto& [task, word] : kNames) {
    name += (tasks & task) == 0 ? "" : (name.empty() ? "" : "-") + std::string(word);
  }
  return name;
}

std::string_view TaskOf(const Finding& finding) {
  return std::string_view(finding.request_kind).substr(0, finding.request_kind.find(' '));
}

std::optional<Finding> FindHarm(const Scenario& scenario, const ClientPlay& play) {
  const auto harm = [&](FindingKind kind, std::string expected, std::string saw) {
    return Finding{
        .kind = kind, .request_kind = TaskName(play.tasks), .expected = std::move(expected), .saw = std::move(saw)};
  };
  if (play.run.has_crashed()) {
    return harm(FindingKind::kCrash, "an end of the client's own", "the client was " + play.run.ended);
  }
  if (play.run.has_hung()) {
    return harm(FindingKind::kHang, "an end, with success or without", "the client did not end in its time");
  }
  if (play.bytes == conformance::BytesVerdict::kWrong) {
    const bool is_map = play.wrong_task == ClientTask::kMaps;
    return harm(is_map ? FindingKind::kFalseClaim : FindingKind::kWrongData,
                is_map ? "a map that is true" : "the right bytes, or an error",
                "exit status 0, and " + play.bytes_text);
  }
  const bool may_fail = (play.tasks & scenario.may_fail) != 0;
  if (!play.succeeded() && !play.cannot() && !may_fail && !play.run.records.empty()) {
    return harm(FindingKind::kWrongFailure, "success: the server keeps the rules", "the client " + play.run.ended);
  }
  return {};
}

}  // namespace

std::vector<Finding> JudgePlay(const Scenario& scenario, const ClientPlay& play) {
  if (auto harm = FindHarm(scenario, play)) {
    return {*std::move(harm)};
  }
  std::vector<Finding> findings;
  for (const auto& rulings : play.rulings) {
    for (const engine::ConductRuling& each : rulings) {
      const bool is_must =
          SeverityOf(spec::RequirementOf(each.requirement), spec::Role::kClient) == spec::Severity::kFailure;
      const bool is_new = std::ranges::find(findings, each.requirement, &Finding::rule) == findings.end();
      if (each.ruling.is_violated() && is_must && is_new) {
        findings.push_back({.kind = FindingKind::kBrokenRule,
                            .rule = std::string(each.requirement),
                            .expected = each.ruling.expected,
                            .saw = each.ruling.saw});
      }
    }
  }
  return findings;
}

bool IsSameOfClient(const Finding& a, const Finding& b) {
  return a.kind == b.kind && a.rule == b.rule && TaskOf(a) == TaskOf(b);
}

Finding WithRun(Finding finding, const ClientCase& met, const ClientPlay& play) {
  if (finding.kind != FindingKind::kBrokenRule) {
    finding.request_kind = TaskOf(finding);
    for (const std::string& name : met.oddities) {
      finding.request_kind += " " + name;
    }
  }
  finding.client_case = Print(met);
  finding.transcript = TranscriptOf(play.run).Text();
  finding.server_ended = play.run.ended;
  finding.server_stderr = play.run.words;
  return finding;
}

}  // namespace nbdspec::fuzz
