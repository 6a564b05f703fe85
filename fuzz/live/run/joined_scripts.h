// SPDX-License-Identifier: BSD-3-Clause
// Scripts that were sent to one server as one script, for a finding that may need what came before.

#pragma once

#include <cstddef>
#include <deque>

#include "engine/script/script.h"

namespace nbdspec::fuzz {

inline constexpr std::size_t kHistoryStepsMax = 20000;

// One after the other, the last ones only, with kHistoryStepsMax steps: the last script may need what was sent before
// it.
engine::Script Joined(const std::deque<engine::Script>& history);

}  // namespace nbdspec::fuzz
