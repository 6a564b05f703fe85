// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/learn/suspects.h"

#include <algorithm>
#include <variant>

#include "fuzz/inputs/random.h"
#include "fuzz/live/judge/reply_judge.h"

namespace nbdspec::fuzz {

using engine::RequestStep;
using engine::Script;

namespace {

constexpr std::uint64_t kEndedMin = 2;      // Once may be chance.
constexpr std::uint64_t kEndsOneOf = 10;    // Of so many requests of a kind, one that ends a script is often.
constexpr std::size_t kKindsMax = 100'000;  // There are fewer, but for flags that nobody knows.

// Command, flags, and why it is illegal.
std::uint64_t KindOf(const RequestStep& request, const engine::Negotiated& offer) {
  const engine::Legality legality = LegalityOf(request, offer);
  std::uint64_t reasons = 0;
  for (int reason = 0; reason < engine::kReasonCount; ++reason) {
    reasons = 2 * reasons + (legality.Has(static_cast<engine::Reason>(reason)) ? 1 : 0);
  }
  return Mix({static_cast<std::uint64_t>(request.command), request.flags, reasons});
}

}  // namespace

void Suspects::Acquit(const Script& script, const engine::Negotiated& offer) {
  AcquitUntil(script, script.steps.size(), offer);
}

void Suspects::Accuse(const Script& script, std::size_t step, const engine::Negotiated& offer) {
  const auto* const request = step < script.steps.size() ? std::get_if<RequestStep>(&script.steps[step]) : nullptr;
  if (request != nullptr && records_.size() < kKindsMax) {
    AcquitUntil(script, step, offer);
    ++records_[KindOf(*request, offer)].ended;
  }
}

void Suspects::AcquitUntil(const Script& script, std::size_t step, const engine::Negotiated& offer) {
  for (std::size_t i = 0; i < step && records_.size() < kKindsMax; ++i) {
    if (const auto* const request = std::get_if<RequestStep>(&script.steps[i])) {
      ++records_[KindOf(*request, offer)].answered;
    }
  }
}

bool Suspects::IsSuspect(const RequestStep& request, const engine::Negotiated& offer) const {
  const auto found = records_.find(KindOf(request, offer));
  if (found == records_.end()) {
    return false;
  }
  const auto [ended, answered] = found->second;
  return ended >= kEndedMin && ended * kEndsOneOf >= ended + answered;
}

void Suspects::Thin(const engine::Negotiated& offer, Script& script) const {
  Script thin = script;
  std::erase_if(thin.steps, [&](const engine::Step& step) {
    const auto* const request = std::get_if<RequestStep>(&step);
    return request != nullptr && IsSuspect(*request, offer);
  });
  const bool has_requests = std::ranges::any_of(
      thin.steps, [](const engine::Step& step) { return std::holds_alternative<RequestStep>(step); });
  if (has_requests) {
    script = std::move(thin);
  }
}

}  // namespace nbdspec::fuzz
