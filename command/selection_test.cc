// SPDX-License-Identifier: BSD-3-Clause
#include "command/selection.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "engine/spec/ids.h"

namespace nbdspec::command {
namespace {

std::vector<std::string> IdsFor(const std::vector<std::string_view>& views) {
  const std::vector<std::string> words(views.begin(), views.end());
  std::vector<std::string> ids;
  const auto checks = SelectChecks(words);
  EXPECT_TRUE(checks) << checks.error().sentence;
  for (const conformance::Check& check : *checks) {
    ids.emplace_back(check.id);
  }
  return ids;
}

TEST(Selection, NoWordsSelectAll) { EXPECT_EQ(IdsFor({}).size(), conformance::AllChecks().size()); }

TEST(Selection, AnIdSelectsOnlyItself) {
  EXPECT_EQ(IdsFor({spec::kHandshakeClientFlagsDropUnknown}),
            std::vector<std::string>{std::string(spec::kHandshakeClientFlagsDropUnknown)});
}

TEST(Selection, ABeginningSelectsAllThatBeginSo) {
  const auto ids = IdsFor({"handshake."});
  EXPECT_GE(ids.size(), 5U);
  EXPECT_TRUE(std::ranges::all_of(ids, [](const std::string& id) { return id.starts_with("handshake."); }));
}

TEST(Selection, AGlobCrossesDotsAndSlashes) {
  const auto ids = IdsFor({"*drop-unknown*"});
  EXPECT_GE(ids.size(), 2U);
}

TEST(Selection, WordsWithAnExclamationMarkTakeAwayInOrder) {
  EXPECT_EQ(IdsFor({spec::kHandshakeMagic, "handshake.flags", "!handshake.flags"}),
            std::vector<std::string>{std::string(spec::kHandshakeMagic)});
  EXPECT_EQ(IdsFor({"!handshake"}).size(), conformance::AllChecks().size() - IdsFor({"handshake"}).size());
}

TEST(Selection, WhatAWordTookAwayIsKnownWithTheWord) {
  const std::vector<std::string> words = {"handshake.", "!handshake.flags", "!handshake.f*", "!tls"};
  const std::vector<Excluded> excluded = ExcludedChecks(words);
  EXPECT_EQ(excluded.size(), IdsFor({"handshake."}).size() - IdsFor({"handshake.", "!handshake.f*"}).size());
  ASSERT_FALSE(excluded.empty());
  for (const auto& [check, word] : excluded) {
    EXPECT_TRUE(check.id.starts_with("handshake.f")) << check.id << ": tls was not selected";
    EXPECT_EQ(word, check.id.starts_with("handshake.flags") ? "!handshake.flags" : "!handshake.f*") << check.id;
  }
  EXPECT_TRUE(ExcludedChecks(std::vector<std::string>{"!handshake.flags", "handshake.flags"}).empty());
}

TEST(Selection, NothingIsSelectedTwiceAndTheOrderIsTheSpecifications) {
  EXPECT_EQ(IdsFor({"handshake.flags", "handshake"}), IdsFor({"handshake"}));
}

TEST(Selection, AWordThatMatchesNothingIsAnErrorThatNamesIt) {
  const std::vector<std::string> words = {"handshake.magik"};
  const auto checks = SelectChecks(words);
  ASSERT_FALSE(checks);
  EXPECT_NE(checks.error().sentence.find("\"handshake.magik\""), std::string::npos);
  EXPECT_NE(checks.error().sentence.find("handshake.magic?"), std::string::npos);
  EXPECT_FALSE(SelectChecks(std::vector<std::string>{"!nosuch"}));
  for (const char* const target : {"nbd://localhost", "nbd+unix:///d?socket=/s"}) {
    const auto misplaced = SelectChecks(std::vector<std::string>{std::string(spec::kHandshakeMagic), target});
    ASSERT_FALSE(misplaced);
    EXPECT_NE(misplaced.error().sentence.find("is a target: name it first"), std::string::npos);
  }
  EXPECT_FALSE(SelectChecks(std::vector<std::string>{""}));
  EXPECT_FALSE(SelectChecks(std::vector<std::string>{"!*"}));
}

}  // namespace
}  // namespace nbdspec::command
