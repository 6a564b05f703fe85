// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/run/live_fuzz.h"

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <utility>

#include "engine/base/mix.h"
#include "engine/base/or_return.h"
#include "fuzz/findings/store.h"
#include "fuzz/live/learn/learner.h"
#include "fuzz/live/learn/storage_kinds.h"
#include "fuzz/live/learn/suspects.h"
#include "fuzz/live/run/joined_scripts.h"
#include "fuzz/live/run/known_bugs.h"
#include "fuzz/live/run/random_haggling.h"
#include "fuzz/live/run/random_script.h"

namespace nbdspec::fuzz {

using engine::Script;
using engine::Trouble;

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kKeepEvery{2};        // The smallest so far, while one is made small.
constexpr int kLostMax = 3;                          // Scripts in a row that could not be run,
constexpr std::uint64_t kLostShare = 4;              // and one for so many that could be run.
constexpr std::uint64_t kScriptsPerConnection = 16;  // To enter takes as long as a short script.
constexpr std::size_t kChangedStepsFactor = 2;       // Scripts that are changed may grow: FuzzOptions::steps_max.
constexpr std::uint64_t kFreshOneIn = 8;  // Connections: to start a server takes as long as all scripts of one.
constexpr std::uint64_t kHagglesAsUsualOneIn = 4;  // Connections.
// What a finding may take from the others: one of so many scripts sends what ends servers all the same, so many have
// one request at a time for it to be known which it was, and of the time this part goes to minimising before the end,
// where at most a quarter of it is left for that. No more wait for it: each holds what passed.
constexpr std::uint64_t kBoldOneIn = 4;
constexpr int kOrderedMax = 32;
constexpr int kShrinkOneOf = 5;
constexpr int kEndOneOf = 4;
constexpr std::size_t kWaitingMax = 16;
constexpr std::uint64_t kScriptsWithoutEdgesMax = 3;  // Where the server is to have code that marks its edges.
static_assert(EdgeMap::kEdgesMax <= ScriptSignatures::kMax && kSignatureLimit <= ScriptSignatures::kMax);
// LiveOptions::window_bytes where the power is cut: they are read after each cut, with their server's help.
constexpr std::uint64_t kPowerCutWindowBytes = 512 << 10;

// Each of them identifies the same finding.
std::vector<std::string> KeysOf(const Finding& finding) {
  if (!finding.known.empty()) {
    return {finding.known};
  }
  // Where the assertion is known, others may die of the same requests.
  std::string assertion = AssertionOf(finding);
  return {assertion.empty() ? KeyOf(finding) : std::move(assertion)};
}

FindingRun RunOf(const FuzzOptions& options) {
  return {.seed = options.seed,
          .shard = std::to_string(options.shard.index + 1) + "/" + std::to_string(options.shard.count)};
}

// One run of the fuzzer.
class Fuzzer {
 public:
  Fuzzer(conformance::Target& target, const FuzzOptions& options)
      : target_(target), options_(options), learner_(options.seed) {
    options_.live.keep_answers = true;
    if (options_.live.power_cut) {
      options_.live.window_bytes = kPowerCutWindowBytes;
    }
    if (options_.time.count() > 0) {
      options_.live.deadline = begun_ + options_.time;
    }
  }

  FuzzReport Run() {
    if (auto ran = RunScripts(); !ran && !IsCancelled(options_.live)) {
      report_.trouble = std::move(ran).error();
    }
    report_.seconds = Seconds();
    while (!waiting_.empty()) {
      Settle();
    }
    RemoveFolded();
    WriteCounts();
    report_.trouble = keeper_.trouble() ? keeper_.trouble() : corpus_trouble_ ? corpus_trouble_ : report_.trouble;
    return std::move(report_);
  }

