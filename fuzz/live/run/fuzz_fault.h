// SPDX-License-Identifier: BSD-3-Clause
// Fuzzes the reference server with a fault of the catalogue, until `nbdspec fuzz` has found it.

#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "conformance/peer/target.h"
#include "engine/faults/fault.h"
#include "fuzz/live/run/live_fuzz.h"

namespace nbdspec::fuzz {

// Within as many scripts each fault is found that has a Detector::Kind::kFuzz.
inline constexpr std::uint64_t kScriptsPerFault = 400;  // Most are found in a tenth of them.

// The reference server, wrong by `change`.
std::unique_ptr<conformance::Target> ReferenceWith(const engine::faults::Change& change);

struct FuzzedFault {
  bool is_found = false;  // As the detector says; what the specification only advises: as a warning.
  FuzzReport report;      // Until then, or of all scripts.
  std::string seen;       // The keys of all findings, for people.
};

// Range: a detection by `nbdspec fuzz`. Its findings are neither saved nor minimised. `only_fresh`: as FuzzOptions.
FuzzedFault FuzzFault(const engine::faults::Detection& detection, std::uint64_t seed, bool only_fresh = false);

}  // namespace nbdspec::fuzz
