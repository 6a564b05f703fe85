// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/clients/client_fuzz.h"

#include <fmt/format.h>

#include <algorithm>
#include <ranges>
#include <utility>

#include "conformance/peer/process/process.h"
#include "conformance/peer/process/room.h"
#include "engine/base/mix.h"
#include "engine/base/or_return.h"
#include "engine/base/quoted.h"
#include "fuzz/clients/client_case.h"
#include "fuzz/clients/judge.h"
#include "fuzz/clients/random_case.h"
#include "fuzz/clients/shrink_case.h"
#include "fuzz/findings/store.h"

namespace nbdspec::fuzz {

namespace {

using conformance::ClientPlay;
using conformance::ClientWay;
using conformance::PlayWay;
using engine::Trouble;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kBatchCases = 16;
constexpr int kConfirmTries = 3;
constexpr int kOnceMax = 3;          // What came so often, and never again alone, is only counted.
constexpr int kHangShareOfTime = 5;  // Of a client's time, by which it hangs while a case is made small.

// A command, and what it can be given.
struct Way {
  ClientWay* way;
  CaseLimits limits;
  bool must_be_tls;
};

std::vector<Way> WaysOf(const conformance::ClientUnderTest& client, const ClientFuzzOptions& options) {
  std::vector<Way> ways;
  for (const auto& way : client.ways) {
    const bool plays_plain = way->CanPlay(ScenarioOf({}));
    const bool plays_tls = options.tls && way->CanPlay(ScenarioOf({.tls = true}));
    if (plays_plain || plays_tls) {
      ways.push_back({.way = way.get(),
                      .limits = {.align = options.align, .tasks = way->tasks(), .may_be_tls = plays_tls},
                      .must_be_tls = !plays_plain});
    }
  }
  return ways;
}

bool IsWithin(const std::vector<std::string>& part, const std::vector<std::string>& whole) {
  return std::ranges::all_of(part, [&](const std::string& name) { return std::ranges::count(whole, name) > 0; });
}

// One run of a command.
struct Attempt {
  std::uint64_t number = 0;
  ClientCase met = {};
  Way way = {};
  std::optional<std::expected<ClientPlay, Trouble>> played = {};  // Nothing: there was no time for it.
};

// Whether nbdspec's own client, which is right, does with `met` what was asked of the client that `play` is of.
bool IsFair(const ClientCase& met, const ClientPlay& play) {
  const conformance::Scenario scenario = ScenarioOf(met);
  const auto ways = conformance::ReferenceClientWays();
  return std::ranges::all_of(ways, [&](const auto& way) {
    return (way->tasks() & play.tasks) == 0 || JudgePlay(scenario, *PlayWay(scenario, *way, milliseconds(0))).empty();
  });
}

class ClientFuzzer {
 public:
  ClientFuzzer(const conformance::ClientUnderTest& client, const ClientFuzzOptions& options)
      : client_(client), options_(options), ways_(WaysOf(client, options)) {}

  ClientFuzzReport Run() {
    if (auto ran = RunAll(); !ran) {
      report_.trouble = std::move(ran).error();
    }
    report_.trouble = keeper_.trouble() ? keeper_.trouble() : report_.trouble;
    report_.seconds = Seconds();
    return std::move(report_);
  }

 private:
  std::expected<void, Trouble> RunAll() {
    NBDSPEC_ASSIGN_OR_RETURN(
        keeper, FindingKeeper::Open(options_.findings_directory,
                                    {.seed = options_.seed,
                                     .shard = fmt::format("{}/{}", options_.shard.index + 1, options_.shard.count)}));
    keeper_ = std::move(keeper);
    report_.is_unusable = true;
    if (ways_.empty()) {
      return std::unexpected(
          Trouble{"No command of the client's can be run on a plain server; --tls has servers with "
                  "TLS, too."});
    }
    while (!IsOver()) {
      NBDSPEC_RETURN_IF_ERROR(RunBatch());
    }
    WriteCounts();
    report_.is_unusable = report_.done_count == 0 && report_.findings.empty();
    return report_.is_unusable && !IsCancelled() ? std::unexpected(Trouble{WhyNothing()})
                                                 : std::expected<void, Trouble>();
  }

  // A run that judged nothing is no success.
  [[nodiscard]] std::string WhyNothing() const {
    if (made_count_ == 0 && IsEnough()) {
      return fmt::format("This shard has none of the {} cases. Ask for more, or share them among fewer.",
                         options_.cases_max);
    }
    if (report_.case_count == 0) {
      return "No case was run: give it more time with --time.";
    }
    if (connected_count_ == 0) {
      return "The client never connected; it " + never_connected_;
    }
    return fmt::format("The client did what it was asked to in none of {} cases, and failed in none where it may not.",
                       report_.case_count);
  }

  // --- Cases ---

