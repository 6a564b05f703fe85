// SPDX-License-Identifier: BSD-3-Clause
// The scripts of corpus/regressions/live, compiled in (BUILD writes them): what provokes public bugs of servers.

#pragma once

#include <span>
#include <string_view>

namespace nbdspec::fuzz {

// The text of each file.
std::span<const std::string_view> LiveRegressions();

}  // namespace nbdspec::fuzz
