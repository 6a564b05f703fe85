// SPDX-License-Identifier: BSD-3-Clause
// Each rule but those about BLOCK_STATUS (status_rules_test.cc) against one exchange that violates it, and all of them
// against exchanges that keep every rule.
#include "engine/exchange/rules.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "engine/spec/catalogue.h"
#include "engine/spec/ids.h"
#include "engine/wire/payloads.h"

namespace nbdspec::engine {
namespace {

constexpr std::uint64_t kSize = 1 << 20;
constexpr std::uint16_t kDone = ChunkFlag::kDone;
constexpr std::uint16_t kAllFlags = 0x0fff & ~TransmissionFlag::kReadOnly;
constexpr RequestHead kRead = {.offset = 4096, .length = 4096};

Negotiated Agreed(bool structured, std::uint16_t flags = kAllFlags) {
  return {.structured_replies = structured, .info = {.size = kSize, .flags = flags}};
}

const Negotiated kStructured = Agreed(true);
const Negotiated kSimple = Agreed(false);
const Negotiated kReadOnly = Agreed(true, kAllFlags | TransmissionFlag::kReadOnly);
const Negotiated kExtended = [] {
  Negotiated agreed = Agreed(true);
  agreed.headers = HeaderForm::kExtended;
  return agreed;
}();
const Negotiated kPlain = Agreed(true, TransmissionFlag::kHasFlags | TransmissionFlag::kSendWriteZeroes);

Chunk Data(std::uint64_t offset, std::size_t length, std::uint16_t flags = 0) {
  return {.flags = flags,
          .type = ChunkType::kOffsetData,
          .payload = EncodePayload(OffsetData{.offset = offset, .data = Bytes(length)})};
}
Chunk Hole(std::uint64_t offset, std::uint32_t length, std::uint16_t flags = 0) {
  return {.flags = flags,
          .type = ChunkType::kOffsetHole,
          .payload = EncodePayload(OffsetHole{.offset = offset, .length = length})};
}
Chunk Error(std::uint32_t error, std::string message = "", std::uint16_t flags = 0) {
  return {.flags = flags,
          .type = ChunkType::kError,
          .payload = EncodePayload(ErrorPayload{.error = error, .message = std::move(message)})};
}
Chunk ErrorAt(std::uint64_t offset, std::uint32_t error = NbdError::kEio, std::uint16_t flags = 0) {
  return {.flags = flags,
          .type = ChunkType::kErrorOffset,
          .payload = EncodePayload(ErrorPayload{.error = error, .offset = offset})};
}
Chunk Raw(std::uint16_t type, Bytes payload, std::uint16_t flags = kDone) {
  return {.flags = flags, .type = type, .payload = std::move(payload)};
}
const Chunk kNone = {.flags = kDone};
// With that offset in its header.
Chunk At(std::uint64_t offset, Chunk chunk) {
  chunk.offset = offset;
  return chunk;
}

Exchange Chunks(const RequestHead& request, const std::vector<Chunk>& chunks, const Negotiated& agreed = kStructured) {
  Exchange exchange;
  exchange.Start(request, agreed);
  for (const Chunk& chunk : chunks) {
    exchange.answer.Add(chunk);
  }
  return exchange;
}
Exchange Simple(const RequestHead& request, std::uint32_t error, const Negotiated& agreed = kStructured,
                std::uint64_t data_bytes = 0) {
  Exchange exchange;
  exchange.Start(request, agreed);
  exchange.answer.AddSimple(error, data_bytes);
  return exchange;
}
Exchange Silent(Exchange exchange) {
  exchange.answer.EndWith(Answer::End::kSilent);
  return exchange;
}

RequestHead Of(std::uint16_t command, std::uint16_t flags = 0, std::uint64_t offset = 4096) {
  return {.flags = flags, .type = command, .offset = offset, .length = 4096};
}

struct WrongReply {
  std::string_view requirement;
  Exchange exchange;
};

std::vector<WrongReply> WrongReplies() {
  constexpr std::uint16_t kWrite = CommandType::kWrite;
  constexpr std::uint16_t kTrim = CommandType::kTrim;
  constexpr std::uint16_t kCache = CommandType::kCache;
  constexpr std::uint16_t kZero = CommandType::kWriteZeroes;
  constexpr std::uint16_t kDf = CommandFlag::kDf;
  constexpr std::uint16_t kFast = CommandFlag::kFastZero;
  constexpr RequestHead kFlush = {.type = CommandType::kFlush};
  std::vector<Chunk> tiny;
  for (std::uint64_t i = 0; i < 8; ++i) {
    tiny.push_back(Data(4096 + i, 1));
  }
  return {
      {spec::kStructuredOnlyIfNegotiated, Chunks(kRead, {Data(4096, 4096, kDone)}, kSimple)},
      {spec::kTransmissionSimpleMandatoryWithoutStructured, Chunks(Of(kWrite), {kNone}, kSimple)},
      {spec::kStructuredReadNoSimple, Simple(kRead, NbdError::kEio)},
      {spec::kStructuredPayloadNeedsStructured, Simple(kRead, NbdError::kOk, kStructured, 4096)},
      {spec::kStructuredErrorsPreferStructured, Simple(Of(kWrite), NbdError::kEio)},
      {spec::kStructuredReadChunks, Silent(Chunks(kRead, {Data(4096, 4096)}))},
      {spec::kStructuredFlagsDoneSet, Silent(Chunks(kRead, {Data(4096, 4096)}))},
      {spec::kStructuredFlagsNoOther, Chunks(kRead, {Data(4096, 4096, kDone | 2)})},
      {spec::kStructuredErrorBit15, Chunks(kRead, {Raw(3, {})})},
      {spec::kStructuredNoneDone, Chunks(kRead, {{.type = ChunkType::kNone}})},
      {spec::kStructuredNoneLengthZero, Chunks(kFlush, {Raw(ChunkType::kNone, {1})})},
      {spec::kStructuredOffsetDataReadOnlyReply, Chunks(Of(kWrite), {Data(4096, 1, kDone)})},
      {spec::kStructuredOffsetHoleReadOnlyReply, Chunks(Of(kWrite), {Hole(4096, 1, kDone)})},
      {spec::kBlockStatusOnlyForCmd, Chunks(kRead, {Raw(ChunkType::kBlockStatus, Bytes(12))})},

      {spec::kStructuredErrorLengthMin, Chunks(kFlush, {Raw(ChunkType::kError, Bytes(5))})},
      {spec::kStructuredErrorMessageFits, Chunks(kFlush, {Raw(ChunkType::kError, {0, 0, 0, 5, 0, 1})})},
      {spec::kStructuredErrorOffsetLengthMin, Chunks(kRead, {Raw(ChunkType::kErrorOffset, Bytes(13))})},
      {spec::kStructuredErrorOffsetMessageFits, Chunks(kRead, {Raw(ChunkType::kErrorOffset, Bytes(13))})},
      {spec::kStructuredErrorHeaderLength, Chunks(kFlush, {Raw(0x8003, {0, 0, 0, 5, 0, 1})})},
      {spec::kStructuredErrorNonzero, Chunks(kFlush, {Error(0, "", kDone)})},
      {spec::kStructuredErrorOffsetNonzero, Chunks(kRead, {ErrorAt(4096, 0, kDone)})},
      {spec::kStructuredErrorMessageCap, Chunks(kFlush, {Error(5, std::string(4097, 'a'), kDone)})},
      {spec::kStructuredErrorMessageDisplayable, Chunks(kFlush, {Error(5, "\xff", kDone)})},
      {spec::kStructuredErrorOnce, Chunks(kRead, {Error(5), Error(5, "", kDone)})},
      {spec::kStructuredReadNoMixedErrors, Chunks(kRead, {Error(5), ErrorAt(4096, 5, kDone)})},
      {spec::kStructuredErrorOffsetInBounds, Chunks(kRead, {ErrorAt(4095, 5, kDone)})},
      {spec::kStructuredErrorOffsetDistinct, Chunks(kRead, {ErrorAt(4096), ErrorAt(4096, 5, kDone)})},
      {spec::kStructuredErrorOffsetOnePerChunk,
       Chunks(kRead, {Data(4096, 4096), ErrorAt(5000), ErrorAt(6000, 5, kDone)})},
      {spec::kStructuredErrorOffsetCommands, Chunks(kFlush, {ErrorAt(0, 5, kDone)})},
      {spec::kExtReplyNoSimple, Simple(Of(kWrite), NbdError::kOk, kExtended)},
      {spec::kExtReplyOffset, Chunks(kRead, {At(4096, Data(4096, 512)), At(4608, Data(4608, 3584, kDone))}, kExtended)},

      {spec::kStructuredOffsetDataLengthMin, Chunks(kRead, {Data(4096, 0, kDone)})},
      {spec::kStructuredOffsetHoleLength12, Chunks(kRead, {Raw(ChunkType::kOffsetHole, Bytes(13))})},
      {spec::kStructuredOffsetHoleNonzero, Chunks(kRead, {Hole(4096, 0, kDone)})},
      {spec::kStructuredOffsetDataAbsoluteOffset, Chunks(kRead, {Data(0, 4096, kDone)})},
      {spec::kStructuredOffsetDataInBounds, Chunks(kRead, {Data(4096, 4097, kDone)})},
      {spec::kStructuredOffsetHoleInBounds, Chunks(kRead, {Hole(4095, 4096, kDone)})},
      {spec::kStructuredOffsetDataNoOverlap, Chunks(kRead, {Data(4096, 4096), Data(8191, 1, kDone)})},
      {spec::kStructuredOffsetHoleNoOverlap, Chunks(kRead, {Data(4096, 4096), Hole(4096, 512, kDone)})},
      {spec::kStructuredReadContentBeforeError, Chunks(kRead, {ErrorAt(5000), Data(4096, 4096, kDone)})},
      {spec::kStructuredReadAlign512, Chunks(kRead, {Data(4096, 100), Data(4196, 3996, kDone)})},
      {spec::kStructuredChunksMinimise, Chunks(kRead, tiny)},
      {spec::kStructuredReadDfEoverflowNoContent,
       Chunks(Of(CommandType::kRead, kDf), {Data(4096, 512), Error(NbdError::kEoverflow, "", kDone)})},
      {spec::kStructuredReadDf64k, Chunks(Of(CommandType::kRead, kDf), {Error(NbdError::kEoverflow, "", kDone)})},
      {spec::kStructuredReadDfOneContent,
       Chunks(Of(CommandType::kRead, kDf), {Data(4096, 2048), Hole(6144, 2048, kDone)})},
      {spec::kStructuredReadFullCoverage, Chunks(kRead, {Data(4096, 2048), Data(6656, 1536, kDone)})},
      {spec::kStructuredReadErrorChunk, Chunks({.offset = kSize, .length = 512}, {kNone})},

      {spec::kErrorCodeAllowedSet, Simple(kFlush, 200)},
      {spec::kErrorNoEnomem, Chunks(kRead, {Error(NbdError::kEnomem, "", kDone)})},
      {spec::kErrorEoverflowLimited, Simple(Of(kWrite), NbdError::kEoverflow)},
      {spec::kErrorEnotsupLimited, Simple(Of(kTrim), NbdError::kEnotsup)},
      {spec::kTransmissionReadSimpleErrorCode, Simple(kRead, 200, kSimple)},
      {spec::kTransmissionWriteErrorCode, Simple(Of(kWrite), 200)},
      {spec::kCacheErrorCode, Chunks(Of(kCache), {Error(0, "", kDone)})},
      {spec::kWriteZeroesErrorCode, Simple(Of(kZero), 200)},
      {spec::kErrorUnknownCommand, Simple(Of(0x7fff), NbdError::kOk)},
      {spec::kErrorUnknownFlag, Simple(Of(kWrite, 1 << 15), NbdError::kEio)},
      {spec::kErrorInapplicableFlag, Simple(Of(kWrite, kDf), NbdError::kOk)},
      {spec::kCacheRejectUnknownFlags, Simple(Of(kCache, 1 << 15), NbdError::kOk)},
      {spec::kTransmissionBoundsServerEinval, Simple(Of(kCache, 0, kSize), NbdError::kOk)},
      {spec::kTransmissionReadOutOfBounds, Simple(Of(CommandType::kRead, 0, kSize), NbdError::kEio, kSimple)},
      {spec::kTransmissionWriteOutOfBounds, Simple(Of(kWrite, 0, kSize), NbdError::kEio)},
      {spec::kTransmissionTrimOutOfBounds, Simple(Of(kTrim, 0, kSize), NbdError::kEnospc)},
      {spec::kWriteZeroesOutOfBounds, Simple(Of(kZero, 0, kSize), NbdError::kOk)},
      {spec::kBlockSizeServerUnalignedEinval,
       [] {
         static const Negotiated kBlocks = [] {
           Negotiated agreed = Agreed(true);
           agreed.block_size.minimum = 512;
           return agreed;
         }();
         return Simple(Of(kWrite, 0, 1), NbdError::kOk, kBlocks);
       }()},
      {spec::kEflagsReadOnlyErrorWrites, Simple(Of(kWrite), NbdError::kOk, kReadOnly)},
      {spec::kTransmissionWriteReadOnly, Simple(Of(kWrite), NbdError::kEinval, kReadOnly)},
      {spec::kTransmissionTrimReadOnly, Simple(Of(kTrim), NbdError::kEinval, kReadOnly)},
      {spec::kWriteZeroesReadOnly, Simple(Of(kZero), NbdError::kEinval, kReadOnly)},
      {spec::kWriteZeroesNoFastNoEnotsup, Simple(Of(kZero), NbdError::kEnotsup)},
      {spec::kWriteZeroesUnadvertisedNoEnotsup, Simple(Of(kZero, kFast), NbdError::kEnotsup, kPlain)},
      {spec::kWriteZeroesUnadvertisedEinval, Simple(Of(kZero, kFast), NbdError::kOk, kPlain)},
      {spec::kWriteZeroesFastNoEoverflow, Simple(Of(kZero, kFast), NbdError::kEoverflow)},
      {spec::kExtPayloadLenEinval, Chunks(Of(kCache, CommandFlag::kPayloadLen), {At(4096, kNone)}, kExtended)},
  };
}

std::vector<std::span<const Rule>> Groups() { return {ReplyRules(), ReadRules(), StatusRules(), ErrorRules()}; }

TEST(Rules, EachIsViolatedByItsWrongReply) {
  for (const WrongReply& wrong : WrongReplies()) {
    const Ruling ruling = Apply(RuleOf(wrong.requirement), wrong.exchange);
    EXPECT_TRUE(ruling.is_violated()) << wrong.requirement << ": " << ruling.saw;
    EXPECT_NE(ruling.expected, "");
    EXPECT_NE(ruling.saw, "");
    const auto violations = FindViolations(wrong.exchange, AllRules());
    EXPECT_EQ(std::ranges::count(violations, wrong.requirement, &Violation::requirement), 1) << wrong.requirement;
  }
}

TEST(FindViolations, FindsWhatEachRuleByItselfSays) {
  for (const WrongReply& wrong : WrongReplies()) {
    const auto violations = FindViolations(wrong.exchange, AllRules());
    for (const Rule& rule : AllRules()) {
      EXPECT_EQ(std::ranges::count(violations, rule.requirement, &Violation::requirement),
                Apply(rule, wrong.exchange).is_violated() ? 1 : 0)
          << wrong.requirement << ": " << rule.requirement;
    }
  }
}

TEST(Rules, EachHasAWrongReply) {
  std::set<std::string_view> with_wrong;
  for (const WrongReply& wrong : WrongReplies()) {
    with_wrong.insert(wrong.requirement);
  }
  for (const auto& group : Groups()) {
    for (const Rule& rule : group.data() == StatusRules().data() ? std::span<const Rule>() : group) {
      EXPECT_TRUE(with_wrong.contains(rule.requirement)) << rule.requirement;
    }
  }
}

// The catalogue says whom a clause binds and how hard; a rule about servers must not judge a clause of clients.
TEST(Rules, EachIsOnceInTheTablesAndBindsServers) {
  std::set<std::string_view> in_tables;
  for (const Rule& rule : AllRules()) {
    EXPECT_TRUE(in_tables.insert(rule.requirement).second) << rule.requirement;
    EXPECT_EQ(spec::RequirementOf(rule.requirement).role, spec::Role::kServer) << rule.requirement;
  }
}

TEST(FirstViolation, IsNeverAdviceNorAmbiguous) {
  for (const WrongReply& wrong : WrongReplies()) {
    const auto failure = FirstViolation(wrong.exchange, RulesOf(spec::Severity::kFailure));
    const bool is_failure = spec::ServerSeverityOf(wrong.requirement) == spec::Severity::kFailure;
    EXPECT_TRUE(!is_failure || failure) << wrong.requirement;
    if (failure) {
      const spec::Requirement& requirement = spec::RequirementOf(failure->requirement);
      EXPECT_FALSE(requirement.ambiguous) << failure->requirement;
      EXPECT_TRUE(requirement.level == spec::Level::kMust || requirement.level == spec::Level::kMustNot)
          << failure->requirement;
    }
  }
}

TEST(Rules, GoodAnswersViolateNone) {
  const std::vector<Exchange> good = {
      Chunks(kRead, {Data(4096, 4096, kDone)}),
      Chunks(kRead, {Hole(6144, 2048), Data(4096, 2048), kNone}),
      Chunks(kRead, {Data(4096, 4096), ErrorAt(5000, 5, kDone)}),
      Chunks(kRead, {Data(4096, 512), Error(5, "the disk is gone", kDone)}),
      Chunks(Of(CommandType::kRead, CommandFlag::kDf), {Data(4096, 4096, kDone)}),
      Chunks(Of(CommandType::kRead, 0, kSize), {Error(NbdError::kEinval, "", kDone)}),
      Chunks({.offset = 4096}, {kNone}),
      Chunks({.offset = 4096}, {Error(NbdError::kEinval, "", kDone)}),
      Simple(kRead, NbdError::kOk, kSimple, 4096),
      Simple(Of(CommandType::kWrite), NbdError::kOk),
      Chunks(Of(CommandType::kWrite), {Error(NbdError::kEnospc, "", kDone)}),
      Simple(Of(CommandType::kWrite, 0, kSize), NbdError::kEnospc, kSimple),
      Simple(Of(CommandType::kWrite), NbdError::kEperm, kSimple),
      Chunks(Of(CommandType::kWriteZeroes, CommandFlag::kFastZero), {Error(NbdError::kEnotsup, "", kDone)}),
      Chunks(Of(CommandType::kWriteZeroes, CommandFlag::kFastZero), {Error(NbdError::kEinval, "", kDone)}, kPlain),
      Chunks(kRead, {At(4096, Data(4096, 512)), At(4096, Data(4608, 3584, kDone))}, kExtended),
      Chunks(Of(CommandType::kWrite, CommandFlag::kPayloadLen), {At(4096, kNone)}, kExtended),
      Chunks(Of(CommandType::kCache, CommandFlag::kPayloadLen), {At(4096, Error(NbdError::kEinval, "", kDone))},
             kExtended),
  };
  for (const Exchange& exchange : good) {
    for (const Violation& violation : FindViolations(exchange, AllRules())) {
      ADD_FAILURE() << Describe(exchange.request) << ": " << violation.requirement << ", " << violation.saw;
    }
  }
}

// That such a request succeeds is against advice; that its content is whole is another matter.
TEST(Rules, ContentOfAReadThatPassesTheLastOffsetIsWhole) {
  constexpr std::uint64_t kLast = ~std::uint64_t{0} - 511;
  const RequestHead past = {.offset = kLast, .length = 1024};
  EXPECT_EQ(FirstUncovered(Chunks(past, {Data(kLast, 1024, kDone)})), std::nullopt);
  EXPECT_EQ(FirstUncovered(Chunks(past, {Data(kLast, 100, kDone)})), kLast + 100);
  EXPECT_FALSE(Apply(RuleOf(spec::kStructuredReadErrorChunk), Chunks(past, {Data(kLast, 1024, kDone)})).is_violated());
  EXPECT_TRUE(Apply(RuleOf(spec::kStructuredReadErrorChunk), Chunks(past, {Data(kLast, 100, kDone)})).is_violated());
  EXPECT_EQ(spec::ServerSeverityOf(spec::kTransmissionReadOutOfBounds), spec::Severity::kWarning);
}

TEST(Rules, DfThatFailsOtherwiseShowsNothingOfItsLength) {
  const RequestHead df = Of(CommandType::kRead, CommandFlag::kDf);
  const Rule& rule = RuleOf(spec::kStructuredReadDf64k);
  EXPECT_EQ(Apply(rule, Chunks(df, {Error(NbdError::kEio, "", kDone)})).kind, Ruling::Kind::kInapplicable);
  EXPECT_EQ(Apply(rule, Chunks(df, {Data(4096, 4096, kDone)})).kind, Ruling::Kind::kKept);
}

TEST(Rules, AnAnswerThatWasCutOffNeedsNoDone) {
  Exchange exchange = Chunks(kRead, {Data(4096, 512)});
  exchange.answer.EndWith(Answer::End::kCutOff);
  EXPECT_EQ(FindViolations(exchange, AllRules()), std::vector<Violation>{});
  EXPECT_EQ(Apply(RuleOf(spec::kStructuredFlagsDoneSet), exchange).missing, "the answer was cut off");
}

// Chunks of 512 bytes in any order, of which two overlap: found, in whatever order they come.
TEST(Rules, OverlapIsFoundInAnyOrder) {
  for (std::uint64_t twice = 0; twice < 8; ++twice) {
    for (std::uint64_t step : {1U, 3U, 5U, 7U}) {
      std::vector<Chunk> chunks;
      for (std::uint64_t i = 0; i < 8; ++i) {
        chunks.push_back(Data(4096 + i * step % 8 * 512, 512));
      }
      EXPECT_EQ(FindViolations(Chunks(kRead, chunks), AllRules()), std::vector<Violation>{});
      chunks.push_back(Hole(4096 + twice * 512 + 511, 1, kDone));
      EXPECT_TRUE(Apply(RuleOf(spec::kStructuredOffsetHoleNoOverlap), Chunks(kRead, chunks)).is_violated());
      EXPECT_FALSE(Apply(RuleOf(spec::kStructuredOffsetDataNoOverlap), Chunks(kRead, chunks)).is_violated());
    }
  }
}

TEST(Answer, IsUsedAgainWithoutItsPast) {
  Answer answer;
  answer.Add(Error(NbdError::kEio, "x", kDone));
  EXPECT_TRUE(answer.is_complete());
  EXPECT_EQ(answer.error(), NbdError::kEio);
  answer.Clear();
  EXPECT_TRUE(answer.is_empty());
  EXPECT_FALSE(answer.has_failed());
  answer.Add(Data(1, 2, kDone));
  ASSERT_EQ(answer.chunks().size(), 1U);
  EXPECT_TRUE(answer.chunks()[0].payload.empty());
  EXPECT_EQ(answer.chunks()[0].payload_bytes, 10U);
  EXPECT_EQ(answer.chunks()[0].content->length, 2U);
}

}  // namespace
}  // namespace nbdspec::engine
