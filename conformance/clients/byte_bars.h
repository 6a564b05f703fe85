// SPDX-License-Identifier: BSD-3-Clause
// Of a play with wrong bytes: what the client asked for, what it made of it and what is true, as bars for reports.

#pragma once

#include <string>
#include <vector>

#include "conformance/clients/client_check.h"
#include "conformance/peer/clients/client_process.h"
#include "engine/base/bytes.h"
#include "reports/model/evidence.h"

namespace nbdspec::conformance {

// `who` made `made`, where `due` was due. The requests of `records` that move bytes that way are drawn first: READ
// where `is_read`, else those that write.
std::vector<reports::Bar> BarsOfBytes(const std::vector<engine::Record>& records, bool is_read, std::string who,
                                      engine::ByteView made, engine::ByteView due);

// Of a map, and BLOCK_STATUS.
std::vector<reports::Bar> BarsOfMap(const std::vector<engine::Record>& records,
                                    const std::vector<ClaimedExtent>& claimed, engine::ByteView due);

}  // namespace nbdspec::conformance
