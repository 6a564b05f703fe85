// SPDX-License-Identifier: BSD-3-Clause
// Every fuzz target there is (FuzzTarget), and what the corpus and the documentation make of them.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fuzz/comparisons/fuzz_target.h"

namespace nbdspec::fuzz {

const std::vector<FuzzTarget>& FuzzTargets();

// Cases inside nbdkit: no fuzz target, but a folder of the corpus that is replayed like theirs.
const FuzzTarget& NbdkitExtents();

// Null when there is none of that name; NbdkitExtents is one.
const FuzzTarget* TargetNamed(std::string_view name);

// The rows of the table in docs/howto/add_a_fuzz_target.md.
std::string TableOfTargets();

}  // namespace nbdspec::fuzz
