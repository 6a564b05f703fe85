// SPDX-License-Identifier: BSD-3-Clause
// Lies in INFO and GO, as parts of faults: for servers that advertise one thing and do another.

#pragma once

#include <functional>
#include <vector>

#include "conformance/faulty/fault.h"

namespace nbdspec::conformance {

// Changes each NBD_INFO_EXPORT and NBD_INFO_BLOCK_SIZE that is said; an empty function changes nothing.
void ChangeInfo(std::vector<engine::ServerMessage>& said, const std::function<void(engine::InfoExport&)>& change_export,
                const std::function<void(engine::InfoBlockSize&)>& change_block_size);

// Leaves every NBD_INFO_BLOCK_SIZE out.
void WithholdBlockSize(std::vector<engine::ServerMessage>& said);

// `lies`, and then `misbehaves` about each request.
Saying LiesAndMisbehaves(
    std::function<void(std::vector<engine::ServerMessage>& said)> lies,
    std::function<void(const engine::Request& to, std::vector<engine::ServerMessage>& said)> misbehaves);

}  // namespace nbdspec::conformance
