// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/run/reproduce.h"

#include <algorithm>
#include <utility>

#include "engine/script/shrink.h"
#include "fuzz/live/run/known_bugs.h"

namespace nbdspec::fuzz {

using engine::Script;

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kOneAtATimeStepsMax = 4000;  // A slow server takes its time for each.
constexpr std::size_t kFineStepsMax = 512;         // Of a longer script a try for each step would take too long.
// So often a smaller script has to show what the whole one does.
constexpr int kShownMin = 2;
// How often a race shows is learned in so many runs, and a smaller script has at most as many to show it.
constexpr int kRunsOfARace = 6;
constexpr int kTriesOfARaceMax = 12;

// Leaves out the steps of [begin, end) that are no options.
void LeaveOut(Script& script, std::size_t begin, std::size_t end) {
  const auto from = script.steps.begin() + static_cast<std::ptrdiff_t>(begin);
  const auto to = script.steps.begin() + static_cast<std::ptrdiff_t>(end);
  const auto is_no_option = [](const engine::Step& step) { return !std::holds_alternative<engine::OptionStep>(step); };
  script.steps.erase(std::remove_if(from, to, is_no_option), to);
}

// Whether `step` is a request that has to do with some byte of `range`, or a power cut.
bool Concerns(const engine::Step& step, const engine::ByteRange::OffsetAndLength& range) {
  const auto* const request = std::get_if<engine::RequestStep>(&step);
  return request == nullptr
             ? std::holds_alternative<engine::CutStep>(step)
             : request->command != engine::Command::kFlush &&
                   (request->offset - range.offset < range.length || range.offset - request->offset < request->length);
}

// What most findings need: the request that shows it, alone, or after those before it that had to do with the same
// bytes, each awaited.
std::vector<Script> Slices(const Finding& finding) {
  const std::vector<engine::Step>& steps = finding.script.steps;
  const auto* const shows =
      finding.step < steps.size() ? std::get_if<engine::RequestStep>(&steps[finding.step]) : nullptr;
  if (shows == nullptr) {
    return {};
  }
  const engine::ByteRange::OffsetAndLength range = {.offset = shows->offset, .length = shows->length};
  std::vector<Script> slices;
  for (const std::size_t before : {std::size_t{0}, std::size_t{1}, std::size_t{4}, steps.size()}) {
    Script& slice = slices.emplace_back(finding.script);
    std::vector<engine::Step> kept = {steps[finding.step]};
    std::size_t left = before;
    for (std::size_t i = finding.step; i > 0; --i) {
      const engine::Step& step = steps[i - 1];
      const bool is_option = std::holds_alternative<engine::OptionStep>(step);
      if (is_option || (left > 0 && Concerns(step, range))) {
        left -= is_option ? 0 : 1;
        kept.push_back(step);
      }
    }
    slice.steps.assign(kept.rbegin(), kept.rend());
    slice = OneAtATime(std::move(slice));
  }
  return slices;
}

bool IsOfCut(const Finding& finding) {
  return finding.step < finding.script.steps.size() &&
         std::holds_alternative<engine::CutStep>(finding.script.steps[finding.step]);
}

// Runs scripts on fresh servers until its budget is used up.
class Reproducer {
 public:
  Reproducer(conformance::Target& target, const Finding& wanted, const ReproduceOptions& options)
      : target_(target), wanted_(wanted), options_(options), deadline_(Clock::now() + options.time) {
    options_.live.keep_answers = false;
    options_.live.deadline = deadline_;
  }

  // What to make small. What shows there each time has to show each time when it is smaller; a race, about as often as
  // there.
  std::optional<Finding> Begin() {
    Attempts attempts = AttemptsOf(wanted_);
    std::vector<Attempt> order = std::move(attempts.overlapping);
    std::ranges::move(attempts.one_at_a_time, std::back_inserter(order));
    if (IsOfCut(wanted_)) {  // Few are races, and what was answered before the cut is plain when each is awaited.
      order.insert(order.begin(), {.script = OneAtATime(wanted_.script), .how = ""});
    }
    if (wanted_.elsewhere) {  // It is small already.
      order.insert(order.begin(), {.script = *wanted_.elsewhere, .how = ""});
    }
    for (const Attempt& attempt : order) {
      if (auto shown = BeginWith(attempt.script)) {
        shows_elsewhere_ = wanted_.elsewhere == attempt.script;
        return shown;
      }
    }
    return {};
  }