 private:
  std::expected<void, Trouble> RunScripts() {
    NBDSPEC_ASSIGN_OR_RETURN(keeper, FindingKeeper::Open(options_.findings_directory, RunOf(options_)));
    keeper_ = std::move(keeper);
    report_.is_unusable = true;
    if (IsEnough()) {
      return std::unexpected(Trouble{"This shard has none of the " + std::to_string(options_.scripts_max) +
                                     " scripts. Ask for more, or share them among fewer."});
    }
    NBDSPEC_ASSIGN_OR_RETURN(server, LiveServer::Start(target_, options_.live));
    server_ = std::move(server);
    NBDSPEC_RETURN_IF_ERROR(TakeBroken());
    if (server_->offer().info.size == 0) {
      return std::unexpected(Trouble{"The export is empty, so there is nothing to fuzz. Serve one with some bytes."});
    }
    extended_ = server_->LearnExtended();
    if (IsOver() && !IsCancelled(options_.live)) {
      return std::unexpected(
          Trouble{"There was no time for a script: the server took all of it to start and to be read. "
                  "Give a longer --time."});
    }
    for (std::size_t i = 0; options_.corpus != nullptr && i < options_.corpus->scripts().size() && !IsOver(); ++i) {
      if (auto ran = RunOfCorpus(options_.corpus->scripts()[i]); !ran && !IsOver()) {
        return ran;
      }
    }
    while (!IsOver()) {
      const std::uint64_t number = NextNumber();
      ++taken_count_;
      if (auto ran = RunOne(number); !ran && !IsOver()) {  // What is late may fail.
        return ran;
      }
    }
    return CheckThatMuchRan();
  }

  // Little is no success.
  std::expected<void, Trouble> CheckThatMuchRan() {
    if (lost_count_ * kLostShare > report_.script_count) {
      return std::unexpected(Trouble{std::to_string(lost_count_) + " scripts could not be run, and " +
                                     std::to_string(report_.script_count) + " could. The last time: " + lost_why_});
    }
    if (options_.time.count() > 0 && report_.command_count == 0) {
      return std::unexpected(
          Trouble{"There was no time for one request: the server took all of it. Give a longer --time."});
    }
    report_.is_unusable = false;
    return {};
  }

  // What broke a MUST before any script ran is found all the same.
  std::expected<void, Trouble> TakeBroken() {
    const auto& broken = server_->broken();
    if (!broken) {
      return {};
    }
    Take(broken->finding, report_.script_count);
    return std::unexpected(broken->trouble);
  }

  // A script could not be run, for `why`: once that may be chance.
  std::expected<void, Trouble> NoteLost(Trouble why) {
    ++lost_count_;
    lost_why_ = why.sentence;
    if (++lost_in_a_row_ >= kLostMax) {
      return std::unexpected(std::move(why));
    }
    return IsOver() ? std::expected<void, Trouble>() : StartAgain();
  }

  // What scripts of the `number`th's connections are made for.
  [[nodiscard]] ScriptFrame FrameOf(std::uint64_t number) {
    const auto hagglings = Hagglings(server_->usual_haggling(), server_->offer(), extended_);
    const std::uint64_t connection = number / kScriptsPerConnection;
    const auto& usual = hagglings[(options_.seed + connection) % hagglings.size()];
    const bool is_extended =
        std::ranges::count(usual, engine::OptionType::kExtendedHeaders, &engine::OptionStep::option) > 0;
    ScriptFrame frame{.offer = is_extended ? *extended_ : server_->offer(),
                      .haggling = HagglingFor(connection, usual),
                      .steps_max = kChangedStepsFactor * static_cast<std::size_t>(options_.steps_max),
                      .only_offered = options_.only_offered,
                      .power_cuts = options_.live.power_cut};
    frame.offer.structured_replies = frame.offer.structured_replies && usual.front() != engine::OptionStep{};
    frame.offer.contexts = usual.size() > 1 ? frame.offer.contexts : std::vector<engine::MetaContext>{};
    if (frame.offer.Has(engine::TransmissionFlag::kCanMultiConn)) {
      frame.connections_max = static_cast<std::uint8_t>(options_.connections);
    }
    return frame;
  }