  Attempt Make(std::uint64_t number) {
    const std::uint64_t seed = engine::SeedAt(options_.seed, number);
    Attempt made{.number = number, .way = ways_[engine::Mixed(seed) % ways_.size()]};
    made.met = RandomCase(seed, made.way.limits);
    made.met.command = made.way.way->text();
    made.met.tcp = options_.tcp;
    made.met.tls |= made.way.must_be_tls;
    KeepClearOfFound(made.met);
    return made;
  }

  // What the client is known to fail at would hide what else there is.
  void KeepClearOfFound(ClientCase& met) const {
    for (const ClientCase& found : found_) {
      if (!found.oddities.empty() && found.command == met.command && IsWithin(found.oddities, met.oddities)) {
        std::erase(met.oddities, found.oddities.back());
      }
    }
  }

  std::expected<void, Trouble> RunBatch() {
    std::vector<Attempt> batch;
    for (std::uint64_t i = 0; i < kBatchCases && !IsEnough(); ++i) {
      batch.push_back(Make(NextNumber()));
      ++made_count_;
    }
    std::atomic<std::size_t> next = 0;
    const auto work = [&] {
      for (std::size_t i = next++; i < batch.size() && !IsLate() && !IsCancelled(); i = next++) {
        Attempt& attempt = batch[i];
        attempt.played = PlayWay(ScenarioOf(attempt.met), *attempt.way.way, options_.client_time);
        if (IsCancelled()) {
          attempt.played.reset();  // The signal may have come to the client, too.
        }
      }
    };
    {
      const auto threads = conformance::StartThreads(options_.worker_count - 1, work);
      work();
    }
    for (Attempt& attempt : batch) {
      if (attempt.played && !IsCancelled()) {
        NBDSPEC_RETURN_IF_ERROR(*attempt.played);
        Count(attempt);
      }
    }
    report_.seconds = Seconds();
    if (options_.on_cases) {
      options_.on_cases(report_);
    }
    return {};
  }

  void Count(const Attempt& attempt) {
    const ClientPlay& play = **attempt.played;
    const std::vector<Finding> findings = JudgePlay(ScenarioOf(attempt.met), play);
    ++report_.case_count;
    if (play.run.records.empty()) {
      never_connected_ = play.run.ended + ". " + conformance::TellLastWords(play.run.words);
    } else {
      ++connected_count_;
      report_.cannot_count += play.cannot() ? 1 : 0;
      report_.declined_count += findings.empty() && !play.succeeded() && !play.cannot() ? 1 : 0;
      report_.done_count += findings.empty() && play.succeeded() ? 1 : 0;
    }
    for (const Finding& finding : findings) {
      Take(attempt, finding);
    }
  }

  // --- Findings ---

  void Take(const Attempt& attempt, const Finding& seen) {
    if (Fold(seen, attempt.met) != nullptr) {
      return;
    }
    const ClientPlay& play = **attempt.played;
    const auto shown_once =
        std::ranges::count_if(once_, [&](const Finding& each) { return IsSameOfClient(each, seen); });
    if (shown_once >= kOnceMax) {
      ++report_.once_count;
      return;
    }
    if (!IsFair(attempt.met, play)) {
      report_.unjudged.push_back(attempt.number);
      return;
    }
    Finding finding = Complete(WithRun(seen, attempt.met, play), attempt.number);
    std::string directory = keeper_.Save(finding);
    if (options_.on_saved && !directory.empty()) {
      options_.on_saved(finding, directory);
    }
    ClientCase smallest = attempt.met;
    if (Reproduce(attempt, finding, smallest)) {
      if (const auto* const same = Fold(finding, smallest)) {
        Forget(finding, directory, same->directory);
        return;
      }
    } else if (IsCancelled()) {
      // There was no time to look again: it stays as it was seen, and accuses nobody by the exit code.
    } else if (NeedsToShowAgain(finding)) {
      ++report_.once_count;
      once_.push_back(seen);
      Forget(finding, directory, "");
      return;
    } else {
      finding.state = FindingState::kNotReproduced;
    }
    Keep(finding, KeyOf(WithRun(seen, attempt.met, play)), directory);
    if (options_.on_finding) {
      options_.on_finding(finding, directory);
    }
    report_.findings.push_back({.finding = std::move(finding), .directory = directory});
    found_.push_back(std::move(smallest));
  }

  // A machine with much to do, or another one's signal, may be why it hung, crashed, failed or left without a word:
  // nobody is accused for that. Nothing but the client makes bytes wrong.
  static bool NeedsToShowAgain(const Finding& finding) {
    return finding.kind != FindingKind::kWrongData && finding.kind != FindingKind::kFalseClaim;
  }

  // Counts `finding` with the same of before, if a part of what it met shows that. Returns that one, or null.
  const ClientFuzzReport::Found* Fold(const Finding& finding, const ClientCase& met) {
    for (std::size_t i = 0; i < found_.size(); ++i) {
      ClientFuzzReport::Found& same = report_.findings[i];
      const bool is_rule = finding.kind == FindingKind::kBrokenRule;
      if (IsSameOfClient(same.finding, finding) && (is_rule || IsWithin(found_[i].oddities, met.oddities))) {
        ++same.finding.count;
        return &same;
      }
    }
    return nullptr;
  }

