// SPDX-License-Identifier: BSD-3-Clause
// The storage family: the faults of servers that lose, spoil or mix bytes that they said they have, or hide that they
// could not store them.

#pragma once

#include "engine/faults/fault.h"

namespace nbdspec::engine::faults {

// Whether a check or `nbdspec fuzz` must detect `fault` by a promise about stored bytes.
bool IsOfStorage(const Fault& fault);

}  // namespace nbdspec::engine::faults