  std::expected<void, Trouble> RunOne(std::uint64_t number) {
    const bool begins = number % kScriptsPerConnection == 0;
    const bool explores = begins && IsFresh(number / kScriptsPerConnection);
    if (begins) {
      extents_.clear();
    }
    NBDSPEC_RETURN_IF_ERROR(explores && scripts_on_server_ > 0 && target_.IsOurs() ? StartAgain() : StartAgainInTime());
    const ScriptFrame frame = FrameOf(number);
    Script script = RandomScript(engine::SeedAt(options_.seed, number), frame.offer, server_->windows(),
                                 {.steps_max = options_.steps_max,
                                  .only_offered = options_.only_offered,
                                  .power_cuts = options_.live.power_cut,
                                  .connections = options_.connections,
                                  .haggling = frame.haggling,
                                  .explores = explores,
                                  .extents = extents_});
    if (!options_.only_fresh && !explores) {
      script = learner_.Next(number, std::move(script), frame);
    }
    if (!options_.only_bold && engine::SeedAt(options_.seed, number) % kBoldOneIn != 0) {
      suspects_.Thin(frame.offer, script);
    }
    if (std::exchange(is_cause_unknown_, false) && ordered_count_++ < kOrderedMax) {
      script = OneAtATime(std::move(script));
    }
    return Send(std::move(script), frame.offer, number, /*leave=*/begins);
  }

  // Once as it is, for what it shows on this server.
  std::expected<void, Trouble> RunOfCorpus(Script script) {
    NBDSPEC_RETURN_IF_ERROR(StartAgainInTime());
    const ScriptFrame frame = FrameOf(NextNumber());
    FitInto(frame, script);
    return Send(std::move(script), frame.offer, NextNumber(), /*leave=*/false);
  }

  std::expected<void, Trouble> StartAgainInTime() {
    return scripts_on_server_ >= options_.scripts_per_server ? StartAgain() : std::expected<void, Trouble>();
  }

  // What ended the last script is to come more rarely.
  void Blame(const Finding& finding, const Offer& offer) {
    is_cause_unknown_ = finding.request_kind.empty();
    if (!is_cause_unknown_) {
      suspects_.Accuse(history_.back(), finding.step, offer);
    }
  }

  // What the last script showed.
  void Learn(const RunResult& ran, const std::vector<std::uint32_t>& edges) {
    const Script& script = history_.back();
    const bool is_new = learner_.Note(script, {.answers = SignaturesOf(script, ran.answers),
                                               .edges = edges,
                                               .storage = SignaturesOf(server_->TakeDiskOperations())});
    report_.kind_count = learner_.kind_count();
    report_.edge_count = learner_.edge_count();
    report_.storage_kind_count = learner_.storage_kind_count();
    if (!is_new || options_.corpus == nullptr || corpus_trouble_) {
      return;
    }
    if (auto added = options_.corpus->Add(script); !added) {
      corpus_trouble_ = std::move(added).error();
    }
  }

  // Which edges of the server's code the last script took.
  std::vector<std::uint32_t> TakenEdges() {
    std::vector<std::uint32_t> edges =
        options_.coverage != nullptr ? options_.coverage->Edges() : std::vector<std::uint32_t>();
    has_edges_ = has_edges_ || !edges.empty();
    return edges;
  }

  // Errors: no script took an edge, though the server is to show them.
  [[nodiscard]] std::expected<void, Trouble> CheckEdges() const {
    if (options_.coverage == nullptr || has_edges_ || report_.script_count < kScriptsWithoutEdgesMax) {
      return {};
    }
    return std::unexpected(
        Trouble{"The server shows none of its code: it is not built with -fsanitize-coverage=trace-pc-guard and "
                "nbdspec_coverage.c, or cannot open the file that NBDSPEC_COVERAGE names. Build it so "
                "(docs/howto/fuzz_with_coverage.md), or leave out --coverage."});
  }

