// SPDX-License-Identifier: BSD-3-Clause
// Bytes as questions about block status: a truth to build a reply from, or a reply to judge. Every input is one.
//
// An input begins with a byte whose lowest bit tells the two apart. Numbers are chosen from few that matter (edges of
// extents, of the request, of 32 and 64 bits), so that random bytes meet them. What is missing is zero.
//
//   truth  head (5), a script in bytes (engine/script/script_bytes.h): adds and clears count
//   reply  head (8), chunks: kind (1) and, of a status chunk, count (1) and descriptors: length (1), status (1)

#pragma once

#include <vector>

#include "engine/base/byte_range.h"
#include "engine/base/bytes.h"
#include "engine/block_status/build.h"
#include "engine/exchange/status.h"
#include "engine/extents/extent.h"
#include "engine/script/script.h"

namespace nbdspec::fuzz {

inline bool IsReplyInput(engine::ByteView input) { return !input.empty() && (input[0] & 1) != 0; }

struct TruthInput {
  std::uint64_t size = 1;                  // At least 1.
  std::vector<engine::Extent> truth = {};  // What the script leaves, by an oracle: ascending, from 0 to size.
  engine::ByteRange asked = {};            // Not empty, inside, its begin a multiple of options.alignment.
  engine::BuildOptions options = {};
};
TruthInput ReadTruthInput(engine::ByteView input);

struct ReplyInput {
  engine::StatusExchange exchange;
  std::vector<engine::ByteRange> data;  // Where the truth is not zero.
  engine::ByteRange within;             // For ZeroClaimsOf.
};
ReplyInput ReadReplyInput(engine::ByteView input);

}  // namespace nbdspec::fuzz
