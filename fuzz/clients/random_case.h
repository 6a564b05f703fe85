// SPDX-License-Identifier: BSD-3-Clause
// Random cases for a client: the same seed gives the same case.
//
// Sizes are small mostly, odd often, and large at times; edges of extents prefer multiples of what clients and servers
// care about, and the bytes beside them. Up to four oddities come together that are right together.

#pragma once

#include <cstdint>
#include <string>

#include "conformance/peer/clients/client_process.h"
#include "fuzz/clients/client_case.h"

namespace nbdspec::fuzz {

struct CaseLimits {
  std::uint64_t align = 1;                                 // Of sizes and edges: bytes. In [1, 2^20].
  conformance::ClientTasks tasks = conformance::kAnyTask;  // Of the command that meets it.
  bool may_be_tls = false;
};

ClientCase RandomCase(std::uint64_t seed, const CaseLimits& limits);

// Whether a client with those tasks may be given `met`, which somebody has changed: it keeps to the alignment, and a
// command that names no file has what its words may ask for, 2 MiB at least.
bool KeepsTo(const CaseLimits& limits, const ClientCase& met);

}  // namespace nbdspec::fuzz