  std::expected<void, Trouble> Send(Script script, const Offer& offer, std::uint64_t number, bool leave) {
    Remember(std::move(script));
    if (options_.coverage != nullptr) {
      options_.coverage->Clear();
    }
    (void)server_->TakeDiskOperations();
    auto ran = server_->Run(history_.back(), leave);
    if (!ran) {
      return NoteLost(std::move(ran).error());
    }
    const std::vector<std::uint32_t> edges = TakenEdges();
    lost_in_a_row_ = 0;
    if (leave && IsFresh(number / kScriptsPerConnection)) {
      extents_ = std::move(ran->extents);
    }
    const bool has_run = ran->command_count > 0 || ran->finding || !IsStopped();  // Else its time was over at once.
    report_.script_count += has_run ? 1 : 0;
    report_.command_count += ran->command_count;
    report_.cut_count += ran->cut_count;
    report_.seconds = Seconds();
    AddWarnings(ran->warnings, number, report_.warnings);
    if (ran->finding) {
      Blame(*ran->finding, offer);
    } else {  // What ends servers would end them again.
      suspects_.Acquit(history_.back(), offer);
      Learn(*ran, edges);
    }
    if (options_.on_script) {
      options_.on_script(report_);
    }
    const bool is_fatal = ran->finding.has_value();
    for (auto& [name, known] : ran->known) {
      Take(std::move(known), number);
    }
    if (ran->finding && ran->finding->known.empty()) {
      Take(*std::move(ran->finding), number);
    }
    SettleInTime();
    NBDSPEC_RETURN_IF_ERROR(CheckEdges());
    return is_fatal && !IsOver() ? StartAgain() : std::expected<void, Trouble>();
  }

  // Whether the scripts of that connection begin on a fresh export, and look for what was never written.
  [[nodiscard]] bool IsFresh(std::uint64_t connection) const {
    return connection == 0 || engine::SeedAt(~options_.seed, connection) % kFreshOneIn == 0;
  }

  // As `usual`, or in another way that the server lets through.
  std::vector<engine::OptionStep> HagglingFor(std::uint64_t connection, const std::vector<engine::OptionStep>& usual) {
    const std::uint64_t seed = engine::SeedAt(options_.seed + 1, connection);
    const auto haggling = RandomHaggling(seed, usual, options_.only_offered);
    return seed % kHagglesAsUsualOneIn != 0 && server_->CanEnter(haggling) ? haggling : usual;
  }

  // What is joined needs no more.
  void Remember(Script script) {
    ++scripts_on_server_;
    history_steps_ += script.steps.size();
    history_.push_back(std::move(script));
    while (history_.size() > 1 && history_steps_ - history_.front().steps.size() > kHistoryStepsMax) {
      history_steps_ -= history_.front().steps.size();
      history_.pop_front();
    }
  }

  std::expected<void, Trouble> StartAgain() {
    history_.clear();
    history_steps_ = 0;
    scripts_on_server_ = 0;
    std::expected<void, Trouble> restarted;
    for (int tries_left = 3; tries_left > 0 && !IsCancelled(options_.live); --tries_left) {
      restarted = server_->Restart();
      restarted = restarted ? TakeBroken() : std::move(restarted);
      if (restarted) {
        break;
      }
    }
    return restarted;
  }

  void Take(Finding finding, std::uint64_t number) {
    finding.seed = options_.seed;
    finding.script_number = number;
    finding.replay_options = options_.replay_options;
    finding.version = options_.version;
    if (!finding.known.empty() && !IsWhatItIsCalled(finding)) {
      finding.known.clear();
    }
    if (!Fold(finding)) {
      TakeNew(std::move(finding));
    }
  }

  // Counts `finding` with the one that has one of its keys, which then has all of them. False when there is none.
  bool Fold(const Finding& finding) {
    const std::vector<std::string> keys = KeysOf(finding);
    const auto has_come = [&](const std::string& key) { return by_key_.contains(key); };
    const auto same = std::ranges::find_if(keys, has_come);
    if (same == keys.end()) {
      return false;
    }
    const std::size_t index = by_key_.at(*same);
    report_.findings[index].finding.count += finding.count;
    for (const std::string& key : keys) {
      by_key_.emplace(key, index);
    }
    return true;
  }

  // First to the disk; then it waits to be minimised.
  void TakeNew(Finding finding) {
    if (scripts_on_server_ > 1 && !history_.empty()) {
      finding.whole = Joined(history_);
    }
    std::string directory = keeper_.Save(finding);
    if (options_.on_saved && !directory.empty()) {
      options_.on_saved(finding, directory);
    }
    finding.elsewhere = keeper_.Elsewhere(directory);
    const std::size_t index = report_.findings.size();
    for (const std::string& key : KeysOf(finding)) {
      by_key_.emplace(key, index);
    }
    report_.findings.push_back({.finding = std::move(finding), .directory = directory});
    if (options_.tries_max == 0 || !report_.findings[index].finding.known.empty()) {
      waiting_.push_front(index);
      Settle();
    } else {
      waiting_.push_back(index);
    }
    if (waiting_.size() > kWaitingMax) {
      Settle();
    }
  }

