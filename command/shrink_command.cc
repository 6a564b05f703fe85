// SPDX-License-Identifier: BSD-3-Clause
// `nbdspec shrink`: a smaller script that still fails the same way. The work is in fuzz/live.

#include <fmt/format.h>

#include <chrono>
#include <utility>
#include <variant>

#include "command/commands.h"
#include "command/interrupt.h"
#include "command/live_command.h"
#include "command/output.h"
#include "command/targets.h"
#include "fuzz/live/run/reproduce.h"
#include "fuzz/replay/replay.h"
#include "fuzz/replay/subject.h"
#include "reports/model/run.h"

namespace nbdspec::command {

namespace {

constexpr std::chrono::hours kNoTimeLimit{24};  // Only runs are limited, so that the result does not depend on time.

std::string Steps(std::size_t count) { return fmt::format("{} step{}", count, count == 1 ? "" : "s"); }

class Shrinker {
 public:
  explicit Shrinker(const Options& options)
      : options_(options),
        reproduce_{.tries_max = options.tries, .time = kNoTimeLimit, .live = LiveOptionsFrom(options)} {}

  int Shrink(const fuzz::FindingSubject& subject) {
    const auto target = TargetOf(subject.finding.target_words, options_);
    return target ? ShrinkOn(**target, subject.finding, {})
                  : Refuse(target.error().sentence, reports::ExitCode::kUsage);
  }

  int Shrink(const fuzz::ScriptSubject& subject) {
    const auto target = TargetOf("reference", options_);
    if (!target) {
      return Refuse(target.error().sentence, reports::ExitCode::kUsage);
    }
    auto ran = RunOnFreshServer(**target, subject.script, reproduce_.live);
    if (!ran) {
      return Refuse(ran.error().sentence, reports::ExitCode::kTargetUnusable);
    }
    const auto found = fuzz::FindingOf(*std::move(ran));
    return found ? ShrinkOn(**target, *found, subject.header)
                 : Refuse("every answer is allowed, so there is nothing to shrink", reports::ExitCode::kFailure);
  }

  int Shrink(const fuzz::TargetInput& subject) {
    return Refuse(fmt::format("{} is an input of the fuzz target {}: its libFuzzer binary shrinks with "
                              "-minimize_crash=1",
                              subject.path, subject.target),
                  reports::ExitCode::kUsage);
  }

 private:
  int ShrinkOn(conformance::Target& target, const fuzz::Finding& finding, std::vector<std::string> comments) {
    const auto smallest = fuzz::Reproduce(target, finding, reproduce_);
    if (InterruptSignal() != 0) {
      return 128 + InterruptSignal();
    }
    if (!smallest) {
      const auto server = fuzz::LiveServer::Start(target, reproduce_.live);
      return server ? Refuse("it does not show on " + target.Describe() + ", so there is nothing to shrink",
                             reports::ExitCode::kFailure)
                    : Refuse(server.error().sentence, reports::ExitCode::kTargetUnusable);
    }
    const std::string summary = SummaryOf(*smallest);
    if (comments.empty()) {
      comments = {"What:  " + summary, "When:  " + smallest->target + ", nbdspec " + kVersion};
    }
    // Standard output may be the script.
    std::fputs(fmt::format("before  {}\nafter   {}\nshows   {}\n", Steps(finding.script.steps.size()),
                           Steps(smallest->script.steps.size()), summary)
                   .c_str(),
               stderr);
    const std::string why = WriteOutput(options_.output, fuzz::PrintWithComments(smallest->script, comments));
    return why.empty() ? reports::ExitCode::kSuccess : Refuse(why, reports::ExitCode::kOurError);
  }

  const Options& options_;
  fuzz::ReproduceOptions reproduce_;
};

}  // namespace

int ShrinkCommand(const Options& options) {
  CatchInterrupts();
  const auto subject = fuzz::ReadSubject(options.words.front(), /*for_server=*/!options.target.empty());
  if (!subject) {
    return Refuse(subject.error().sentence, reports::ExitCode::kUsage);
  }
  Shrinker shrinker(options);
  return std::visit([&](const auto& kind) { return shrinker.Shrink(kind); }, *subject);
}

}  // namespace nbdspec::command