  // Puts `finding` in the place of what was saved, in `directory`, with that key. Its own key names what it takes, and
  // so does its directory; at any moment one of both is on the disk.
  void Keep(const Finding& finding, const std::string& saved_key, std::string& directory) {
    if (KeyOf(finding) == saved_key) {
      directory = keeper_.Replace(directory, finding);
    } else if (std::string kept = keeper_.Save(finding); !kept.empty()) {
      keeper_.Remove(std::exchange(directory, std::move(kept)));
    }
  }

  void Forget(const Finding& finding, const std::string& directory, const std::string& kept) {
    if (options_.on_same && !directory.empty()) {
      options_.on_same(finding, directory, kept);
    }
    keeper_.Remove(directory);
  }

  Finding Complete(Finding finding, std::uint64_t number) const {
    finding.target = client_.description;
    finding.target_words = client_.words;
    finding.replay_options = options_.replay_options;
    finding.version = options_.version;
    finding.seed = options_.seed;
    finding.script_number = number;
    return finding;
  }

  // Shows `finding` again, alone, and then makes `met` and it small. Returns whether it was shown.
  bool Reproduce(const Attempt& attempt, Finding& finding, ClientCase& met) {
    const int share =
        finding.kind == FindingKind::kBrokenRule ? 4 : 1;  // It matters less, and a client may break many.
    const auto until = Clock::now() + TimeLeftForOne() / share;
    const auto shows = [&](const ClientCase& changed, milliseconds time) {
      const conformance::Scenario scenario = ScenarioOf(changed);
      if (IsCancelled() || !attempt.way.way->CanPlay(scenario)) {
        return false;
      }
      const auto play = PlayWay(scenario, *attempt.way.way, time);
      const auto findings = play && !IsCancelled() ? JudgePlay(scenario, *play) : std::vector<Finding>();
      const auto same =
          std::ranges::find_if(findings, [&](const Finding& each) { return IsSameOfClient(each, finding); });
      if (same == findings.end()) {
        return false;
      }
      finding = Complete(WithRun(*same, changed, *play), attempt.number);
      finding.state = FindingState::kReproduced;
      return true;
    };
    const bool is_hang = finding.kind == FindingKind::kHang;
    bool is_shown = false;
    for (int i = 0; i < (is_hang ? 1 : kConfirmTries) && !is_shown; ++i) {
      is_shown = shows(met, is_hang ? 2 * options_.client_time : options_.client_time);
    }
    if (!is_shown) {
      return false;
    }
    const Finding confirmed = finding;
    const auto shows_in_time = [&](const ClientCase& changed) {
      return Clock::now() < until &&
             shows(changed, is_hang ? options_.client_time / kHangShareOfTime : options_.client_time);
    };
    met = ShrinkCase(met, attempt.way.limits, shows_in_time, options_.tries_max / share);
    if (is_hang && met != attempt.met && !shows(met, options_.client_time)) {
      met = attempt.met;  // It was only slow.
      finding = confirmed;
    }
    return true;
  }

  [[nodiscard]] milliseconds TimeLeftForOne() const {
    const auto left = std::chrono::ceil<milliseconds>(begun_ + options_.time - Clock::now());
    return TimeForOne(options_.time, left, options_.shrink_time);
  }

  void WriteCounts() {
    for (const ClientFuzzReport::Found& found : report_.findings) {
      if (found.finding.count > 1) {
        keeper_.Replace(found.directory, found.finding);
      }
    }
  }

  [[nodiscard]] double Seconds() const { return std::chrono::duration<double>(Clock::now() - begun_).count(); }
  [[nodiscard]] bool IsCancelled() const { return options_.cancelled != nullptr && options_.cancelled->load(); }
  [[nodiscard]] bool IsLate() const { return options_.time.count() > 0 && Clock::now() - begun_ >= options_.time; }
  [[nodiscard]] std::uint64_t NextNumber() const { return options_.shard.NumberOf(made_count_, /*together=*/1); }
  [[nodiscard]] bool IsEnough() const { return options_.cases_max > 0 && NextNumber() >= options_.cases_max; }
  [[nodiscard]] bool IsOver() const { return IsLate() || IsEnough() || IsCancelled(); }

  const conformance::ClientUnderTest& client_;
  const ClientFuzzOptions& options_;
  const std::vector<Way> ways_;
  const Clock::time_point begun_ = Clock::now();
  std::uint64_t made_count_ = 0;
  FindingKeeper keeper_;
  std::vector<ClientCase> found_;  // The smallest cases of report_.findings.
  std::vector<Finding> once_;      // What did not show again.
  std::uint64_t connected_count_ = 0;
  std::string never_connected_;
  ClientFuzzReport report_;
};

}  // namespace

ClientFuzzReport FuzzClient(const conformance::ClientUnderTest& client, const ClientFuzzOptions& options) {
  return ClientFuzzer(client, options).Run();
}

}  // namespace nbdspec::fuzz
