// SPDX-License-Identifier: BSD-3-Clause
// Checks of BLOCK_STATUS. Most are one rule of engine/exchange held against the answers to one battery of requests;
// what base:allocation claims of the contents is in zero_claim_checks.cc. Spec: proto.md, "NBD_CMD_BLOCK_STATUS",
// "NBD_REPLY_TYPE_BLOCK_STATUS".
#include "conformance/checks/metadata/meta_contexts.h"
#include "engine/exchange/status.h"

namespace nbdspec::conformance {

namespace {

// --- Rules over many requests ---------------------------------------------------------------------------------

// Lengths at the edges of 32-bit arithmetic, over exports that are large enough (CVE-2025-47711 of nbdkit).
Judgement HugeRequests(CheckContext& context) {
  constexpr std::uint64_t kLengths[] = {0x7fff'fe00, 0x8000'0000, 0xffff'fe00, 0xffff'ffff};
  NBDSPEC_TRY(asker, StatusAsker::Enter(context));
  std::vector<StatusRequest> requests;
  for (const std::uint64_t length : kLengths) {
    const StatusRequest request = {.asked = {.begin = 0, .end = length - length % asker.block_bytes_min()}};
    if (asker.MayAsk(request.asked)) {
      requests.push_back(request);
    }
  }
  if (requests.empty()) {
    return NotApplicable("the export is smaller than 2 GiB");
  }
  NBDSPEC_TRY(success_count, CountKept(context, asker, requests));  // A server may refuse so long a request.
  return Holds();
}

// --- Without a selection --------------------------------------------------------------------------------------

// Asks for status though nothing is selected. EINVAL is asked for; the end of the connection is another answer.
template <bool with_set>
Judgement NoContext(CheckContext& context) {
  NBDSPEC_TRY(session, context.HaggleStructured());
  if (with_set) {
    NBDSPEC_TRY(set, AskContexts(context, session, OptionType::kSetMetaContext, {kUnknownNamespaceQuery}));
    if (!set.contexts.empty()) {
      return Inconclusive("an unknown context is selected: " + set.Text());
    }
  }
  NBDSPEC_TRY(batch, EnterAndAskStatus(context, std::move(session)));
  if (!batch.endings.empty()) {
    return MayNotDisconnect(batch.endings.back(), "", "NBD_EINVAL");
  }
  return JudgeFirst(context, batch);
}

// --- Out of bounds --------------------------------------------------------------------------------------------

// Ranges that are not wholly inside the export, otherwise as a client may ask for them.
std::vector<ByteRange> OutsideRanges(const StatusAsker& asker) {
  const std::uint64_t block = asker.block_bytes_min();
  const std::uint64_t size = (asker.size() + block - 1) / block * block;
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
    if (context.headers == HeaderForm::kCompact && outside.length() > std::numeric_limits<std::uint32_t>::max()) {
      continue;
    }
    NBDSPEC_TRY(asker, StatusAsker::Enter(context));
    const auto exchange = asker.Ask({.asked = outside});
    Judgement judgement = judge(outside, exchange);
    if (!judgement.holds()) {
      return judgement;
    }
  }
  return Holds();
}

Judgement OutOfBounds(CheckContext& context) {
  return AskOutside(context, [&](ByteRange outside, const Received<Exchange>& exchange) {
    return exchange
               ? AsJudgement(Apply(context.rule(), *exchange))
               : Broken(fmt::format("asked {}: {}", Text({.asked = outside}), exchange.error().text), "NBD_EINVAL");
  });
}

Judgement ErrorChunk(CheckContext& context) {
  return AskOutside(context, [&](ByteRange, const Received<Exchange>& exchange) {
    if (!exchange) {
      return exchange.error().is_disconnect() ? NotApplicable("the server disconnects rather than report an error")
                                              : AsJudgement(exchange.error());
    }
    return exchange->answer.error() == 0 ? NotApplicable("a request past the end of the export is no error here")
                                         : AsJudgement(Apply(context.rule(), *exchange));
  });
}

// --- Others ---------------------------------------------------------------------------------------------------

Judgement OnlyForBlockStatus(CheckContext& context) {
  NBDSPEC_TRY(entered, context.EnterWithAll());
  for (const std::uint16_t command : {CommandType::kRead, CommandType::kFlush, CommandType::kCache}) {
    const ByteRange cell = {.begin = 0, .end = std::min(GridOf(entered), entered.size())};
    const Request request = RequestFor(command, command == CommandType::kFlush ? ByteRange{} : cell);
    if (!LegalityOf(RequestHead::Of(request), *entered.agreed).is_legal()) {
      continue;
    }
    const Batch batch = AskOnce(entered, request);
    Judgement judgement = JudgeFirst(context, batch);
    if (judgement.is_broken() || !batch.endings.empty()) {
      return judgement;
    }
  }
  return Holds();
}

Judgement ZeroLengthKeepsConnection(CheckContext& context) {
  NBDSPEC_TRY(asker, StatusAsker::Enter(context));
  const std::uint64_t length = std::min(asker.unit(), asker.size() - asker.size() % asker.block_bytes_min());
  for (const bool req_one : {false, true}) {
    // Whatever answers it, and whether anything does, is unspecified.
    Request empty = RequestFor(CommandType::kBlockStatus, {}, req_one ? CommandFlag::kReqOne : std::uint16_t{0});
    empty.cookie = asker.session.NextCookie();
    asker.session.Send(empty);
    const auto read = asker.session.Ask(RequestFor(CommandType::kRead, {.begin = 0, .end = length}));
    if (!read) {
      return About(WhatFollows(SubjectOf(empty)), MayNotDisconnect(read.error(), "after a status request of length 0: ",
                                                                   "any reply, but the connection lasts"));
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
                                .end = std::min(asker.size(), request.asked.end + kComparedBytesMax)};
    std::vector<ByteRange> claims = ZeroClaimsOf(exchange, compared);
    std::ranges::shuffle(claims, context.random);
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
      if (single.answer.error() == 0 && ZeroClaimsOf(single, there.asked).empty()) {
        return About(WithTruth(SubjectOf(exchange), claimed, *found),
                     Broken(fmt::format("asked {}: the descriptors, end to end, claim zeroes in [{}, {}); byte {} is "
                                        "not zero, and the answer to {} does not say so",
                                        Text(request), claimed.begin, claimed.end, *found, Text(there)),
                            "descriptors that adjoin, from the request's offset on"));
      }
    }
  }
  return Holds();
}

}  // namespace

