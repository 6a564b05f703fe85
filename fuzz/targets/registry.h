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

// The folder in corpus/regressions whose scripts are for servers: `nbdspec replay` runs them.
inline constexpr std::string_view kLiveFolder = "live";

// The target whose corpus `path` is in, by its last folders: "regressions/NAME/FILE", "seeds/NAME/FILE". Empty: none.
std::string_view CorpusFolderOf(std::string_view path);

// The rows of the table in docs/howto/add_a_fuzz_target.md.
std::string TableOfTargets();

}  // namespace nbdspec::fuzz
