// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/run/live_fuzz.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <utility>

#include "engine/script/shrink.h"
#include "fuzz/findings/store.h"
#include "fuzz/live/run/known_bugs.h"
#include "fuzz/live/run/random_script.h"

namespace nbdspec::fuzz {

using engine::Script;
using engine::Trouble;

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kHistoryStepsMax = 20000;
constexpr std::size_t kOneAtATimeStepsMax = 4000;
constexpr std::size_t kFineStepsMax = 512;  // Of a longer one a try for each step would take too long.
constexpr int kTriesAtOnce = 2;

// Seeds of scripts that stand next to each other share nothing.
std::uint64_t SeedOf(std::uint64_t seed, std::uint64_t number) {
  std::uint64_t mixed = seed + (number + 1) * 0x9e37'79b9'7f4a'7c15;
  mixed = (mixed ^ mixed >> 30) * 0xbf58'476d'1ce4'e5b9;
  mixed = (mixed ^ mixed >> 27) * 0x94d0'49bb'1331'11eb;
  return mixed ^ mixed >> 31;
}

// The ways to haggle that are taken in turn, one for each start of the server.
std::vector<std::vector<engine::OptionStep>> Hagglings(const Offer& offer) {
  const engine::OptionStep structured{.option = engine::OptionType::kStructuredReply};
  const engine::OptionStep base{.option = engine::OptionType::kSetMetaContext,
                                .names = {std::string(engine::kBaseAllocation)}};
  engine::OptionStep all = base;
  std::ranges::copy_if(offer.listed_contexts, std::back_inserter(all.names),
                       [](const std::string& name) { return name != engine::kBaseAllocation; });
  if (!offer.structured_replies) {
    return {{structured}};
  }
  return {{structured, base}, {structured, base}, {structured, all}, {structured, base}, {engine::OptionStep{}}};
}

// One after the other: what was sent before the last script may be what it needs. At most about `steps_max`.
Script Joined(const std::vector<Script>& history, std::size_t steps_max) {
  Script joined = history.back();
  joined.steps.clear();
  std::size_t count = 0;
  auto first = history.end();
  while (first != history.begin() && count + std::prev(first)->steps.size() <= steps_max) {
    count += std::prev(first)->steps.size() + 1;
    --first;
  }
  for (const engine::Step& step : history.back().steps) {
    if (std::holds_alternative<engine::OptionStep>(step)) {
      joined.steps.push_back(step);
    }
  }
  for (; first != history.end(); ++first) {
    std::ranges::copy_if(first->steps, std::back_inserter(joined.steps),
                         [](const engine::Step& step) { return !std::holds_alternative<engine::OptionStep>(step); });
    joined.steps.emplace_back(engine::WaitStep{});
  }
  return joined;
}

// Leaves out the steps of [begin, end) that are no options.
void LeaveOut(Script& script, std::size_t begin, std::size_t end) {
  const auto from = script.steps.begin() + static_cast<std::ptrdiff_t>(begin);
  const auto to = script.steps.begin() + static_cast<std::ptrdiff_t>(end);
  const auto is_no_option = [](const engine::Step& step) { return !std::holds_alternative<engine::OptionStep>(step); };
  script.steps.erase(std::remove_if(from, to, is_no_option), to);
}

// What a server that died said of it, when an assertion failed: then it matters little what it was asked.
std::string AssertionOf(const Finding& finding) {
  const std::string& words = finding.server_stderr;
  const std::size_t at = finding.kind == FindingKind::kCrash ? words.rfind("ssertion") : std::string::npos;
  const std::size_t line = at == std::string::npos ? at : words.rfind('\n', at) + 1;
  return at == std::string::npos ? "" : words.substr(line, words.find('\n', at) - line);
}

// What finds the same again, each.
std::vector<std::string> KeysOf(const Finding& finding) {
  if (!finding.known.empty()) {
    return {finding.known};
  }
  std::vector<std::string> keys = {KeyOf(finding)};
  if (std::string assertion = AssertionOf(finding); !assertion.empty()) {
    keys.push_back(std::move(assertion));
  }
  return keys;
}

// Runs scripts on fresh servers until its budget is used up.
class Reproducer {
 public:
  Reproducer(conformance::Target& target, const Finding& wanted, const FuzzOptions& options)
      : target_(target), wanted_(wanted), options_(options), deadline_(Clock::now() + options.shrink_time) {
    live_ = options.live;
    live_.keep_answers = false;
  }

