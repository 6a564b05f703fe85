// SPDX-License-Identifier: BSD-3-Clause
// Every fuzz target there is (FuzzTarget), and what the corpus and the documentation make of them.

#pragma once

#include <filesystem>
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

// The target whose corpus `path` is in, by its last folders: "regressions/NAME/FILE", "seeds/NAME/FILE". Empty: none.
std::string CorpusFolderOf(const std::filesystem::path& path);

// The rows of the table in docs/howto/add_a_fuzz_target.md.
std::string TableOfTargets();

}  // namespace nbdspec::fuzz
