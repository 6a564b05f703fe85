// SPDX-License-Identifier: BSD-3-Clause
// docs/canaries.md, from the lines that `canaries run` prints.

#pragma once

#include <expected>
#include <istream>
#include <string>
#include <vector>

#include "engine/base/error.h"

namespace nbdspec::fuzz {

// Errors: a line that is none of those; a bug that is not in the registry, or has no trial.
std::expected<std::string, engine::Trouble> CanariesPage(std::istream& results);

// Of docs/canaries.md: the bugs it lists, each "TARGET/NAME", sorted.
std::vector<std::string> BugsOnPage(std::istream& page);

}  // namespace nbdspec::fuzz
