// SPDX-License-Identifier: BSD-3-Clause
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "conformance/cli/commands.h"
#include "conformance/cli/interrupt.h"
#include "conformance/cli/run_cli.h"
#include "conformance/cli/selection.h"
#include "conformance/runner/runner.h"
#include "reports/model/run.h"
#include "reports/render/render.h"

namespace nbdspec::conformance {

namespace {

constexpr int kWorkerCount = 4;  // Checks mostly wait, so this does not depend on the processors there are.

std::chrono::milliseconds FromSeconds(double seconds) {
  return std::chrono::milliseconds(static_cast<std::int64_t>(seconds * 1000));
}

// Replaces the file in one step, so that whoever reads it never sees half of it. "-" is standard output.
bool WriteReport(const std::string& file, const std::string& text) {
  if (file == "-") {
    std::fwrite(text.data(), 1, text.size(), stdout);
    return std::fflush(stdout) == 0;
  }
  const bool is_plain = !std::filesystem::exists(file) || std::filesystem::is_regular_file(file);
  const std::string written = is_plain ? file + ".tmp" : file;
  {
    std::ofstream out(written, std::ios::binary | std::ios::trunc);
    out << text;
    if (!out.flush()) {
      return false;
    }
  }
  std::error_code error;
  if (is_plain) {
    std::filesystem::rename(written, file, error);
  }
  return !error;
}

// The reports of a run that go to files.
class Reports {
 public:
  explicit Reports(const CheckOptions& options) : options_(options) {}

  // What has been found so far goes to the disk at once, marked as unfinished. Errors: a sentence; empty for none.
  std::string WriteUnfinished(const reports::Run& run) {
    const bool to_stdout = options_.json_file == "-";
    return to_stdout ? "" : Write(run, /*standard_output=*/false);
  }

  std::string Write(const reports::Run& run, bool standard_output = true) {
    for (const auto& [file, render] : {std::pair{&options_.json_file, &reports::RenderJson},
                                       std::pair{&options_.junit_file, &reports::RenderJunit}}) {
      if (file->empty() || (*file == "-" && !standard_output)) {
        continue;
      }
      if (!WriteReport(*file, render(run))) {
        return fmt::format("cannot write {}: see that its directory exists and may be written to", *file);
      }
    }
    return "";
  }

 private:
  const CheckOptions& options_;
};

RunOptions RunOptionsFrom(const CheckOptions& options) {
  RunOptions run{.seed = options.seed,
                 .worker_count = options.worker_count,
                 .case_timeout = FromSeconds(options.case_timeout_s),
                 .deadline = FromSeconds(options.deadline_s),
                 .allow_write = options.allow_write,
                 .version = kVersion,
                 .cancelled = &Interrupted()};
  run.limits.reply_timeout = FromSeconds(options.reply_timeout_s);
  if (run.worker_count == 0) {
    run.worker_count = kWorkerCount;
  }
  const CheckOptions defaults;
  const auto add = [&](bool differs, const std::string& flag) { run.replay_flags += differs ? " " + flag : ""; };
  add(options.reply_timeout_s != defaults.reply_timeout_s, fmt::format("--reply-timeout {}", options.reply_timeout_s));
  add(options.case_timeout_s != defaults.case_timeout_s, fmt::format("--case-timeout {}", options.case_timeout_s));
  add(options.allow_write, "--allow-write");
  return run;
}

void ShowProgress(std::size_t done, std::size_t all, const std::string& id) {
  if (::isatty(STDERR_FILENO) == 1) {
    fmt::print(stderr, "\r\x1b[K[{}/{}] {}", done, all, id);
    if (done == all) {
      fmt::print(stderr, "\r\x1b[K");
    }
  }
}

int Refuse(const std::string& sentence, int exit) {
  fmt::print(stderr, "nbdspec: {}\n", sentence);
  return exit;
}

void Print(const reports::Run& run, const CheckOptions& options) {
  const bool takes_stdout = options.json_file == "-" || options.junit_file == "-";
  std::string text =
      reports::RenderText(run, {.color = UseColor(options.no_color) && !takes_stdout, .verbose = options.verbose});
  if (options.quiet) {
    const std::size_t last = text.find_last_of('\n', text.size() - 2);
    text.erase(0, last == std::string::npos ? 0 : last + 1);
  }
  std::fputs(text.c_str(), takes_stdout ? stderr : stdout);
}

}  // namespace

int CheckCommand(CheckOptions options) {
  auto target = TakeTarget(options);
  if (!target) {
    return Refuse(target.error().sentence, reports::ExitCode::kUsage);
  }
  const auto checks = SelectChecks(options.words);
  if (!checks) {
    return Refuse(checks.error().sentence, reports::ExitCode::kUsage);
  }
  CatchInterrupts();
  Reports reports(options);
  RunOptions run_options = RunOptionsFrom(options);
  reports::Run so_far{.version = kVersion,
                      .seed = options.seed,
                      .target = (*target)->CommandLine(),
                      .trouble = "the run is not finished",
                      .exit = reports::ExitCode::kOurError};
  if (const std::string trouble = reports.WriteUnfinished(so_far); !trouble.empty()) {
    return Refuse(trouble, reports::ExitCode::kUsage);  // Before anything is found that could be lost.
  }
  run_options.on_outcome = [&](const reports::Outcome& outcome) {
    so_far.outcomes.push_back(outcome);
    if (outcome.verdict != reports::Verdict::kPass && outcome.verdict != reports::Verdict::kNotApplicable) {
      reports.WriteUnfinished(so_far);
    }
    ShowProgress(so_far.outcomes.size(), checks->size(), outcome.id);
  };
  reports::Run run = RunChecks(**target, *checks, run_options);
  if (InterruptSignal() != 0) {
    run.exit = 128 + InterruptSignal();
  }
  const std::string trouble = reports.Write(run);
  Print(run, options);
  return trouble.empty() ? run.exit : Refuse(trouble, reports::ExitCode::kOurError);
}

}  // namespace nbdspec::conformance
