// SPDX-License-Identifier: BSD-3-Clause
// `nbdspec shrink`: a smaller script that still fails the same way. The work is in fuzz/live.

#include <fmt/format.h>

#include <chrono>
#include <utility>
#include <variant>

#include "command/options.h"
#include "command/output.h"
#include "command/servers.h"
#include "engine/base/or_return.h"
#include "fuzz/live/run/reproduce.h"
#include "fuzz/replay/replay.h"
#include "fuzz/replay/subject.h"
#include "reports/model/run.h"

namespace nbdspec::command {

namespace {

constexpr std::chrono::hours kNoTimeLimit{24};  // Only runs are limited, so that the result does not depend on time.

std::string Steps(std::size_t count) { return fmt::format("{} step{}", count, count == 1 ? "" : "s"); }

// The smallest script found that shows `finding` on `target` goes where --output says, with `comments` or with its own.
ExitOrRefusal ShrinkOn(conformance::Target& target, const fuzz::Finding& finding, std::vector<std::string> comments,
                       const Options& options) {
  const fuzz::LiveOptions live = LiveOptionsFrom(options);
  const auto smallest =
      fuzz::Reproduce(target, finding, {.tries_max = options.tries, .time = kNoTimeLimit, .live = live});
  if (InterruptSignal() != 0) {
    return 128 + InterruptSignal();
  }
  if (!smallest) {
    if (const auto server = fuzz::LiveServer::Start(target, live); !server) {
      return Refuse(server.error().sentence, reports::ExitCode::kTargetUnusable);
    }
    return Refuse("it does not show on " + target.Describe() + ", so there is nothing to shrink",
                  reports::ExitCode::kFailure);
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
  if (std::string why = WriteOutput(options.output, fuzz::PrintWithComments(smallest->script, comments));
      !why.empty()) {
    return Refuse(std::move(why), reports::ExitCode::kOurError);
  }
  return reports::ExitCode::kSuccess;
}

ExitOrRefusal Shrink(const fuzz::FindingSubject& subject, const Options& options) {
  NBDSPEC_ASSIGN_OR_RETURN(target, TargetOf(subject.finding.target_words, options));
  return ShrinkOn(*target, subject.finding, {}, options);
}

ExitOrRefusal Shrink(const fuzz::ScriptSubject& subject, const Options& options) {
  NBDSPEC_ASSIGN_OR_RETURN(target, TargetOf("reference", options));
  auto ran = RunOnFreshServer(*target, subject.script, LiveOptionsFrom(options));
  if (!ran) {
    return Refuse(ran.error().sentence, reports::ExitCode::kTargetUnusable);
  }
  const auto found = fuzz::FindingOf(*std::move(ran));
  if (!found) {
    return Refuse("every answer is allowed, so there is nothing to shrink", reports::ExitCode::kFailure);
  }
  return ShrinkOn(*target, *found, subject.header, options);
}

ExitOrRefusal Shrink(const fuzz::TargetInput& subject, const Options& /*options*/) {
  return Refuse(fuzz::DescribeInput(subject, "shrink") + fuzz::TargetShrinkLine(subject));
}

}  // namespace

ExitOrRefusal ShrinkCommand(const Options& options) {
  CatchInterrupts();
  NBDSPEC_ASSIGN_OR_RETURN(subject, fuzz::ReadSubject(options.words.front(), /*for_server=*/!options.target.empty()));
  return std::visit([&](const auto& kind) { return Shrink(kind, options); }, subject);
}

}  // namespace nbdspec::command
