// SPDX-License-Identifier: BSD-3-Clause
// Faults for zero_claim_checks.cc.
#include "conformance/faulty/answer_changes.h"
#include "conformance/faulty/fault.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::ClientMessage;
using engine::CommandFlag;
using engine::CommandType;
using engine::ConnectionState;
using engine::Request;
using engine::ServerMessage;

namespace {

constexpr std::uint32_t kHoleAndZero = engine::AllocationFlag::kHole | engine::AllocationFlag::kZero;

const Request* RequestIn(const ClientMessage* heard) {
  return heard != nullptr ? std::get_if<Request>(heard) : nullptr;
}

void ClaimZeroes(std::vector<ServerMessage>& said) {
  for (ServerMessage& each : said) {
    auto* chunk = std::get_if<engine::Chunk>(&each);
    auto status = chunk != nullptr && chunk->type == engine::ChunkType::kBlockStatus
                      ? engine::DecodeBlockStatus(chunk->payload)
                      : std::nullopt;
    if (status) {
      for (engine::Descriptor& descriptor : status->descriptors) {
        descriptor.status |= kHoleAndZero;
      }
      chunk->payload = EncodePayload(*status);
    }
  }
}

// Claims zeroes on connections where a request like `is_cause` came (`came`), or none did.
Fault ClaimsZeroes(std::string_view name, std::string_view check, std::function<bool(const Request&)> is_cause,
                   bool came = true) {
  return SaysWrong(name, check,
                   [is_cause = std::move(is_cause), came, has_come = false](
                       const ClientMessage* heard, const ConnectionState&, std::vector<ServerMessage>& said) mutable {
                     const Request* request = RequestIn(heard);
                     if (request == nullptr) {
                       return;
                     }
                     has_come = has_come || is_cause(*request);
                     if (request->type == CommandType::kBlockStatus && has_come == came) {
                       ClaimZeroes(said);
                     }
                   });
}

std::function<bool(const Request&)> Is(std::uint16_t command) {
  return [command](const Request& request) { return request.type == command; };
}

std::function<bool(const Request&)> IsUnaligned(std::uint16_t command) {
  return [command](const Request& request) { return request.type == command && request.offset % 512 != 0; };
}

// With REQ_ONE the first extent's status stands for all of the request.
Fault StretchesFirstStatus() {
  return DescribesWrong("server_stretches_first_status_with_req_one",
                        spec::kSub<spec::kBaseAllocationZeroReadsZero, "battery">,
                        [](const Request& to, engine::BlockStatus& status) {
                          if ((to.flags & CommandFlag::kReqOne) != 0) {
                            status.descriptors = {{.length = to.length, .status = status.descriptors.front().status}};
                          }
                        });
}

}  // namespace

std::vector<Fault> ZeroClaimFaults() {
  return {
      AnswersWithError("server_has_no_space_for_data", spec::kBaseAllocationNotHoleNoEnospc, CommandType::kWrite,
                       /*of_errors=*/false, engine::NbdError::kEnospc),
      DescribesWrong("server_claims_zeroes_over_data", spec::kBaseAllocationZeroReadsZero,
                     [](const Request&, engine::BlockStatus& status) {
                       for (engine::Descriptor& each : status.descriptors) {
                         each.status |= kHoleAndZero;
                       }
                     }),
      StretchesFirstStatus(),
      ClaimsZeroes("server_claims_zeroes_over_fresh_data",
                   spec::kSub<spec::kBaseAllocationZeroReadsZero, "after-write">, Is(CommandType::kWrite)),
      ClaimsZeroes("server_forgets_unaligned_write",
                   spec::kSub<spec::kBaseAllocationZeroReadsZero, "after-unaligned-write">,
                   IsUnaligned(CommandType::kWrite)),
      ClaimsZeroes("server_zeroes_more_than_asked_in_words",
                   spec::kSub<spec::kBaseAllocationZeroReadsZero, "after-write-zeroes">, Is(CommandType::kWriteZeroes)),
      ClaimsZeroes("server_punches_hole_in_words_where_it_may_not",
                   spec::kSub<spec::kBaseAllocationZeroReadsZero, "after-no-hole-zeroes">,
                   [](const Request& request) { return (request.flags & CommandFlag::kNoHole) != 0; }),
      ClaimsZeroes("server_rounds_zeroed_range_outwards",
                   spec::kSub<spec::kBaseAllocationZeroReadsZero, "after-unaligned-zeroes">,
                   IsUnaligned(CommandType::kWriteZeroes)),
      ClaimsZeroes("server_trims_more_than_asked_in_words",
                   spec::kSub<spec::kBaseAllocationZeroReadsZero, "after-trim">, Is(CommandType::kTrim)),
      ClaimsZeroes("server_rounds_trimmed_range_outwards",
                   spec::kSub<spec::kBaseAllocationZeroReadsZero, "after-unaligned-trim">,
                   IsUnaligned(CommandType::kTrim)),
      ClaimsZeroes("server_claims_zeroes_for_cached_data",
                   spec::kSub<spec::kBaseAllocationZeroReadsZero, "after-cache">, Is(CommandType::kCache)),
      ClaimsZeroes("server_caches_status_for_each_connection",
                   spec::kSub<spec::kBaseAllocationZeroReadsZero, "second-connection">, Is(CommandType::kWrite),
                   /*came=*/false),
  };
}

}  // namespace nbdspec::conformance
