// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/comparisons/script_shrink_differential.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <variant>

#include "engine/oracle/oracles.h"
#include "engine/script/shrink.h"

namespace nbdspec::fuzz {
namespace {

using engine::Script;
using engine::Step;
using Fails = std::function<bool(const Script&)>;

constexpr int kTriesMax = 5000;
constexpr int kMapTriesMax = 300;  // An oracle takes its time.
constexpr std::uint64_t kBitmapBytesMax = 512;

// The smallest step that does what `step` does.
struct SmallestStep {
  Step operator()(const engine::RequestStep& step) const { return engine::RequestStep{.command = step.command}; }
  Step operator()(const engine::OptionStep& step) const { return engine::OptionStep{.option = step.option}; }
  template <typename Other>
  Step operator()(const Other&) const {
    return Other{};
  }
};

Step Smallest(const Step& step) { return std::visit(SmallestStep{}, step); }

// Where an Add ends; none where it wraps, or `step` is another.
std::optional<std::uint64_t> EndOfAdd(const Step& step) {
  const auto* add = std::get_if<engine::AddStep>(&step);
  const bool has_end = add != nullptr && add->length <= std::numeric_limits<std::uint64_t>::max() - add->offset;
  return has_end ? std::optional(add->offset + add->length) : std::nullopt;
}

std::uint64_t LastEnd(const Script& script) {
  std::uint64_t last = 0;
  for (const Step& step : script.steps) {
    last = std::max(last, EndOfAdd(step).value_or(0));
  }
  return last;
}

template <typename Oracle>
std::size_t ExtentCountBy(const Script& script) {
  Oracle oracle(script.size, script.initial);
  for (const Step& step : script.steps) {
    if (const auto* add = std::get_if<engine::AddStep>(&step)) {
      (void)oracle.Add(add->offset, add->length, add->type);  // What it refuses changes nothing.
    } else if (std::holds_alternative<engine::ClearStep>(step)) {
      oracle.Clear();
    }
  }
  return oracle.Extents({.begin = 0, .end = script.size}).size();
}

// Shrinks `script`, which fails, and sees to what must hold whatever the reason.
class Shrinking {
 public:
  Shrinking(const Script& script, Fails fails, int tries_max, const ShrinkScript& shrink) {
    int tries = 0;
    const Fails counted = [&](const Script& candidate) {
      ++tries;
      return fails(candidate);
    };
    small_ = shrink(script, counted, tries_max);
    if (tries > tries_max) {
      Accuse("at most " + std::to_string(tries_max) + " tries", std::to_string(tries));
    }
    if (!fails(small_)) {
      Accuse("a script that still fails", engine::Print(small_));
    }
    if (small_.steps.size() > script.steps.size()) {
      Accuse("no more steps than before", engine::Print(small_));
    }
    if (Script again = shrink(script, fails, tries_max); again != small_) {
      Accuse(engine::Print(small_), engine::Print(again) + "# the second time");
    }
    is_complete_ = tries < tries_max;
  }

  void Accuse(std::string expected, std::string saw) {
    if (!found_) {
      found_ = {.where = "what it shrinks to", .expected = std::move(expected), .saw = std::move(saw)};
    }
  }

  [[nodiscard]] const Script& small() const { return small_; }
  [[nodiscard]] bool is_complete() const { return is_complete_; }  // It did not run out of tries.
  [[nodiscard]] std::optional<Disagreement> found() const { return found_; }

 private:
  Script small_;
  bool is_complete_ = false;
  std::optional<Disagreement> found_;
};

// It fails as long as some step does what the last one does: everything else goes.
std::optional<Disagreement> FindByKind(const Script& script, const ShrinkScript& shrink) {
  const Step kept = Smallest(script.steps.back());
  const Fails fails = [&](const Script& candidate) {
    return std::ranges::any_of(candidate.steps, [&](const Step& step) { return Smallest(step) == kept; });
  };
  Shrinking shrinking(script, fails, kTriesMax, shrink);
  const Script expected = {.size = 0, .steps = {kept}};
  if (shrinking.is_complete() && shrinking.small() != expected) {
    shrinking.Accuse(engine::Print(expected), engine::Print(shrinking.small()));
  }
  return shrinking.found();
}

// It fails as long as an Add ends as far away: one is left, which ends there or, because its begin and length may each
// be rounded up to be read more easily, later, but not by much.
std::optional<Disagreement> FindByLastEnd(const Script& script, const ShrinkScript& shrink) {
  const std::uint64_t end = LastEnd(script);
  if (end == 0) {
    return std::nullopt;
  }
  Shrinking shrinking(script, [&](const Script& candidate) { return LastEnd(candidate) >= end; }, kTriesMax, shrink);
  const __int128 small_end = LastEnd(shrinking.small());
  if (shrinking.is_complete() && (shrinking.small().steps.size() != 1 || small_end > 4 * __int128{end})) {
    shrinking.Accuse("one step that ends at " + engine::PrintNumber(end) + " or a bit later",
                     engine::Print(shrinking.small()));
  }
  return shrinking.found();
}

// It fails as long as it leaves as many extents. The oracles agree on how many those are.
std::optional<Disagreement> FindByExtentCount(const Script& script, const ShrinkScript& shrink) {
  const std::size_t count = ExtentCountBy<engine::LastWriterOracle>(script);
  const auto is_small = [](const Script& each) { return each.size <= kBitmapBytesMax; };
  if (is_small(script) && ExtentCountBy<engine::BitmapOracle>(script) != count) {
    return Disagreement{.where = "the oracles", .expected = std::to_string(count) + " extents", .saw = "others"};
  }
  const Fails fails = [&](const Script& candidate) {
    return (is_small(candidate) ? ExtentCountBy<engine::BitmapOracle>(candidate)
                                : ExtentCountBy<engine::LastWriterOracle>(candidate)) >= count;
  };
  return Shrinking(script, fails, kMapTriesMax, shrink).found();
}

}  // namespace

std::optional<Disagreement> FindScriptShrinkDisagreement(const Script& script, const ShrinkScript& shrink) {
  auto found = script.steps.empty() ? std::nullopt : FindByKind(script, shrink);
  found = found ? found : FindByLastEnd(script, shrink);
  return found ? found : FindByExtentCount(script, shrink);
}

FuzzTarget ScriptShrinkTarget() {
  return {.name = "script_shrink",
          .subject = "making scripts smaller",
          .against = "what must be left of them, where that is known",
          .inputs = ScriptKind(kShrinkLimits),
          .find_in_script =
              [](const engine::Script& script) { return FindScriptShrinkDisagreement(script, engine::Shrink); },
          .test_runs = 500,
          .check_runs = 10'000};
}

}  // namespace nbdspec::fuzz
