// SPDX-License-Identifier: BSD-3-Clause
// Judges a block-status reply: which rules of the specification does it break?
//
// The reference is a relation, not a function: many replies are right. Each rule is one pure function from what
// was asked and answered to the breaches it finds, and is named by the requirement it asks. Nothing here says
// how bad a breach is: the level (MUST or SHOULD) stands in the requirement catalogue.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/byte_range.h"
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

// A rule found broken.
struct Breach {
  std::string_view requirement;  // Id in the catalogue.
  std::string saw;               // For people: "descriptor 2 of context 0 has length 0".
  bool operator==(const Breach&) const = default;
};

// A rule: appends what it finds. Rules are independent: what one rule judges, the others leave alone.
using Rule = void (*)(const StatusExchange&, std::vector<Breach>&);

struct NamedRule {
  std::string_view requirement;
  Rule rule;
};

// The rules that need no truth, one for each requirement, in the order of the catalogue. What answers a request of
// length 0 is unspecified: no rule accuses it. That DONE comes, and comes last, is judged where chunks are read.
std::span<const NamedRule> Rules();

// Every breach of every rule in Rules().
std::vector<Breach> Judge(const StatusExchange& exchange);

// base-allocation.zero.reads-zero: which ZERO claims of base:allocation does `truth` refute? A byte is known to be
// possibly non-zero where truth's type has ZERO clear; pass a map whose data extents hold only non-zero bytes.
// Claims past the end of the export are not judged, nor those of a reply that ends in an error.
std::vector<Breach> JudgeZeroClaims(const StatusExchange& exchange, const ExtentMap& truth);

// The ranges inside `within` that the reply claims to read as zeroes (base:allocation), merged and ascending.
std::vector<ByteRange> ClaimedZeroes(const StatusExchange& exchange, ByteRange within);

}  // namespace nbdspec::engine
