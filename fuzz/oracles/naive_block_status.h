// SPDX-License-Identifier: BSD-3-Clause
// BLOCK_STATUS and the rules about replies once more: what engine/block_status and engine/exchange are checked against.
//
// Naive and independent on purpose. It is written from the specification's sentences, one after the other, and shares
// none of the engine's code beyond its plain values: payloads are taken apart here, and sums are made in 128 bits,
// where they cannot wrap. It is the one place where rules of the rule book are written a second time.

#pragma once

#include <set>
#include <string>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/block_status/build.h"
#include "engine/exchange/status.h"
#include "engine/extents/extent.h"
#include "engine/wire/payloads.h"

namespace nbdspec::fuzz {

// What BuildDescriptors must return for the truth, ascending extents from 0 on without gaps.
std::vector<engine::Descriptor> NaiveDescriptors(const std::vector<engine::Extent>& truth, engine::ByteRange asked,
                                                 const engine::BuildOptions& options);

// The MUST and MUST NOT requirements that the exchange violates.
std::set<std::string> NaiveViolations(const engine::StatusExchange& exchange);

// What ZeroClaimsOf must return.
std::vector<engine::ByteRange> NaiveClaimedZeroes(const engine::StatusExchange& exchange, engine::ByteRange within);

}  // namespace nbdspec::fuzz
