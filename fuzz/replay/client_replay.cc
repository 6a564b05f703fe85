// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/replay/client_replay.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "conformance/peer/process/process.h"
#include "fuzz/clients/judge.h"

namespace nbdspec::fuzz {

namespace {

using conformance::ClientWay;
using conformance::ClientWays;

std::vector<ClientWay*> WaysFor(const ClientCase& met, const ClientWays& ways) {
  const auto command = conformance::ClientCommand::From(met.command);
  std::vector<ClientWay*> same;
  std::vector<ClientWay*> similar;
  std::vector<ClientWay*> all;
  for (const auto& way : ways) {
    if (way->CanPlay(ScenarioOf(met))) {
      all.push_back(way.get());
      if (way->text() == met.command) {
        same.push_back(way.get());
      }
      if (command && command->tasks() == way->tasks()) {
        similar.push_back(way.get());
      }
    }
  }
  return !same.empty() ? same : !similar.empty() ? similar : all;
}

}  // namespace

Replayed ReplayCase(const ClientWays& ways, const ClientCase& met, const Finding* finding,
                    const ClientReplayOptions& options) {
  const conformance::Scenario scenario = ScenarioOf(met);
  const std::vector<ClientWay*> chosen = WaysFor(met, ways);
  const int tries = finding != nullptr ? std::max(options.tries, 1) : 1;
  std::optional<Finding> other;
  bool any_connected = false;
  std::string last = "it has no command that can be run here";
  for (int number = 1; number <= tries; ++number) {
    for (ClientWay* way : chosen) {
      if (options.cancelled != nullptr && options.cancelled->load()) {
        return {.verdict = ReplayVerdict::kUnusable, .now = "interrupted"};
      }
      const auto play = PlayWay(scenario, *way, options.client_time);
      if (!play) {
        return {.verdict = ReplayVerdict::kUnusable, .now = play.error().sentence};
      }
      any_connected = any_connected || !play->run.records.empty();
      last = "it " + play->run.ended + ". " + conformance::TellLastWords(play->run.words);
      for (const Finding& seen : JudgePlay(scenario, *play)) {
        Finding shown = WithRun(seen, met, *play);
        if (finding != nullptr && IsSameOfClient(seen, *finding)) {
          return {.verdict = ReplayVerdict::kReproduced,
                  .now = SummaryOf(shown),
                  .note = number == 1 ? "" : "at try number " + std::to_string(number),
                  .seen = std::move(shown)};
        }
        other = other ? std::move(other) : std::move(shown);
      }
    }
  }
  if (other) {
    return {.verdict = finding != nullptr ? ReplayVerdict::kDifferent : ReplayVerdict::kFail,
            .now = SummaryOf(*other),
            .seen = std::move(other)};
  }
  if (!any_connected) {
    return {.verdict = ReplayVerdict::kUnusable, .now = "the client never connected: " + last};
  }
  return {.verdict = finding != nullptr ? ReplayVerdict::kFixed : ReplayVerdict::kPass,
          .now = finding != nullptr ? "the client did nothing wrong, in " + std::to_string(tries) + " tries" : ""};
}

}  // namespace nbdspec::fuzz
