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

// The tries of one finding.
class FindingReplay {
 public:
  FindingReplay(conformance::Target& target, const Finding& finding, const LiveOptions& options)
      : target_(target), finding_(finding), options_(options) {}

  // Returns the verdict once it is certain.
  std::optional<Replayed> Try(const std::vector<Attempt>& attempts, int number) {
    for (const Attempt& attempt : attempts) {
      auto shown = IsCancelled(options_) ? Shown{} : RunFor(finding_, target_, attempt.script, options_);
      if (!shown) {
        return Replayed{.verdict = ReplayVerdict::kUnusable, .now = shown.error().sentence};
      }
      if (shown->wanted) {
        return Replayed{.verdict = ReplayVerdict::kReproduced,
                        .now = SummaryOf(*shown->wanted),
                        .note = NoteOn(number, attempt.how)};
      }
      if (!other_) {
        other_ = std::move(shown->other);
      }
      if (!warning_) {
        warning_ = std::move(shown->warning);
      }
    }
    return {};
  }

  // When no try has reproduced it.
  [[nodiscard]] Replayed Conclude(int tries) const {
    if (other_) {
      return {.verdict = ReplayVerdict::kDifferent, .now = SummaryOf(*other_)};
    }
    if (warning_) {
      return {.verdict = ReplayVerdict::kWarning,
              .now = finding_.rule + ": expected " + warning_->expected + "; saw " + warning_->saw,
              .note = "the specification only advises this, so it is no finding any more"};
    }
    const bool was_reproduced = finding_.state == FindingState::kReproduced;
    return {.verdict = ReplayVerdict::kFixed,
            .now = "every answer is allowed, in " + TriesText(tries) + " and in one with one request at a time",
            .note = was_reproduced ? "" : "it was not reproduced when it was found: it may need what was sent before"};
  }

 private:
  conformance::Target& target_;
  const Finding& finding_;
  const LiveOptions& options_;
  std::optional<Finding> other_;
  std::optional<Warning> warning_;
};

}  // namespace

std::string_view Name(ReplayVerdict verdict) { return kNames[static_cast<std::size_t>(verdict)]; }

Replayed ReplayFinding(conformance::Target& target, const Finding& finding, const ReplayOptions& options) {
  const Attempts attempts = AttemptsOf(finding);
  FindingReplay replay(target, finding, options.live);
  const int tries = std::max(1, options.tries);
  for (int number = 1; number <= tries; ++number) {
    if (auto replayed = replay.Try(attempts.overlapping, number)) {
      return *std::move(replayed);
    }
  }
  // What showed when an answer came just in time may need every answer in time.
  auto replayed = replay.Try(attempts.one_at_a_time, 1);
  return replayed ? *std::move(replayed) : replay.Conclude(tries);
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
