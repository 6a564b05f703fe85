// SPDX-License-Identifier: BSD-3-Clause
// Builds the descriptors of a block-status reply from the truth.

#pragma once

#include <cstdint>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/base/bytes.h"
#include "engine/extents/extent_map.h"
#include "engine/wire/payloads.h"

namespace nbdspec::engine {

struct BuildOptions {
  bool req_one = false;         // NBD_CMD_FLAG_REQ_ONE.
  std::uint32_t alignment = 1;  // Power of two; lengths are multiples but at the end.
  HeaderForm form = HeaderForm::kCompact;
  std::uint32_t descriptor_count_max = kDescriptorCountMax;
};

// The base:allocation flags that claim `type`: the protocol's bits 0 (HOLE) and 1 (ZERO) are the map's.
std::uint32_t AllocationFlagsOf(ExtentType type);

// Descriptors for [asked.begin, asked.end) of `truth`, from asked.begin on: never longer in sum than asked (so at
// most one with REQ_ONE), neighbours differ unless a length passes the form's, and at least one.
// With alignment above 1 a block that spans extents claims only what is true of all of it.
// Range: asked is not empty and inside the map, its begin a multiple of alignment; checked with CHECK.
// Spec:  block-status.at-least-one, block-status.req-one.single, block-status.max-extents,
//        block-status.distinct-status, block-status.length.multiple-of-min-block.
std::vector<Descriptor> BuildDescriptors(const ExtentMap& truth, ByteRange asked, const BuildOptions& options);

// The same descriptors as they stand in a status chunk, appended to `payload`: for servers that answer for millions of
// extents. Cost: in the compact form and with an alignment of 1, about four copies of these bytes.
void AppendDescriptors(const ExtentMap& truth, ByteRange asked, const BuildOptions& options, Bytes& payload);

}  // namespace nbdspec::engine
