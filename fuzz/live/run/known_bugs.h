// SPDX-License-Identifier: BSD-3-Clause
// Bugs of servers that are public already: reported by their names, apart from new ones. docs/servers.md explains them.
//
// What looks like one of them has its name until somebody asks whether it is that bug: the symptom shows in a
// configuration and a version that has it (PublicNameOf), and the bug itself shows there when it is provoked
// (ReproductionOf). Where either fails it is new.

#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "conformance/peer/target.h"
#include "engine/script/script.h"
#include "fuzz/findings/finding.h"

namespace nbdspec::fuzz {

// The public name of what `finding` looks like on `target`, by the server, its version where that is known, and the
// symptom; empty when none is known.
std::string PublicNameOf(const Finding& finding, const conformance::Target& target);

// The names of all bugs that show as `finding` does, on any server.
std::set<std::string> PublicNamesLike(const Finding& finding);

// Whether the bug of this name needs requests that overlap in time. Then the symptom alone does not identify it: what
// shows with one request at a time too is another bug. It spoils the server's bytes, so nothing after it counts.
bool IsRace(std::string_view public_name);

// Whether the server's own last words say that `finding` is the bug it is called by: nothing more is to be shown.
bool IsNamedByTheServer(const Finding& finding);

// A script that provokes the bug of this name on any server that has it (corpus/regressions/live), though a race not at
// each run. Nothing where that takes extents that only some exports have: then the script of the finding must do.
std::optional<engine::Script> ReproductionOf(std::string_view public_name);

// `script`, which provokes a bug somewhere in an export, in the places where `finding` shows: where that is an image
// that was there before, only they may still be as the bug needs them. Some few, all within its export.
std::vector<engine::Script> InPlacesOf(const Finding& finding, const engine::Script& script);

// Those that the symptoms of known bugs violate.
std::vector<std::string_view> RequirementsOfKnownBugs();

}  // namespace nbdspec::fuzz
