// SPDX-License-Identifier: BSD-3-Clause
// The comparisons of the fuzz targets by name: for those who replay an input without the target's own program.
//
// To add a target: its function in corpus_target.cc, or why it cannot be there (what replaces operator new, or needs
// a library, has a program of its own). A test compares the names with the folders of corpus/.

#pragma once

#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/base/error.h"
#include "engine/script/script.h"
#include "engine/script/script_bytes.h"
#include "fuzz/comparisons/disagreement.h"

namespace nbdspec::fuzz {

struct CorpusTarget {
  std::string_view name;  // Its folder in corpus/seeds and corpus/regressions.
  // One of these two, or neither where its comparison cannot be linked here.
  std::optional<Disagreement> (*find_in_script)(const engine::Script& script) = nullptr;
  std::optional<Disagreement> (*find_in_bytes)(engine::ByteView input) = nullptr;
  engine::ScriptLimits limits = {};  // Of find_in_script: what bytes become.
  std::string_view elsewhere = {};   // Why it is neither.
};

const std::vector<CorpusTarget>& CorpusTargets();

// The folder in corpus/regressions whose scripts are for servers: no target's.
inline constexpr std::string_view kLiveFolder = "live";

// Null when there is none of that name.
const CorpusTarget* CorpusTargetNamed(std::string_view name);

// The target whose corpus `path` is in, by its last folders: "regressions/NAME/FILE", "seeds/NAME/FILE". Empty: none.
std::string_view CorpusFolderOf(std::string_view path);

// What `target` finds wrong with `input`; range: it has one of the functions.
// Errors: `input` means to be a text of the target's, and is none.
std::expected<std::optional<Disagreement>, engine::Trouble> RunCorpusTarget(const CorpusTarget& target,
                                                                            engine::ByteView input);

}  // namespace nbdspec::fuzz
