// SPDX-License-Identifier: BSD-3-Clause
// The claims of base:allocation that bytes can refute: ZERO.
//
// A reply with an error chunk claims nothing: a client may not build on what came before the error.

#pragma once

#include <optional>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/exchange/rules.h"
#include "engine/extents/extent_map.h"

namespace nbdspec::engine {

// base-allocation.zero.reads-zero: does `truth` refute a ZERO claim of base:allocation? A byte is known to be possibly
// non-zero where truth's type has ZERO clear; pass a map whose data extents hold only non-zero bytes.
// Claims past the end of the export are not judged.
std::optional<Violation> FindRefutedClaim(const Exchange& exchange, const ExtentMap& truth);

// The ranges inside `within` that the reply claims to read as zeroes (base:allocation), merged and ascending.
std::vector<ByteRange> ZeroClaimsOf(const Exchange& exchange, ByteRange within);

}  // namespace nbdspec::engine
