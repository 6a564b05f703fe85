// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/runner/runner.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "conformance/runner/worker.h"
#include "engine/base/check.h"
#include "engine/spec/catalogue.h"

namespace nbdspec::conformance {

namespace {

// The run shared by its workers.
class Runner {
 public:
  Runner(Target& target, std::span<const Check> checks, const RunOptions& options)
      : target_(target),
        checks_(checks),
        options_(options),
        deadline_(options.deadline.count() > 0 ? Transport::Clock::now() + options.deadline
                                               : Transport::Clock::time_point::max()),
        outcomes_(checks.size()) {}

  reports::Run Run() {
    const auto start = Transport::Clock::now();
    reports::Run run{.version = options_.version,
                     .spec = fmt::format("proto.md {} ({})", spec::kSpecRevision, spec::kSpecDate),
                     .seed = options_.seed,
                     .target = target_.Describe()};
    Worker first(target_, options_, deadline_);
    const auto profile = first.Open(Setup::kWritable);
    if (profile) {
      run.advertised = profile->Advertised();
    } else if (profile.error().is_unreachable && !Cancelled()) {
      run.trouble = profile.error().sentence;
      run.exit = reports::ExitCode::kTargetUnusable;
      return run;
    }
    RunAll(first);
    for (auto& outcome : outcomes_) {
      run.outcomes.push_back(outcome ? std::move(*outcome) : NotRun(run.outcomes.size()));
    }
    AddSanity(run, profile ? "" : profile.error().sentence);
    run.exit = reports::ExitFor(reports::TallyOf(run));
    if (Cancelled()) {
      run.trouble = "the run was interrupted";
    } else if (out_of_time_) {
      run.trouble = "the run's deadline passed";
    }
    run.duration_ms = std::chrono::duration<double, std::milli>(Transport::Clock::now() - start).count();
    return run;
  }

 private:
  [[nodiscard]] bool Cancelled() const { return options_.cancelled != nullptr && options_.cancelled->load(); }

  void RunAll(Worker& first) {
    const int worker_count = target_.IsOurs() ? options_.worker_count : 1;
    std::vector<std::thread> threads;
    for (int i = 1; i < worker_count; ++i) {
      threads.emplace_back([this] {
        Worker worker(target_, options_, deadline_);
        Work(worker);
      });
    }
    Work(first);
    for (std::thread& thread : threads) {
      thread.join();
    }
  }

  void Work(Worker& worker) {
    for (std::size_t i = next_++; i < checks_.size() && !Cancelled(); i = next_++) {
      if (Transport::Clock::now() >= deadline_) {
        out_of_time_ = true;
      }
      reports::Outcome outcome = worker.Run(checks_[i]);
      if (Cancelled()) {
        return;  // What was cut short says nothing about the server.
      }
      const std::lock_guard lock(mutex_);
      if (options_.on_outcome) {
        options_.on_outcome(outcome);
      }
      outcomes_[i] = std::move(outcome);
    }
    if (!Cancelled()) {
      std::optional<std::string> trouble = worker.Close();
      const std::lock_guard lock(mutex_);
      if (trouble && (!sanity_after_ || !trouble->empty())) {
        sanity_after_ = std::move(trouble);
      }
    }
  }

  [[nodiscard]] reports::Outcome NotRun(std::size_t index) const {
    reports::Outcome outcome = BlankOutcome(checks_[index]);
    outcome.verdict = reports::Verdict::kSkip;
    outcome.evidence.saw = "the run was interrupted before this check";
    return outcome;
  }

  // The conversations before and after are no clauses, but a run in which one failed is not a good run.
  void AddSanity(reports::Run& run, const std::string& before) {
    if (Cancelled()) {
      return;
    }
    const auto word = [](const std::string& trouble) { return trouble.empty() ? "passed" : "failed"; };
    run.advertised.emplace_back("sanity conversation", fmt::format("{} before the checks, {} after them", word(before),
                                                                   sanity_after_ ? word(*sanity_after_) : "not held"));
    const auto add = [&](const char* id, const char* statement, const std::string& trouble, reports::Verdict verdict) {
      if (!trouble.empty()) {
        run.outcomes.push_back({.id = id,
                                .requirement = id,
                                .statement = statement,
                                .section = "(nbdspec)",
                                .verdict = verdict,
                                .evidence = {.saw = trouble}});
      }
    };
    add("sanity.before", "Before the checks the server serves an ordinary client", before,
        reports::Verdict::kInconclusive);
    add("sanity.after", "After the checks the server still serves an ordinary client", sanity_after_.value_or(""),
        reports::Verdict::kFail);
  }

  Target& target_;
  std::span<const Check> checks_;
  const RunOptions& options_;
  Transport::Clock::time_point deadline_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<bool> out_of_time_ = false;  // Before some check.
  std::mutex mutex_;                       // Guards the two below, and on_outcome.
  std::vector<std::optional<reports::Outcome>> outcomes_;
  std::optional<std::string> sanity_after_;  // See Worker::Close; why the last one failed.
};

}  // namespace

reports::Run RunChecks(Target& target, std::span<const Check> checks, const RunOptions& options) {
  NBDSPEC_CHECK(options.worker_count >= 1 && options.worker_count <= 64);
  return Runner(target, checks, options).Run();
}

}  // namespace nbdspec::conformance
