// SPDX-License-Identifier: BSD-3-Clause
// The tables of docs/canaries.md, from the lines that `canaries run` prints.

#pragma once

#include <expected>
#include <istream>
#include <string>

#include "engine/base/error.h"

namespace nbdspec::fuzz {

// Errors: a line that is none of those; a bug that is not in the registry, or has no trial.
std::expected<std::string, engine::Trouble> CanariesTables(std::istream& results);

}  // namespace nbdspec::fuzz
