// SPDX-License-Identifier: BSD-3-Clause
// The tables of the catalogue, in its order. Each is in the file of its name.

#pragma once

#include <vector>

#include "engine/faults/fault.h"

namespace nbdspec::engine::faults {

std::vector<Fault> HandshakeFaults();
std::vector<Fault> InfoFaults();
std::vector<Fault> ContextFaults();
std::vector<Fault> StatusFaults();
std::vector<Fault> ReplyFaults();
std::vector<Fault> ReadFaults();
std::vector<Fault> WriteFaults();

}  // namespace nbdspec::engine::faults
