// SPDX-License-Identifier: BSD-3-Clause
// Block status once more, naively: what engine/block_status is checked against.
//
// Written from the specification's sentences, one after the other, and sharing none of the engine's code beyond its
// plain values: payloads are taken apart here, and sums are made in 128 bits, where they cannot wrap.

#pragma once

#include <set>
#include <string>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/block_status/build.h"
#include "engine/block_status/judge.h"
#include "engine/extents/extent.h"
#include "engine/wire/payloads.h"

namespace nbdspec::fuzz {

// What BuildDescriptors must return for the truth, ascending extents from 0 on without gaps.
std::vector<engine::Descriptor> NaiveDescriptors(const std::vector<engine::Extent>& truth, engine::ByteRange asked,
                                                 const engine::BuildOptions& options);

// The MUST and MUST NOT requirements that the exchange breaks.
std::set<std::string> NaiveMustBreaches(const engine::StatusExchange& exchange);

// What ClaimedZeroes must return.
std::vector<engine::ByteRange> NaiveClaimedZeroes(const engine::StatusExchange& exchange, engine::ByteRange within);

}  // namespace nbdspec::fuzz
