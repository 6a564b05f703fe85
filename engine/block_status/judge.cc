// SPDX-License-Identifier: BSD-3-Clause
#include "engine/block_status/judge.h"

#include <utility>

namespace nbdspec::engine {

Exchange AsExchange(const StatusExchange& exchange, Negotiated& agreed) {
  agreed = {.structured_replies = true,
            .transmission = true,
            .contexts = exchange.contexts,
            .info = {.size = exchange.export_bytes},
            .block_size = {.minimum = exchange.block_bytes_min, .maximum = exchange.payload_bytes_max}};
  Exchange whole;
  whole.Start({.flags = exchange.req_one ? CommandFlag::kReqOne : std::uint16_t{0},
               .type = CommandType::kBlockStatus,
               .offset = exchange.asked.begin,
               .length = exchange.asked.length()},
              agreed);
  for (const Chunk& chunk : exchange.chunks) {
    whole.answer.Add(chunk);
  }
  if (exchange.simple_reply) {
    whole.answer.Add(*exchange.simple_reply);
  }
  if (!whole.answer.is_empty()) {
    whole.answer.EndWith(Answer::End::kComplete);
  }
  return whole;
}

std::vector<Breach> Judge(const StatusExchange& exchange) {
  Negotiated agreed;
  std::vector<Breach> breaches;
  for (Violation& violation : FindViolations(AsExchange(exchange, agreed), StatusRules())) {
    breaches.push_back({.requirement = violation.requirement, .saw = std::move(violation.saw)});
  }
  return breaches;
}

std::vector<Breach> JudgeZeroClaims(const StatusExchange& exchange, const ExtentMap& truth) {
  Negotiated agreed;
  auto violation = FindRefutedClaim(AsExchange(exchange, agreed), truth);
  return violation ? std::vector<Breach>{{.requirement = violation->requirement, .saw = std::move(violation->saw)}}
                   : std::vector<Breach>{};
}

std::vector<ByteRange> ClaimedZeroes(const StatusExchange& exchange, ByteRange within) {
  Negotiated agreed;
  return ZeroClaimsOf(AsExchange(exchange, agreed), within);
}

}  // namespace nbdspec::engine
