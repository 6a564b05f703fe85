// SPDX-License-Identifier: BSD-3-Clause
// `nbdspec shrink`: a smaller script that still fails the same way. The work is in fuzz/replay and fuzz/live.

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <system_error>
#include <utility>
#include <variant>

#include "command/commands.h"
#include "command/interrupt.h"
#include "command/output_file.h"
#include "command/run_cli.h"
#include "conformance/peer/reference_target.h"
#include "fuzz/replay/replay.h"
#include "reports/model/run.h"

namespace nbdspec::conformance {

namespace {

constexpr std::chrono::hours kNoTimeLimit{
    24};  // The number of runs is the limit, so that the result does not depend on time.

int Refuse(const std::string& sentence, int exit) {
  std::fputs(fmt::format("nbdspec: {}\n", sentence).c_str(), stderr);
  return exit;
}

class Shrinker {
 public:
  explicit Shrinker(const ShrinkCommandOptions& options)
      : options_(options),
        fuzz_{.tries_max = options.subject.tries,
              .shrink_time = kNoTimeLimit,
              .version = kVersion,
              .live = {.in_flight = options.subject.in_flight,
                       .reply_timeout =
                           std::chrono::milliseconds(static_cast<std::int64_t>(options.subject.reply_timeout_s * 1000)),
                       .cancelled = &Interrupted()}} {}

  int Shrink(const fuzz::FindingSubject& subject) {
    const fuzz::Finding& finding = subject.finding;
    const auto target = options_.subject.target.empty()
                            ? TargetFromCommandLine(finding.target_words, options_.subject.allow_write)
                            : TargetFromWord(options_.subject.target, options_.subject.allow_write);
    if (!target) {
      return Refuse(target.error().sentence, reports::ExitCode::kUsage);
    }
    return ShrinkOn(**target, finding, {});
  }

  int Shrink(const fuzz::ScriptSubject& subject) {
    auto target = options_.subject.target.empty()
                      ? std::expected<std::unique_ptr<Target>, engine::Trouble>(ReferenceTarget())
                      : TargetFromWord(options_.subject.target, options_.subject.allow_write);
    if (!target) {
      return Refuse(target.error().sentence, reports::ExitCode::kUsage);
    }
    const auto found = fuzz::FindingOf(**target, subject.script, {.live = fuzz_.live});
    if (!found) {
      return Refuse(found.error().sentence, reports::ExitCode::kTargetUnusable);
    }
    return *found ? ShrinkOn(**target, **found, subject.header) : RefuseWhatPasses();
  }

  int Shrink(const fuzz::CorpusSubject& subject) {
    const fuzz::CorpusTarget& target = *subject.target;
    if (!target.elsewhere.empty()) {
      return Refuse(fmt::format("the target {} has a program of its own, for {}: its libFuzzer binary shrinks with "
                                "-minimize_crash=1",
                                target.name, target.elsewhere),
                    reports::ExitCode::kUsage);
    }
    const auto shrunk = fuzz::ShrinkInput(subject);
    if (!shrunk) {
      return Refuse(subject.path + ": " + shrunk.error().sentence, reports::ExitCode::kUsage);
    }
    if (!*shrunk) {
      return RefuseWhatPasses();
    }
    if (target.find_in_script == nullptr) {
      const engine::Bytes& bytes = (*shrunk)->bytes;
      return Finish(fmt::format("{} bytes", subject.input.size()), fmt::format("{} bytes", bytes.size()),
                    (*shrunk)->wrong, {bytes.begin(), bytes.end()});
    }
    const std::size_t before = engine::ReadScript(subject.input, target.limits).steps.size();
    return Finish(Steps(before), Steps((*shrunk)->script.steps.size()), (*shrunk)->wrong,
                  fuzz::PrintWithComments((*shrunk)->script, subject.header));
  }

 private:
  static std::string Steps(std::size_t count) { return fmt::format("{} step{}", count, count == 1 ? "" : "s"); }

  static int RefuseWhatPasses() {
    return Refuse("nothing is wrong with it, so there is nothing to shrink", reports::ExitCode::kFailure);
  }

  int ShrinkOn(Target& target, const fuzz::Finding& finding, std::vector<std::string> comments) {
    const auto smallest = fuzz::Reproduce(target, finding, fuzz_);
    if (InterruptSignal() != 0) {
      return 128 + InterruptSignal();
    }
    if (!smallest) {
      const auto usable = target.Start(Setup::kWritable, Transport::Clock::now() + fuzz_.live.start_timeout);
      return usable ? Refuse("it does not show on " + target.Describe() + ", so there is nothing to shrink",
                             reports::ExitCode::kFailure)
                    : Refuse(usable.error().sentence, reports::ExitCode::kTargetUnusable);
    }
    if (comments.empty()) {
      comments = {"What:  " + WrongText(*smallest), "When:  " + smallest->target + ", nbdspec " + kVersion};
    }
    return Finish(Steps(finding.script.steps.size()), Steps(smallest->script.steps.size()), WrongText(*smallest),
                  fuzz::PrintWithComments(smallest->script, comments));
  }

  // Counts go to standard error: standard output may be the script.
  int Finish(const std::string& before, const std::string& after, const std::string& wrong, const std::string& text) {
    std::fputs(fmt::format("before  {}\nafter   {}\nwrong   {}\n", before, after, wrong).c_str(), stderr);
    const int error = WriteOutput(options_.output, text);
    return error == 0
               ? reports::ExitCode::kSuccess
               : Refuse(fmt::format("cannot write {}: {}", options_.output, std::generic_category().message(error)),
                        reports::ExitCode::kOurError);
  }

  const ShrinkCommandOptions& options_;
  fuzz::FuzzOptions fuzz_;
};

}  // namespace

int ShrinkCommand(const ShrinkCommandOptions& options) {
  CatchInterrupts();
  const auto subject = fuzz::ReadSubject(options.subject.paths.front(), options.subject.as);
  if (!subject) {
    return Refuse(subject.error().sentence, reports::ExitCode::kUsage);
  }
  Shrinker shrinker(options);
  return std::visit([&](const auto& kind) { return shrinker.Shrink(kind); }, *subject);
}

}  // namespace nbdspec::conformance
