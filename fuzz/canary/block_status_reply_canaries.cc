// SPDX-License-Identifier: BSD-3-Clause
// The planted bugs of the target block_status_reply: builders and judges of replies that are wrong in one way each.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <ranges>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/block_status/build.h"
#include "engine/exchange/status.h"
#include "engine/spec/ids.h"
#include "engine/wire/payloads.h"
#include "fuzz/canary/canary.h"
#include "fuzz/comparisons/block_status_differential.h"

namespace nbdspec::fuzz {
namespace {

using engine::BuildOptions;
using engine::ByteRange;
using engine::Chunk;
using engine::Descriptor;
using engine::ExtentMap;
using engine::StatusExchange;

using Violations = std::vector<engine::Violation>;
using Descriptors = std::vector<Descriptor>;

// --- Builders -------------------------------------------------------------------------------------------------

BlockStatusSubject Builds(decltype(BlockStatusSubject::build) build) { return {.build = std::move(build)}; }
BlockStatusSubject Judges(decltype(BlockStatusSubject::judge) judge) { return {.judge = std::move(judge)}; }

// Spoils what the right builder returns.
template <typename Spoil>
BlockStatusSubject Builder(Spoil spoil) {
  return {.build = [spoil](const ExtentMap& truth, ByteRange asked, const BuildOptions& options) {
    Descriptors built = BuildDescriptors(truth, asked, options);
    spoil(built, options);
    return built;
  }};
}

// Spoils what the right builder appended, from its first byte on.
template <typename Spoil>
BlockStatusSubject Appender(Spoil spoil) {
  return {
      .append = [spoil](const ExtentMap& truth, ByteRange asked, const BuildOptions& options, engine::Bytes& payload) {
        const std::size_t from = payload.size();
        AppendDescriptors(truth, asked, options, payload);
        spoil(payload, from);
      }};
}

std::uint64_t WithBitsSwapped(std::uint64_t status) { return (status & 1U) << 1 | (status & 2U) >> 1; }

// --- Judges ---------------------------------------------------------------------------------------------------

// Judges what `spoil` makes of the exchange.
template <typename Spoil>
BlockStatusSubject Misreader(Spoil spoil) {
  const auto misread = [spoil](StatusExchange exchange) {
    spoil(exchange);
    return exchange;
  };
  return {
      .judge = [misread](const StatusExchange& exchange) { return JudgeByAllRules(misread(exchange)); },
      .find_refuted_claim =
          [misread](const StatusExchange& exchange, const ExtentMap& truth) {
            return FindRefutedClaim(misread(exchange).AsExchange(), truth);
          },
      .claimed_zeroes = [misread](const StatusExchange& exchange,
                                  ByteRange within) { return ZeroClaimsOf(misread(exchange).AsExchange(), within); }};
}

// Says what `requirement` finds in the spoilt exchange, and all else of the right one.
template <typename Spoil>
BlockStatusSubject RuleMisreader(std::string_view requirement, Spoil spoil) {
  return Judges([requirement, spoil](const StatusExchange& exchange) {
    StatusExchange spoilt = exchange;
    spoil(spoilt);
    Violations violations;
    const engine::Exchange right = exchange.AsExchange();
    const engine::Exchange wrong = spoilt.AsExchange();
    for (const engine::Rule& rule : engine::AllRules()) {
      const engine::Ruling ruling = Apply(rule, rule.requirement == requirement ? wrong : right);
      if (ruling.is_violated()) {
        violations.push_back({.requirement = rule.requirement, .expected = ruling.expected, .saw = ruling.saw});
      }
    }
    return violations;
  });
}

BlockStatusSubject JudgeWithout(std::string_view requirement) {
  return RuleMisreader(requirement, [](StatusExchange& exchange) { exchange = {}; });
}

// Rewrites the status chunks that can be taken apart.
template <typename Spoil>
void SpoilStatus(StatusExchange& exchange, Spoil spoil) {
  for (Chunk& chunk : exchange.chunks) {
    if (auto status = engine::DecodePayload<engine::BlockStatus>(chunk.payload); status && chunk.type == 5) {
      spoil(*status);
      chunk.payload = engine::EncodePayload(*status);
    }
  }
}

std::vector<WrongSubject<BlockStatusSubject>> WrongSubjects() {
  constexpr std::string_view kSum = spec::kBlockStatusSumBeforeLast;
  constexpr std::string_view kCap = spec::kBlockStatusReqOneLengthCap;
  return {
      {"BuilderEndsWithLengthZero", Family::kEdge, 100,
       Builder([](Descriptors& built, auto&) { built.push_back({.length = 0, .status = 0}); })},
      {"BuilderEndsOneByteLate", Family::kEdge, 100, Builder([](Descriptors& built, auto&) { ++built.back().length; })},
      {"BuilderLosesTheLastOfSeveral", Family::kLost, 250, Builder([](Descriptors& built, auto&) {
         if (built.size() > 1) {
           built.pop_back();
         }
       })},
      {"BuilderAddsOneWhereTheRequestEnds", Family::kRule, 150,
       Builder([](Descriptors& built, const BuildOptions& options) {
         if (!options.req_one) {
           built.push_back({.length = 1, .status = built.back().status ^ 1U});
         }
       })},
      {"BuilderSplitsOneInTwo", Family::kCoalesce, 2000, Builder([](Descriptors& built, const BuildOptions& options) {
         Descriptor& last = built.back();
         if (!options.req_one && last.length % 1024 == 0) {
           last.length /= 2;
           built.push_back(last);
         }
       })},
      {"BuilderSwapsHoleAndZero", Family::kOrder, 100, Builder([](Descriptors& built, auto&) {
         for (Descriptor& descriptor : built) {
           descriptor.status = WithBitsSwapped(descriptor.status);
         }
       })},
      {"BuilderLosesLengthsAbove31Bits", Family::kWidth, 200, Builder([](Descriptors& built, auto&) {
         for (Descriptor& descriptor : built) {
           descriptor.length &= std::numeric_limits<std::int32_t>::max();
         }
       })},
      {"BuilderClaimsZeroInTheLast", Family::kBits, 100,
       Builder([](Descriptors& built, auto&) { built.back().status |= engine::AllocationFlag::kZero; })},
      {"BuilderSetsAReservedBit", Family::kBits, 100,
       Builder([](Descriptors& built, auto&) { built.back().status |= 4; })},
      {"BuilderMisreadsReqOne", Family::kReqOne, 150, Builds([](auto& truth, ByteRange asked, BuildOptions options) {
         options.descriptor_count_max = std::exchange(options.req_one, false) ? 2 : options.descriptor_count_max;
         return BuildDescriptors(truth, asked, options);
       })},
      {"BuilderIgnoresAlignment", Family::kRule, 150, Builds([](auto& truth, ByteRange asked, BuildOptions options) {
         options.alignment = 1;
         return BuildDescriptors(truth, asked, options);
       })},
      // Looks only at what was asked of the block that the request ends in.
      {"BuilderForgetsTheRestOfTheLastBlock", Family::kLost, 500,
       Builds([](auto& truth, ByteRange asked, auto& options) {
         ExtentMap cut(asked.end);
         truth.ForEach(cut.range(), [&](engine::Extent extent) {
           return cut.Add(extent.range.begin, extent.range.length(), extent.type).has_value();
         });
         return BuildDescriptors(cut, asked, options);
       })},
      // No bug: what the truth is does not depend on how it came about.
      {"BuilderAsksACopyMadeBackwards", Family::kEquivalent, 0, Builds([](auto& truth, ByteRange asked, auto& options) {
         std::vector<engine::Extent> extents;
         truth.ForEach(truth.range(), [&extents](const engine::Extent& extent) {
           extents.push_back(extent);
           return true;
         });
         ExtentMap copy(truth.size());
         for (const engine::Extent& extent : extents | std::views::reverse) {
           (void)copy.Add(extent.range.begin, extent.range.length(), extent.type);
         }
         return BuildDescriptors(copy, asked, options);
       })},
      {"AppenderForgetsTheIdBefore", Family::kOrder, 100, Appender([](engine::Bytes& payload, std::size_t from) {
         payload.erase(payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(from));
       })},
      {"AppenderLosesTheLastOfSeveral", Family::kLost, 250, Appender([](engine::Bytes& payload, std::size_t from) {
         if (payload.size() > from + 8) {
           payload.resize(payload.size() - 8);
         }
       })},
      {"AppenderCutsLengthsTo24Bits", Family::kWidth, 250,
       Appender([](engine::Bytes& payload, std::size_t from) { payload[from] = 0; })},
      {"JudgeAllowsTheSumToEqualTheRequest", Family::kEdge, 350,
       RuleMisreader(kSum, [](StatusExchange& exchange) { ++exchange.asked.end; })},
      {"JudgeAccusesTheSumOneByteEarly", Family::kEdge, 9000,
       RuleMisreader(kSum,
                     [](StatusExchange& exchange) { exchange.asked.end -= exchange.asked.length() > 1 ? 1 : 0; })},
      {"JudgeSumsTheLastToo", Family::kRule, 150,
       RuleMisreader(kSum,
                     [](StatusExchange& exchange) {
                       SpoilStatus(exchange, [](auto& status) { status.descriptors.push_back({.length = 1}); });
                     })},
      // Keeps the accusation of a sum only if the sum in 32 bits is wrong too.
      {"JudgeSumsIn32Bits", Family::kWidth, 550, Judges([](const StatusExchange& exchange) {
         const bool is_wrong = std::ranges::any_of(exchange.chunks, [&](const Chunk& chunk) {
           const auto status = engine::DecodePayload<engine::BlockStatus>(chunk.payload);
           std::uint32_t sum = 0;
           for (std::size_t i = 0; chunk.type == 5 && status && i + 1 < status->descriptors.size(); ++i) {
             sum += status->descriptors[i].length;
           }
           return sum >= exchange.asked.length();
         });
         Violations violations = JudgeByAllRules(exchange);
         std::erase_if(violations, [is_wrong](const engine::Violation& violation) {
           return violation.requirement == spec::kBlockStatusSumBeforeLast && !is_wrong;
         });
         return violations;
       })},
      {"JudgeForgetsThatReqOneHasNoSum", Family::kReqOne, 100,
       RuleMisreader(kSum, [](StatusExchange& exchange) { exchange.req_one = false; })},
      {"JudgeCapsWithoutReqOne", Family::kReqOne, 1500,
       RuleMisreader(kCap, [](StatusExchange& exchange) { exchange.req_one = true; })},
      {"JudgeCapsOneByteEarly", Family::kEdge, 100,
       RuleMisreader(kCap,
                     [](StatusExchange& exchange) { exchange.asked.end -= exchange.asked.length() > 1 ? 1 : 0; })},
      {"JudgeAccusesFragmentsBeforeAnError", Family::kError, 100, Misreader([](StatusExchange& exchange) {
         std::erase_if(exchange.chunks, [](const Chunk& chunk) { return chunk.is_error(); });
       })},
      {"JudgeWantsTheFirstContextOnly", Family::kRule, 400, Misreader([](StatusExchange& exchange) {
         exchange.agreed.contexts.resize(std::min<std::size_t>(1, exchange.agreed.contexts.size()));
       })},
      {"JudgeAccusesAnswersToNothing", Family::kLost, 350,
       Misreader([](StatusExchange& exchange) { exchange.asked.end += exchange.asked.empty() ? 1 : 0; })},
      {"JudgeReadsHoleAsZero", Family::kBits, 100, Misreader([](StatusExchange& exchange) {
         SpoilStatus(exchange, [](auto& status) {
           for (Descriptor& descriptor : status.descriptors) {
             descriptor.status = WithBitsSwapped(descriptor.status);
           }
         });
       })},
      {"JudgeBelievesAnyContext", Family::kRule, 2000, Misreader([](StatusExchange& exchange) {
         for (engine::MetaContext& context : exchange.agreed.contexts) {
           context.name = engine::kBaseAllocation;
         }
       })},
      {"JudgeRemembersTheLastCall", Family::kStale, 100, Judges([calls = 0](const StatusExchange& exchange) mutable {
         Violations violations = JudgeByAllRules(exchange);
         if (++calls % 2 == 0 && !violations.empty()) {
           violations.pop_back();
         }
         return violations;
       })},
      // One for each rule that the target's naive judge knows too.
      {"JudgeForgetsReplyStructured", Family::kLost, 350, JudgeWithout(spec::kBlockStatusReplyStructured)},
      {"JudgeForgetsReqOneSingle", Family::kReqOne, 100, JudgeWithout(spec::kBlockStatusReqOneSingle)},
      {"JudgeForgetsMaxPayload", Family::kLost, 100, JudgeWithout(spec::kStructuredChunkMaxPayload)},
      {"JudgeForgetsLengthForm", Family::kLost, 100, JudgeWithout(spec::kBlockStatusChunkLengthForm)},
      {"JudgeForgetsExactlyOnePerId", Family::kLost, 300, JudgeWithout(spec::kBlockStatusChunkExactlyOnePerId)},
      {"JudgeForgetsKnownId", Family::kLost, 100, JudgeWithout(spec::kBlockStatusChunkKnownId)},
      {"JudgeForgetsNonzeroLength", Family::kLost, 100, JudgeWithout(spec::kBlockStatusExtentNonzeroLength)},
      {"JudgeForgetsReqOneLengthCap", Family::kReqOne, 200, JudgeWithout(spec::kBlockStatusReqOneLengthCap)},
      {"JudgeForgetsSumBeforeLast", Family::kLost, 150, JudgeWithout(spec::kBlockStatusSumBeforeLast)},
      {"JudgeForgetsAtLeastOne", Family::kLost, 250, JudgeWithout(spec::kBlockStatusAtLeastOne)},
      {"JudgeForgetsExtendedGated", Family::kLost, 100, JudgeWithout(spec::kExtBlockStatusExtGated)},
      {"JudgeForgetsZeroClaims",
       Family::kBits,
       700,
       {.find_refuted_claim = [](const StatusExchange&,
                                 const ExtentMap&) { return std::optional<engine::Violation>(); }}},
      {"ClaimedZeroesReachOneByteTooFar",
       Family::kEdge,
       1500,
       {.claimed_zeroes =
            [](const StatusExchange& exchange, ByteRange within) {
              within.end += within.end < std::numeric_limits<std::uint64_t>::max() ? 1 : 0;
              return ZeroClaimsOf(exchange.AsExchange(), within);
            }}},
  };
}

}  // namespace

CanaryTarget BlockStatusReplyCanaries() {
  CanaryTarget target = CanariesFor(BlockStatusReplyTarget(), CanariesOf(WrongSubjects(), FindBlockStatusDisagreement));
  target.right_runs = 20'000;
  return target;
}

}  // namespace nbdspec::fuzz
