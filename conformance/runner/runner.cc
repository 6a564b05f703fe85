// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/runner/runner.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <climits>
#include <ctime>
#include <mutex>
#include <ranges>
#include <thread>
#include <utility>
#include <vector>

#include "conformance/peer/process/process.h"
#include "conformance/peer/process/room.h"
#include "conformance/runner/evidence.h"
#include "engine/base/check.h"
#include "engine/base/quoted.h"
#include "engine/spec/catalogue.h"

namespace nbdspec::conformance {

using reports::Verdict;

namespace {

// Long payloads come and go in every check: where the allocator gives their memory back each time, the kernel spends as
// long on fresh pages as all else takes. For the whole process, as allocators are. What is longer than any payload of a
// right answer goes back at once.
void KeepFreedMemory() {
  constexpr int kKeptBytesMax = 1 << 30;
  constexpr int kLongBytes = 32 << 20;  // As much as M_MMAP_THRESHOLD can be.
  ::mallopt(M_MMAP_THRESHOLD, kLongBytes);
  ::mallopt(M_TRIM_THRESHOLD, kKeptBytesMax);
  ::mallopt(M_ARENA_MAX, 1);  // Others cannot hold what is long.
}

// Where the last worker's server does not start, though it did before: how often it is tried again, and how long after.
constexpr int kLastTries = 3;
constexpr std::chrono::milliseconds kStartPause{500};

// "2025-06-26T12:34:56Z"
std::string UtcNow() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::array<char, 40> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &utc);
  return text.data();
}

// Empty where it has none.
std::string HostName() {
  std::array<char, HOST_NAME_MAX + 1> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

double MillisecondsSince(Transport::Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Transport::Clock::now() - start).count();
}