std::vector<Check> BlockStatusChecks() {
  constexpr auto kRule = OverBattery;
  return {
      {kBlockStatusReplyStructured, "Status comes in chunks, never in a simple reply.", kRule, kBase},
      {kBaseAllocationReservedZero, "No status of base:allocation has other bits than HOLE and ZERO.", kRule, kBase},
      {kBlockStatusReqOneSingle, "With REQ_ONE each context has one descriptor.", kRule, kBase},
      {kBlockStatusChunkLengthForm, "A status chunk has an id of 4 bytes and descriptors of 8.",
       WithCompact(OverBattery), kBase},
      {kBlockStatusChunkExactlyOnePerId, "Each selected context has one status chunk.", kRule, kBase},
      {kBlockStatusChunkKnownId, "Status chunks are for contexts that were selected.", kRule, kBase},
      {kBlockStatusExtentNonzeroLength, "No descriptor has length 0.", kRule, kBase},
      {kBlockStatusReqOneLengthCap, "With REQ_ONE no descriptor is longer than the request.", kRule, kBase},
      {kBlockStatusSumBeforeLast, "All descriptors but the last sum to less than the request.", kRule, kBase},
      {kBlockStatusMaxExtents, "No chunk has more than 2^20 descriptors.", kRule, kBase},
      {kBlockStatusAtLeastOne, "No status chunk of a success is empty.", kRule, kBase},
      {kBlockStatusExtentWithinExport, "No descriptor reaches past the end of the export.", kRule, kBase},
      {kBlockStatusDistinctStatus, "Neighbouring descriptors have different status.", kRule, kBase},
      {kBlockStatusLengthMultipleOf512, "Aligned requests get lengths that are multiples of 512.", kRule, kBase},
      {kBlockStatusLengthMultipleOfMinBlock, "Lengths are multiples of the advertised minimum block size.", kRule,
       kBase | Feature::kMinimumAboveOne, Setup::kStrictBlockSize},
      {kExtBlockStatusExtGated, "Without extended headers no chunk has the 64-bit form.", WithCompact(OverBattery),
       kBase},
      {kBlockStatusNoContextEinval, "BLOCK_STATUS without SET_META_CONTEXT gets EINVAL.", NoContext</*with_set=*/false>,
       Feature::kStructuredReplies},
      {kSub<kBlockStatusNoContextEinval, "set-nothing">,
       "BLOCK_STATUS after a SET_META_CONTEXT that selects nothing gets EINVAL.", NoContext</*with_set=*/true>,
       kContexts},
      {kSub<kBlockStatusSumBeforeLast, "huge">,
       "Requests of 2 and 4 GiB return no descriptor past the one that completes the request.", HugeRequests, kBase},
      {kBlockStatusOnlyForCmd, "READ, FLUSH and CACHE get no status chunks.", OnlyForBlockStatus, kBase},
      {kBlockStatusZeroLengthNoDisconnect, "After a status request of length 0 a READ is answered.",
       ZeroLengthKeepsConnection, kBase},
      {kBlockStatusExtentConsecutive,
       "Descriptors laid end to end from the request's offset agree with a query at each place and with READ.",
       Consecutive, kBase},
      {kBlockStatusErrorErrorChunk, "An error comes in an error chunk.", ErrorChunk, kBase},
      {kBlockStatusOutOfBounds, "A request past the end of the export gets EINVAL.", OutOfBounds, kBase},
  };
}

}  // namespace nbdspec::conformance
