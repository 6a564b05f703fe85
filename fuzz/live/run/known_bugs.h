// SPDX-License-Identifier: BSD-3-Clause
// Bugs of servers that are public already: reported by their names, apart from new ones. docs/servers.md explains them.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "fuzz/findings/finding.h"

namespace nbdspec::fuzz {

// The public name of what `finding` shows, by the server and the symptom; empty when none is known.
std::string PublicNameOf(const Finding& finding);

// Whether the bug of this name needs requests that overlap in time. Then the symptom alone does not identify it: what
// shows with one request at a time too is another bug. It spoils the server's bytes, so nothing after it counts.
bool IsRace(std::string_view public_name);

// Those that the symptoms of known bugs violate.
std::vector<std::string_view> RequirementsOfKnownBugs();

}  // namespace nbdspec::fuzz
