// SPDX-License-Identifier: BSD-3-Clause
#include "engine/durability/request_history.h"

#include <gtest/gtest.h>

namespace nbdspec::engine {
namespace {

using Numbers = std::vector<RequestHistory::Number>;

constexpr ByteRange kSector = {.begin = 0, .end = 512};
constexpr RequestHistory::Number kBefore = RequestHistory::kBefore;

// The picture at the top of request_history.h.
TEST(RequestHistory, AllowsWhatItsPictureSays) {
  RequestHistory history(false);
  const auto a = history.BeginWrite(kSector, false);
  history.End(a, true);
  const auto b = history.BeginWrite(kSector, false);
  history.End(b, true);
  const auto c = history.BeginWrite(kSector, false);
  const auto flush = history.BeginFlush();
  history.End(c, true);
  EXPECT_EQ(history.MayStandAt(0), (Numbers{kBefore, a, b, c})) << "nothing is promised before the flush is answered";
  history.End(flush, true);
  EXPECT_EQ(history.MayStandAt(0), (Numbers{b, c}));
  EXPECT_EQ(history.MayStandAt(512), Numbers{kBefore});
}

TEST(RequestHistory, AFailedFlushAndAFailedFuaPromiseNothing) {
  RequestHistory history(false);
  const auto a = history.BeginWrite(kSector, true);
  history.End(a, false);
  history.End(history.BeginFlush(), false);
  EXPECT_EQ(history.MayStandAt(0), (Numbers{kBefore, a}));
  history.End(history.BeginFlush(), true);
  EXPECT_EQ(history.MayStandAt(0), (Numbers{kBefore, a})) << "a later flush does not cover a write that failed";
}

TEST(RequestHistory, OnlyAWriteThatFailedMayLeaveAnything) {
  RequestHistory history(false);
  const auto a = history.BeginWrite(kSector, false);
  const auto b = history.BeginWrite(kSector, false);
  EXPECT_FALSE(history.MayLeaveAnything(a)) << "one in flight leaves its own bytes, or nothing";
  history.End(a, false);
  history.End(b, true);
  EXPECT_TRUE(history.MayLeaveAnything(a));
  EXPECT_FALSE(history.MayLeaveAnything(b));
  EXPECT_FALSE(history.MayLeaveAnything(kBefore));
}

TEST(RequestHistory, WhatASyncThatFailedLeftNoLaterFlushCovers) {
  for (const bool is_flush : {false, true}) {
    RequestHistory history(false);
    const auto a = history.BeginWrite(kSector, false);
    history.End(a, true);
    const auto failed = is_flush ? history.BeginFlush() : history.BeginWrite({.begin = 512, .end = 1024}, true);
    history.End(failed, false);
    const auto b = history.BeginWrite({.begin = 1024, .end = 1536}, false);
    history.End(b, true);
    history.End(history.BeginFlush(), true);
    EXPECT_EQ(history.MayStandAt(0), (Numbers{kBefore, a}));
    EXPECT_EQ(history.MayStandAt(1024), Numbers{b}) << "it covers what began afterwards";
  }
}

TEST(RequestHistory, WhatASyncThatFailedLeftALaterFlushCoversWhereThatIsAsked) {
  RequestHistory history(false, /*flush_covers_given_up=*/true);
  const auto a = history.BeginWrite(kSector, false);
  history.End(a, true);
  const auto failed = history.BeginWrite({.begin = 512, .end = 1024}, true);
  history.End(failed, false);
  history.End(history.BeginFlush(), false);
  EXPECT_EQ(history.MayStandAt(0), (Numbers{kBefore, a}));
  history.End(history.BeginFlush(), true);
  EXPECT_EQ(history.MayStandAt(0), Numbers{a});
  EXPECT_EQ(history.MayStandAt(512), (Numbers{kBefore, failed})) << "but no write that failed itself";
}

TEST(RequestHistory, AFlushCoversOtherConnectionsOnlyWhereTheServerSaysSo) {
  for (const bool covers_all : {false, true}) {
    RequestHistory history(covers_all);
    const auto a = history.BeginWrite(kSector, false, 1);
    history.End(a, true);
    history.End(history.BeginFlush(2), true);
    EXPECT_EQ(history.MayStandAt(0), covers_all ? Numbers{a} : (Numbers{kBefore, a}));
    EXPECT_EQ(history.IsCovered(a), covers_all);
  }
}

TEST(RequestHistory, CellsBeginAndEndWhereWritesDo) {
  RequestHistory history(false);
  (void)history.BeginWrite({.begin = 100, .end = 200}, false);
  (void)history.BeginWrite({.begin = 150, .end = 900}, false);
  (void)history.BeginWrite({.begin = 700, .end = 800}, false);  // Outside of what is asked for, as all the rest.
  (void)history.BeginWrite({.begin = 0, .end = 40}, false);
  (void)history.BeginFlush();
  EXPECT_EQ(history.CellsOf({.begin = 50, .end = 500}), (std::vector<ByteRange>{{.begin = 50, .end = 100},
                                                                                {.begin = 100, .end = 150},
                                                                                {.begin = 150, .end = 200},
                                                                                {.begin = 200, .end = 500}}));
  EXPECT_TRUE(history.CellsOf({.begin = 7, .end = 7}).empty());
}

TEST(RequestHistory, FuaCoversItsOwnBytesAlone) {
  RequestHistory history(false);
  const auto a = history.BeginWrite({.begin = 512, .end = 1024}, false);
  history.End(a, true);
  const auto b = history.BeginWrite(kSector, true);
  history.End(b, true);
  EXPECT_EQ(history.MayStandAt(0), Numbers{b});
  EXPECT_EQ(history.MayStandAt(512), (Numbers{kBefore, a}));
}

}  // namespace
}  // namespace nbdspec::engine