  // Where minimising has had less than its share of the time.
  void SettleInTime() {
    const auto share = (Clock::now() - begun_) / kShrinkOneOf;
    if (!waiting_.empty() && !IsOver() && shrinking_ + options_.shrink_time <= share) {
      Settle();
    }
  }

  // Minimises the first that waits. Several kinds of requests may show one bug, as the minimised scripts tell.
  void Settle() {
    const std::size_t index = waiting_.front();
    waiting_.pop_front();
    auto& [finding, directory] = report_.findings[index];
    if (finding.known.empty()) {
      Shrink(finding, directory);
    }
    for (const std::string& key : KeysOf(finding)) {
      const std::size_t same = by_key_.emplace(key, index).first->second;
      if (same != index) {
        FoldInto(same, index);
        return;
      }
    }
    const std::string saved = std::exchange(directory, keeper_.Replace(directory, finding));
    if (saved != directory && options_.on_same) {
      options_.on_same(finding, saved, directory);
    }
    if (options_.on_finding) {
      options_.on_finding(finding, directory);
    }
  }

  // The finding `index` is the same as `kept`.
  void FoldInto(std::size_t kept, std::size_t index) {
    for (auto& [key, of] : by_key_) {
      of = of == index ? kept : of;
    }
    const FuzzReport::Found& twin = report_.findings[index];
    report_.findings[kept].finding.count += twin.finding.count;
    if (options_.on_same && !twin.directory.empty()) {
      options_.on_same(twin.finding, twin.directory, report_.findings[kept].directory);
    }
    keeper_.Remove(twin.directory);
    folded_.insert(index);
  }

  void RemoveFolded() {
    for (auto index = folded_.rbegin(); index != folded_.rend(); ++index) {
      report_.findings.erase(report_.findings.begin() + static_cast<std::ptrdiff_t>(*index));
    }
  }

  // Replaces `finding` by the smallest that shows the same. What is kept in `directory` follows now and then, so that a
  // kill loses little of the work.
  void Shrink(Finding& finding, std::string& directory) {
    const auto time = TimeLeftForOne();
    const auto shrinking_since = Clock::now();
    const auto keep = [&, kept_at = shrinking_since](const Finding& best, int tries) mutable {
      if (options_.on_smaller) {
        options_.on_smaller(best, tries);
      }
      // Under another key it may be the same as another finding, which is looked at when it is the smallest.
      if (Clock::now() - kept_at >= kKeepEvery && KeyOf(best) == KeyOf(finding)) {
        kept_at = Clock::now();
        directory = keeper_.Replace(directory, Reproduced(best, finding));
      }
    };
    auto smallest = Reproduce(
        target_, finding, {.tries_max = options_.tries_max, .time = time, .live = options_.live, .on_smaller = keep});
    const auto needed = finding.kind == FindingKind::kHang ? options_.live.reply_timeout : std::chrono::milliseconds(0);
    const bool had_time = !IsCancelled(options_.live) && Clock::now() - shrinking_since + needed < time;
    shrinking_ += Clock::now() - shrinking_since;
    if (smallest) {
      finding = Reproduced(*std::move(smallest), finding);
    } else {
      finding.state = had_time ? FindingState::kNotReproduced : FindingState::kObserved;
    }
  }

  // `smaller`, which shows `finding`, with what is known of that.
  static Finding Reproduced(Finding smaller, const Finding& finding) {
    smaller.state = FindingState::kReproduced;
    smaller.seed = finding.seed;
    smaller.script_number = finding.script_number;
    smaller.replay_options = finding.replay_options;
    smaller.version = finding.version;
    smaller.count = finding.count;
    smaller.known = finding.known;
    return smaller;
  }

  [[nodiscard]] std::chrono::milliseconds TimeLeftForOne() const {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(begun_ + options_.time - Clock::now());
    return TimeForOne(options_.time, left, options_.shrink_time);
  }