// Why nobody can talk to a server: what a client met, how the server ended, and what it said last.
std::string WithLastWords(const ProbeError& why) {
  const reports::Evidence& evidence = why.evidence;
  std::string text = WithFullStop(why.sentence);
  text += evidence.ended.empty() ? "" : fmt::format(" The server {}.", evidence.ended);
  return text + (evidence.standard_error.empty() ? "" : " " + TellLastWords(evidence.standard_error));
}

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
    reports::Run run = BegunRun(options_.version, options_.seed);
    run.target = fmt::format("{}{}{}", target_.Describe(), target_.HasTls() ? ", inside TLS" : "",
                             options_.extended ? ", with extended headers" : "");
    run.server = {.words = target_.CommandLine(), .program = target_.Program(), .version = target_.Version()};
    std::optional<Worker> first(std::in_place, target_, options_, deadline_, knowledge_);
    const bool has_chosen = ChooseExport(first);
    first->LearnHabits();
    const auto profile = first->Open(Setup::kWritable);
    if (profile) {
      run.advertised = profile->Advertised();
    } else if (IsCutShort(profile.error())) {
      out_of_time_ = true;  // Each check says so.
    } else if (!profile.error().is_unreachable) {
      knowledge_.LearnUnfit(Setup::kWritable, profile.error());
    } else if (!Cancelled()) {
      run.trouble = WithLastWords(profile.error());
      run.exit = reports::ExitCode::kTargetUnusable;
      run.duration_ms = MillisecondsSince(start);
      return run;
    }
    if (has_chosen) {
      run.advertised.emplace_back("entered", engine::Quoted(target_.ExportName()) +
                                                 ", the first export that it lists, for it has no default one");
    }
    RunAll(*first);
    for (auto& outcome : outcomes_) {
      run.outcomes.push_back(outcome ? std::move(*outcome) : NotRun(run.outcomes.size()));
    }
    AddSanity(run);
    run.exit = reports::ExitFor(run);
    const std::string not_started = NotStarted();
    if (Cancelled()) {
      run.trouble = "the run was interrupted";
    } else if (out_of_time_) {
      run.trouble = "the run's deadline passed";
    } else if (profile && !profile->refusal.empty()) {
      run.trouble = NotEntered(*profile, run);
      run.exit = reports::ExitCode::kTargetUnusable;
    } else if (!not_started.empty()) {
      run.trouble = not_started;
      run.exit = reports::ExitCode::kTargetUnusable;
    }
    run.duration_ms = MillisecondsSince(start);
    return run;
  }

 private:
  [[nodiscard]] bool Cancelled() const { return options_.cancelled != nullptr && options_.cancelled->load(); }

  // Whether time was up before anything was learned of the server: a server that was started and did not come up until
  // then is what is in the way.
  [[nodiscard]] bool IsCutShort(const ProbeError& error) const {
    return Transport::Clock::now() >= deadline_ && (!error.is_unreachable || error.sentence == kNoTimeToStart);
  }

  // Where nobody names an export and there is no default one, the first that the server lists is entered; but for one
  // that somebody else may have use for, and that would be written to.
  bool ChooseExport(std::optional<Worker>& first) {
    const auto& profile = first->Open(Setup::kWritable);
    const bool is_refused = profile && !profile->refusal.empty() && target_.ExportName().empty();
    if (!is_refused || (options_.allow_write && !target_.IsOurs())) {
      return false;
    }
    const auto named = std::ranges::find_if(profile->exports, [](const auto& each) { return !each.name.empty(); });
    if (named == profile->exports.end()) {
      return false;
    }
    target_.SetExportName(named->name);
    first.emplace(target_, options_, deadline_, knowledge_);
    const auto& chosen = first->Open(Setup::kWritable);
    if (chosen && chosen->refusal.empty()) {
      return true;
    }
    target_.SetExportName("");
    first.emplace(target_, options_, deadline_, knowledge_);
    return false;
  }

  void RunAll(Worker& first) {
    const int worker_count = target_.CanRunTwice() ? options_.worker_count : 1;
    const auto work = [this] {
      Worker worker(target_, options_, deadline_, knowledge_);
      const auto& profile = worker.Open(Setup::kWritable);
      if (profile || !profile.error().is_unreachable) {  // Else there is room for fewer servers.
        Work(worker);
      }
    };
    const auto threads = StartThreads(std::min(worker_count, static_cast<int>(checks_.size())) - 1, work);
    Work(first);
  }

  struct Turn {
    std::size_t index;  // Of a check.
    bool may_give_back;
  };

  // Nothing: there is no more to do for this worker.
  std::optional<Turn> TakeTurn() {
    const std::lock_guard lock(mutex_);
    std::optional<std::size_t> index;
    if (!Cancelled() && !is_enough_) {
      if (!given_back_.empty()) {
        index = given_back_.back();
        given_back_.pop_back();
      } else if (next_ < checks_.size()) {
        index = next_++;
      }
    }
    if (!index) {
      --working_count_;
      return {};
    }
    return Turn{.index = *index, .may_give_back = working_count_ > 1 || last_tries_ > 0};
  }

  // Returns whether the worker leaves the rest to others. The last one tries again.
  bool GiveBack(std::size_t index) {
    const std::lock_guard lock(mutex_);
    given_back_.push_back(index);
    const bool leaves = working_count_ > 1;
    --(leaves ? working_count_ : last_tries_);
    return leaves;
  }

  void Work(Worker& worker) {
    {
      const std::lock_guard lock(mutex_);
      ++working_count_;
    }
    while (const auto turn = TakeTurn()) {
      if (Transport::Clock::now() >= deadline_) {
        out_of_time_ = true;
      }
      const Check& check = checks_[turn->index];
      std::optional<reports::Outcome> outcome =
          turn->may_give_back ? worker.RunIfStarted(check) : std::optional(worker.Run(check));
      if (Cancelled()) {
        return;  // What was cut short says nothing about the server.
      }
      if (!outcome) {
        if (GiveBack(turn->index)) {
          break;
        }
        std::this_thread::sleep_for(kStartPause);
        continue;
      }
      const std::lock_guard lock(mutex_);
      Keep(turn->index, *std::move(outcome));
      KeepRevised(worker);
    }
    if (!Cancelled()) {
      std::optional<std::string> trouble = worker.Close();
      const std::lock_guard lock(mutex_);
      KeepRevised(worker);
      if (trouble && (!sanity_after_ || !trouble->empty())) {
        sanity_after_ = std::move(trouble);
      }
    }
  }

  // Both while the mutex is locked.
  void Keep(std::size_t index, reports::Outcome outcome) {
    if (options_.on_outcome) {
      options_.on_outcome(outcome);
    }
    is_enough_ = is_enough_ || (options_.ends_with && options_.ends_with(outcome));
    outcomes_[index] = std::move(outcome);
  }

  void KeepRevised(Worker& worker) {
    for (auto& [check, outcome] : worker.TakeRevised()) {
      Keep(static_cast<std::size_t>(check - checks_.data()), std::move(outcome));
    }
  }

  // Of servers that could not be started, or started again: which, and why; empty when all could be.
  [[nodiscard]] std::string NotStarted() const {
    std::string sentences;
    for (const auto& [setup, why] : knowledge_.unfit()) {
      if (why.is_unreachable) {
        sentences += fmt::format("{}The server{} could not be started when it was needed. {}",
                                 sentences.empty() ? "" : "\n", WordsFor(setup), why.sentence);
      }
    }
    return sentences;
  }

  // Of a server that lets nobody into the export: what that is, and what was judged all the same.
  [[nodiscard]] std::string NotEntered(const Profile& profile, const reports::Run& run) const {
    const auto judged = std::ranges::count_if(run.outcomes, [](const reports::Outcome& outcome) {
      return outcome.verdict != Verdict::kSkip && outcome.verdict != Verdict::kNotApplicable;
    });
    const std::string names = profile.exports.empty()
                                  ? "It lists no export"
                                  : fmt::format("It lists {}, to be named by --export or at the end of the URI",
                                                fmt::join(profile.exports | std::views::transform([](const auto& each) {
                                                            return engine::Quoted(each.name);
                                                          }),
                                                          ", "));
    return fmt::format("The export {} cannot be entered: {} {}. What needs no export was judged: {} checks.",
                       engine::Quoted(target_.ExportName()), WithFullStop(profile.refusal), names, judged);
  }

  [[nodiscard]] reports::Outcome NotRun(std::size_t index) const {
    reports::Outcome outcome = BlankOutcome(checks_[index]);
    outcome.verdict = Verdict::kSkip;
    outcome.evidence.saw = fmt::format("the run {} before this check", is_enough_ ? "had failed" : "was interrupted");
    return outcome;
  }

  // The conversations before and after are no clauses, but a run in which one failed is not a good run.
  void AddSanity(reports::Run& run) {
    if (Cancelled()) {
      return;
    }
    reports::Evidence before;
    for (const auto& [setup, why] : knowledge_.unfit()) {
      if (!why.is_unreachable) {
        const std::string end = why.evidence.ended.empty() ? "" : fmt::format("; the server {}", why.evidence.ended);
        const std::string sentence = fmt::format("the server{}: {}{}", WordsFor(setup), why.sentence, end);
        const std::string saw = before.saw.empty() ? sentence : before.saw + "\n" + sentence;
        before = before.saw.empty() ? why.evidence : before;
        before.saw = saw;
      }
    }
    const auto word = [](const std::string& trouble) { return trouble.empty() ? "passed" : "failed"; };
    const bool is_held = !before.saw.empty() || knowledge_.ProfileOf(Setup::kWritable);
    run.advertised.emplace_back("sanity conversation", fmt::format("{} before the checks, {} after them",
                                                                   is_held ? word(before.saw) : "not held",
                                                                   sanity_after_ ? word(*sanity_after_) : "not held"));
    const auto add = [&](std::string_view id, const char* statement, reports::Evidence evidence, Verdict verdict) {
      if (!evidence.saw.empty()) {
        run.outcomes.push_back({.id = std::string(id),
                                .requirement = std::string(id),
                                .statement = statement,
                                .section = "(nbdspec)",
                                .harm = spec::Harm::kDenial,
                                .verdict = verdict,
                                .evidence = std::move(evidence),
                                .replay = fmt::format("nbdspec check {} --seed {}{}", target_.CommandLine(),
                                                      options_.seed, options_.replay_flags)});
      }
    };
    add("sanity.before", "Before the checks the server serves an ordinary client", std::move(before), Verdict::kFail);
    add("sanity.after", "After the checks the server still serves an ordinary client",
        {.saw = sanity_after_.value_or("")}, Verdict::kFail);
  }

  Target& target_;
  std::span<const Check> checks_;
  const RunOptions& options_;
  Transport::Clock::time_point deadline_;
  Knowledge knowledge_;
  std::atomic<bool> out_of_time_ = false;  // Before some check.
  std::atomic<bool> is_enough_ = false;    // See RunOptions::ends_with.
  std::mutex mutex_;                       // Guards all below, and on_outcome.
  std::size_t next_ = 0;                   // The first check that nobody has taken.
  std::vector<std::size_t> given_back_;    // Those whose server could not be started.
  int working_count_ = 0;
  int last_tries_ = kLastTries;  // Of the last worker's servers that do not start.
  std::vector<std::optional<reports::Outcome>> outcomes_;
  std::optional<std::string> sanity_after_;  // See Worker::Close; why the last one failed.
};

}  // namespace

reports::Run BegunRun(const std::string& version, std::uint64_t seed) {
  return {.version = version,
          .spec = fmt::format("proto.md {} ({})", spec::kSpecRevision, spec::kSpecDate),
          .seed = seed,
          .started = UtcNow(),
          .host = HostName()};
}

reports::Run RunChecks(Target& target, std::span<const Check> checks, const RunOptions& options) {
  NBDSPEC_CHECK(options.worker_count >= 1 && options.worker_count <= 64);
  KeepFreedMemory();
  return Runner(target, checks, options).Run();
}

}  // namespace nbdspec::conformance
