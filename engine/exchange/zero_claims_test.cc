// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "engine/exchange/testdata/status_exchanges.h"
#include "engine/spec/ids.h"

namespace nbdspec::engine {
namespace {

constexpr std::uint32_t kHole = AllocationFlag::kHole;
constexpr std::uint32_t kZero = AllocationFlag::kZero;
constexpr std::uint32_t kLengthMax = std::numeric_limits<std::uint32_t>::max();
constexpr ByteRange kAll = {.begin = 0, .end = std::numeric_limits<std::uint64_t>::max()};

using Violations = std::vector<Violation>;
using Ranges = std::vector<ByteRange>;

constexpr std::string_view kReadsZero = spec::kBaseAllocationZeroReadsZero;

// 1 MiB of zeroes but for 100 bytes of data from 1000 on.
ExtentMap Truth() {
  ExtentMap map(1 << 20, ExtentType::kHoleZero);
  EXPECT_TRUE(map.Add(1000, 100, ExtentType::kData));
  return map;
}

TEST(JudgeZeroClaims, DataUnderAClaimRefutesIt) {
  EXPECT_EQ(
      JudgeZeroClaims(AnswerTo({.begin = 0, .end = 4096}, {{512, 0}, {512, kZero}, {512, kHole | kZero}}), Truth()),
      (Violations{{kReadsZero, "ZERO only where every byte reads as zero",
                   "descriptor 1 of context 7 claims zeroes in [512, 1024), but [1000, 1024) may hold other bytes "
                   "(and 1 more)"}}));
}

TEST(JudgeZeroClaims, HoleWithoutZeroIsNoZero) {
  EXPECT_EQ(
      JudgeZeroClaims(AnswerTo({.begin = 0, .end = 512}, {{512, kZero}}), ExtentMap(512, ExtentType::kHole)).size(),
      1U);
}

TEST(JudgeZeroClaims, OneByteIsEnough) {
  const ExtentMap truth = Truth();
  EXPECT_TRUE(JudgeZeroClaims(AnswerTo({.begin = 0, .end = 512}, {{1000, kZero}}), truth).empty());
  EXPECT_EQ(JudgeZeroClaims(AnswerTo({.begin = 0, .end = 512}, {{1001, kZero}}), truth).size(), 1U);
  EXPECT_TRUE(JudgeZeroClaims(AnswerTo({.begin = 1100, .end = 1101}, {{1, kZero}}), truth).empty());
  EXPECT_EQ(JudgeZeroClaims(AnswerTo({.begin = 1099, .end = 1101}, {{2, kZero}}), truth).size(), 1U);
}

TEST(JudgeZeroClaims, WithoutZeroNothingIsClaimed) {
  const ExtentMap data(4096, ExtentType::kData);
  EXPECT_TRUE(JudgeZeroClaims(AnswerTo({.begin = 0, .end = 4096}, {{512, kHole}, {512, 0}, {512, 4}}), data).empty());
}

TEST(JudgeZeroClaims, ClaimPastTheRequestIsJudgedToo) {
  EXPECT_EQ(JudgeZeroClaims(AnswerTo({.begin = 0, .end = 512}, {{4096, kZero}}), Truth()).size(), 1U);
}

TEST(JudgeZeroClaims, OtherContextsClaimNothing) {
  const StatusExchange other = WithContexts(AnswerTo({.begin = 0, .end = 4096}, {{4096, kZero}}),
                                            {{.id = kAllocationId, .name = "x-test:dirty"}});
  EXPECT_TRUE(JudgeZeroClaims(other, Truth()).empty());
  EXPECT_TRUE(ClaimedZeroes(other, kAll).empty());
}

TEST(JudgeZeroClaims, ReplyWithAnErrorClaimsNothing) {
  const StatusExchange failed =
      WithChunks(AnswerTo({.begin = 0, .end = 4096}, {}),
                 {StatusChunkOf(kAllocationId, {{4096, kZero}}), ErrorChunkOf(NbdError::kEio)});
  EXPECT_TRUE(JudgeZeroClaims(failed, Truth()).empty());
  EXPECT_TRUE(ClaimedZeroes(failed, kAll).empty());
}

TEST(JudgeZeroClaims, RequestOfNothingClaimsNothing) {
  const StatusExchange nothing = AnswerTo({.begin = 1000, .end = 1000}, {{100, kZero}});
  EXPECT_TRUE(JudgeZeroClaims(nothing, Truth()).empty());
  EXPECT_TRUE(ClaimedZeroes(nothing, kAll).empty());
}

TEST(JudgeZeroClaims, PastTheEndOfTheExportNothingIsJudged) {
  const StatusExchange at_end = WithExportSize(AnswerTo({.begin = 0, .end = 512}, {{2000, kZero}}), 1000);
  EXPECT_TRUE(JudgeZeroClaims(at_end, Truth()).empty());
  const ExtentMap short_truth(512, ExtentType::kZero);
  EXPECT_TRUE(JudgeZeroClaims(WithExportSize(at_end, kAll.end), short_truth).empty());
  EXPECT_TRUE(JudgeZeroClaims(AnswerTo({.begin = 4096, .end = 8192}, {{512, kZero}}), short_truth).empty());
}

TEST(JudgeZeroClaims, OffsetsDoNotWrap) {
  const StatusExchange high = WithExportSize(
      AnswerTo({.begin = kAll.end - 1, .end = kAll.end}, {{kLengthMax, 0}, {kLengthMax, kZero}}), kAll.end);
  EXPECT_TRUE(JudgeZeroClaims(high, ExtentMap(4096, ExtentType::kData)).empty());
  EXPECT_TRUE(ClaimedZeroes(high, kAll).empty());
}

TEST(ClaimedZeroes, AreMergedAscendingAndInside) {
  const StatusExchange exchange =
      AnswerTo({.begin = 100, .end = 5000}, {{100, kZero}, {0, 0}, {100, kHole | kZero}, {100, kHole}, {100, kZero}});
  EXPECT_EQ(ClaimedZeroes(exchange, kAll), (Ranges{{100, 300}, {400, 500}}));
  EXPECT_EQ(ClaimedZeroes(exchange, {.begin = 150, .end = 450}), (Ranges{{150, 300}, {400, 450}}));
  EXPECT_EQ(ClaimedZeroes(exchange, {.begin = 300, .end = 400}), Ranges{});
  EXPECT_EQ(ClaimedZeroes(exchange, {.begin = 450, .end = 450}), Ranges{});
  EXPECT_EQ(ClaimedZeroes(exchange, {.begin = 0, .end = 100}), Ranges{});
}

TEST(ClaimedZeroes, OfSeveralChunksAreOneList) {
  StatusExchange exchange = AnswerTo({.begin = 0, .end = 4096}, {{100, 0}, {200, kZero}, {100, 0}, {100, kZero}});
  exchange.chunks.push_back(StatusChunkOf(kAllocationId, {{150, kZero}}));
  EXPECT_EQ(ClaimedZeroes(exchange, kAll), (Ranges{{0, 300}, {400, 500}}));
  exchange.chunks.push_back(StatusChunkOf(kAllocationId, {{350, kZero}}));
  EXPECT_EQ(ClaimedZeroes(exchange, kAll), (Ranges{{0, 350}, {400, 500}}));
}

}  // namespace
}  // namespace nbdspec::engine
