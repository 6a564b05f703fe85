// SPDX-License-Identifier: BSD-3-Clause
// Checks of BLOCK_STATUS. Most are one rule of engine/block_status/judge.h held against the answers to one battery of
// requests; what base:allocation claims of the contents is in zero_claim_checks.cc.
// Spec: proto.md, "NBD_CMD_BLOCK_STATUS", "NBD_REPLY_TYPE_BLOCK_STATUS".
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "conformance/checks/check.h"
#include "conformance/checks/meta_contexts.h"
#include "conformance/checks/status_asking.h"
#include "engine/block_status/judge.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::ByteRange;
using engine::CommandType;
using engine::StatusExchange;

namespace {

constexpr Features kBase = {Feature::kStructuredReplies, Feature::kBaseAllocation};

// How the rule for `requirement` is violated; empty when it is not.
std::string FirstBreach(std::string_view requirement, const StatusExchange& exchange) {
  engine::Negotiated agreed;
  const engine::Ruling ruling = Apply(engine::RuleOf(requirement), AsExchange(exchange, agreed));
  return ruling.is_violated() ? ruling.saw : "";
}

std::string ErrorText(const StatusExchange& exchange) {
  return engine::ErrorName(Answer{.simple = exchange.simple_reply, .chunks = exchange.chunks}.error());
}

bool IsSuccess(const StatusExchange& exchange) {
  return Answer{.simple = exchange.simple_reply, .chunks = exchange.chunks}.error() == 0;
}

// --- Rules over the battery -----------------------------------------------------------------------------------

struct RuleCheck {
  std::string_view id;
  std::string_view claim;
  std::string_view allowed;
  Features needs = kBase;
  Setup setup = Setup::kWritable;
};

constexpr auto kRuleChecks = std::to_array<RuleCheck>({
    {.id = spec::kBlockStatusReplyStructured,
     .claim = "Status comes in chunks, never in a simple reply.",
     .allowed = "a structured reply"},
    {.id = spec::kBaseAllocationReservedZero,
     .claim = "No status of base:allocation has other bits than HOLE and ZERO.",
     .allowed = "bits 0 (HOLE) and 1 (ZERO)"},
    {.id = spec::kBlockStatusReqOneSingle,
     .claim = "With REQ_ONE each context has one descriptor.",
     .allowed = "one descriptor"},
    {.id = spec::kBlockStatusChunkLengthForm,
     .claim = "A status chunk has an id of 4 bytes and descriptors of 8.",
     .allowed = "4 plus a positive multiple of 8 bytes"},
    {.id = spec::kBlockStatusChunkExactlyOnePerId,
     .claim = "Each selected context has one status chunk.",
     .allowed = "one status chunk for each context selected"},
    {.id = spec::kBlockStatusChunkKnownId,
     .claim = "Status chunks are for contexts that were selected.",
     .allowed = "ids that SET_META_CONTEXT gave"},
    {.id = spec::kBlockStatusExtentNonzeroLength,
     .claim = "No descriptor has length 0.",
     .allowed = "a length above 0"},
    {.id = spec::kBlockStatusReqOneLengthCap,
     .claim = "With REQ_ONE no descriptor is longer than the request.",
     .allowed = "a length up to the request's"},
    {.id = spec::kBlockStatusSumBeforeLast,
     .claim = "All descriptors but the last sum to less than the request.",
     .allowed = "no descriptor after the one that reaches the end of the request"},
    {.id = spec::kBlockStatusMaxExtents,
     .claim = "No chunk has more than 2^20 descriptors.",
     .allowed = "up to 1048576 descriptors"},
    {.id = spec::kBlockStatusAtLeastOne,
     .claim = "No status chunk of a success is empty.",
     .allowed = "at least one descriptor"},
    {.id = spec::kBlockStatusExtentWithinExport,
     .claim = "No descriptor reaches past the end of the export.",
     .allowed = "parts of the export"},
    {.id = spec::kBlockStatusDistinctStatus,
     .claim = "Neighbouring descriptors have different status.",
     .allowed = "one descriptor for neighbours of equal status"},
    {.id = spec::kBlockStatusLengthMultipleOf512,
     .claim = "Aligned requests get lengths that are multiples of 512.",
     .allowed = "multiples of 512 away from the ends of unaligned requests and images"},
    {.id = spec::kBlockStatusLengthMultipleOfMinBlock,
     .claim = "Lengths are multiples of the advertised minimum block size.",
     .allowed = "multiples of the minimum block size but at the end of an unaligned image",
     .needs = {Feature::kStructuredReplies, Feature::kBaseAllocation, Feature::kMinimumAboveOne},
     .setup = Setup::kStrictBlockSize},
    {.id = spec::kExtBlockStatusExtGated,
     .claim = "Without extended headers no chunk has the 64-bit form.",
     .allowed = "chunks of type 5"},
});

Judgement HoldRuleOverBattery(CheckContext& context, const RuleCheck& check) {
  NBDSPEC_TRY(asker, StatusAsker::Enter(context));
  NBDSPEC_TRY(battery, asker.Battery(context));
  std::string error = "there is no request a client may make";
  bool has_success = false;
  for (const StatusRequest& request : battery) {
    NBDSPEC_TRY(exchange, asker.Ask(request));
    const std::string breach = FirstBreach(check.id, exchange);
    if (!breach.empty()) {
      return Broken(fmt::format("asked {}: {}", Text(request), breach), std::string(check.allowed));
    }
    has_success = has_success || IsSuccess(exchange);
    error = ErrorText(exchange);
  }
  return has_success ? Holds() : Inconclusive("every NBD_CMD_BLOCK_STATUS failed, the last with " + error);
}

// Lengths at the edges of 32-bit arithmetic, over exports that are large enough (CVE-2025-47711 of nbdkit).
Judgement HugeRequests(CheckContext& context) {
  constexpr std::uint64_t kLengths[] = {0x7fff'fe00, 0x8000'0000, 0xffff'fe00, 0xffff'ffff};
  NBDSPEC_TRY(asker, StatusAsker::Enter(context));
  bool asked = false;
  for (const std::uint64_t length : kLengths) {
    const StatusRequest request = {.asked = {.begin = 0, .end = length - length % asker.block_bytes_min()}};
    if (!asker.MayAsk(request.asked)) {
      continue;
    }
    asked = true;
    NBDSPEC_TRY(exchange, asker.Ask(request));
    const std::string breach = FirstBreach(spec::kBlockStatusSumBeforeLast, exchange);
    if (!breach.empty()) {
      return Broken(fmt::format("asked {}: {}", Text(request), breach),
                    "no descriptor after the one that reaches the end of the request");
    }
  }
  return asked ? Holds() : NotApplicable("the export is smaller than 2 GiB");
}

template <std::size_t kIndex>
Judgement HoldRule(CheckContext& context) {
  return HoldRuleOverBattery(context, kRuleChecks[kIndex]);
}

template <std::size_t... kIndex>
std::vector<Check> ChecksOfRules(std::index_sequence<kIndex...>) {
  return {Check{.id = kRuleChecks[kIndex].id,
                .needs = kRuleChecks[kIndex].needs,
                .setup = kRuleChecks[kIndex].setup,
                .claim = kRuleChecks[kIndex].claim,
                .run = HoldRule<kIndex>}...};
}

// --- Without a selection --------------------------------------------------------------------------------------

// Asks for status though `queries` select nothing. EINVAL is asked for; the end of the connection is another answer.
Judgement NoContext(CheckContext& context, bool with_set) {
  constexpr std::string_view kId = spec::kBlockStatusNoContextEinval;
  NBDSPEC_TRY(session, context.HaggleStructured());
  if (with_set) {
    NBDSPEC_TRY(
        set, AskContexts(context, session, engine::OptionType::kSetMetaContext, {std::string(kUnknownNamespaceQuery)}));
    if (!set.contexts.empty()) {
      return Inconclusive("an unknown context is selected: " + set.Text());
    }
  }
  NBDSPEC_TRY(answer, EnterAndAskStatus(context, session));
  if (!answer) {
    return answer.error().is_disconnect() ? Broken(answer.error().text, "NBD_EINVAL") : AsJudgement(answer.error());
  }
  const std::string breach = FirstBreach(kId, {.asked = {.begin = 0, .end = 1},
                                               .export_bytes = context.profile().info.size,
                                               .chunks = answer->chunks,
                                               .simple_reply = answer->simple});
  return breach.empty() ? Holds() : Broken(breach, "NBD_EINVAL");
}

Judgement NoSet(CheckContext& context) { return NoContext(context, /*with_set=*/false); }

Judgement SetOfNothing(CheckContext& context) { return NoContext(context, /*with_set=*/true); }

// --- Out of bounds --------------------------------------------------------------------------------------------

// Ranges that are not wholly inside the export, otherwise as a client may ask for them.
std::vector<ByteRange> OutsideRanges(const StatusAsker& asker) {
  const std::uint64_t block = asker.block_bytes_min();
  const std::uint64_t size = (asker.export_bytes() + block - 1) / block * block;
  const std::uint64_t far = std::uint64_t{1} << 63;
  return {{.begin = size, .end = size + block},
          {.begin = size - block, .end = size + block},
          {.begin = 0, .end = size + block},
          {.begin = far, .end = far + asker.unit()}};
}

// Asks for each range on a connection of its own, because the server may end it.
template <typename Judge>
Judgement AskOutside(CheckContext& context, Judge judge) {
  NBDSPEC_TRY(first, StatusAsker::Enter(context));
  for (const ByteRange outside : OutsideRanges(first)) {
    if (outside.length() > std::numeric_limits<std::uint32_t>::max()) {
      continue;
    }
    NBDSPEC_TRY(asker, StatusAsker::Enter(context));
    const auto exchange = asker.Ask({.asked = outside});
    Judgement judgement = judge(outside, exchange);
    if (judgement.kind != Judgement::Kind::kHolds) {
      return judgement;
    }
  }
  return Holds();
}

Judgement OutOfBounds(CheckContext& context) {
  return AskOutside(context, [](ByteRange outside, const Received<StatusExchange>& exchange) {
    if (!exchange) {
      return Broken(fmt::format("asked {}: {}", Text({.asked = outside}), exchange.error().text), "NBD_EINVAL");
    }
    const std::string breach = FirstBreach(spec::kBlockStatusOutOfBounds, *exchange);
    return breach.empty() ? Holds() : Broken(breach, "NBD_EINVAL");
  });
}

Judgement ErrorChunk(CheckContext& context) {
  return AskOutside(context, [](ByteRange outside, const Received<StatusExchange>& exchange) {
    if (!exchange) {
      return exchange.error().is_disconnect() ? NotApplicable("the server disconnects rather than report an error")
                                              : AsJudgement(exchange.error());
    }
    if (IsSuccess(*exchange)) {
      return NotApplicable("a request past the end of the export is no error here");
    }
    const std::string breach = FirstBreach(spec::kBlockStatusErrorErrorChunk, *exchange);
    return breach.empty() ? Holds()
                          : Broken(fmt::format("asked {}: {}", Text({.asked = outside}), breach), "an error chunk");
  });
}

// --- Others ---------------------------------------------------------------------------------------------------

Judgement OnlyForBlockStatus(CheckContext& context) {
  NBDSPEC_TRY(asker, StatusAsker::Enter(context));
  const Features& offered = context.profile().features;
  const std::uint64_t length = std::min(asker.unit(), asker.export_bytes());
  for (const std::uint16_t command : {CommandType::kRead, CommandType::kFlush, CommandType::kCache}) {
    if ((command == CommandType::kFlush && !offered.Has(Feature::kFlush)) ||
        (command == CommandType::kCache && !offered.Has(Feature::kCache)) ||
        !asker.MayAsk({.begin = 0, .end = length})) {
      continue;
    }
    NBDSPEC_TRY(answer, asker.session().Ask(engine::Request{
                            .type = command,
                            .length = command == CommandType::kFlush ? 0 : static_cast<std::uint32_t>(length)}));
    if (std::ranges::count(answer.chunks, engine::ChunkType::kBlockStatus, &engine::Chunk::type) > 0) {
      return Broken(engine::CommandName(command) + " is answered with a status chunk",
                    "status chunks for NBD_CMD_BLOCK_STATUS only");
    }
  }
  return Holds();
}

Judgement ZeroLengthKeepsConnection(CheckContext& context) {
  NBDSPEC_TRY(asker, StatusAsker::Enter(context));
  const std::uint64_t length =
      std::min(asker.unit(), asker.export_bytes() - asker.export_bytes() % asker.block_bytes_min());
  for (const bool req_one : {false, true}) {
    // Whatever answers it, and whether anything does, is unspecified.
    asker.session().Send(engine::Request{.flags = req_one ? engine::CommandFlag::kReqOne : std::uint16_t{0},
                                         .type = CommandType::kBlockStatus,
                                         .cookie = asker.session().NextCookie()});
    const auto read =
        asker.session().Ask(engine::Request{.type = CommandType::kRead, .length = static_cast<std::uint32_t>(length)});
    if (!read) {
      return read.error().is_disconnect() ? Broken("after a status request of length 0: " + read.error().text,
                                                   "any reply, but the connection lasts")
                                          : AsJudgement(read.error());
    }
  }
  return Holds();
}

// Lays the descriptors end to end from the request's offset. Where that claims zeroes, a byte is not zero, and a
// request that begins at the byte does not claim it either, the server knew better: the list is not where it should
// be. (Where it does claim it, the claim itself is wrong: base-allocation.zero.reads-zero.)
Judgement Consecutive(CheckContext& context) {
  constexpr std::uint64_t kComparedBytesMax = 16 << 10;
  constexpr std::size_t kClaimsMax = 4;
  NBDSPEC_TRY(asker, StatusAsker::Enter(context));
  NBDSPEC_TRY(battery, asker.Battery(context));
  std::erase_if(battery, &StatusRequest::req_one);
  for (const StatusRequest& request : battery) {
    NBDSPEC_TRY(exchange, asker.Ask(request));
    const ByteRange compared = {.begin = request.asked.begin,
                                .end = std::min(asker.export_bytes(), request.asked.end + kComparedBytesMax)};
    std::vector<ByteRange> claims = engine::ClaimedZeroes(exchange, compared);
    std::ranges::shuffle(claims, context.random());
    claims.resize(std::min(claims.size(), kClaimsMax));
    for (ByteRange claimed : claims) {
      claimed.end = std::min(claimed.end, claimed.begin + kComparedBytesMax);
      NBDSPEC_TRY(found, asker.FindNonZero(claimed));
      if (!found) {
        continue;
      }
      const std::uint64_t block = *found - *found % asker.block_bytes_min();
      const StatusRequest there = {.asked = {.begin = block, .end = block + asker.block_bytes_min()}, .req_one = true};
      NBDSPEC_TRY(single, asker.Ask(there));
      if (IsSuccess(single) && engine::ClaimedZeroes(single, there.asked).empty()) {
        return Broken(fmt::format("asked {}: the descriptors, end to end, claim zeroes in [{}, {}); byte {} is not "
                                  "zero, and the answer to {} does not say so",
                                  Text(request), claimed.begin, claimed.end, *found, Text(there)),
                      "descriptors that adjoin, from the request's offset on");
      }
    }
  }
  return Holds();
}

}  // namespace

