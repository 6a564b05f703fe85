// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/inputs/script_mutator.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <optional>
#include <utility>
#include <variant>

#include "engine/base/byte_reader.h"

namespace nbdspec::fuzz {

using engine::Bytes;
using engine::kScriptHeadBytes;
using engine::kScriptRecordBytes;
using engine::Script;
using engine::Step;

namespace {

// How often each comes: steps that touch others find most, and long scripts find the rest.
constexpr auto kWeighted = std::to_array<ScriptMutation>(
    {ScriptMutation::kInsert, ScriptMutation::kInsert, ScriptMutation::kInsert, ScriptMutation::kInsert,
     ScriptMutation::kTouchEdge, ScriptMutation::kTouchEdge, ScriptMutation::kDelete, ScriptMutation::kDelete,
     ScriptMutation::kSwap, ScriptMutation::kDuplicate, ScriptMutation::kNudge, ScriptMutation::kSplit,
     ScriptMutation::kWiden, ScriptMutation::kRetype, ScriptMutation::kHead, ScriptMutation::kRecord});

constexpr std::uint64_t kSmallMax = 64;

auto At(std::vector<Step>& steps, std::size_t index) { return steps.begin() + static_cast<std::ptrdiff_t>(index); }

void Insert(std::vector<Step>& into, std::size_t index, std::span<Step> steps) {
  into.insert(At(into, index), std::make_move_iterator(steps.begin()), std::make_move_iterator(steps.end()));
}

}  // namespace

Script ScriptMutator::Fresh(std::size_t count, Script script) {
  std::array<std::uint8_t, kScriptHeadBytes> head;
  random_.Fill(head);
  decoder_.Decode(head, limits_, script);
  fuzz::Insert(script.steps, 0, LikelySteps(script, std::min(count, limits_.steps_max)));
  if (random_.OneIn(3)) {
    Comb(script);
    KeepToCompactHeaders(script);
  }
  if (limits_.kinds.option && limits_.kinds.request && random_.OneIn(2)) {
    // What servers are set up with comes before what they are asked.
    std::vector<Step> requests;
    std::vector<Step> others;
    for (Step& step : script.steps) {
      (std::holds_alternative<engine::RequestStep>(step) ? requests : others).push_back(std::move(step));
    }
    script.steps = std::move(others);
    fuzz::Insert(script.steps, script.steps.size(), requests);
  }
  return script;
}

// Ranges of one length at regular distances, in some order: a map gets large by nothing as soon as by these.
void ScriptMutator::Comb(Script& script) {
  const std::uint64_t units = 1 + random_.Below(4);
  const std::uint64_t distance = units << engine::Pick(random_(), {0, 0, 0, 9, 16, 31, 32});
  const std::uint64_t length = random_.OneIn(2) ? distance : 1 + random_.Below(distance);
  const std::uint64_t begin = random_.OneIn(2) ? 0 : random_.Below(distance + 1);
  teeth_.clear();
  for (Step& step : script.steps) {
    if (std::holds_alternative<engine::ClearStep>(step) && limits_.kinds.add) {
      step = engine::AddStep{};
    }
    if (std::holds_alternative<engine::AddStep>(step) || std::holds_alternative<engine::RequestStep>(step)) {
      teeth_.push_back(&step);
    }
  }
  if (random_.OneIn(2)) {
    std::ranges::shuffle(teeth_, random_);
  } else if (random_.OneIn(2)) {
    std::ranges::reverse(teeth_);
  }
  std::uint64_t offset = begin;
  for (Step* tooth : teeth_) {
    auto* add = std::get_if<engine::AddStep>(tooth);
    if (add != nullptr) {  // Neighbours differ.
      add->type =
          static_cast<engine::ExtentType>((offset / distance + random_.Below(2) * 2) % engine::kExtentTypeCount);
    } else if (!random_.OneIn(2)) {  // Others ask about several.
      continue;
    }
    engine::SetRange(*tooth, {.offset = offset, .length = length});
    offset += distance;
  }
  const std::uint64_t tail = random_.Below(2) * random_.Below(600);
  script.size = std::min({std::max(script.size, offset + tail), limits_.export_bytes_max, engine::kExportBytesMax});
}

void ScriptMutator::MutateBeyondLimits(Script& script) {
  // What grows step by step from nothing stays short for long, and many bugs want length; most want none, and short
  // scripts run sooner.
  constexpr std::size_t kFreshStepsMax = 64;
  if (script.steps.empty() || random_.OneIn(3)) {
    const std::uint64_t count_max = 1 + random_.Below(std::clamp<std::size_t>(limits_.steps_max, 1, kFreshStepsMax));
    script = Fresh(1 + random_.Below(count_max), std::move(script));
    return;
  }
  for (std::uint64_t left = 1 + random_.Below(3); left > 0; --left) {
    MutateOnce(script);
  }
}

void ScriptMutator::Mutate(Script& script) {
  MutateBeyondLimits(script);
  KeepToLimits(script);
}

ScriptMutation ScriptMutator::MutateOnce(Script& script) {
  while (true) {
    const ScriptMutation mutation = kWeighted[random_.Below(kWeighted.size())];
    if (Apply(mutation, script)) {
      return mutation;
    }
  }
}

bool ScriptMutator::Apply(ScriptMutation mutation, Script& script) {
  using Change = bool (ScriptMutator::*)(Script&);
  // In the order of ScriptMutation.
  constexpr std::array<Change, kScriptMutationCount> kChanges = {
      &ScriptMutator::Insert,    &ScriptMutator::Delete, &ScriptMutator::Swap,  &ScriptMutator::Duplicate,
      &ScriptMutator::TouchEdge, &ScriptMutator::Nudge,  &ScriptMutator::Split, &ScriptMutator::Widen,
      &ScriptMutator::Retype,    &ScriptMutator::Head,   &ScriptMutator::Record};
  const bool has_changed = (this->*kChanges[static_cast<std::size_t>(mutation)])(script);
  KeepToCompactHeaders(script);
  return has_changed;
}

// Where the limits know no others: what they cannot carry would take a record that means something else there.
void ScriptMutator::KeepToCompactHeaders(Script& script) const {
  for (auto at = script.steps.begin(); !limits_.kinds.extended && at != script.steps.end(); ++at) {
    if (auto* request = std::get_if<engine::RequestStep>(&*at)) {
      request->length = std::min<std::uint64_t>(request->length, UINT32_MAX);
      request->contexts = {};
      request->is_unannounced = false;
    }
  }
}

Script ScriptMutator::Cross(const Script& one, const Script& other) {
  Script child = random_.OneIn(2) ? one : other;
  child.steps.assign(one.steps.begin(),
                     one.steps.begin() + static_cast<std::ptrdiff_t>(random_.Below(one.steps.size() + 1)));
  const std::size_t skipped = random_.Below(other.steps.size() + 1);
  const auto from = other.steps.begin() + static_cast<std::ptrdiff_t>(skipped);
  const auto count = static_cast<std::ptrdiff_t>(random_.Below(other.steps.size() - skipped + 1));
  child.steps.insert(child.steps.end(), from, from + count);
  KeepToLimits(child);
  return child;
}

bool ScriptMutator::Insert(Script& script) {
  const std::size_t count = random_.OneIn(4) ? 2 + random_.Below(7) : 1;
  while (!script.steps.empty() && script.steps.size() + count > limits_.steps_max) {
    script.steps.erase(At(script.steps, random_.Below(script.steps.size())));
  }
  const std::size_t index = random_.Below(script.steps.size() + 1);
  fuzz::Insert(script.steps, index, LikelySteps(script, count));
  return true;
}

bool ScriptMutator::Delete(Script& script) {
  if (script.steps.empty()) {
    return false;
  }
  const std::size_t index = random_.Below(script.steps.size());
  const std::size_t run = random_.OneIn(4) ? 1 + random_.Below(script.steps.size() - index) : 1;
  script.steps.erase(At(script.steps, index), At(script.steps, index + run));
  return true;
}

bool ScriptMutator::Swap(Script& script) {
  if (script.steps.size() < 2) {
    return false;
  }
  const std::size_t one = random_.Below(script.steps.size());
  const std::size_t other = (one + 1 + random_.Below(script.steps.size() - 1)) % script.steps.size();
  std::swap(script.steps[one], script.steps[other]);
  return true;
}

bool ScriptMutator::Duplicate(Script& script) {
  const std::size_t size = script.steps.size();
  if (size == 0 || size >= limits_.steps_max) {
    return false;
  }
  const std::size_t index = random_.Below(size);
  const std::size_t run = 1 + random_.Below(1 + random_.Below(std::min(size - index, limits_.steps_max - size)));
  likely_.steps.assign(At(script.steps, index), At(script.steps, index + run));
  fuzz::Insert(script.steps, index + run + random_.Below(size - index - run + 1), likely_.steps);
  return true;
}

bool ScriptMutator::TouchEdge(Script& script) {
  const auto at = AnyRange(script);
  if (at) {
    const std::uint64_t edge = AnyEdge(script, at->index) + random_.Below(3) - 1;
    SetEdge(script.steps[at->index], random_.OneIn(2), edge);
  }
  return at.has_value();
}

bool ScriptMutator::Nudge(Script& script) {
  const auto at = AnyRange(script);
  if (!at) {
    return false;
  }
  Step& step = script.steps[at->index];
  const auto [offset, length] = at->range;
  const std::uint64_t up_or_down = random_.OneIn(2) ? 1 : UINT64_MAX;
  switch (random_.Below(3)) {
    case 0:
      SetEdge(step, /*is_end=*/false, offset + up_or_down);
      break;
    case 1:
      SetEdge(step, /*is_end=*/true, offset + length + up_or_down);
      break;
    default:  // Both edges.
      engine::SetRange(step, {.offset = offset + up_or_down, .length = length});
  }
  return true;
}

bool ScriptMutator::Split(Script& script) {
  const auto at = AnyRange(script);
  if (!at || script.steps.size() >= limits_.steps_max || at->range.length < 2) {
    return false;
  }
  const auto [offset, length] = at->range;
  const std::uint64_t first = random_.OneIn(2) ? length / 2 : 1 + random_.Below(length - 1);
  Step rest = script.steps[at->index];
  engine::SetRange(script.steps[at->index], {.offset = offset, .length = first});
  engine::SetRange(rest, {.offset = offset + first, .length = length - first});
  script.steps.insert(At(script.steps, at->index + 1), std::move(rest));
  return true;
}

bool ScriptMutator::Widen(Script& script) {
  if (random_.OneIn(3)) {
    engine::ShiftEdges(script, AnyEdge(script, script.steps.size()), WideNumber());
    return true;
  }
  const auto at = AnyRange(script);
  if (!at) {
    return false;
  }
  Step& step = script.steps[at->index];
  const std::uint64_t wide = WideNumber();
  switch (random_.Below(3)) {
    case 0:
      engine::SetRange(step, {.offset = wide, .length = at->range.length});
      break;
    case 1:
      engine::SetRange(step, {.offset = at->range.offset, .length = wide});
      break;
    default:
      SetEdge(step, /*is_end=*/true, wide);
  }
  return true;
}

bool ScriptMutator::Retype(Script& script) {
  if (script.steps.empty()) {
    return false;
  }
  Step& step = script.steps[random_.Below(script.steps.size())];
  if (!random_.OneIn(4)) {
    const auto below = [this](std::uint64_t likely) { return random_.Below(random_.OneIn(8) ? 256 : likely); };
    if (auto* add = std::get_if<engine::AddStep>(&step)) {
      add->type = static_cast<engine::ExtentType>(below(engine::kExtentTypeCount));
      return true;
    }
    if (auto* all = std::get_if<engine::ForEachStep>(&step)) {
      all->stop_at = static_cast<std::uint8_t>(below(5));
      return true;
    }
    if (auto* request = std::get_if<engine::RequestStep>(&step)) {
      Retype(*request);
      return true;
    }
    if (auto* option = std::get_if<engine::OptionStep>(&step)) {
      Retype(*option);
      return true;
    }
  }
  const std::span<Step> likely = LikelySteps(script, 1);
  if (likely.empty()) {
    return false;
  }
  if (const auto range = engine::RangeOf(step)) {
    engine::SetRange(likely[0], *range);
  }
  step = std::move(likely[0]);
  return true;
}

void ScriptMutator::Retype(engine::RequestStep& step) {
  using engine::Command;
  const bool is_extended = limits_.kinds.extended;
  switch (random_.Below(is_extended ? 5 : 4)) {
    case 0:
      step.command = engine::Pick(random_(), {Command::kRead, Command::kWrite, Command::kFlush, Command::kTrim,
                                              Command::kCache, Command::kZero, Command::kStatus});
      return;
    case 1:
      step.pattern = static_cast<std::uint8_t>(random_());
      return;
    case 2:
      step.connection = static_cast<std::uint8_t>(1 + random_.Below(engine::kConnectionsMax));
      return;
    case 3:
      step.flags =
          static_cast<std::uint16_t>(step.flags ^ 1U << random_.Below(random_.OneIn(8) ? 16 : (is_extended ? 6 : 5)));
      return;
    default:
      step.contexts = static_cast<engine::NamedContexts>(random_.Below(engine::kNamedContextsCount));
      step.is_unannounced = step.command == Command::kWrite && random_.OneIn(2);
  }
}

void ScriptMutator::Retype(engine::OptionStep& step) {
  const std::size_t index = step.names.empty() ? 0 : random_.Below(step.names.size());
  const auto name = step.names.begin() + static_cast<std::ptrdiff_t>(index);
  switch (random_.Below(4)) {
    case 0:
      step.option = static_cast<std::uint32_t>(random_.OneIn(8) ? random_() : random_.Below(13));
      return;
    case 1:
      if (name != step.names.end()) {
        step.names.erase(name);
        return;
      }
      break;
    case 2:
      if (name != step.names.end() && !name->empty()) {
        (*name)[random_.Below(name->size())] ^= static_cast<char>(1 << random_.Below(8));
        return;
      }
      break;
    default:
      break;
  }
  step.names.insert(name, std::string(engine::kBaseAllocation.substr(0, random_.OneIn(2) ? 5 : std::string::npos)));
}

bool ScriptMutator::Head(Script& script) {
  switch (random_.Below(4)) {
    case 0:
      script.initial = static_cast<engine::ExtentType>(random_.Below(engine::kExtentTypeCount));
      break;
    case 1:
      script.size = AnyEdge(script, script.steps.size()) + random_.Below(3) - 1;
      break;
    case 2:
      script.size = random_.Below(kSmallMax + 1);
      break;
    default:
      script.size = WideNumber();
  }
  return true;
}

bool ScriptMutator::Record(Script& script) {
  if (script.steps.empty()) {
    return false;
  }
  const std::size_t index = random_.Below(script.steps.size());
  Bytes bytes = engine::EncodeScript({.steps = {script.steps[index]}});
  const std::size_t count = (bytes.size() - kScriptHeadBytes) / kScriptRecordBytes;
  const std::span records = std::span(bytes).subspan(kScriptHeadBytes);
  const std::span record = records.subspan(random_.Below(count) * kScriptRecordBytes, kScriptRecordBytes);
  if (by_libfuzzer_ && LLVMFuzzerMutate != nullptr) {
    LLVMFuzzerMutate(record.data(), record.size(), record.size());
  } else {
    for (std::uint64_t left = 1 + random_.Below(4); left > 0; --left) {
      record[random_.Below(record.size())] ^= static_cast<std::uint8_t>(1U << random_.Below(8));
    }
  }
  const std::span<Step> steps = StepsOf(script, records);
  script.steps.erase(At(script.steps, index));
  fuzz::Insert(script.steps, index, steps);
  return true;
}

std::span<Step> ScriptMutator::LikelySteps(const Script& script, std::size_t count) {
  records_.resize(count * kScriptRecordBytes);
  random_.Fill(records_);
  return StepsOf(script, records_);
}

std::span<Step> ScriptMutator::StepsOf(const Script& script, engine::ByteView records) {
  // The edges of a few steps will do.
  std::array<Range, 4> ranges;
  std::size_t count = 0;
  for (std::size_t left = ranges.size(); left > 0; --left) {
    if (const auto at = AnyRange(script)) {
      ranges[count++] = at->range;
    }
  }
  likely_.size = std::min(script.size, limits_.export_bytes_max);
  likely_.steps.clear();
  engine::ScriptLimits limits = limits_;
  limits.steps_max = records.size() / kScriptRecordBytes;
  decoder_.DecodeSteps(records, limits, std::span(ranges).first(count), likely_);
  return likely_.steps;
}

std::optional<ScriptMutator::Placed> ScriptMutator::AnyRange(const Script& script) {
  for (int tries = script.steps.empty() ? 0 : 8; tries > 0; --tries) {
    const std::size_t index = random_.Below(script.steps.size());
    if (const auto range = engine::RangeOf(script.steps[index])) {
      return Placed{index, *range};
    }
  }
  return std::nullopt;
}

// Of a step near `but_of` more often than of any other, or of the export.
std::uint64_t ScriptMutator::AnyEdge(const Script& script, std::size_t but_of) {
  const std::size_t count = script.steps.size();
  for (int tries = count == 0 || random_.OneIn(8) ? 0 : 4; tries > 0; --tries) {
    const std::size_t index = random_.OneIn(2) ? random_.Below(count) : (but_of + count + random_.Below(5) - 2) % count;
    const auto range = engine::RangeOf(script.steps[index]);
    if (index != but_of && range) {
      return range->offset + (random_.OneIn(2) ? range->length : 0);
    }
  }
  return random_.OneIn(2) ? script.size : 0;
}

std::uint64_t ScriptMutator::WideNumber() {
  const std::uint64_t wide =
      engine::Pick(random_(), {1ULL << 31, 1ULL << 32, 3ULL << 32, 1ULL << 62, 1ULL << 63, 0ULL});
  return wide + random_.Below(3) - 1;
}

// The other edge stays, unless this one passes it: then they change places.
void ScriptMutator::SetEdge(Step& step, bool is_end, std::uint64_t edge) {
  const Range range = *engine::RangeOf(step);
  const auto [begin, end] = std::minmax({edge, is_end ? range.offset : range.offset + range.length});
  engine::SetRange(step, {.offset = begin, .length = end - begin});
}

// Its bytes decide what `limits_` make of it.
void ScriptMutator::KeepToLimits(Script& script) const {
  script.size = std::min(script.size, engine::kExportBytesMax);
  KeepToCompactHeaders(script);
  script = engine::DecodeScript(engine::EncodeScript(script), limits_);
}

}  // namespace nbdspec::fuzz
