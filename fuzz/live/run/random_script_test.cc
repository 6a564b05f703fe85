// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/run/random_script.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "fuzz/live/judge/reply_judge.h"
#include "fuzz/live/run/live_server.h"
#include "fuzz/live/run/random_haggling.h"

namespace nbdspec::fuzz {
namespace {

using engine::ByteRange;
using engine::Command;
using engine::CommandFlag;
using engine::RequestStep;
using engine::TransmissionFlag;

constexpr std::uint64_t kSize = 10ULL << 30;
constexpr std::uint64_t kWindowBytes = 4 << 20;

// A large export that has all there is.
Offer OfferWith(engine::HeaderForm headers) {
  Offer offer;
  offer.structured_replies = true;
  offer.headers = headers;
  offer.contexts = {{.id = 1, .name = "base:allocation"}, {.id = 2, .name = "other:context"}};
  const bool is_extended = headers == engine::HeaderForm::kExtended;
  offer.info = {.size = kSize,
                .flags = static_cast<std::uint16_t>(0xffff & ~TransmissionFlag::kReadOnly &
                                                    ~(is_extended ? 0 : TransmissionFlag::kBlockStatusPayload))};
  return offer;
}

std::vector<RequestStep> RequestsFor(const Offer& offer, bool only_offered) {
  std::vector<RequestStep> requests;
  const std::vector<ByteRange> windows = {{.begin = 0, .end = kWindowBytes},
                                          {.begin = kSize - kWindowBytes, .end = kSize}};
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    for (const engine::Step& step : RandomScript(seed, offer, windows, {.only_offered = only_offered}).steps) {
      if (const auto* request = std::get_if<RequestStep>(&step)) {
        requests.push_back(*request);
      }
    }
  }
  return requests;
}

TEST(RandomScript, WhatIsOfferedIsLegalInBothForms) {
  for (const auto headers : {engine::HeaderForm::kCompact, engine::HeaderForm::kExtended}) {
    const Offer offer = OfferWith(headers);
    for (const RequestStep& request : RequestsFor(offer, /*only_offered=*/true)) {
      EXPECT_TRUE(LegalityOf(request, offer).is_legal()) << Print(request);
    }
  }
}

TEST(RandomScript, CompactHeadersAreAskedForNothingMore) {
  for (const RequestStep& request : RequestsFor(OfferWith(engine::HeaderForm::kCompact), /*only_offered=*/false)) {
    EXPECT_LE(request.length, 0xffffffff);
    EXPECT_EQ(request.flags & CommandFlag::kPayloadLen, 0);
    EXPECT_FALSE(request.is_unannounced);
  }
}

TEST(RandomScript, CompactHeadersReachAllLengthsOf32Bits) {
  const Offer offer = OfferWith(engine::HeaderForm::kCompact);
  std::map<Command, std::pair<int, int>> lengths;  // How many near 2^31, and near 2^32.
  for (const RequestStep& request : RequestsFor(offer, /*only_offered=*/true)) {
    constexpr std::uint64_t kNear = 128 << 10;
    auto& [sign_bit, all_bits] = lengths[request.command];
    sign_bit += request.length + kNear >= 1ULL << 31 && request.length <= (1ULL << 31) + kNear ? 1 : 0;
    all_bits += request.length + kNear >= 1ULL << 32 ? 1 : 0;
  }
  for (const Command command : {Command::kStatus, Command::kTrim, Command::kZero}) {
    EXPECT_GT(lengths[command].first, 0) << static_cast<int>(command);
    EXPECT_GT(lengths[command].second, 0) << static_cast<int>(command);
  }
  EXPECT_EQ(lengths[Command::kCache], (std::pair{0, 0}));  // It reads all of it.
  EXPECT_EQ(lengths[Command::kRead], (std::pair{0, 0}));
}

TEST(RandomScript, SomeLeaveWithRepliesUnread) {
  const Offer offer = OfferWith(engine::HeaderForm::kCompact);
  int left_count = 0;
  for (std::uint64_t seed = 0; seed < 160; ++seed) {
    const auto steps = RandomScript(seed, offer, {{.begin = 0, .end = kWindowBytes}}, {}).steps;
    const auto left = std::ranges::find_if(
        steps, [](const engine::Step& step) { return std::holds_alternative<engine::LeaveStep>(step); });
    if (left != steps.end()) {
      ++left_count;
      ASSERT_NE(left, steps.begin());
      EXPECT_TRUE(std::holds_alternative<RequestStep>(*std::prev(left)));
    }
  }
  EXPECT_GT(left_count, 2);
  EXPECT_LT(left_count, 40);
}

TEST(RandomScript, SomeSendInPiecesAndSomeHaveVisitors) {
  const Offer offer = OfferWith(engine::HeaderForm::kCompact);
  int cut_count = 0;
  std::set<engine::Visit> visits;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    int pieces = 0;
    for (const engine::Step& step : RandomScript(seed, offer, {{.begin = 0, .end = kWindowBytes}}, {}).steps) {
      pieces += std::holds_alternative<engine::SendStep>(step) ? 1 : 0;
      if (const auto* visit = std::get_if<engine::VisitStep>(&step)) {
        visits.insert(visit->visit);
        EXPECT_GE(visit->count, 1);
        EXPECT_LE(visit->count, engine::kVisitorsMax);
      }
    }
    EXPECT_LE(pieces, 12);
    cut_count += pieces > 0 ? 1 : 0;
  }
  EXPECT_GT(cut_count, 20);
  EXPECT_LT(cut_count, 200);
  EXPECT_EQ(visits.size(), engine::kVisitCount);
}