  // What to make small: what was sent, else all that was sent before too, else the same one request at a time. What
  // shows there each time has to show each time when it is smaller; of a race, one that shows at times is enough.
  std::optional<Finding> Begin() {
    std::vector<Script> candidates = {wanted_.script};
    if (wanted_.whole) {
      candidates.push_back(*wanted_.whole);
    }
    for (std::size_t i = 0, count = candidates.size(); i < count; ++i) {
      Script last = candidates[i];  // A slow server takes its time for each.
      LeaveOut(last, 0, last.steps.size() - std::min(last.steps.size(), kOneAtATimeStepsMax));
      candidates.push_back(OneAtATime(std::move(last)));
    }
    for (const Script& candidate : candidates) {
      auto first = TryOnce(candidate);
      if (first && first->kind == FindingKind::kHang) {  // Each takes its whole time.
        return first;
      }
      auto second = TryOnce(candidate);
      if (first || second) {
        is_reliable_ = first && second;
        return first ? std::move(first) : std::move(second);
      }
    }
    return {};
  }

  // The finding that `script` shows, if it is the wanted one.
  std::optional<Finding> Try(const Script& script) {
    std::optional<Finding> found;
    for (int i = 0; i < kTriesAtOnce; ++i) {
      found = TryOnce(script);
      if (found.has_value() != is_reliable_) {
        break;
      }
    }
    return found;
  }

  // Leaves out what was sent after the request whose reply was wrong, or most of it.
  void CutTail(Finding& best) {
    for (const std::size_t kept : {std::size_t{1}, std::size_t{kInFlightMax}}) {
      Script candidate = best.script;
      if (best.step + kept < candidate.steps.size()) {
        candidate.steps.resize(best.step + kept);
        if (auto found = Try(candidate)) {
          best = *std::move(found);
          return;
        }
      }
    }
  }

  // Leaves out halves, quarters and so on before single steps: a long script has much that does not matter.
  void CutCoarsely(Finding& best) {
    for (std::size_t piece = best.script.steps.size() / 2; piece > 1; piece /= 2) {
      for (std::size_t begin = 0; begin < best.script.steps.size();) {
        Script candidate = best.script;
        LeaveOut(candidate, begin, std::min(begin + piece, candidate.steps.size()));
        auto found = candidate.steps.size() < best.script.steps.size() ? Try(candidate) : std::nullopt;
        if (found) {
          best = *std::move(found);
        } else {
          begin += piece;
        }
      }
    }
  }

  [[nodiscard]] bool has_budget() const {
    return tries_ < options_.tries_max && Clock::now() < deadline_ && !IsCancelled();
  }
  [[nodiscard]] int tries_left() const { return std::max(0, options_.tries_max - tries_); }

 private:
  [[nodiscard]] bool IsCancelled() const { return live_.cancelled != nullptr && live_.cancelled->load(); }

  std::optional<Finding> TryOnce(const Script& script) {
    if (!has_budget()) {
      return {};
    }
    ++tries_;
    auto ran = RunOnFreshServer(target_, script, live_);
    if (ran && ran->finding && IsSameFinding(*ran->finding, wanted_)) {
      return std::move(ran->finding);
    }
    for (auto& [name, known] : ran ? ran->known : std::map<std::string, Finding>{}) {
      if (name == wanted_.known && IsSameFinding(known, wanted_)) {
        return known;
      }
    }
    return {};
  }

  conformance::Target& target_;
  const Finding& wanted_;
  const FuzzOptions& options_;
  LiveOptions live_;
  Clock::time_point deadline_;
  int tries_ = 0;
  bool is_reliable_ = false;
};

// One run of the fuzzer.
class Fuzzer {
 public:
  Fuzzer(conformance::Target& target, const FuzzOptions& options) : target_(target), options_(options) {}

  FuzzReport Run() {
    const auto begun = Clock::now();
    const auto trouble = RunScripts(begun);
    if (trouble) {
      report_.trouble = *trouble;
    }
    report_.seconds = std::chrono::duration<double>(Clock::now() - begun).count();
    WriteCounts();
    return std::move(report_);
  }

 private:
  std::optional<Trouble> RunScripts(Clock::time_point begun);
  std::optional<Trouble> RunOne(std::uint64_t number);
  std::optional<Trouble> StartAgain();
  std::optional<Trouble> Take(Finding finding, std::uint64_t number);
  std::optional<Trouble> TakeNew(Finding finding);
  const FuzzReport::Found* Fold(const Finding& finding, const std::vector<std::string>& keys);
  void Shrink(Finding& finding);
  [[nodiscard]] bool ShowsOneAtATime(const Finding& finding) const;
  void WriteCounts();
  [[nodiscard]] bool IsOver(Clock::time_point begun) const {
    const bool is_late = options_.time.count() > 0 && Clock::now() - begun >= options_.time;
    const bool is_enough = options_.scripts_max > 0 && report_.script_count >= options_.scripts_max;
    return is_late || is_enough || (options_.live.cancelled != nullptr && options_.live.cancelled->load());
  }

