// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/model/disputed_bytes.h"

#include <algorithm>
#include <iterator>
#include <span>
#include <utility>

namespace nbdspec::fuzz {

using engine::ByteRange;
using engine::ByteView;

namespace {

constexpr std::size_t kRegionsMax = 4096;
constexpr std::size_t kCandidatesMax = 32;  // Of a region, answered ones; beyond, anything may stand there.
constexpr int kPiecesMax = 16;              // Of a run of them.
constexpr std::size_t kRunsMax = 64;        // Of one READ; what is beyond proves nothing.

// How many of the first of `data`, at `offset`, are what a write of `pattern` leaves.
std::size_t PatternMatchLength(std::uint8_t pattern, std::uint64_t offset, ByteView data) {
  std::array<std::uint8_t, 2048> piece;
  for (std::size_t at = 0; at < data.size();) {
    const std::size_t count = std::min(piece.size(), data.size() - at);
    // Most candidates that are wrong are so at once.
    const std::size_t tried = at == 0 ? std::min<std::size_t>(count, 16) : count;
    const std::span<std::uint8_t> expected(piece.data(), tried);
    engine::FillWithPattern(pattern, offset + at, expected);
    const auto [wrong, _] = std::ranges::mismatch(expected, data.subspan(at, tried));
    at += static_cast<std::size_t>(wrong - expected.begin());
    if (wrong != expected.end()) {
      return at;
    }
  }
  return data.size();
}

}  // namespace

void Candidate::LeaveAt(std::uint8_t to, Time time) { gone_at[to - 1U] = std::min(gone_at[to - 1U], time); }

void Candidate::LeaveAllAt(Time time) {
  for (Time& each : gone_at) {
    each = std::min(each, time);
  }
}

// --- Regions ---

DisputedBytes::Regions::const_iterator DisputedBytes::FirstIn(ByteRange range) const {
  auto region = regions_.upper_bound(range.begin);
  if (region != regions_.begin() && std::prev(region)->second.end > range.begin) {
    --region;
  }
  return region;
}

DisputedBytes::Regions::iterator DisputedBytes::FirstIn(ByteRange range) {
  const auto region = std::as_const(*this).FirstIn(range);
  return regions_.erase(region, region);  // Erases nothing; makes it mutable.
}

void DisputedBytes::SplitAt(std::uint64_t offset) {
  const auto region = FirstIn({.begin = offset, .end = offset});
  if (region != regions_.end() && region->first < offset && offset < region->second.end) {
    regions_.emplace_hint(std::next(region), offset, region->second);
    region->second.end = offset;
  }
}

// Gives up what is disputed where nothing is in flight.
void DisputedBytes::MakeRoom() {
  std::erase_if(regions_, [&](const auto& each) {
    const auto& [begin, region] = each;
    const bool is_quiet = std::ranges::none_of(region.candidates,
                                               [](const Candidate& candidate) { return candidate.ended_at == kNever; });
    if (is_quiet) {
      bytes_.Apply({.begin = begin, .end = region.end}, {});
    }
    return is_quiet;
  });
}

void DisputedBytes::Add(ByteRange range, const Candidate& candidate) {
  if (regions_.size() >= kRegionsMax) {
    MakeRoom();
  }
  for (const ByteRange window : windows_) {
    const ByteRange part = Intersect(window, range);
    if (part.empty()) {
      continue;
    }
    SplitAt(part.begin);
    SplitAt(part.end);
    auto region = FirstIn(part);
    for (std::uint64_t at = part.begin; at < part.end;) {
      const std::uint64_t next = region == regions_.end() ? part.end : std::min(region->first, part.end);
      if (at < next) {
        const Candidate before{.is_before = true, .ended_at = 0, .seen_by_all_at = 0};
        region = regions_.emplace_hint(region, at, Region{.end = next, .candidates = {before}});
      }
      region->second.candidates.push_back(candidate);
      at = region->second.end;
      ++region;
    }
  }
}

// --- Answers ---

namespace {

// Those of `candidates` that are `which` become one that may be anything.
template <typename Which>
void Join(std::vector<Candidate>& candidates, Which which) {
  Candidate joined{.ended_at = 0, .seen_by_all_at = 0, .gone_at = {}};
  std::erase_if(candidates, [&](const Candidate& each) {
    if (!which(each)) {
      return false;
    }
    joined.ended_at = std::max(joined.ended_at, each.ended_at);
    joined.seen_by_all_at = std::max(joined.seen_by_all_at, each.seen_by_all_at);
    for (std::size_t i = 0; i < joined.gone_at.size(); ++i) {
      joined.gone_at[i] = std::max(joined.gone_at[i], each.gone_at[i]);
    }
    return true;
  });
  candidates.push_back(joined);  // Of none it is gone for all.
}

// Too many to tell apart: first those that are gone for some.
void JoinSome(std::vector<Candidate>& candidates) {
  const auto is_answered = [](const Candidate& each) { return each.ended_at != kNever; };
  Join(candidates, [&](const Candidate& each) { return is_answered(each) && each.gone_at != Candidate::AllNever(); });
  if (candidates.size() > kCandidatesMax) {
    Join(candidates, is_answered);
  }
}

}  // namespace

void DisputedBytes::Settle(ByteRange range, Ticket ticket, const Answer& answer) {
  if (range.empty()) {
    return;
  }
  for (auto at = FirstIn(range); at != regions_.end() && at->first < range.end; ++at) {
    std::vector<Candidate>& candidates = at->second.candidates;
    for (Candidate& each : candidates) {
      if (each.ticket == ticket && each.ended_at == kNever) {
        each.effect = answer.effect;
        each.ended_at = answer.time;
        each.seen_by_all_at = answer.is_seen_by_all ? answer.time : kNever;
      } else if (each.SettledAt(answer.connection) < answer.sent_at) {
        answer.is_seen_by_all ? each.LeaveAllAt(answer.time) : each.LeaveAt(answer.connection, answer.time);
      }
    }
    if (candidates.size() > kCandidatesMax) {
      JoinSome(candidates);
    }
  }
}

void DisputedBytes::Flush(Time sent_at, Time time) {
  for (auto& [begin, region] : regions_) {
    for (Candidate& each : region.candidates) {
      if (each.ended_at < sent_at) {
        each.seen_by_all_at = std::min(each.seen_by_all_at, time);
      }
      // What replaced it on one connection has replaced it on all.
      if (std::ranges::min(each.gone_at) < sent_at) {
        each.LeaveAllAt(time);
      }
    }
  }
}

// Whether one value is left, or anything is possible, for everybody.
bool DisputedBytes::IsOver(const Region& region, std::uint8_t connections) {
  const std::vector<Candidate>& candidates = region.candidates;
  const bool is_settled = std::ranges::all_of(candidates, [&](const Candidate& each) {
    for (std::uint8_t to = 1; to <= connections; ++to) {
      if (each.SettledAt(to) == kNever) {
        return false;
      }
    }
    return candidates.size() == 1 || each.gone_at == Candidate::AllNever();
  });
  return is_settled && (std::ranges::any_of(candidates, &Candidate::is_unknown) ||
                        std::ranges::all_of(candidates, [&](const Candidate& each) {
                          return each.is_before == candidates[0].is_before && each.effect == candidates[0].effect;
                        }));
}

ByteRange DisputedBytes::WholeRegions(ByteRange range) const {
  const auto first = FirstIn(range);
  auto end = first;
  ByteRange whole = {.begin = first == regions_.end() ? range.end : first->first, .end = 0};
  for (; end != regions_.end() && end->first < range.end; ++end) {
    whole.end = end->second.end;
  }
  return whole.end == 0 ? ByteRange{} : whole;
}

void DisputedBytes::Prune(ByteRange range, const std::vector<Looker>& lookers, std::uint8_t connections) {
  for (auto at = FirstIn(range); at != regions_.end() && at->first < range.end;) {
    auto& [begin, region] = *at;
    const ByteRange here = {.begin = begin, .end = region.end};
    const auto is_gone = [&](const Candidate& each) {
      return std::ranges::max(std::span(each.gone_at).first(connections)) != kNever;
    };
    // When none is left, what connections saw contradicts itself: that stays, and refutes the next READ.
    if (!std::ranges::all_of(region.candidates, is_gone)) {
      std::erase_if(region.candidates, [&](const Candidate& each) {
        return is_gone(each) && std::ranges::none_of(lookers, [&](const Looker& looker) {
                 return each.IsVisible(looker) && !Intersect(looker.range, here).empty();
               });
      });
    }
    if (!IsOver(region, connections)) {
      ++at;
      continue;
    }
    const auto unknown = std::ranges::find_if(region.candidates, &Candidate::is_unknown);
    const Candidate& left = unknown == region.candidates.end() ? region.candidates.front() : *unknown;
    if (!left.is_before) {
      bytes_.Apply(here, left.effect);
    }
    at = regions_.erase(at);
  }
}

// --- What is seen ---

std::optional<std::uint8_t> DisputedBytes::ByteOf(const Candidate& candidate, std::uint64_t offset) const {
  return candidate.is_before ? bytes_.At(offset) : candidate.effect.ByteAt(offset);
}

std::size_t DisputedBytes::MatchLength(const Candidate& candidate, std::uint64_t offset, ByteView data) const {
  if (candidate.is_before) {
    const auto wrong_at = bytes_.FirstDifference(offset, data, offset);
    return wrong_at ? static_cast<std::size_t>(*wrong_at - offset) : data.size();
  }
  switch (candidate.effect.kind) {
    case Effect::Kind::kPattern:
      return PatternMatchLength(candidate.effect.pattern, offset, data);
    case Effect::Kind::kZeroes:
      return static_cast<std::size_t>(std::ranges::find_if(data, [](std::uint8_t byte) { return byte != 0; }) -
                                      data.begin());
    case Effect::Kind::kUnknown:
      return data.size();
  }
  return 0;
}

// Explains `data`, which lies inside of `region`, run by run: each as long as any candidate explains it.
Unexplained DisputedBytes::RefuteIn(const Region& region, const Looker& looker, std::uint64_t offset, ByteView data,
                                    std::vector<Run>& runs, std::vector<SeenRun>& shown) const {
  const auto may_be_anything = [&](const Candidate& each) { return each.is_unknown() && each.IsVisible(looker); };
  if (std::ranges::any_of(region.candidates, may_be_anything)) {
    return {};
  }
  // Nobody promises what a READ shows of a write before its answer: docs/reads_during_writes.md.
  const bool is_written = std::ranges::any_of(
      region.candidates, [&](const Candidate& each) { return !each.is_before && each.ended_at > looker.sent_at; });
  Unexplained unexplained;
  while (!data.empty()) {
    Run run;
    std::size_t longest = 0;
    for (std::size_t i = 0; i < region.candidates.size(); ++i) {
      const Candidate& each = region.candidates[i];
      const std::size_t length = each.IsVisible(looker) ? MatchLength(each, offset, data) : 0;
      if (length > longest) {
        longest = length;
        run.kept.clear();
      }
      if (length == longest && length > 0) {
        run.kept.push_back(i);
      }
    }
    if (longest == 0) {
      auto& first = is_written ? unexplained.open_at : unexplained.wrong_at;
      first = first.value_or(offset);
      if (!is_written) {
        return unexplained;
      }
      ++offset;
      data = data.subspan(1);
      continue;
    }
    run.range = {.begin = offset, .end = offset + longest};
    if (runs.size() < kRunsMax) {
      const Candidate& first = region.candidates[run.kept.front()];
      shown.push_back({.range = run.range, .ticket = first.ticket, .effect = first.effect});
      runs.push_back(std::move(run));
    }
    offset += longest;
    data = data.subspan(longest);
  }
  return unexplained;
}

// The first offset in `range` where `data`, which stands there, is also what one of `candidates` left that `looker` may
// see and that may still come.
std::uint64_t DisputedBytes::FirstAmbiguous(const std::vector<Candidate>& candidates, const Looker& looker,
                                            ByteRange range, ByteView data) {
  std::uint64_t first = range.end;
  for (const Candidate& each : candidates) {
    if (each.SettledAt(looker.connection) < looker.sent_at || !each.IsVisible(looker)) {
      continue;
    }
    for (std::uint64_t at = range.begin; at < first; ++at) {
      first = each.effect.ByteAt(at) == data[static_cast<std::size_t>(at - range.begin)] ? at : first;
    }
  }
  return first;
}

// What `run` showed proves something, but for single bytes that something in flight may have left as well.
void DisputedBytes::ExcludeByRun(const Looker& looker, const Run& run, ByteView data) {
  std::uint64_t at = run.range.begin;
  for (int pieces_left = kPiecesMax; at < run.range.end && pieces_left > 0; --pieces_left) {
    const ByteView rest = data.subspan(static_cast<std::size_t>(at - run.range.begin));
    const ByteRange piece = {.begin = at,
                             .end = FirstAmbiguous(FirstIn({.begin = at, .end = at + 1})->second.candidates, looker,
                                                   {.begin = at, .end = run.range.end}, rest)};
    if (!piece.empty() && !Exclude(looker, {.range = piece, .kept = run.kept}, rest)) {
      return;
    }
    at = piece.end + 1;
  }
}

// The bytes of `run` were what `kept` left at a time when all that is settled had happened: other settled candidates
// came before. One that is in flight proves nothing: until it is answered each look may show it or not. Returns whether
// there was one to exclude.
bool DisputedBytes::Exclude(const Looker& looker, const Run& run, ByteView data) {
  const auto is_settled = [&](const Candidate& each) { return each.SettledAt(looker.connection) < looker.sent_at; };
  const std::vector<Candidate>& now = FirstIn(run.range)->second.candidates;
  Time own_time = 0;
  Time time_of_all = 0;
  for (const std::size_t index : run.kept) {
    if (!is_settled(now[index])) {
      return false;
    }
    own_time = std::max(own_time, now[index].SettledAt(looker.connection));
    time_of_all = std::max(time_of_all, now[index].seen_by_all_at);
  }
  std::vector<std::size_t> excluded;
  for (std::size_t i = 0; i < now.size(); ++i) {
    const bool is_kept = std::ranges::find(run.kept, i) != run.kept.end();
    if (!is_kept && now[i].IsVisible(looker) && is_settled(now[i])) {
      excluded.push_back(i);
    }
  }
  if (excluded.empty()) {
    return false;
  }
  SplitAt(run.range.begin);
  SplitAt(run.range.end);
  std::vector<Candidate>& candidates = FirstIn(run.range)->second.candidates;
  for (const std::size_t index : excluded) {
    Candidate& gone = candidates[index];
    gone.LeaveAt(looker.connection, std::max(own_time, gone.SettledAt(looker.connection)));
    const Time of_all = std::max(time_of_all, gone.seen_by_all_at);
    if (of_all < looker.sent_at) {
      gone.LeaveAllAt(of_all);
    }
    StandIn(run, gone, data, candidates);
  }
  return true;
}

// Where `gone` agrees with what stays, what stays stands for both.
void DisputedBytes::StandIn(const Run& run, const Candidate& gone, ByteView data,
                            std::vector<Candidate>& candidates) const {
  for (std::uint64_t at = run.range.begin; at < run.range.end; ++at) {
    if (ByteOf(gone, at) == data[static_cast<std::size_t>(at - run.range.begin)]) {
      for (const std::size_t kept : run.kept) {
        candidates[kept].ended_at = std::max(candidates[kept].ended_at, gone.ended_at);
        candidates[kept].seen_by_all_at = std::max(candidates[kept].seen_by_all_at, gone.seen_by_all_at);
      }
      return;
    }
  }
}

Unexplained DisputedBytes::Refute(const Looker& looker, std::uint64_t offset, ByteView data, bool is_proof,
                                  std::vector<SeenRun>& shown) {
  const ByteRange range = {.begin = offset, .end = offset + data.size()};
  const auto part_of = [&](ByteRange part) {
    return data.subspan(static_cast<std::size_t>(part.begin - offset), static_cast<std::size_t>(part.length()));
  };
  Unexplained unexplained;
  std::vector<Run> runs;
  std::uint64_t at = offset;
  for (auto region = FirstIn(range); at < range.end; ++region) {
    const std::uint64_t next = region == regions_.end() ? range.end : std::clamp(region->first, at, range.end);
    const ByteRange gap = {.begin = at, .end = next};
    unexplained.wrong_at = bytes_.FirstDifference(gap.begin, part_of(gap), gap.begin);
    if (unexplained.wrong_at) {
      return unexplained;
    }
    if (next == range.end) {
      break;
    }
    const ByteRange part = {.begin = next, .end = std::min(region->second.end, range.end)};
    const Unexplained here = RefuteIn(region->second, looker, part.begin, part_of(part), runs, shown);
    unexplained.open_at = unexplained.open_at ? unexplained.open_at : here.open_at;
    if (here.wrong_at) {
      return {.wrong_at = here.wrong_at, .open_at = unexplained.open_at};
    }
    at = part.end;
  }
  if (is_proof) {
    for (const Run& run : runs) {
      ExcludeByRun(looker, run, part_of(run.range));
    }
  }
  return unexplained;
}

std::optional<std::uint64_t> DisputedBytes::RefuteZeroesIn(const Region& region, const Looker& looker,
                                                           ByteRange range) const {
  std::vector<const Candidate*> visible;
  for (const Candidate& each : region.candidates) {
    // What is written meanwhile may pass through states that nobody promised anything about.
    if (each.SettledAt(looker.connection) > looker.sent_at) {
      return {};
    }
    if (each.IsVisible(looker)) {
      visible.push_back(&each);
    }
  }
  for (std::uint64_t at = range.begin; at < range.end; ++at) {
    const auto before = std::ranges::find_if(visible, &Candidate::is_before);
    const auto non_zero = before == visible.end() ? at : bytes_.FirstNonZero({.begin = at, .end = range.end});
    if (!non_zero) {
      return {};
    }
    at = *non_zero;
    const bool may_be_zero = std::ranges::any_of(
        visible, [&](const Candidate* each) { return !each->is_before && each->effect.ByteAt(at).value_or(0) == 0; });
    if (!may_be_zero) {
      return at;
    }
  }
  return {};
}

std::optional<std::uint64_t> DisputedBytes::RefuteZeroes(const Looker& looker, ByteRange range) const {
  std::uint64_t at = range.begin;
  for (auto region = FirstIn(range); at < range.end; ++region) {
    const std::uint64_t next = region == regions_.end() ? range.end : std::clamp(region->first, at, range.end);
    if (const auto wrong_at = bytes_.FirstNonZero({.begin = at, .end = next})) {
      return wrong_at;
    }
    if (next == range.end) {
      break;
    }
    at = std::min(region->second.end, range.end);
    if (const auto wrong_at = RefuteZeroesIn(region->second, looker, {.begin = next, .end = at})) {
      return wrong_at;
    }
  }
  return {};
}

bool DisputedBytes::IsZeroed(const Looker& looker, std::uint64_t offset) const {
  const auto region = FirstIn({.begin = offset, .end = offset + 1});
  if (region == regions_.end() || region->first > offset) {
    return bytes_.IsZeroed(offset);
  }
  return std::ranges::all_of(region->second.candidates, [&](const Candidate& each) {
    return !each.IsVisible(looker) || each.effect.kind == Effect::Kind::kZeroes ||
           (each.is_before && bytes_.IsZeroed(offset));
  });
}

std::vector<std::uint8_t> DisputedBytes::ValuesAt(const Looker& looker, std::uint64_t offset) const {
  const auto region = FirstIn({.begin = offset, .end = offset + 1});
  if (region == regions_.end() || region->first > offset) {
    const auto byte = bytes_.At(offset);
    return byte ? std::vector{*byte} : std::vector<std::uint8_t>();
  }
  std::vector<std::uint8_t> values;
  for (const Candidate& each : region->second.candidates) {
    if (!each.IsVisible(looker)) {
      continue;
    }
    const auto byte = ByteOf(each, offset);
    if (!byte) {
      return {};
    }
    if (std::ranges::find(values, *byte) == values.end()) {
      values.push_back(*byte);
    }
  }
  return values;
}

}  // namespace nbdspec::fuzz
