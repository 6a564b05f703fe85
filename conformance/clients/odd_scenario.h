// SPDX-License-Identifier: BSD-3-Clause
// Scenarios of servers that are right and unlike others, in one way or in several at once.

#pragma once

#include "conformance/clients/scenario.h"
#include "engine/oddities/oddity.h"

namespace nbdspec::conformance {

// Makes the server of `scenario`, which is right, odd in that way, too, and notes what a client may fail at then. Two
// oddities that are right may be wrong together: that is for the caller to know.
void MakeOdd(const engine::oddities::Oddity& oddity, Scenario& scenario);

}  // namespace nbdspec::conformance