  conformance::Target& target_;
  const FuzzOptions& options_;
  std::unique_ptr<LiveServer> server_;
  std::optional<FindingStore> store_;
  std::vector<Script> history_;  // Since the server was started.
  std::uint64_t start_count_ = 0;
  std::map<std::string, std::size_t> by_key_;  // Indices of report_.findings.
  FuzzReport report_;
};

std::optional<Trouble> Fuzzer::RunScripts(Clock::time_point begun) {
  if (!options_.findings_directory.empty()) {
    auto store = FindingStore::Open(options_.findings_directory);
    if (!store) {
      return store.error();
    }
    store_ = *std::move(store);
  }
  report_.is_unusable = true;
  auto server = LiveServer::Start(target_, options_.live);
  if (!server) {
    return server.error();
  }
  server_ = *std::move(server);
  if (server_->offer().Has(engine::TransmissionFlag::kReadOnly)) {
    return Trouble{"The export is read-only: there is nothing to fuzz. Serve it writable."};
  }
  if (server_->offer().info.size == 0) {
    return Trouble{"The export is empty: there is nothing to fuzz. Serve one with some bytes."};
  }
  report_.is_unusable = false;
  while (!IsOver(begun)) {
    if (auto trouble = RunOne(report_.script_count)) {
      return trouble;
    }
  }
  return {};
}

std::optional<Trouble> Fuzzer::RunOne(std::uint64_t number) {
  if (history_.size() >= options_.scripts_per_server) {
    if (auto trouble = StartAgain()) {
      return trouble;
    }
  }
  const auto hagglings = Hagglings(server_->offer());
  const auto& haggling = hagglings[start_count_ % hagglings.size()];
  Offer offer = server_->offer();
  const bool has_status = haggling.size() > 1;
  offer.structured_replies = offer.structured_replies && has_status;
  offer.contexts = has_status ? offer.contexts : std::vector<engine::MetaContext>{};
  history_.push_back(RandomScript(SeedOf(options_.seed, number), offer, server_->windows(),
                                  {.steps_max = options_.steps_max,
                                   .only_offered = options_.only_offered,
                                   .connections = options_.connections,
                                   .haggling = haggling}));
  auto ran = server_->Run(history_.back());
  ++report_.script_count;
  if (!ran) {
    return StartAgain();
  }
  report_.command_count += ran->command_count;
  if (options_.on_script) {
    options_.on_script(report_.script_count, report_.command_count);
  }
  const bool is_fatal = ran->finding.has_value();
  for (auto& [name, known] : ran->known) {
    if (auto trouble = Take(std::move(known), number)) {
      return trouble;
    }
  }
  if (ran->finding && ran->finding->known.empty()) {
    if (auto trouble = Take(*std::move(ran->finding), number)) {
      return trouble;
    }
  }
  return is_fatal ? StartAgain() : std::nullopt;
}

std::optional<Trouble> Fuzzer::StartAgain() {
  history_.clear();
  ++start_count_;
  for (int tries_left = 2; tries_left > 0; --tries_left) {
    if (server_->Restart()) {
      return {};
    }
  }
  const auto restarted = server_->Restart();
  return restarted ? std::nullopt : std::optional(restarted.error());
}

std::optional<Trouble> Fuzzer::Take(Finding finding, std::uint64_t number) {
  finding.seed = options_.seed;
  finding.script_number = number;
  finding.replay_options = options_.replay_options;
  finding.version = options_.version;
  if (IsRace(finding.known) && ShowsOneAtATime(finding)) {
    finding.known.clear();
  }
  return Fold(finding, KeysOf(finding)) != nullptr ? std::nullopt : TakeNew(std::move(finding));
}

// Counts `finding` with the one that has one of `keys`, which then has all of them. Returns it; null when there is
// none.
const FuzzReport::Found* Fuzzer::Fold(const Finding& finding, const std::vector<std::string>& keys) {
  const auto has_come = [&](const std::string& key) { return by_key_.contains(key); };
  const auto same = std::ranges::find_if(keys, has_come);
  if (same == keys.end()) {
    return nullptr;
  }
  const std::size_t index = by_key_.at(*same);
  report_.findings[index].finding.count += finding.count;
  for (const std::string& key : keys) {
    by_key_.emplace(key, index);
  }
  return &report_.findings[index];
}

// First to the disk; then it may take its time.
std::optional<Trouble> Fuzzer::TakeNew(Finding finding) {
  std::vector<std::string> keys = KeysOf(finding);
  std::string directory;
  if (history_.size() > 1) {
    finding.whole = Joined(history_, kHistoryStepsMax);
  }
  if (store_) {
    auto saved = store_->Save(finding);
    if (!saved) {
      return saved.error();
    }
    directory = *saved;
    if (options_.on_saved) {
      options_.on_saved(finding, directory);
    }
  }
  if (finding.known.empty()) {
    Shrink(finding);
  }
  // What was seen in several places may be one thing once it is small.
  std::ranges::copy(KeysOf(finding), std::back_inserter(keys));
  if (const auto* const same = Fold(finding, keys)) {
    if (store_) {
      if (options_.on_same) {
        options_.on_same(finding, directory, same->directory);
      }
      store_->Remove(directory);
    }
    return {};
  }
  if (store_) {
    if (const auto replaced = store_->Replace(directory, finding); !replaced) {
      return replaced.error();
    }
  }
  if (options_.on_finding) {
    options_.on_finding(finding, directory);
  }
  for (const std::string& key : keys) {
    by_key_.emplace(key, report_.findings.size());
  }
  report_.findings.push_back({.finding = std::move(finding), .directory = directory});
  return {};
}

// Makes `finding` as small as can be.
void Fuzzer::Shrink(Finding& finding) {
  auto smallest = Reproduce(target_, finding, options_);
  finding.state = smallest ? FindingState::kReproduced : FindingState::kNotReproduced;
  if (smallest) {
    smallest->state = finding.state;
    smallest->seed = finding.seed;
    smallest->script_number = finding.script_number;
    smallest->replay_options = finding.replay_options;
    smallest->version = finding.version;
    smallest->count = finding.count;
    smallest->known = finding.known;
    finding = *std::move(smallest);
  }
}

// Whether no race is needed: requests that do not overlap in time, those before included, spoil bytes too.
bool Fuzzer::ShowsOneAtATime(const Finding& finding) const {
  LiveOptions live = options_.live;
  live.keep_answers = false;
  const auto ran = RunOnFreshServer(target_, OneAtATime(Joined(history_, kOneAtATimeStepsMax)), live);
  const bool is_wrong = ran && ran->finding;
  return is_wrong && (IsSameFinding(*ran->finding, finding) || ran->finding->kind == FindingKind::kWrongData ||
                      ran->finding->kind == FindingKind::kFalseClaim);
}

void Fuzzer::WriteCounts() {
  for (const FuzzReport::Found& found : report_.findings) {
    if (store_ && found.finding.count > 1) {
      const auto replaced = store_->Replace(found.directory, found.finding);
      if (!replaced && !report_.trouble) {
        report_.trouble = replaced.error();
      }
    }
  }
}

}  // namespace

