// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/canary/trial.h"

#include <rapidcheck.h>

#include <algorithm>
#include <array>
#include <utility>

#include "engine/base/check.h"
#include "fuzz/inputs/random.h"

namespace nbdspec::fuzz {

namespace {

constexpr auto kGenerators =
    std::to_array<std::pair<Generator, std::string_view>>({{Generator::kOurs, "ours"},
                                                           {Generator::kMutator, "mutator"},
                                                           {Generator::kCounters, "counters"},
                                                           {Generator::kLibfuzzer, "libfuzzer"},
                                                           {Generator::kUniform, "uniform"},
                                                           {Generator::kRapidcheck, "rapidcheck"},
                                                           {Generator::kLikely, "likely"},
                                                           {Generator::kAfl, "afl"},
                                                           {Generator::kAflOurs, "afl-ours"}});

double SecondsSince(std::clock_t start) {
  return static_cast<double>(std::clock() - start) / static_cast<double>(CLOCKS_PER_SEC);
}

// RapidCheck's size grows from 0 to 100 within each round of a hundred.
TrialResult RunRapidcheck(const CanaryTarget& target, const Canary& canary, const TrialOptions& options) {
  constexpr int kRound = 100;
  TrialResult result;
  const std::clock_t start = std::clock();
  Random seeds(options.seed);
  const auto with_bytes = [&] {
    auto input = *rc::gen::container<engine::Bytes>(rc::gen::arbitrary<std::uint8_t>());
    input.resize(std::min(input.size(), target.inputs.bytes_max));
    RC_ASSERT(!canary.find(input));
  };
  const std::function<void()> property = canary.property ? canary.property : with_bytes;
  canary_notes = {};
  while (!result.is_found && result.inputs < options.inputs_max && result.seconds < options.seconds_max) {
    const auto round = rc::detail::checkTestable(
        [&] {
          // Past the end of the time, a property that holds ends the round soon.
          if (SecondsSince(start) < options.seconds_max) {
            property();
          }
        },
        rc::detail::TestMetadata{},
        rc::detail::TestParams{
            .seed = seeds(),
            .maxSuccess = static_cast<int>(std::min<std::uint64_t>(kRound, options.inputs_max - result.inputs)),
            .disableShrinking = true});
    rc::detail::FailureResult failure;
    result.is_found = round.match(failure);
    result.inputs += static_cast<std::uint64_t>(result.is_found ? failure.numSuccess + 1 : kRound);
    result.seconds = SecondsSince(start);
  }
  result.notes = canary_notes;
  return result;
}

}  // namespace

std::string_view NameOf(Generator generator) {
  return std::ranges::find(kGenerators, generator, &std::pair<Generator, std::string_view>::first)->second;
}

std::optional<Generator> GeneratorNamed(std::string_view name) {
  const auto* found = std::ranges::find(kGenerators, name, &std::pair<Generator, std::string_view>::second);
  return found == kGenerators.end() ? std::nullopt : std::optional(found->first);
}

Trial::Trial(const Canary& canary, const TrialOptions& options)
    : canary_(canary), options_(options), start_(std::clock()) {
  canary_notes = {};
}

bool Trial::Try(engine::ByteView input) {
  constexpr std::uint64_t kInputsBetweenLooks = 64;
  ++result_.inputs;
  result_.is_found = canary_.find(input).has_value();
  const bool is_over = result_.is_found || result_.inputs >= options_.inputs_max ||
                       (result_.inputs % kInputsBetweenLooks == 0 && SecondsSince(start_) >= options_.seconds_max);
  if (is_over) {
    result_.seconds = SecondsSince(start_);
    result_.notes = canary_notes;
  }
  return is_over;
}

TrialResult RunTrial(const CanaryTarget& target, const Canary& canary, const TrialOptions& options) {
  NBDSPEC_CHECK(!NeedsLibfuzzer(options.generator) && !NeedsAfl(options.generator));
  if (options.generator == Generator::kRapidcheck) {
    return RunRapidcheck(target, canary, options);
  }
  InputKind kind = target.inputs;
  if (options.generator == Generator::kUniform) {
    kind = {.bytes_max = target.inputs.bytes_max};
  }
  LikelyInputs likely(kind, options.seed);
  Random random(options.seed);
  Trial trial(canary, options);
  while (!trial.Try(options.generator == Generator::kUniform ? FreshInput(kind, random) : likely.Next())) {
  }
  return trial.result();
}

}  // namespace nbdspec::fuzz
