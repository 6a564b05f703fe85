// SPDX-License-Identifier: BSD-3-Clause
// Lists of expected failures, as a command line names them.

#pragma once

#include <expected>
#include <string>
#include <vector>

#include "conformance/expected/expected.h"
#include "engine/base/error.h"

namespace nbdspec::command {

// The lists that `names` name: those that come with nbdspec, and files.
// Errors: there is none; it cannot be read (file and line).
std::expected<std::vector<conformance::ExpectedList>, engine::Trouble> ReadLists(const std::vector<std::string>& names);

}  // namespace nbdspec::command