TEST(RandomScript, WhatIsExploredIsAimedAtFromEdgeToEdge) {
  const Offer offer = OfferWith(engine::HeaderForm::kCompact);
  const ByteRange extent = {.begin = 1234567, .end = 2345678};
  const auto steps =
      RandomScript(1, offer, {{.begin = 0, .end = kWindowBytes}, {.begin = kSize - kWindowBytes, .end = kSize}},
                   {.explores = true})
          .steps;
  ASSERT_EQ(steps.size(), 3U);
  EXPECT_EQ(steps[0], engine::Step(RequestStep{.command = Command::kStatus, .length = kWindowBytes}));
  EXPECT_EQ(steps[1], engine::Step(RequestStep{
                          .command = Command::kStatus, .offset = kSize - kWindowBytes, .length = kWindowBytes}));
  EXPECT_TRUE(std::holds_alternative<engine::WaitStep>(steps[2]));
  int exact_count = 0;
  for (std::uint64_t seed = 0; seed < 100; ++seed) {
    for (const engine::Step& step :
         RandomScript(seed, offer, {{.begin = 0, .end = kWindowBytes}}, {.extents = {extent}}).steps) {
      const auto range = engine::RangeOf(step);
      exact_count += range && range->offset == extent.begin && range->length == extent.length() ? 1 : 0;
    }
  }
  EXPECT_GT(exact_count, 200);
}

TEST(RandomHaggling, HasEveryOrderAndDeliveryAndKeepsToTheRules) {
  const std::vector<engine::OptionStep> usual = ExtendedHaggling();
  std::set<std::uint32_t> options;
  std::set<std::string> exports;
  int glued_count = 0;
  int split_count = 0;
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    const auto all = RandomHaggling(seed, seed % 2 == 0 ? usual : DefaultHaggling(), /*only_offered=*/false);
    EXPECT_EQ(all, RandomHaggling(seed, seed % 2 == 0 ? usual : DefaultHaggling(), /*only_offered=*/false));
    ASSERT_FALSE(all.empty());
    EXPECT_FALSE(all.front().is_glued);
    EXPECT_TRUE(all.back().option == engine::OptionType::kGo || all.back().option == engine::OptionType::kExportName);
    for (const engine::OptionStep& step : all) {
      options.insert(step.option);
      exports.insert(step.export_name);
      glued_count += step.is_glued ? 1 : 0;
      split_count += step.split > 0 ? 1 : 0;
    }
    for (const engine::OptionStep& step : RandomHaggling(seed, usual, /*only_offered=*/true)) {
      EXPECT_EQ(step.export_name, "");
      EXPECT_LE(step.option, engine::OptionType::kExtendedHeaders);
    }
  }
  EXPECT_GT(glued_count, 100);
  EXPECT_GT(split_count, 100);
  EXPECT_GT(exports.size(), 2U);
  EXPECT_GT(options.size(), 10U);
}

