// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/canary/state_counters.h"

namespace nbdspec::fuzz {

__attribute__((section("__libfuzzer_extra_counters"),
               used)) volatile std::uint8_t state_counters[kExtentCounters + kEventCounters + kHeightCounters];

}  // namespace nbdspec::fuzz