  // Makes small what Begin returned.
  Finding Shrink(Finding seen) {
    best_ = std::move(seen);
    Tell();
    TakeSlice();
    CutTail();
    if (is_reliable_ && AddWaits()) {
      CutTail();
    }
    CutCoarsely();
    if (best_.script.steps.size() <= kFineStepsMax && has_budget()) {
      // Step by step, then with smaller and rounder numbers.
      const auto shows = [this](const Script& script) { return Accept(script); };
      best_.script = engine::Shrink(Script(best_.script), shows, options_.tries_max - tries_);
    }
    best_.elsewhere = shows_elsewhere_ ? wanted_.elsewhere : std::nullopt;
    return std::move(best_);
  }

 private:
  std::optional<Finding> BeginWith(const Script& script) {
    auto first = TryOnce(script);
    if (first && first->kind == FindingKind::kHang) {  // Each takes its whole time.
      return first;
    }
    auto second = TryOnce(script);
    if (first && second) {
      return first;
    }
    return first || second ? std::optional(BeginWithRace(first ? *std::move(first) : *std::move(second)))
                           : std::nullopt;
  }

  // What shows at times only when requests overlap may show each time when they do not.
  Finding BeginWithRace(Finding race) {
    const Script ordered = OneAtATime(race.script);
    auto first = TryOnce(ordered);
    if (first && TryOnce(ordered)) {
      return *std::move(first);
    }
    int shown_count = 1;  // Of two runs.
    for (int runs = 2; runs < kRunsOfARace; ++runs) {
      shown_count += TryOnce(race.script) ? 1 : 0;
    }
    is_reliable_ = false;
    tries_at_once_ = std::min(kTriesOfARaceMax, kShownMin * kRunsOfARace / shown_count + 1);
    return race;
  }

  // Takes `script` for the best if it shows the wanted finding as often as the whole one does. One lucky run of a race
  // is no proof: of many smaller scripts that show it seldom, some have one.
  bool Accept(const Script& script) {
    std::optional<Finding> found;
    int shown_count = 0;
    const bool takes_its_time = wanted_.kind == FindingKind::kHang;
    const int shown_min = takes_its_time ? 1 : kShownMin;
    for (int left = takes_its_time ? 1 : tries_at_once_; shown_count < shown_min && shown_count + left >= shown_min;
         --left) {
      if (auto shown = TryOnce(script)) {
        found = std::move(shown);
        ++shown_count;
      }
    }
    if (shown_count < shown_min) {
      return false;
    }
    best_ = *std::move(found);
    Tell();
    return true;
  }

  void Tell() const {
    if (options_.on_smaller) {
      options_.on_smaller(best_, tries_);
    }
  }

  // The smallest that shows it. On a server that is slow that leaves little to do.
  void TakeSlice() {
    std::vector<Script> slices = is_reliable_ ? Slices(best_) : std::vector<Script>();
    slices.erase(std::ranges::unique(slices).begin(), slices.end());
    for (const Script& slice : slices) {
      if (slice.steps.size() >= best_.script.steps.size() || Accept(slice)) {
        return;
      }
    }
  }

  // Leaves out what was sent after the request whose answer is the finding, or most of it.
  void CutTail() {
    for (const std::size_t kept : {std::size_t{1}, std::size_t{kInFlightMax}}) {
      Script candidate = best_.script;
      candidate.steps.resize(std::min(best_.step + kept, candidate.steps.size()));
      if (candidate != best_.script && Accept(candidate)) {
        return;
      }
    }
  }

  // Only so many requests are in flight, so a late one comes after the answers to early ones only while those between
  // stay. With waits they may go. Returns whether the finding shows with them.
  bool AddWaits() {
    if (Accept(OneAtATime(best_.script))) {
      return true;
    }
    Script candidate = best_.script;  // One at a time, another finding may come first.
    candidate.steps.insert(candidate.steps.begin() + static_cast<std::ptrdiff_t>(best_.step), engine::WaitStep{});
    return Accept(candidate);
  }

  // Leaves out halves, quarters and so on before single steps: a long script has much that does not matter.
  void CutCoarsely() {
    for (std::size_t piece = best_.script.steps.size() / 2; piece > 1; piece /= 2) {
      for (std::size_t begin = 0; begin < best_.script.steps.size();) {
        Script candidate = best_.script;
        LeaveOut(candidate, begin, std::min(begin + piece, candidate.steps.size()));
        const bool is_smaller = candidate.steps.size() < best_.script.steps.size() && Accept(candidate);
        begin += is_smaller ? 0 : piece;
      }
    }
  }

  [[nodiscard]] bool has_budget() const {
    return tries_ < options_.tries_max && Clock::now() < deadline_ && !IsCancelled(options_.live);
  }

