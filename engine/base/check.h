// SPDX-License-Identifier: BSD-3-Clause
// NBDSPEC_CHECK: our own bugs abort, in every build.
//
// It is for what can only be false through a mistake in this project. What a peer sends is data, and trouble
// around us (a file, a socket) is a std::expected; neither is ever checked with it.

#pragma once

#include <source_location>
#include <string_view>

namespace nbdspec::engine {

// Prints `what` and where to standard error, then aborts. `what` names the claim that was false.
[[noreturn]] void CheckFailed(std::string_view what, std::source_location where = std::source_location::current());

}  // namespace nbdspec::engine

// Aborts with the text of the condition and the place unless `condition` holds. Never compiled out.
#define NBDSPEC_CHECK(condition)                        \
  do {                                                  \
    if (!(condition)) [[unlikely]] {                    \
      ::nbdspec::engine::CheckFailed("" #condition ""); \
    }                                                   \
  } while (false)
