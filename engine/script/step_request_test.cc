// SPDX-License-Identifier: BSD-3-Clause
#include "engine/script/step_request.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace nbdspec::engine {
namespace {

constexpr std::uint64_t kWide = 5ULL << 30;
const std::array<MetaContext, 2> kContexts = {MetaContext{.id = 1, .name = "a"}, MetaContext{.id = 7, .name = "b"}};

std::optional<Request> Compact(const RequestStep& step) { return RequestFor(step, HeaderForm::kCompact, kContexts); }
std::optional<Request> Extended(const RequestStep& step) { return RequestFor(step, HeaderForm::kExtended, kContexts); }

Bytes QueryOf(NamedContexts contexts, std::span<const MetaContext> selected = kContexts) {
  const auto request = RequestFor(
      {.command = Command::kStatus, .length = kWide, .flags = CommandFlag::kPayloadLen, .contexts = contexts},
      HeaderForm::kExtended, selected);
  EXPECT_EQ(request->length, request->payload.size());
  return request->payload;
}

Bytes QueryWith(std::vector<std::uint32_t> ids) {
  return EncodePayload(StatusQuery{.length = kWide, .context_ids = std::move(ids)});
}

TEST(StepRequest, CompactHeadersCarryNothingMore) {
  EXPECT_FALSE(Compact({.command = Command::kTrim, .length = 1ULL << 32}));
  EXPECT_EQ(
      Compact({.command = Command::kStatus,
               .offset = 5,
               .length = 0xffffffff,
               .flags = CommandFlag::kPayloadLen,
               .contexts = NamedContexts::kTwice}),
      (Request{
          .flags = CommandFlag::kPayloadLen, .type = CommandType::kBlockStatus, .offset = 5, .length = 0xffffffff}));
  EXPECT_EQ(Compact({.command = Command::kWrite, .length = 512, .is_unannounced = true}),
            (Request{.type = CommandType::kWrite, .length = 512}));
}

TEST(StepRequest, ExtendedHeadersCarryWideLengthsButNoWideData) {
  EXPECT_EQ(
      Extended({.command = Command::kTrim, .offset = 5, .length = kWide}),
      (Request{
          .form = HeaderForm::kExtended, .type = CommandType::kTrim, .offset = 5, .length = kWide, .payload = {}}));
  EXPECT_EQ(Extended({.command = Command::kRead, .length = kWide})->length, kWide);
  EXPECT_FALSE(Extended({.command = Command::kWrite, .length = kWide}));
}

TEST(StepRequest, AWriteIsAnnouncedUnlessItSaysOtherwise) {
  RequestStep write = {.command = Command::kWrite, .length = 512, .flags = CommandFlag::kFua};
  EXPECT_EQ(Extended(write)->flags, CommandFlag::kFua | CommandFlag::kPayloadLen);
  write.flags |= CommandFlag::kPayloadLen;
  EXPECT_EQ(Extended(write)->flags, CommandFlag::kFua | CommandFlag::kPayloadLen);
  write.is_unannounced = true;
  EXPECT_EQ(Extended(write)->flags, CommandFlag::kFua);
  EXPECT_EQ(Extended(write)->length, 512U);
}

TEST(StepRequest, AStatusNamesTheContextsInItsPayload) {
  EXPECT_EQ(QueryOf(NamedContexts::kAll), QueryWith({1, 7}));
  EXPECT_EQ(QueryOf(NamedContexts::kNone), QueryWith({}));
  EXPECT_EQ(QueryOf(NamedContexts::kOne), QueryWith({7}));
  EXPECT_EQ(QueryOf(NamedContexts::kTwice), QueryWith({7, 7}));
  EXPECT_EQ(QueryOf(NamedContexts::kUnknown), QueryWith({2}));
  EXPECT_EQ(QueryOf(NamedContexts::kRagged).size(), QueryWith({1, 7}).size() + 1);
  EXPECT_EQ(QueryOf(NamedContexts::kTwice, {}), QueryWith({0, 0}));
}

TEST(StepRequest, AUselessPayloadIsShort) {
  for (const std::uint64_t length : {std::uint64_t{0}, std::uint64_t{5}, kUselessPayloadBytesMax, kWide}) {
    const auto request = Extended({.length = length, .flags = CommandFlag::kPayloadLen});
    EXPECT_EQ(request->length, std::min(length, kUselessPayloadBytesMax));
    EXPECT_EQ(request->payload.size(), request->length);
  }
}

}  // namespace
}  // namespace nbdspec::engine
