// SPDX-License-Identifier: BSD-3-Clause
#include "engine/negotiation/negotiated.h"

#include <gtest/gtest.h>

namespace nbdspec::engine {
namespace {

const OptionReplies kAck = {{.type = OptionReplyType::kAck}};
const OptionReplies kRefused = {{.type = OptionReplyType::kErrInvalid}};

Option Select(const std::string& export_name) {
  return MakeOption(OptionType::kSetMetaContext,
                    {.export_name = export_name, .queries = {std::string(kBaseAllocation)}});
}

OptionReplies Selected(std::uint32_t id) {
  return {{.type = OptionReplyType::kMetaContext,
           .payload = EncodePayload(MetaContext{.id = id, .name = std::string(kBaseAllocation)})},
          {.type = OptionReplyType::kAck}};
}

// A connection on which structured replies are agreed and a context of the export `disk` is selected.
Negotiated WithContext() {
  Negotiated state;
  state.Apply(Greeting{});
  state.Apply(ClientFlags{});
  state.Apply(MakeOption(OptionType::kStructuredReply), kAck);
  state.Apply(Select("disk"), Selected(7));
  return state;
}

TEST(Negotiated, ContextsAreThoseThatTheServerSelected) {
  EXPECT_EQ(WithContext().contexts, std::vector({MetaContext{.id = 7, .name = std::string(kBaseAllocation)}}));
}

TEST(Negotiated, FailedSelectionDropsTheOneBefore) {
  Negotiated state = WithContext();
  state.Apply(Select("disk"), kRefused);
  EXPECT_TRUE(state.contexts.empty());
}

TEST(Negotiated, NewSelectionReplacesTheOneBefore) {
  Negotiated state = WithContext();
  state.Apply(Select("disk"), Selected(8));
  ASSERT_EQ(state.contexts.size(), 1U);
  EXPECT_EQ(state.contexts[0].id, 8U);
}

TEST(Negotiated, EnteringAnotherExportDropsContexts) {
  for (const std::string name : {"disk", "other"}) {
    Negotiated by_go = WithContext();
    by_go.Apply(MakeOption(OptionType::kGo, {.export_name = name}), kAck);
    Negotiated by_name = WithContext();
    by_name.Apply(MakeOption(OptionType::kExportName, {.export_name = name}), ExportNameReply{.size = 5});
    EXPECT_EQ(by_go.contexts.empty(), name == "other");
    EXPECT_EQ(by_go.contexts, by_name.contexts);
    EXPECT_EQ(by_name.export_name, name);
    EXPECT_EQ(by_name.info.size, 5U);
    EXPECT_TRUE(by_go.transmission && by_name.transmission);
  }
}

TEST(Negotiated, StarttlsDropsEverythingButTheFlags) {
  Negotiated state = WithContext();
  state.Apply(MakeOption(OptionType::kStarttls), kAck);
  Negotiated expected;
  expected.Apply(Greeting{});
  expected.Apply(ClientFlags{});
  expected.tls = true;
  EXPECT_EQ(state, expected);
}

TEST(Negotiated, RefusedOptionsChangeNothingElse) {
  for (const std::uint32_t option : {OptionType::kStarttls, OptionType::kGo, OptionType::kStructuredReply,
                                     OptionType::kExtendedHeaders, OptionType::kList, OptionType::kInfo}) {
    Negotiated state = WithContext();
    state.Apply(MakeOption(option), kRefused);
    EXPECT_EQ(state, WithContext()) << OptionName(option);
  }
}

TEST(Negotiated, ExtendedHeadersChangeTheFormOfHeadersWhenAskedForFirstOrLast) {
  for (const bool structured_first : {true, false}) {
    Negotiated state;
    for (const bool structured : {structured_first, !structured_first}) {
      state.Apply(MakeOption(structured ? OptionType::kStructuredReply : OptionType::kExtendedHeaders), kAck);
    }
    EXPECT_EQ(state.headers, HeaderForm::kExtended);
    EXPECT_TRUE(state.structured_replies);
  }
  Negotiated alone;
  alone.Apply(MakeOption(OptionType::kExtendedHeaders), kAck);
  EXPECT_TRUE(alone.structured_replies);
}

TEST(Negotiated, RequestsAnnounceTheirPayloadInTheExtendedForm) {
  const Request write = {.type = CommandType::kWrite, .length = 2, .payload = Bytes(2)};
  EXPECT_EQ(InForm(HeaderForm::kCompact, write), write);
  const Request extended = InForm(HeaderForm::kExtended, write);
  EXPECT_TRUE(extended.announces_payload());
  EXPECT_FALSE(InForm(HeaderForm::kExtended, {.type = CommandType::kTrim, .length = 2}).announces_payload());
}

TEST(Negotiated, OnlyBothSidesTogetherLeaveOutThePad) {
  for (int sides = 0; sides < 4; ++sides) {
    Negotiated state;
    state.Apply(Greeting{.flags = static_cast<std::uint16_t>((sides & 1) != 0 ? HandshakeFlag::kNoZeroes : 0)});
    state.Apply(ClientFlags{.flags = (sides & 2) != 0 ? ClientFlag::kNoZeroes : 0});
    EXPECT_EQ(state.pads_export_name_reply(), sides != 3);
  }
}

}  // namespace
}  // namespace nbdspec::engine
