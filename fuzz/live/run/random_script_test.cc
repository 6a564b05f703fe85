// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/run/random_script.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <vector>

#include "fuzz/live/judge/reply_judge.h"

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
