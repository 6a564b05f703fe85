// SPDX-License-Identifier: BSD-3-Clause
// Builds replies to BLOCK_STATUS from a truth, and holds the rule book (engine/exchange) against any replies: against
// the definitions in naive_block_status.h, and builder and rules against each other.

#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/block_status/build.h"
#include "engine/exchange/status.h"
#include "fuzz/comparisons/fuzz_target.h"

namespace nbdspec::fuzz {

inline std::vector<engine::Violation> JudgeByAllRules(const engine::StatusExchange& exchange) {
  return FindViolations(exchange.AsExchange(), engine::AllRules());
}

// What is checked. Canary tests replace a member by one with a planted bug.
struct BlockStatusSubject {
  std::function<decltype(engine::BuildDescriptors)> build = engine::BuildDescriptors;
  std::function<decltype(engine::AppendDescriptors)> append = engine::AppendDescriptors;
  std::function<decltype(JudgeByAllRules)> judge = JudgeByAllRules;
  std::function<std::optional<engine::Violation>(const engine::StatusExchange&, const engine::ExtentMap&)>
      find_refuted_claim =
          [](const auto& exchange, const auto& truth) { return FindRefutedClaim(exchange.AsExchange(), truth); };
  std::function<std::vector<engine::ByteRange>(const engine::StatusExchange&, engine::ByteRange)> claimed_zeroes =
      [](const auto& exchange, engine::ByteRange within) { return ZeroClaimsOf(exchange.AsExchange(), within); };
};

// The first thing wrong with what the subject makes of `input`, read as block_status_input.h says.
Found FindBlockStatusDisagreement(engine::ByteView input, const BlockStatusSubject& subject = {});

FuzzTarget BlockStatusReplyTarget();

}  // namespace nbdspec::fuzz