std::vector<Check> BlockStatusChecks() {
  std::vector<Check> checks = ChecksOfRules(std::make_index_sequence<kRuleChecks.size()>());
  const std::vector<Check> others = {
      {.id = spec::kBlockStatusNoContextEinval,
       .needs = {Feature::kStructuredReplies},
       .claim = "BLOCK_STATUS without SET_META_CONTEXT gets EINVAL.",
       .run = NoSet},
      {.id = spec::kSub<spec::kBlockStatusNoContextEinval, "set-nothing">,
       .needs = {Feature::kStructuredReplies, Feature::kMetaContexts},
       .claim = "BLOCK_STATUS after a SET_META_CONTEXT that selects nothing gets EINVAL.",
       .run = SetOfNothing},
      {.id = spec::kSub<spec::kBlockStatusSumBeforeLast, "huge">,
       .needs = kBase,
       .claim = "So it is with requests of 2 GiB and 4 GiB.",
       .run = HugeRequests},
      {.id = spec::kBlockStatusOnlyForCmd,
       .needs = kBase,
       .claim = "READ, FLUSH and CACHE are not answered with status chunks.",
       .run = OnlyForBlockStatus},
      {.id = spec::kBlockStatusZeroLengthNoDisconnect,
       .needs = kBase,
       .claim = "After a status request of length 0 a READ is answered.",
       .run = ZeroLengthKeepsConnection},
      {.id = spec::kBlockStatusExtentConsecutive,
       .needs = kBase,
       .claim = "Descriptors laid end to end from the request's offset agree with a query at each place and with READ.",
       .run = Consecutive},
      {.id = spec::kBlockStatusErrorErrorChunk,
       .needs = kBase,
       .claim = "An error comes in an error chunk.",
       .run = ErrorChunk},
      {.id = spec::kBlockStatusOutOfBounds,
       .needs = kBase,
       .claim = "A request past the end of the export gets EINVAL.",
       .run = OutOfBounds},
  };
  checks.insert(checks.end(), others.begin(), others.end());
  return checks;
}

}  // namespace nbdspec::conformance
