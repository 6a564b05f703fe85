// SPDX-License-Identifier: BSD-3-Clause
// The tables of the catalogue, in its order, and what they are written with. Each is in the file of its name.

#pragma once

#include <algorithm>
#include <optional>
#include <string>

#include "engine/faults/answer_changes.h"
#include "engine/faults/fault.h"
#include "engine/faults/option_changes.h"
#include "engine/spec/ids.h"

namespace nbdspec::engine::faults {

using namespace spec;  // The ids of requirements.
using enum Family;

inline constexpr std::uint32_t kSectorBytes = 512;

std::vector<Fault> HandshakeFaults();
std::vector<Fault> TlsFaults();
std::vector<Fault> InfoFaults();
std::vector<Fault> ContextFaults();
std::vector<Fault> StatusFaults();
std::vector<Fault> ReplyFaults();
std::vector<Fault> ReadFaults();
std::vector<Fault> WriteFaults();
std::vector<Fault> OverlapFaults();
std::vector<Fault> DataFaults();
std::vector<Fault> StorageFaults();
std::vector<Fault> DiskFaults();
std::vector<Fault> ShutdownFaults();
std::vector<Fault> ExtendedHandshakeFaults();
std::vector<Fault> ExtendedReplyFaults();

}  // namespace nbdspec::engine::faults
