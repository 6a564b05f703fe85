// SPDX-License-Identifier: BSD-3-Clause
// Bugs of servers that are public already: they are distinguished from new ones. docs/servers.md explains them.

#pragma once

#include <string>
#include <string_view>

#include "fuzz/findings/finding.h"

namespace nbdspec::fuzz {

// The public name of what `finding` shows, by the server and the symptom; empty when none is known.
std::string PublicNameOf(const Finding& finding);

// Whether the bug of this name needs requests that overlap in time. Then the symptom alone does not tell it: what shows
// with one request at a time too is another bug. What it did to the server's bytes stays, so nothing after it counts.
bool IsRace(std::string_view public_name);

}  // namespace nbdspec::fuzz