  // Whether `finding`, which looks like a public bug, is that one.
  bool IsWhatItIsCalled(const Finding& finding) {
    if (IsRace(finding.known) && ShowsOneAtATime(finding)) {
      return false;
    }
    if (by_key_.contains(finding.known) || IsNamedByTheServer(finding)) {
      return true;
    }
    if (!options_.live.absent_bugs.contains(finding.known)) {
      Finding with_whole = finding;
      with_whole.whole = Joined(history_);
      LiveOptions live = options_.live;
      if (live.deadline) {
        live.deadline = Clock::now() + TimeLeftForOne();
      }
      const bool is_shown = ShowsKnownBug(target_, with_whole, live);
      if (is_shown || (live.deadline && Clock::now() >= *live.deadline)) {
        return true;  // Where there was no time to provoke it, nobody is accused.
      }
    }
    options_.live.absent_bugs.insert(finding.known);
    server_->SayAbsent(finding.known);
    return false;
  }

  // Whether no race is needed: requests that do not overlap in time, those before included, spoil bytes too.
  [[nodiscard]] bool ShowsOneAtATime(const Finding& finding) const {
    LiveOptions live = options_.live;
    live.keep_answers = false;
    const Attempts attempts = AttemptsOf({.script = Joined(history_)});
    const auto ran = RunOnFreshServer(target_, attempts.one_at_a_time.front().script, live);
    const bool has_failed = ran && ran->finding;
    return has_failed && (IsSameFinding(*ran->finding, finding) || ran->finding->kind == FindingKind::kWrongData ||
                          ran->finding->kind == FindingKind::kFalseClaim);
  }

  void WriteCounts() {
    for (const FuzzReport::Found& found : report_.findings) {
      if (found.finding.count > 1) {
        keeper_.Replace(found.directory, found.finding);
      }
    }
  }

  [[nodiscard]] double Seconds() const { return std::chrono::duration<double>(Clock::now() - begun_).count(); }

  // Which of the scripts of all shards is next.
  [[nodiscard]] std::uint64_t NextNumber() const {
    return options_.shard.NumberOf(taken_count_, kScriptsPerConnection);
  }

  [[nodiscard]] bool IsOver() const { return IsStopped() || IsEnough(); }
  // Where something waits to be minimised, a part of the time is for that.
  [[nodiscard]] bool IsStopped() const {
    const auto for_the_end =
        std::min(options_.time / kEndOneOf, options_.shrink_time * static_cast<std::int64_t>(waiting_.size()));
    const bool is_late = options_.time.count() > 0 && Clock::now() - begun_ >= options_.time - for_the_end;
    return is_late || IsCancelled(options_.live);
  }
  [[nodiscard]] bool IsEnough() const { return options_.scripts_max > 0 && NextNumber() >= options_.scripts_max; }

  conformance::Target& target_;
  FuzzOptions options_;
  const Clock::time_point begun_ = Clock::now();
  std::unique_ptr<LiveServer> server_;
  std::optional<Offer> extended_;
  FindingKeeper keeper_;
  Learner learner_;
  std::optional<Trouble> corpus_trouble_;  // Why nothing is added any more.
  std::uint64_t taken_count_ = 0;          // Of the numbers of this shard.
  std::deque<Script> history_;             // The last ones since the server was started,
  std::size_t history_steps_ = 0;          // and their steps.
  std::uint64_t scripts_on_server_ = 0;
  std::vector<engine::ByteRange> extents_;  // Of the fresh export, while scripts look for what was never written.
  std::uint64_t lost_count_ = 0;            // Scripts that could not be run.
  int lost_in_a_row_ = 0;
  std::string lost_why_;
  bool has_edges_ = false;  // Some script took one.
  Suspects suspects_;
  bool is_cause_unknown_ = false;  // Of what ended the last script: which of its requests.
  int ordered_count_ = 0;          // Scripts of one request at a time for that.
  // Indices of report_.findings: by their keys; those that are to be minimised, the first first; and those that are the
  // same as others.
  std::map<std::string, std::size_t> by_key_;
  std::deque<std::size_t> waiting_;
  std::set<std::size_t> folded_;
  Clock::duration shrinking_{0};
  FuzzReport report_;
};

}  // namespace

FuzzReport Fuzz(conformance::Target& target, const FuzzOptions& options) { return Fuzzer(target, options).Run(); }

}  // namespace nbdspec::fuzz