  std::optional<Finding> TryOnce(const Script& script) {
    const bool takes_its_time = wanted_.kind == FindingKind::kHang;
    if (!has_budget() || (takes_its_time && deadline_ - Clock::now() < options_.live.reply_timeout)) {
      return {};
    }
    ++tries_;
    auto shown = RunFor(wanted_, target_, script, options_.live);
    return shown ? std::move(shown->wanted) : std::nullopt;
  }

  conformance::Target& target_;
  const Finding& wanted_;
  ReproduceOptions options_;
  Clock::time_point deadline_;
  int tries_ = 0;
  bool shows_elsewhere_ = false;  // Whether what is made small is Finding::elsewhere.
  bool is_reliable_ = true;       // Whether what is made small shows each time.
  int tries_at_once_ = kShownMin;
  Finding best_;
};

}  // namespace

bool IsSameFinding(const Finding& a, const Finding& b) {
  const std::string assertion = AssertionOf(a);
  const std::string other = AssertionOf(b);
  return a.kind == b.kind && a.rule == b.rule && (assertion == other || assertion.empty() || other.empty());
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

Attempts AttemptsOf(const Finding& finding) {
  Attempts attempts;
  attempts.overlapping.push_back({.script = finding.script, .how = ""});
  if (finding.whole) {
    attempts.overlapping.push_back({.script = *finding.whole, .how = "after what was sent to that server before"});
  }
  for (Attempt attempt : attempts.overlapping) {
    LeaveOut(attempt.script, 0,
             attempt.script.steps.size() - std::min(attempt.script.steps.size(), kOneAtATimeStepsMax));
    attempt.script = OneAtATime(std::move(attempt.script));
    attempt.how += (attempt.how.empty() ? "" : ", ") + std::string("one request at a time");
    attempts.one_at_a_time.push_back(std::move(attempt));
  }
  return attempts;
}

std::expected<Shown, engine::Trouble> RunFor(const Finding& wanted, conformance::Target& target, const Script& script,
                                             const LiveOptions& options) {
  LiveOptions live = options;
  if (wanted.known.empty()) {  // It only looks like those.
    live.absent_bugs.merge(PublicNamesLike(wanted));
  }
  auto ran = RunOnFreshServer(target, script, live);
  if (!ran) {
    return std::unexpected(ran.error());
  }
  Shown shown;
  if (ran->finding && IsSameFinding(*ran->finding, wanted)) {
    shown.wanted = std::move(ran->finding);
  } else if (const auto known = ran->known.find(wanted.known);
             known != ran->known.end() && IsSameFinding(known->second, wanted)) {
    shown.wanted = std::move(known->second);
  } else if (ran->finding && ran->finding->known.empty()) {
    shown.other = std::move(ran->finding);
  }
  if (const auto warning = ran->warnings.find(wanted.rule); warning != ran->warnings.end()) {
    shown.warning = std::move(warning->second);
  }
  return shown;
}

bool ShowsKnownBug(conformance::Target& target, const Finding& finding, const LiveOptions& options) {
  constexpr int kTriesOfARace = 60;
  constexpr int kTries = 3;
  constexpr std::chrono::seconds kTime{20};
  const auto deadline = std::min(Clock::now() + kTime, options.deadline.value_or(Clock::time_point::max()));
  std::vector<Attempt> attempts = AttemptsOf(finding).overlapping;
  if (auto script = ReproductionOf(finding.known)) {
    attempts = {{.script = *script, .how = ""}};
    for (engine::Script& moved : InPlacesOf(finding, *script)) {
      attempts.push_back({.script = std::move(moved), .how = ""});
    }
  }
  LiveOptions live = options;
  live.keep_answers = false;
  live.power_cut = false;
  for (int tries_left = IsRace(finding.known) ? kTriesOfARace : kTries; tries_left > 0; --tries_left) {
    for (const Attempt& attempt : attempts) {
      if (Clock::now() >= deadline || IsCancelled(options)) {
        return false;
      }
      const auto ran = RunOnFreshServer(target, attempt.script, live);
      if (ran && ran->known.contains(finding.known)) {
        return true;
      }
    }
  }
  return false;
}

std::optional<Finding> Reproduce(conformance::Target& target, const Finding& finding, const ReproduceOptions& options) {
  Reproducer reproducer(target, finding, options);
  auto seen = reproducer.Begin();
  return seen ? std::optional(reproducer.Shrink(*std::move(seen))) : std::nullopt;
}

}  // namespace nbdspec::fuzz
