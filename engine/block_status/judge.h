// SPDX-License-Identifier: BSD-3-Clause
// StatusExchange: a BLOCK_STATUS and its answer by value, for those who have not moved to engine/exchange yet.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/exchange/rules.h"
#include "engine/exchange/zero_claims.h"
#include "engine/extents/extent_map.h"
#include "engine/wire/messages.h"
#include "engine/wire/payloads.h"

namespace nbdspec::engine {

// One BLOCK_STATUS request and everything that answers it.
struct StatusExchange {
  ByteRange asked;  // May be empty, or reach outside the export.
  bool req_one = false;
  std::uint64_t export_bytes = 0;
  std::vector<MetaContext> contexts = {};  // Selected by the last SET_META_CONTEXT.
  std::uint32_t block_bytes_min = 1;       // Advertised minimum block size.
  std::uint32_t payload_bytes_max = kPayloadBytesDefaultMax;
  std::vector<Chunk> chunks = {};                // In the order they came; the last one has DONE.
  std::optional<SimpleReply> simple_reply = {};  // Instead of chunks.
};

// The same as an Exchange, which looks into `agreed`.
Exchange AsExchange(const StatusExchange& exchange, Negotiated& agreed);

struct Breach {
  std::string_view requirement;  // Id in the catalogue.
  std::string saw;               // For people: "descriptor 2 of context 0 has length 0".
  bool operator==(const Breach&) const = default;
};

// Every violation of StatusRules().
std::vector<Breach> Judge(const StatusExchange& exchange);
std::vector<Breach> JudgeZeroClaims(const StatusExchange& exchange, const ExtentMap& truth);
std::vector<ByteRange> ClaimedZeroes(const StatusExchange& exchange, ByteRange within);

}  // namespace nbdspec::engine
