// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/replay/replay.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "fuzz/live/run/reproduce.h"

namespace nbdspec::fuzz {

namespace {

constexpr std::array<std::string_view, kReplayVerdictCount> kNames = {"PASS",    "FAIL",      "REPRODUCED", "FIXED",
                                                                      "WARNING", "DIFFERENT", "UNUSABLE"};

std::string TriesText(int tries) { return std::to_string(tries) + (tries == 1 ? " try" : " tries"); }

std::string NoteOn(int tried, const std::string& how) {
  std::string note = tried == 1 ? "" : "at try number " + std::to_string(tried);
  return note + (note.empty() || how.empty() ? "" : ", ") + how;
}

}  // namespace

std::string_view Name(ReplayVerdict verdict) { return kNames[static_cast<std::size_t>(verdict)]; }

Replayed ReplayFinding(conformance::Target& target, const Finding& finding, const ReplayOptions& options) {
  const Attempts attempts = AttemptsOf(finding);
  const int tries = std::max(1, options.tries);
  Shown seen;
  for (int number = 1; number <= tries + 1; ++number) {
    // What showed when an answer came just in time may need every answer in time.
    const bool is_one_at_a_time = number > tries;
    for (const Attempt& attempt : is_one_at_a_time ? attempts.one_at_a_time : attempts.overlapping) {
      auto shown = IsCancelled(options.live) ? Shown{} : RunFor(finding, target, attempt.script, options.live);
      if (!shown) {
        return {.verdict = ReplayVerdict::kUnusable, .now = shown.error().sentence};
      }
      if (shown->wanted) {
        return {.verdict = ReplayVerdict::kReproduced,
                .now = SummaryOf(*shown->wanted),
                .note = NoteOn(is_one_at_a_time ? 1 : number, attempt.how)};
      }
      if (!seen.other) {
        seen.other = std::move(shown->other);
      }
      if (!seen.warning) {
        seen.warning = std::move(shown->warning);
      }
    }
  }
  if (seen.other) {
    return {.verdict = ReplayVerdict::kDifferent, .now = SummaryOf(*seen.other)};
  }
  if (seen.warning) {
    return {.verdict = ReplayVerdict::kWarning,
            .now = finding.rule + ": expected " + seen.warning->expected + "; saw " + seen.warning->saw,
            .note = "the specification only advises this, so it is no finding any more"};
  }
  const bool was_reproduced = finding.state == FindingState::kReproduced;
  return {.verdict = ReplayVerdict::kFixed,
          .now = "every answer is allowed, in " + TriesText(tries) + " and in one with one request at a time",
          .note = was_reproduced ? "" : "it was not reproduced when it was found: it may need what was sent before"};
}

Replayed ReplayScript(conformance::Target& target, const engine::Script& script, const ReplayOptions& options) {
  auto ran = RunOnFreshServer(target, script, options.live);
  if (!ran) {
    return {.verdict = ReplayVerdict::kUnusable, .now = ran.error().sentence};
  }
  Replayed replayed{.warnings = std::move(ran->warnings)};
  if (const auto found = FindingOf(*std::move(ran))) {
    replayed.verdict = ReplayVerdict::kFail;
    replayed.now = SummaryOf(*found);
    replayed.note = found->known.empty() ? "" : "public as " + found->known;
  }
  return replayed;
}

std::optional<Finding> FindingOf(RunResult ran) {
  if (!ran.finding && !ran.known.empty()) {
    return std::move(ran.known.begin()->second);
  }
  return std::move(ran.finding);
}

}  // namespace nbdspec::fuzz
