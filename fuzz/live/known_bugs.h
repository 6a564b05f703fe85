// SPDX-License-Identifier: BSD-3-Clause
// Bugs of servers that are public already: they are told apart from what is new.

#pragma once

#include <string>

#include "fuzz/findings/finding.h"

namespace nbdspec::fuzz {

// The public name of what `finding` shows, by the server and the symptom; empty when none is known.
std::string PublicNameOf(const Finding& finding);

}  // namespace nbdspec::fuzz
