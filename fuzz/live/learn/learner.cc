// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/learn/learner.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "engine/base/check.h"
#include "engine/base/mix.h"
#include "fuzz/inputs/script_mutator.h"
#include "fuzz/live/judge/reply_judge.h"

namespace nbdspec::fuzz {

using engine::Command;
using engine::CommandFlag;
using engine::Script;

namespace {

// Measured (docs/howto/fuzz_a_server.md): what is changed shows more kinds of answers, what is made afresh finds
// planted bugs sooner. So half is made afresh, and half of the rest is joined with what would have been.
constexpr std::uint64_t kFreshOneIn = 2;
constexpr std::uint64_t kJoinsFreshOneIn = 2;
constexpr std::uint64_t kJoinsKeptOneIn = 3;  // Of the others.
constexpr std::uint64_t kInsideOneIn = 2;     // Of those that are changed, where some showed more within the server.
constexpr std::uint64_t kLikelyOneIn = 8;     // Of steps that the mutator likes, which owe nothing to what is kept.
constexpr std::uint64_t kLikelyStepsMax = 64;
constexpr std::uint64_t kChangesMax = 5;
constexpr std::uint64_t kImpoliteOneIn = 4;
constexpr std::uint32_t kPayloadBytesMax = 64 << 10;  // Longer data takes long, and shows little more.
// What a server may have to do byte by byte. More would take its time, and be no bug.
constexpr std::uint64_t kSlowBytesMax = 4 << 20;
constexpr std::ptrdiff_t kLeavesMax = 2;  // Each takes a handshake,
constexpr std::ptrdiff_t kVisitsMax = 1;  // each visitor one,
constexpr std::ptrdiff_t kCutsMax = 3;    // and each of these a new server.

bool IsOption(const engine::Step& step) { return std::holds_alternative<engine::OptionStep>(step); }

// Takes the steps of this kind after the first `count`.
template <typename Kind>
void KeepFirst(std::ptrdiff_t count, Script& script) {
  std::erase_if(script.steps,
                [&](const engine::Step& step) { return std::holds_alternative<Kind>(step) && count-- <= 0; });
}

engine::ScriptLimits LimitsOf(const ScriptFrame& frame) {
  return {.export_bytes_max = frame.offer.info.size,
          .steps_max = frame.steps_max,
          .kinds = {.request = true,
                    .wait = true,
                    .cut = frame.power_cuts,
                    .leave = !frame.power_cuts,
                    .send = true,
                    .extended = frame.offer.headers == engine::HeaderForm::kExtended},
          .connections_max = frame.connections_max,
          .payload_bytes_max = std::min(kPayloadBytesMax, std::max(1U, frame.offer.block_size.maximum))};
}

// Requests that the server offers, in whole blocks.
void MakePolite(const Offer& offer, Script& script) {
  const std::uint64_t block = std::max(1U, offer.block_size.minimum);
  for (engine::Step& step : script.steps) {
    if (auto* const request = std::get_if<engine::RequestStep>(&step)) {
      request->offset -= request->offset % block;
      request->length -= request->length % block;
      request->is_unannounced = false;
    }
  }
  std::erase_if(script.steps, [&](const engine::Step& step) {
    const auto* const request = std::get_if<engine::RequestStep>(&step);
    return request != nullptr && !IsOffered(LegalityOf(*request, offer));
  });
}

}  // namespace

bool IsOffered(const engine::Legality& legality) {
  using engine::Reason;
  constexpr Reason kReasons[] = {Reason::kUnknownCommand,   Reason::kNotOffered,     Reason::kUnknownFlag,
                                 Reason::kInapplicableFlag, Reason::kFlagNotOffered, Reason::kReadOnly,
                                 Reason::kNoContext,        Reason::kBadQuery,       Reason::kMisaligned,
                                 Reason::kTooLong};
  return std::ranges::none_of(kReasons, [&](Reason reason) { return legality.Has(reason); });
}

void FitInto(const ScriptFrame& frame, Script& script) {
  script.size = frame.offer.info.size;
  script.initial = engine::ExtentType::kData;
  for (engine::Step& step : script.steps) {
    if (auto* const request = std::get_if<engine::RequestStep>(&step)) {
      request->connection = request->connection > frame.connections_max ? std::uint8_t{1} : request->connection;
      const bool is_slow = request->command == Command::kCache ||
                           (request->command == Command::kZero && (request->flags & CommandFlag::kFastZero) == 0);
      request->length = is_slow ? std::min(request->length, kSlowBytesMax) : request->length;
    }
  }
  if (frame.only_offered) {
    std::erase_if(script.steps, [&](const engine::Step& step) {
      const auto* const request = std::get_if<engine::RequestStep>(&step);
      return request != nullptr && !LegalityOf(*request, frame.offer).is_legal();
    });
  }
}

Script Learner::Next(std::uint64_t number, Script fresh, const ScriptFrame& frame) const {
  NBDSPEC_CHECK(frame.connections_max >= 1 && frame.connections_max <= engine::kConnectionsMax);
  Random random(engine::SeedAt(~seed_, number));  // Other numbers than those of what is made afresh.
  if (kept_.empty() || random.OneIn(kFreshOneIn)) {
    return fresh;
  }
  ScriptMutator mutator(LimitsOf(frame), random());
  Script script = Choose(random);
  if (random.OneIn(kLikelyOneIn)) {
    script = mutator.Fresh(1 + random.Below(kLikelyStepsMax));
  } else if (random.OneIn(kJoinsFreshOneIn)) {
    std::erase_if(fresh.steps, IsOption);
    script = random.OneIn(2) ? mutator.Cross(script, fresh) : mutator.Cross(fresh, script);
  } else if (random.OneIn(kJoinsKeptOneIn)) {
    script = mutator.Cross(script, kept_[random.Below(kept_.size())]);
  }
  for (std::uint64_t left = random.Below(kChangesMax + 1); left > 0; --left) {
    mutator.MutateOnce(script);
  }
  mutator.KeepToLimits(script);
  if (frame.only_offered || !random.OneIn(kImpoliteOneIn)) {
    MakePolite(frame.offer, script);
  }
  KeepFirst<engine::LeaveStep>(kLeavesMax, script);
  KeepFirst<engine::VisitStep>(kVisitsMax, script);
  KeepFirst<engine::CutStep>(kCutsMax, script);
  FitInto(frame, script);
  script.steps.insert(script.steps.begin(), frame.haggling.begin(), frame.haggling.end());
  return script;
}

// Any; or one that came further within the server than those before: the last ones did that most, and what lies behind
// is near to them.
const Script& Learner::Choose(Random& random) const {
  if (inside_.empty() || !random.OneIn(kInsideOneIn)) {
    return kept_[random.Below(kept_.size())];
  }
  return inside_[inside_.size() - 1 - random.Below(1 + random.Below(inside_.size()))];
}

bool Learner::Seen::Add(std::span<const std::uint32_t> signatures) {
  const std::size_t count_before = count_;
  for (const std::uint32_t signature : signatures) {
    NBDSPEC_CHECK(signature < ScriptSignatures::kMax);
    has_come_.resize(std::max<std::size_t>(has_come_.size(), signature + 1));
    count_ += has_come_[signature] ? 0 : 1;
    has_come_[signature] = true;
  }
  return count_ > count_before;
}

bool Learner::Note(const Script& script, const ScriptSignatures& signatures) {
  const bool takes_edge = edges_.Add(signatures.edges);
  const bool is_inside = storage_.Add(signatures.storage) || takes_edge;
  const bool is_new = answers_.Add(signatures.answers) || is_inside;
  if (!is_new) {
    return false;
  }
  Script kept = script;
  std::erase_if(kept.steps, IsOption);
  if (is_inside) {
    inside_.push_back(kept);
    if (inside_.size() > kKeptMax) {
      inside_.pop_front();
    }
  }
  const std::size_t place = noted_count_++ % kKeptMax;
  kept_.resize(std::max(kept_.size(), place + 1));
  kept_[place] = std::move(kept);
  return true;
}

}  // namespace nbdspec::fuzz
