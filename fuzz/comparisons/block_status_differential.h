// SPDX-License-Identifier: BSD-3-Clause
// Builds replies from a truth, and judges any replies: against the definitions in naive_block_status.h, and builder
// and judge against each other.

#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/block_status/build.h"
#include "engine/block_status/judge.h"
#include "fuzz/comparisons/disagreement.h"

namespace nbdspec::fuzz {

// What is checked. Canary tests replace a member by one with a planted bug.
struct BlockStatusSubject {
  std::function<std::vector<engine::Descriptor>(const engine::ExtentMap&, engine::ByteRange,
                                                const engine::BuildOptions&)>
      build = engine::BuildDescriptors;
  std::function<void(const engine::ExtentMap&, engine::ByteRange, const engine::BuildOptions&, engine::Bytes&)> append =
      engine::AppendDescriptors;
  std::function<std::vector<engine::Breach>(const engine::StatusExchange&)> judge = engine::Judge;
  std::function<std::vector<engine::Breach>(const engine::StatusExchange&, const engine::ExtentMap&)>
      judge_zero_claims = engine::JudgeZeroClaims;
  std::function<std::vector<engine::ByteRange>(const engine::StatusExchange&, engine::ByteRange)> claimed_zeroes =
      engine::ClaimedZeroes;
};

// The first thing wrong with what the subject makes of `input`, read as block_status_input.h says.
std::optional<Disagreement> FindBlockStatusDisagreement(engine::ByteView input, const BlockStatusSubject& subject = {});

}  // namespace nbdspec::fuzz