TEST(RandomScript, OfAReadOnlyExportNothingIsChangedButToSeeItRefused) {
  Offer offer = OfferWith(engine::HeaderForm::kCompact);
  offer.info.flags |= TransmissionFlag::kReadOnly;
  const auto changes = [](const RequestStep& request) {
    return engine::Changes(static_cast<std::uint16_t>(request.command));
  };
  const std::vector<RequestStep> offered = RequestsFor(offer, /*only_offered=*/true);
  EXPECT_EQ(std::ranges::count_if(offered, changes), 0);
  EXPECT_GT(std::ranges::count(offered, Command::kStatus, &RequestStep::command), 100);
  std::set<Command> refused;
  for (const RequestStep& request : RequestsFor(offer, /*only_offered=*/false)) {
    if (changes(request)) {
      EXPECT_FALSE(LegalityOf(request, offer).is_legal());
      refused.insert(request.command);
    }
  }
  EXPECT_EQ(refused.size(), 3U);
}

TEST(RandomScript, WhatIsNotOfferedIsAskedForNowAndThen) {
  Offer offer = OfferWith(engine::HeaderForm::kCompact);
  offer.info.flags = TransmissionFlag::kHasFlags;
  offer.contexts = {};
  std::set<Command> commands;
  std::uint16_t flags = 0;
  for (const RequestStep& request : RequestsFor(offer, /*only_offered=*/false)) {
    commands.insert(request.command);
    flags |= request.flags;
  }
  EXPECT_EQ(commands, (std::set{Command::kRead, Command::kWrite, Command::kZero, Command::kTrim, Command::kCache,
                                Command::kStatus}));
  EXPECT_EQ(flags & (CommandFlag::kFua | CommandFlag::kNoHole | CommandFlag::kDf),
            CommandFlag::kFua | CommandFlag::kNoHole | CommandFlag::kDf);
}

TEST(RandomScript, ExtendedHeadersHaveWideRequestsAndPayloadsRightAndWrong) {
  const Offer offer = OfferWith(engine::HeaderForm::kExtended);
  std::set<Command> wide;
  std::set<Command> useless;
  std::map<engine::NamedContexts, int> named;
  int unannounced = 0;
  for (const RequestStep& request : RequestsFor(offer, /*only_offered=*/false)) {
    const bool has_payload = (request.flags & CommandFlag::kPayloadLen) != 0;
    if (request.length > 0xffffffff && LegalityOf(request, offer).is_legal()) {
      wide.insert(request.command);
    }
    if (has_payload && request.command == Command::kStatus) {
      ++named[request.contexts];
    } else if (has_payload) {
      useless.insert(request.command);
    }
    unannounced += request.is_unannounced ? 1 : 0;
  }
  EXPECT_EQ(wide, (std::set{Command::kTrim, Command::kCache, Command::kZero, Command::kStatus}));
  EXPECT_EQ(useless, (std::set{Command::kRead, Command::kFlush, Command::kTrim, Command::kCache, Command::kZero}));
  EXPECT_EQ(named.size(), engine::kNamedContextsCount);
  EXPECT_GT(unannounced, 0);
}

}  // namespace
}  // namespace nbdspec::fuzz
