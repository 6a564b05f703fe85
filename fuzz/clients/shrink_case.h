// SPDX-License-Identifier: BSD-3-Clause
// Makes a case that a client fails at small enough to read.

#pragma once

#include <functional>

#include "fuzz/clients/client_case.h"
#include "fuzz/clients/random_case.h"

namespace nbdspec::fuzz {

// The smallest case found for which `shows` still holds: a plainer server first, fewer oddities, then the truth as
// engine::Shrink makes scripts small. All that is tried keeps to `limits`. `shows` must hold for `met`, and is asked at
// most `tries_max` times.
ClientCase ShrinkCase(ClientCase met, const CaseLimits& limits, const std::function<bool(const ClientCase&)>& shows,
                      int tries_max);

}  // namespace nbdspec::fuzz
