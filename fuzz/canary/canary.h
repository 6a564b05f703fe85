// SPDX-License-Identifier: BSD-3-Clause
// Canaries: planted bugs, and how many inputs each may survive. A target that misses one is blind, however green.
//
// To add canaries to the target wire_decode:
// 1. Make a subject that is wrong in named ways, best as a thin wrapper of the right one (mutant_extent_map.h): who
//    and how, one enumerator and one line of code each. Nothing of it goes into the engine.
// 2. wire_decode_canary_test.cc calls the target's comparison, the function that LLVMFuzzerTestOneInput calls, with
//    that subject, and asks HasFound with the bug's own limit, about five times what the slowest seed needed.
// 3. The same test asks HasAccusedNobody of the right subject, in as many runs.

#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/bytes.h"
#include "fuzz/harness/disagreement.h"

namespace nbdspec::fuzz {

struct CanaryRuns {
  std::uint64_t runs_max = 0;  // For each seed.
  std::size_t bytes_max = 512;
  std::vector<engine::Bytes> start = {};  // See RandomInputs.
};

// Success if, for each of three fixed seeds, `find` disagrees with one of the first runs_max random inputs. The
// message says which run it was, or which seed found nothing.
testing::AssertionResult HasFound(const CanaryRuns& runs, const FindBytesDisagreement& find);

// Success if `find` disagrees with none of them: the right subject is not accused.
testing::AssertionResult HasAccusedNobody(const CanaryRuns& runs, const FindBytesDisagreement& find);

// The inputs in corpus/seeds/TARGET that people named, in the order of their names, for CanaryRuns::start.
std::vector<engine::Bytes> SeedsOf(const std::string& target);

}  // namespace nbdspec::fuzz
