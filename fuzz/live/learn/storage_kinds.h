// SPDX-License-Identifier: BSD-3-Clause
// What kinds of operations a script caused at the disk below a server, where that is ours: what the server did within,
// with no instrumentation.

#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/storage/volatile_disk.h"

namespace nbdspec::fuzz {

// A signature, below kSignatureLimit, is a number for one kind: of an operation, by what it does, about how long it is
// and how it is aligned; of two in a row, by how they lie to each other; of a flush, by what it makes durable. Sorted,
// each once.
std::vector<std::uint32_t> SignaturesOf(std::span<const engine::DiskOperation> operations);

}  // namespace nbdspec::fuzz
