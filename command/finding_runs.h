// SPDX-License-Identifier: BSD-3-Clause
// What fuzz, diff and replay found, as runs of outcomes: for pages, which show runs.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fuzz/clients/client_fuzz.h"
#include "fuzz/findings/finding.h"
#include "fuzz/live/run/live_diff.h"
#include "fuzz/live/run/live_fuzz.h"
#include "fuzz/replay/replay.h"
#include "reports/model/run.h"

namespace nbdspec::command {

// The line that replays `finding`, to be copied into a shell; "" where it is not saved.
std::string LineToReplay(const fuzz::Finding& finding, const std::string& directory);

// A failure, which has its public name for a reason to be expected. `directory` is where it is saved; may be empty.
reports::Outcome OutcomeOf(const fuzz::Finding& finding, const std::string& directory);

// How it was when it was replayed from `path`. `finding` is null for a script.
reports::Outcome OutcomeOf(const fuzz::Replayed& replayed, const std::string& path, const fuzz::Finding* finding);

// Advice that was not followed, each once; `whose` stands before its requirement in the id.
void AddWarnings(const fuzz::Warnings& warnings, std::string_view whose, std::vector<reports::Outcome>& outcomes);

// `run` has no outcomes yet: the version of nbdspec, the seed, the target and the exit code.
reports::Run RunOf(const fuzz::FuzzReport& report, reports::Run run);
reports::Run RunOf(const fuzz::ClientFuzzReport& report, reports::Run run);
// The same of two servers: `first` and `second`.
reports::Run RunOf(const fuzz::DiffReport& report, const std::string& first, const std::string& second,
                   reports::Run run);

}  // namespace nbdspec::command
