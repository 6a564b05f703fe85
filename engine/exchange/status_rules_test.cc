// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <set>
#include <string_view>
#include <vector>

#include "engine/exchange/testdata/status_exchanges.h"
#include "engine/spec/ids.h"

namespace nbdspec::engine {
namespace {

constexpr std::uint32_t kHole = AllocationFlag::kHole;
constexpr std::uint32_t kZero = AllocationFlag::kZero;
constexpr std::uint32_t kLengthMax = std::numeric_limits<std::uint32_t>::max();
constexpr ByteRange kFirstPage = {.begin = 0, .end = 4096};
constexpr std::uint64_t k4GiB = std::uint64_t{1} << 32;

using Requirements = std::vector<std::string_view>;

Requirements RequirementsOf(const StatusExchange& exchange) {
  Requirements requirements;
  for (const Violation& violation : Judge(exchange)) {
    requirements.push_back(violation.requirement);
  }
  return requirements;
}

std::string FirstSaw(const StatusExchange& exchange) {
  const std::vector<Violation> violations = Judge(exchange);
  return violations.empty() ? "nothing" : violations.front().saw;
}

std::string SawOf(std::string_view requirement, const StatusExchange& exchange) {
  const std::vector<Violation> violations = Judge(exchange);
  const auto found = std::ranges::find(violations, requirement, &Violation::requirement);
  return found == violations.end() ? "nothing" : found->saw;
}

StatusExchange WithPayload(StatusExchange exchange, Bytes payload) {
  exchange.chunks.at(0).payload = std::move(payload);
  return exchange;
}

StatusExchange WithPayloadMax(StatusExchange exchange, std::uint32_t bytes_max) {
  exchange.agreed.block_size.maximum = bytes_max;
  return exchange;
}

// `count` descriptors of 512 bytes that differ from their neighbours, answering a request for all of them.
StatusExchange ManyDescriptors(std::size_t count) {
  std::vector<Descriptor> descriptors;
  for (std::size_t i = 0; i < count; ++i) {
    descriptors.push_back({.length = 512, .status = i % 2 == 0 ? kZero : 0});
  }
  return WithExportSize(AnswerTo({.begin = 0, .end = count * 512}, std::move(descriptors)), count * 512);
}

const std::vector<MetaContext>& TwoContexts() {
  static const std::vector<MetaContext> contexts = {{.id = kAllocationId, .name = std::string(kBaseAllocation)},
                                                    {.id = kDirtyId, .name = "x-test:dirty"}};
  return contexts;
}

const std::vector<Descriptor> kWhole = {{.length = 4096}};

struct WrongReply {
  std::string_view requirement;  // The only one that is broken,
  StatusExchange exchange;
  std::string_view saw;
  std::string_view also = {};  // but for one before it that says the same of the compact form, or of a part of it.
};

const std::vector<WrongReply>& WrongReplies() {
  static const std::vector<WrongReply> replies = {
      {spec::kBlockStatusNoContextEinval,
       WithChunks(WithContexts(AnswerTo(kFirstPage, {}), {}), {Chunk{.type = ChunkType::kNone}}),
       "no context is selected, but the reply is a success, not EINVAL"},
      {spec::kBlockStatusReplyStructured, WithSimpleReply(AnswerTo(kFirstPage, {}), NbdError::kOk),
       "a simple reply says that the request succeeded"},
      {spec::kBaseAllocationReservedZero, AnswerTo(kFirstPage, {{512, 0}, {512, 4}, {3072, 0x80000000}}),
       "descriptor 1 of context 7 has status 4, above 3 (and 1 more)"},
      {spec::kBlockStatusReqOneSingle, WithReqOne(AnswerTo(kFirstPage, {{512, kHole}, {3584, 0}})),
       "context 7 has 2 descriptors; REQ_ONE asks for one"},
      {spec::kStructuredChunkMaxPayload, WithPayloadMax(AnswerTo(kFirstPage, {{512, kHole}, {3584, 0}}), 15),
       "the descriptors of context 7 are 16 bytes; the maximum payload is 15"},
      {spec::kBlockStatusChunkLengthForm, WithPayload(AnswerTo(kFirstPage, {}), {0, 0, 0, 7, 0, 0, 16, 0, 0, 0, 0}),
       "a status chunk has 11 bytes, not 4 plus a positive multiple of 8"},
      {spec::kBlockStatusChunkExactlyOnePerId, WithContexts(AnswerTo(kFirstPage, kWhole), TwoContexts()),
       "context 0 has no status chunk"},
      {spec::kBlockStatusChunkKnownId,
       WithChunks(AnswerTo(kFirstPage, {}), {StatusChunkOf(kAllocationId, kWhole), StatusChunkOf(8, kWhole)}),
       "a status chunk is for context 8, never selected"},
      {spec::kBlockStatusExtentNonzeroLength, AnswerTo(kFirstPage, {{512, kZero}, {0, kHole}, {3584, 0}}),
       "descriptor 1 of context 7 has length 0"},
      {spec::kBlockStatusReqOneLengthCap, WithReqOne(AnswerTo(kFirstPage, {{4608, 0}})),
       "descriptor 0 of context 7 has length 4608, more than the request of 4096 bytes with REQ_ONE"},
      {spec::kBlockStatusSumBeforeLast, AnswerTo(kFirstPage, {{4096, kZero}, {512, 0}}),
       "the descriptors of context 7 before the last sum to 4096, not less than the request of 4096 bytes"},
      {spec::kBlockStatusMaxExtents, ManyDescriptors(kDescriptorCountMax + 1),
       "context 7 has 1048577 descriptors, more than 1048576"},
      {spec::kBlockStatusAtLeastOne, AnswerTo(kFirstPage, {}), "context 7 has no descriptor"},
      {spec::kBlockStatusExtentWithinExport, WithExportSize(AnswerTo(kFirstPage, {{4608, 0}}), 4096),
       "descriptor 0 of context 7 is about [0, 4608), past the end of the export at 4096"},
      {spec::kBlockStatusDistinctStatus, AnswerTo(kFirstPage, {{512, kZero}, {512, kZero}, {512, 0}}),
       "descriptor 1 of context 7 has status 2 like the one before it"},
      {spec::kBlockStatusLengthMultipleOf512, AnswerTo(kFirstPage, {{512, 0}, {513, kZero}}),
       "descriptor 1 of context 7 has length 513, no multiple of 512"},
      {spec::kBlockStatusLengthMultipleOfMinBlock, WithBlockSize(AnswerTo(kFirstPage, {{512, 0}, {3584, kZero}}), 4096),
       "descriptor 0 of context 7 has length 512, no multiple of 4096 (and 1 more)"},
      {spec::kBlockStatusErrorErrorChunk, WithSimpleReply(AnswerTo(kFirstPage, {}), NbdError::kEio),
       "error 5 came in a simple reply, not in an error chunk"},
      {spec::kBlockStatusOutOfBounds, WithExportSize(AnswerTo(kFirstPage, {{2048, 0}}), 2048),
       "[0, 4096) reaches past the end of the export at 2048, but the reply is a success, not EINVAL"},
      {spec::kExtBlockStatusExtGated, WithChunks(AnswerTo(kFirstPage, {}), {Chunk{.type = ChunkType::kBlockStatusExt}}),
       "a chunk has type 6, but headers are not extended"},
      {spec::kExtBlockStatusNeedsChunks, WithSimpleReply(ExtendedAnswerTo(kFirstPage, {}), NbdError::kOk),
       "a simple reply says that the request succeeded", spec::kBlockStatusReplyStructured},
      {spec::kExtBlockStatusNo32bitChunk,
       WithChunks(ExtendedAnswerTo(kFirstPage, {}), {StatusChunkOf(kAllocationId, kWhole)}),
       "a chunk has type 5, but headers are extended"},
      {spec::kExtBlockStatusExtLength, WithPayload(ExtendedAnswerTo(kFirstPage, {}), Bytes(20)),
       "a status chunk has 20 bytes, not 8 plus a positive multiple of 16"},
      {spec::kExtBlockStatusExtCount,
       WithChunks(ExtendedAnswerTo(kFirstPage, {}), {ExtendedChunkOf(kAllocationId, kWhole, 2)}),
       "context 7 has a count of 2 and 1 descriptors"},
      {spec::kExtBlockStatusExtCountNonzero,
       WithChunks(ExtendedAnswerTo(kFirstPage, {}), {ExtendedChunkOf(kAllocationId, kWhole, 0)}),
       "context 7 has a count of 0", spec::kExtBlockStatusExtCount},
      {spec::kExtBlockStatusExtExtentNonzero, ExtendedAnswerTo(kFirstPage, {{512, kZero}, {0, kHole}, {3584, 0}}),
       "descriptor 1 of context 7 has length 0", spec::kBlockStatusExtentNonzeroLength},
      {spec::kExtBlockStatusExtHighBitsZero, ExtendedAnswerTo(kFirstPage, {{4096, std::uint64_t{1} << 32}}),
       "descriptor 0 of context 7 has status 4294967296, above 2^32-1"},
      {spec::kExtBlockStatusExtMirrorsRules,
       WithExportSize(ExtendedAnswerTo(kFirstPage, {{k4GiB, kZero}, {512, 0}}), 2 * k4GiB),
       "the descriptors of context 7 before the last sum to 4294967296, not less than the request of 4096 bytes",
       spec::kBlockStatusSumBeforeLast},
      {spec::kExtBlockStatusPayloadReject,
       WithQuery(ExtendedAnswerTo(kFirstPage, kWhole), {kAllocationId, kAllocationId}),
       "the payload names a context that is unknown, or one twice, but the reply is a success, not EINVAL"},
      {spec::kExtBlockStatusPayloadFilter,
       WithQuery(WithContexts(WithChunks(ExtendedAnswerTo(kFirstPage, {}),
                                         {ExtendedChunkOf(kAllocationId, kWhole), ExtendedChunkOf(kDirtyId, kWhole)}),
                              TwoContexts()),
                 {kDirtyId}),
       "context 7 answers, which the payload does not name"},
      {spec::kExtBlockStatusMinBlock, WithBlockSize(ExtendedAnswerTo(kFirstPage, {{512, 0}, {3584, kZero}}), 4096),
       "descriptor 0 of context 7 has length 512, no multiple of 4096 (and 1 more)",
       spec::kBlockStatusLengthMultipleOfMinBlock},
      {spec::kExtBlockStatusOutOfBounds, WithExportSize(ExtendedAnswerTo(kFirstPage, {{2048, 0}}), 2048),
       "the request of 4096 bytes is longer than the export of 2048, but the reply is a success, not EINVAL",
       spec::kBlockStatusOutOfBounds},
  };
  return replies;
}

TEST(StatusRules, EachRuleAloneFindsItsWrong) {
  for (const WrongReply& wrong : WrongReplies()) {
    const Requirements expected =
        wrong.also.empty() ? Requirements{wrong.requirement} : Requirements{wrong.also, wrong.requirement};
    EXPECT_EQ(RequirementsOf(wrong.exchange), expected);
    EXPECT_EQ(SawOf(wrong.requirement, wrong.exchange), wrong.saw);
  }
}

TEST(StatusRules, EachRuleIsInTheTableOnceAndHasAWrongHere) {
  std::set<std::string_view> in_table;
  for (const Rule& rule : StatusRules()) {
    EXPECT_TRUE(in_table.insert(rule.requirement).second) << rule.requirement;
    EXPECT_TRUE(std::ranges::any_of(WrongReplies(), [&](const WrongReply& w) {
      return w.requirement == rule.requirement;
    })) << rule.requirement;
  }
  EXPECT_EQ(in_table.size(), WrongReplies().size());
}

// --- What must be allowed -------------------------------------------------------------------------------------

const Requirements kNothing = {};

TEST(StatusRules, ShortAnswersAreAllowed) {
  EXPECT_EQ(RequirementsOf(AnswerTo(kFirstPage, {{512, 0}})), kNothing);
  EXPECT_EQ(RequirementsOf(AnswerTo(kFirstPage, {{512, 0}, {512, kZero}})), kNothing);
}

TEST(StatusRules, OnlyTheLastMayPassTheRequest) {
  EXPECT_EQ(RequirementsOf(AnswerTo(kFirstPage, {{1 << 20, 0}})), kNothing);
  EXPECT_EQ(RequirementsOf(AnswerTo(kFirstPage, {{3584, 0}, {8192, kZero}})), kNothing);
  EXPECT_EQ(RequirementsOf(AnswerTo(kFirstPage, {{3584, 0}, {512, kZero}, {512, 0}})),
            Requirements{spec::kBlockStatusSumBeforeLast});
  EXPECT_EQ(RequirementsOf(AnswerTo({.begin = 0, .end = 1}, {{512, 0}, {512, kZero}})),
            Requirements{spec::kBlockStatusSumBeforeLast});
}

TEST(StatusRules, ReqOneMayBeShorterThanTheRequest) {
  EXPECT_EQ(RequirementsOf(WithReqOne(AnswerTo(kFirstPage, {{512, kHole}}))), kNothing);
  EXPECT_EQ(RequirementsOf(WithReqOne(AnswerTo(kFirstPage, {{4096, kHole}}))), kNothing);
}

TEST(StatusRules, AnythingFramedAnswersARequestOfNothing) {
  constexpr ByteRange kEmpty = {.begin = 512, .end = 512};
  for (const bool req_one : {false, true}) {
    StatusExchange exchange = AnswerTo(kEmpty, {{0, 0}, {513, 9}, {513, 9}});
    exchange.req_one = req_one;
    EXPECT_EQ(RequirementsOf(exchange), kNothing);
    EXPECT_EQ(RequirementsOf(WithChunks(exchange, {Chunk{}})), kNothing);
    EXPECT_EQ(RequirementsOf(WithChunks(exchange, {ErrorChunkOf(NbdError::kEinval)})), kNothing);
    EXPECT_EQ(RequirementsOf(WithSimpleReply(exchange, NbdError::kOk)), kNothing);
    EXPECT_EQ(RequirementsOf(WithSimpleReply(exchange, NbdError::kEio)), kNothing);
    EXPECT_EQ(RequirementsOf(WithPayload(exchange, {1})), kNothing);
    EXPECT_EQ(RequirementsOf(WithExportSize(exchange, 0)), kNothing);
  }
}

TEST(StatusRules, LengthZeroIsTheFindingOfOneRule) {
  const Requirements only = {spec::kBlockStatusExtentNonzeroLength};
  EXPECT_EQ(RequirementsOf(AnswerTo(kFirstPage, {{4096, 0}, {0, kZero}})), only);
  EXPECT_EQ(RequirementsOf(AnswerTo(kFirstPage, {{0, 0}, {512, 0}, {0, 0}})), only);
  EXPECT_EQ(RequirementsOf(WithReqOne(AnswerTo(kFirstPage, {{0, 0}}))), only);
}

TEST(StatusRules, SecondDescriptorOfReqOneIsTheFindingOfOneRule) {
  const Requirements only = {spec::kBlockStatusReqOneSingle};
  EXPECT_EQ(RequirementsOf(WithReqOne(AnswerTo(kFirstPage, {{8192, 0}, {512, kZero}}))), only);
  EXPECT_EQ(RequirementsOf(WithReqOne(AnswerTo(kFirstPage, {{512, 0}, {8192, kZero}}))), only);
}

TEST(StatusRules, MultiplesOfALargeBlockAreTheFindingOfOneRule) {
  const Requirements only = {spec::kBlockStatusLengthMultipleOfMinBlock};
  EXPECT_EQ(RequirementsOf(WithBlockSize(AnswerTo(kFirstPage, {{100, 0}}), 512)), only);
  EXPECT_EQ(RequirementsOf(WithBlockSize(AnswerTo(kFirstPage, {{100, 0}}), 4096)), only);
}

TEST(StatusRules, AllFourTypesAndStatusZeroAreAllowed) {
  for (const std::uint32_t status : {0U, kHole, kZero, kHole | kZero}) {
    EXPECT_EQ(RequirementsOf(AnswerTo(kFirstPage, {{4096, status}})), kNothing);
  }
}

TEST(StatusRules, ContextsMayAnswerInAnyOrderAndWithDifferentTotals) {
  const StatusExchange two = WithContexts(AnswerTo(kFirstPage, {}), TwoContexts());
  const Chunk dirty = StatusChunkOf(kDirtyId, {{512, 0x80000001}, {512, 4}});
  const Chunk allocation = StatusChunkOf(kAllocationId, {{1 << 20, 0}});
  const Chunk done = {.flags = ChunkFlag::kDone};
  EXPECT_EQ(RequirementsOf(WithChunks(two, {dirty, allocation})), kNothing);
  EXPECT_EQ(RequirementsOf(WithChunks(two, {allocation, dirty, done})), kNothing);
}

TEST(StatusRules, TwoChunksForOneContextAreOneTooMany) {
  const Chunk chunk = StatusChunkOf(kAllocationId, kWhole);
  const StatusExchange twice = WithChunks(AnswerTo(kFirstPage, {}), {chunk, chunk});
  EXPECT_EQ(RequirementsOf(twice), Requirements{spec::kBlockStatusChunkExactlyOnePerId});
  EXPECT_EQ(FirstSaw(twice), "context 7 has 2 status chunks");
}

TEST(StatusRules, SuccessWithoutStatusMissesContexts) {
  const StatusExchange bare = WithChunks(WithContexts(AnswerTo(kFirstPage, {}), TwoContexts()), {Chunk{}});
  EXPECT_EQ(RequirementsOf(bare), Requirements{spec::kBlockStatusChunkExactlyOnePerId});
  EXPECT_EQ(FirstSaw(bare), "context 0 has no status chunk");
}

TEST(StatusRules, StatusBeforeAnErrorIsAFragment) {
  const StatusExchange two = WithContexts(AnswerTo(kFirstPage, {}), TwoContexts());
  const Chunk error = ErrorChunkOf(NbdError::kEio);
  EXPECT_EQ(RequirementsOf(WithChunks(two, {error})), kNothing);
  EXPECT_EQ(RequirementsOf(WithChunks(two, {StatusChunkOf(kAllocationId, kWhole), error})), kNothing);
  EXPECT_EQ(RequirementsOf(
                WithChunks(two, {StatusChunkOf(kDirtyId, kWhole), StatusChunkOf(kDirtyId, kWhole), error, Chunk{}})),
            kNothing);
}

TEST(StatusRules, FragmentsStillHaveTheFormOfStatusChunks) {
  const StatusExchange failed = AnswerTo(kFirstPage, {});
  const Chunk error = ErrorChunkOf(NbdError::kEio);
  EXPECT_EQ(RequirementsOf(WithChunks(failed, {StatusChunkOf(kAllocationId, {}), error})),
            Requirements{spec::kBlockStatusChunkLengthForm});
  EXPECT_EQ(RequirementsOf(WithChunks(failed, {StatusChunkOf(kAllocationId, {{0, 0}}), error})),
            Requirements{spec::kBlockStatusExtentNonzeroLength});
  EXPECT_EQ(RequirementsOf(WithChunks(failed, {StatusChunkOf(9, kWhole), error})),
            Requirements{spec::kBlockStatusChunkKnownId});
}

TEST(StatusRules, AnErrorMayBeReplacedByOneDescriptorOfTheRequest) {
  EXPECT_EQ(RequirementsOf(AnswerTo({.begin = 3, .end = 103}, {{100, 0}})), kNothing);
}

TEST(StatusRules, EqualNeighboursThatFitNoLengthAreAllowed) {
  const StatusExchange huge = WithExportSize(
      AnswerTo({.begin = 0, .end = std::uint64_t{1} << 40}, {{kLengthMax - 511, 0}, {512, 0}}), std::uint64_t{1} << 40);
  EXPECT_EQ(RequirementsOf(huge), kNothing);
  EXPECT_EQ(RequirementsOf(WithChunks(huge, {StatusChunkOf(kAllocationId, {{kLengthMax - 1023, 0}, {512, 0}})})),
            Requirements{spec::kBlockStatusDistinctStatus});
}

TEST(StatusRules, SumsDoNotWrapAt32Bits) {
  // 2^32 before the last: in 32 bits that would be 0, and less than any request.
  const std::uint64_t export_bytes = std::uint64_t{1} << 40;
  EXPECT_EQ(
      RequirementsOf(WithExportSize(AnswerTo(kFirstPage, {{1U << 31, 0}, {1U << 31, kZero}, {512, 0}}), export_bytes)),
      Requirements{spec::kBlockStatusSumBeforeLast});
  EXPECT_EQ(RequirementsOf(AnswerTo(kFirstPage, {{kLengthMax - 511, 0}})),
            Requirements{spec::kBlockStatusExtentWithinExport});
}

TEST(StatusRules, PositionsDoNotWrapAt64Bits) {
  constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
  StatusExchange high = AnswerTo({.begin = kMax - 512, .end = kMax}, {{kLengthMax, 0}, {kLengthMax, kZero}});
  EXPECT_EQ(RequirementsOf(WithExportSize(high, kMax)),
            Requirements{spec::kBlockStatusSumBeforeLast});  // 2^64-1 is the end: nothing is past it.
  EXPECT_EQ(RequirementsOf(WithExportSize(high, 512)),
            (Requirements{spec::kBlockStatusSumBeforeLast, spec::kBlockStatusOutOfBounds}));
}

TEST(StatusRules, MaximalSizesAreAllowed) {
  EXPECT_EQ(RequirementsOf(ManyDescriptors(kDescriptorCountMax)), kNothing);
  EXPECT_EQ(RequirementsOf(WithPayloadMax(AnswerTo(kFirstPage, {{512, kHole}, {3584, 0}}), 16)), kNothing);
}

TEST(StatusRules, EndsOfAnUnalignedRequestNeedNotBeMultiples) {
  EXPECT_EQ(RequirementsOf(AnswerTo({.begin = 100, .end = 2000}, {{412, 0}, {1024, kZero}, {464, 0}})), kNothing);
  EXPECT_EQ(RequirementsOf(AnswerTo({.begin = 100, .end = 2000}, {{412, 0}, {1000, kZero}, {488, 0}})),
            Requirements{spec::kBlockStatusLengthMultipleOf512});
  EXPECT_EQ(RequirementsOf(AnswerTo({.begin = 0, .end = 100}, {{100, 0}})), kNothing);
  EXPECT_EQ(RequirementsOf(WithBlockSize(AnswerTo({.begin = 512, .end = 4096}, {{3584, 0}}), 4096)), kNothing);
}

TEST(StatusRules, TailOfAnUnalignedExportNeedNotBeAMultiple) {
  const StatusExchange tail = WithExportSize(AnswerTo({.begin = 0, .end = 512}, {{1000, 0}}), 1000);
  EXPECT_EQ(RequirementsOf(tail), kNothing);
  EXPECT_EQ(RequirementsOf(WithBlockSize(tail, 4096)), kNothing);
  EXPECT_EQ(RequirementsOf(WithChunks(tail, {StatusChunkOf(kAllocationId, {{400, 0}, {600, kZero}})})),
            Requirements{spec::kBlockStatusLengthMultipleOf512});
}

TEST(StatusRules, PastTheEndOfAnAlignedExportLengthsAreMultiples) {
  EXPECT_EQ(RequirementsOf(WithExportSize(AnswerTo({.begin = 0, .end = 512}, {{1000, 0}}), 512)),
            (Requirements{spec::kBlockStatusExtentWithinExport, spec::kBlockStatusLengthMultipleOf512}));
}

TEST(StatusRules, BlockSizesThatMeanNothingAskForNothing) {
  constexpr std::uint64_t kMultipleOfAll = std::uint64_t{3} * 1000 * 512;
  const StatusExchange exchange =
      WithExportSize(AnswerTo({.begin = 0, .end = kMultipleOfAll}, {{512, 0}}), kMultipleOfAll);
  for (const std::uint32_t block_bytes_min : {0U, 1U, 3U, 1000U}) {
    EXPECT_EQ(RequirementsOf(WithBlockSize(exchange, block_bytes_min)), kNothing);
  }
}

TEST(StatusRules, OutOfBoundsIsAnsweredWithEinval) {
  const StatusExchange outside = WithExportSize(AnswerTo(kFirstPage, {}), 4095);
  EXPECT_EQ(RequirementsOf(WithChunks(outside, {ErrorChunkOf(NbdError::kEinval)})), kNothing);
  EXPECT_EQ(RequirementsOf(WithChunks(outside, {ErrorChunkOf(NbdError::kEio)})),
            Requirements{spec::kBlockStatusOutOfBounds});
  EXPECT_EQ(RequirementsOf(WithChunks(outside, {Chunk{.type = ChunkType::kError}})), kNothing);  // No code to judge.
}

TEST(StatusRules, NoContextIsAnsweredWithEinval) {
  const StatusExchange bare = WithContexts(AnswerTo(kFirstPage, {}), {});
  EXPECT_EQ(RequirementsOf(WithSimpleReply(bare, NbdError::kEinval)), kNothing);
  EXPECT_EQ(RequirementsOf(WithChunks(bare, {ErrorChunkOf(NbdError::kEinval)})), kNothing);
  EXPECT_EQ(RequirementsOf(WithSimpleReply(bare, NbdError::kEio)), Requirements{spec::kBlockStatusNoContextEinval});
  EXPECT_EQ(RequirementsOf(WithChunks(bare, {StatusChunkOf(0, kWhole)})),
            (Requirements{spec::kBlockStatusNoContextEinval, spec::kBlockStatusChunkKnownId}));
}

TEST(StatusRules, SilenceIsNotJudged) {
  EXPECT_EQ(RequirementsOf(WithChunks(AnswerTo(kFirstPage, {}), {})), kNothing);
  EXPECT_EQ(RequirementsOf(WithChunks(WithContexts(AnswerTo(kFirstPage, {}), {}), {})), kNothing);
}

TEST(StatusRules, StatusOfAnotherContextHasItsOwnFlags) {
  const StatusExchange dirty =
      WithContexts(AnswerTo(kFirstPage, {{4096, 0xffffffff}}), {{.id = kAllocationId, .name = "x-test:dirty"}});
  EXPECT_EQ(RequirementsOf(dirty), kNothing);
}

TEST(StatusRules, LengthsOfTheExtendedFormMayBeAny) {
  constexpr std::uint64_t kAll = ~std::uint64_t{0};
  const ByteRange large = {.begin = 512, .end = 512 + 3 * k4GiB};
  const auto of = [&](std::vector<Descriptor> descriptors) {
    return RequirementsOf(WithExportSize(ExtendedAnswerTo(large, std::move(descriptors)), kAll));
  };
  EXPECT_EQ(of({{3 * k4GiB, 0}}), kNothing);
  EXPECT_EQ(of({{k4GiB, 0}, {2 * k4GiB, kZero}}), kNothing);
  EXPECT_EQ(of({{k4GiB, 0}, {kAll - 511, kZero}}), kNothing);  // The sum wraps, and the last may pass the request.
  EXPECT_EQ(of({{kAll - 511, 0}, {512, kZero}}),
            (Requirements{spec::kBlockStatusSumBeforeLast, spec::kExtBlockStatusExtMirrorsRules}));
  EXPECT_EQ(of({{kAll - 511, 0}, {kAll - 511, kZero}, {512, 0}}),
            (Requirements{spec::kBlockStatusSumBeforeLast, spec::kExtBlockStatusExtMirrorsRules}));
  EXPECT_EQ(of({{k4GiB, 0}, {512, 0}}), Requirements{spec::kBlockStatusDistinctStatus});
}

TEST(StatusRules, ContextsOfOthersHave64BitsInTheExtendedForm) {
  const StatusExchange two = WithContexts(ExtendedAnswerTo(kFirstPage, {}), TwoContexts());
  const Chunk allocation = ExtendedChunkOf(kAllocationId, kWhole);
  const Chunk dirty = ExtendedChunkOf(kDirtyId, {{4096, ~std::uint64_t{0}}});
  EXPECT_EQ(RequirementsOf(WithChunks(two, {dirty, allocation})), kNothing);
}

TEST(StatusRules, ContextsThatAPayloadNamesAnswerInAnyOrder) {
  const StatusExchange two = WithContexts(ExtendedAnswerTo(kFirstPage, {}), TwoContexts());
  const Chunk allocation = ExtendedChunkOf(kAllocationId, kWhole);
  const Chunk dirty = ExtendedChunkOf(kDirtyId, kWhole);
  EXPECT_EQ(RequirementsOf(WithQuery(WithChunks(two, {dirty}), {kDirtyId})), kNothing);
  EXPECT_EQ(RequirementsOf(WithQuery(WithChunks(two, {dirty, allocation}), {kAllocationId, kDirtyId})), kNothing);
  EXPECT_EQ(RequirementsOf(WithQuery(WithChunks(two, {dirty}), {kAllocationId, kDirtyId})),
            (Requirements{spec::kBlockStatusChunkExactlyOnePerId, spec::kExtBlockStatusExtMirrorsRules,
                          spec::kExtBlockStatusPayloadFilter}));
}

TEST(StatusRules, PayloadsThatMustBeRefusedGetEinval) {
  StatusExchange query = WithQuery(ExtendedAnswerTo(kFirstPage, kWhole), {kAllocationId});
  const StatusExchange unknown = WithQuery(query, {kAllocationId + 1});
  EXPECT_EQ(RequirementsOf(unknown), Requirements{spec::kExtBlockStatusPayloadReject});
  EXPECT_EQ(RequirementsOf(WithChunks(unknown, {ErrorChunkOf(NbdError::kEinval)})), kNothing);
  EXPECT_EQ(RequirementsOf(WithChunks(unknown, {ErrorChunkOf(NbdError::kEio)})),
            Requirements{spec::kExtBlockStatusPayloadReject});
  EXPECT_EQ(RequirementsOf(WithChunks(WithQuery(query, {}), {Chunk{}})), kNothing);  // What that gets is open.
  query.agreed.info.flags = 0;
  EXPECT_EQ(RequirementsOf(query), kNothing);  // A server may have what it does not offer.
  EXPECT_EQ(RequirementsOf(WithQuery(query, {kAllocationId + 1})), Requirements{spec::kExtBlockStatusPayloadReject});
}

TEST(StatusRules, MalformedChunkIsTheFindingOfOneRule) {
  for (std::size_t size = 0; size <= 40; ++size) {
    StatusExchange exchange = AnswerTo(kFirstPage, {});
    exchange.chunks[0].payload.assign(size, 0);
    exchange.agreed.contexts[0].id = 0;
    const bool is_malformed = size < 4 || size % 8 != 4;
    EXPECT_EQ(std::ranges::count(RequirementsOf(exchange), spec::kBlockStatusChunkLengthForm), is_malformed ? 1 : 0);
    if (is_malformed) {
      EXPECT_EQ(Judge(exchange).size(), 1U) << size;
    }
  }
}

}  // namespace
}  // namespace nbdspec::engine