bool FuzzReport::HasNew() const {
  return std::ranges::any_of(findings, [](const Found& found) { return found.finding.known.empty(); });
}

Script OneAtATime(Script script) {
  const std::vector<engine::Step> steps = std::exchange(script.steps, {});
  for (const engine::Step& step : steps) {
    script.steps.push_back(step);
    if (std::holds_alternative<engine::RequestStep>(step)) {
      script.steps.emplace_back(engine::WaitStep{});
    }
  }
  return script;
}

bool IsSameFinding(const Finding& a, const Finding& b) { return a.kind == b.kind && a.rule == b.rule; }

std::optional<Finding> Reproduce(conformance::Target& target, const Finding& finding, const FuzzOptions& options) {
  Reproducer reproducer(target, finding, options);
  auto best = reproducer.Begin();
  if (!best) {
    return {};
  }
  reproducer.CutTail(*best);
  reproducer.CutCoarsely(*best);
  const auto fails = [&](const Script& script) {
    auto found = reproducer.Try(script);
    if (!found) {
      return false;
    }
    best = std::move(found);
    return true;
  };
  if (best->script.steps.size() > kFineStepsMax || !reproducer.has_budget()) {
    return best;
  }
  const Script smallest = engine::Shrink(best->script, fails, reproducer.tries_left());
  if (best->script != smallest) {  // Only when the last one that failed was not the smallest.
    best->script = smallest;
  }
  return best;
}

FuzzReport Fuzz(conformance::Target& target, const FuzzOptions& options) { return Fuzzer(target, options).Run(); }

}  // namespace nbdspec::fuzz
