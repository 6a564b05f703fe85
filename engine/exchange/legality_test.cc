// SPDX-License-Identifier: BSD-3-Clause
#include "engine/exchange/legality.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/wire/payloads.h"

namespace nbdspec::engine {
namespace {

constexpr std::uint16_t kOffersAll = TransmissionFlag::kHasFlags | TransmissionFlag::kSendFlush |
                                     TransmissionFlag::kSendFua | TransmissionFlag::kSendTrim |
                                     TransmissionFlag::kSendWriteZeroes | TransmissionFlag::kSendDf |
                                     TransmissionFlag::kSendCache | TransmissionFlag::kSendFastZero;

Negotiated Agreed(std::uint16_t flags = kOffersAll) {
  return {.structured_replies = true,
          .contexts = {{.id = 1, .name = std::string(kBaseAllocation)}},
          .info = {.size = 1 << 20, .flags = flags},
          .block_size = {.minimum = 512, .maximum = 1 << 16}};
}

std::vector<Reason> ReasonsOf(const RequestHead& request, const Negotiated& agreed = Agreed()) {
  const Legality legality = LegalityOf(request, agreed);
  std::vector<Reason> reasons;
  for (int i = 0; i < kReasonCount; ++i) {
    if (legality.Has(static_cast<Reason>(i))) {
      reasons.push_back(static_cast<Reason>(i));
    }
  }
  EXPECT_EQ(legality.is_legal(), reasons.empty());
  return reasons;
}

using Reasons = std::vector<Reason>;

TEST(Legality, EachCommandIsLegalWithItsFlagsWhereAllIsOffered) {
  constexpr std::uint16_t kFua = CommandFlag::kFua;
  for (const RequestHead& request :
       {RequestHead{.flags = kFua | CommandFlag::kDf, .type = CommandType::kRead, .length = 512},
        RequestHead{.flags = kFua, .type = CommandType::kWrite, .length = 512},
        RequestHead{.flags = kFua, .type = CommandType::kFlush},
        RequestHead{.flags = kFua, .type = CommandType::kTrim, .length = 1 << 20},
        RequestHead{.flags = kFua, .type = CommandType::kCache, .length = 1 << 20},
        RequestHead{.flags = kFua | CommandFlag::kNoHole | CommandFlag::kFastZero,
                    .type = CommandType::kWriteZeroes,
                    .length = 1 << 20},
        RequestHead{.flags = kFua | CommandFlag::kReqOne, .type = CommandType::kBlockStatus, .length = 512}}) {
    EXPECT_EQ(ReasonsOf(request), Reasons{}) << Describe(request);
  }
}

TEST(Legality, WhatIsNotOfferedIsIllegal) {
  constexpr std::uint16_t kHasFlags = TransmissionFlag::kHasFlags;
  for (const std::uint16_t command :
       {CommandType::kFlush, CommandType::kTrim, CommandType::kCache, CommandType::kWriteZeroes}) {
    const std::uint64_t length = command == CommandType::kFlush ? 0 : 512;
    EXPECT_EQ(ReasonsOf({.type = command, .length = length}, Agreed(kHasFlags)), Reasons{Reason::kNotOffered});
  }
  for (const std::uint16_t flag : {CommandFlag::kFua, CommandFlag::kDf}) {
    EXPECT_EQ(ReasonsOf({.flags = flag, .length = 512}, Agreed(kHasFlags)), Reasons{Reason::kFlagNotOffered});
  }
  Negotiated simple = Agreed();
  simple.structured_replies = false;
  EXPECT_EQ(ReasonsOf({.flags = CommandFlag::kDf, .length = 512}, simple), Reasons{Reason::kFlagNotOffered});
  Negotiated bare = Agreed();
  bare.contexts.clear();
  EXPECT_EQ(ReasonsOf({.type = CommandType::kBlockStatus, .length = 512}, bare), Reasons{Reason::kNoContext});
}

TEST(Legality, UnknownAndInapplicableAreToldApart) {
  EXPECT_EQ(ReasonsOf({.type = 0x7fff, .length = 512}), Reasons{Reason::kUnknownCommand});
  EXPECT_EQ(ReasonsOf({.flags = 1 << 15, .length = 512}), Reasons{Reason::kUnknownFlag});
  EXPECT_EQ(ReasonsOf({.flags = CommandFlag::kReqOne, .length = 512}), Reasons{Reason::kInapplicableFlag});
}

TEST(Legality, RangesAreHeldToTheExportAndTheBlockSizes) {
  EXPECT_EQ(ReasonsOf({.offset = 1 << 20, .length = 512}), Reasons{Reason::kPastEnd});
  EXPECT_EQ(ReasonsOf({.offset = ~std::uint64_t{511}, .length = 1024}), Reasons{Reason::kPastEnd});
  EXPECT_EQ(ReasonsOf({.offset = 1, .length = 512}), Reasons{Reason::kMisaligned});
  EXPECT_EQ(ReasonsOf({.length = 513}), Reasons{Reason::kMisaligned});
  EXPECT_EQ(ReasonsOf({.length = (1 << 16) + 512}), Reasons{Reason::kTooLong});
  EXPECT_EQ(ReasonsOf({.type = CommandType::kCache, .length = (1 << 16) + 512}), Reasons{});
}

TEST(Legality, PayloadsAreForWritesAndWhereTheyAreOfferedForStatus) {
  Negotiated extended = Agreed(kOffersAll | TransmissionFlag::kBlockStatusPayload);
  extended.headers = HeaderForm::kExtended;
  const auto reasons = [&extended](std::uint16_t command, Bytes payload) {
    return ReasonsOf(RequestHead::Of({.form = HeaderForm::kExtended,
                                      .flags = CommandFlag::kPayloadLen,
                                      .type = command,
                                      .length = payload.size(),
                                      .payload = payload}),
                     extended);
  };
  const auto query = [&](std::vector<std::uint32_t> ids) {
    return reasons(CommandType::kBlockStatus,
                   EncodePayload(StatusQuery{.length = 1 << 20, .context_ids = std::move(ids)}));
  };
  EXPECT_EQ(reasons(CommandType::kWrite, Bytes(512)), Reasons{});
  EXPECT_EQ(reasons(CommandType::kRead, Bytes(512)), (Reasons{Reason::kInapplicableFlag, Reason::kUnspecified}));
  EXPECT_EQ(query({1}), Reasons{});
  EXPECT_EQ(query({1, 1}), Reasons{Reason::kBadQuery});
  EXPECT_EQ(query({2}), Reasons{Reason::kBadQuery});
  EXPECT_EQ(query({}), Reasons{Reason::kUnspecified});
  EXPECT_EQ(reasons(CommandType::kBlockStatus, Bytes(9)), (Reasons{Reason::kBadQuery, Reason::kUnspecified}));
  extended.info.flags = kOffersAll;
  EXPECT_EQ(query({1}), Reasons{Reason::kFlagNotOffered});
  EXPECT_EQ(ReasonsOf({.flags = CommandFlag::kPayloadLen, .type = CommandType::kWrite, .length = 512}),
            Reasons{Reason::kUnknownFlag});  // In the compact form.
}

TEST(Legality, WhatIsUnspecifiedIsNeitherLegalNorIllegal) {
  for (const RequestHead& request :
       {RequestHead{.offset = 1 << 30}, RequestHead{.type = CommandType::kFlush, .length = 512}}) {
    EXPECT_EQ(ReasonsOf(request), Reasons{Reason::kUnspecified});
    EXPECT_FALSE(LegalityOf(request, Agreed()).is_illegal());
  }
}

TEST(Legality, ReadOnlyExportsAreNotChanged) {
  const Negotiated read_only = Agreed(kOffersAll | TransmissionFlag::kReadOnly);
  for (const std::uint16_t command : {CommandType::kWrite, CommandType::kTrim, CommandType::kWriteZeroes}) {
    EXPECT_EQ(ReasonsOf({.type = command, .length = 512}, read_only), Reasons{Reason::kReadOnly});
  }
  EXPECT_EQ(ReasonsOf({.length = 512}, read_only), Reasons{});
}

TEST(ErrorsFor, EachReasonNamesItsErrors) {
  EXPECT_EQ(ErrorsFor(Reason::kReadOnly, CommandType::kTrim).Text(), "NBD_EPERM");
  EXPECT_EQ(ErrorsFor(Reason::kPastEnd, CommandType::kRead).Text(), "NBD_EINVAL");
  EXPECT_EQ(ErrorsFor(Reason::kPastEnd, CommandType::kWrite).Text(), "NBD_EINVAL or NBD_ENOSPC");
  EXPECT_EQ(ErrorsFor(Reason::kUnknownCommand, 0x7fff).Text(), "NBD_EINVAL");
}

TEST(ErrorsFor, OfSeveralReasonsAnyErrorWillDo) {
  const Legality both = LegalityOf({.type = CommandType::kTrim, .offset = 1 << 20, .length = 512},
                                   Agreed(kOffersAll | TransmissionFlag::kReadOnly));
  EXPECT_EQ(ErrorsFor(both, CommandType::kTrim).Text(), "NBD_EPERM or NBD_EINVAL");
}

}  // namespace
}  // namespace nbdspec::engine
