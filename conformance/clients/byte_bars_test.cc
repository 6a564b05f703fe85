// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/clients/byte_bars.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace nbdspec::conformance {
namespace {

using engine::Bytes;

engine::Record RecordOf(std::vector<engine::Request> requests) {
  engine::Record record;
  for (engine::Request& request : requests) {
    record.seen.push_back({.what = engine::ClientMessage(request)});
  }
  return record;
}

// "who [begin, end) said; ...", and "^" behind what was judged.
std::string TextOf(const reports::Bar& bar) {
  std::string text = bar.who;
  for (const reports::Stretch& each : bar.stretches) {
    text += " [" + std::to_string(each.begin) + ", " + std::to_string(each.end) + ") " + each.said;
    text += each.is_judged ? "^" : "";
  }
  return text;
}

TEST(ByteBars, ShowWhatWasAskedForWhatIsWrongAndWhatIsTrue) {
  Bytes due(2048, 0);
  due[600] = 1;
  Bytes made = due;
  made[1500] = 7;
  made.resize(1536);
  const std::vector<engine::Record> records = {
      RecordOf({{.type = engine::CommandType::kRead, .offset = 512, .length = 512},
                {.type = engine::CommandType::kWrite, .offset = 0, .length = 512}}),
      RecordOf({{.type = engine::CommandType::kRead, .offset = 0, .length = 512},
                {.type = engine::CommandType::kRead, .offset = UINT64_MAX, .length = 2}})};
  const auto bars = BarsOfBytes(records, /*is_read=*/true, "copied", made, due);
  ASSERT_EQ(bars.size(), 3U);
  EXPECT_EQ(TextOf(bars[0]), "asked [0, 1024) ");
  EXPECT_EQ(TextOf(bars[1]), "copied [0, 512) zero [512, 1024) data [1024, 1536) wrong^ [1536, 2048) missing^");
  EXPECT_EQ(TextOf(bars[2]), "true [0, 512) zero [512, 1024) data [1024, 2048) zero");
  EXPECT_EQ(TextOf(BarsOfBytes(records, /*is_read=*/false, "stored", due, due)[0]), "asked [0, 512) ");
}

TEST(ByteBars, WhatIsTooMuchIsWrong) {
  EXPECT_EQ(TextOf(BarsOfBytes({}, true, "copied", Bytes(1024, 0), Bytes(512, 0))[1]),
            "copied [0, 512) zero [512, 1024) wrong^");
}

TEST(ByteBars, AMapIsWrongWhereItCallsDataZero) {
  Bytes due(2048, 0);
  due[600] = 1;
  const auto bars = BarsOfMap({},
                              {{.offset = 0, .length = 512, .is_zero = true},
                               {.offset = 512, .length = 1024, .is_zero = true},
                               {.offset = 1536, .length = UINT64_MAX, .is_zero = false},
                               {.offset = 1536, .length = 512, .is_zero = false}},
                              due);
  EXPECT_EQ(TextOf(bars[1]), "claimed [0, 512) zero [512, 1536) zero^ [1536, 2048) data");
}

TEST(ByteBars, OneBarHasABoundedNumberOfStretches) {
  Bytes due(1 << 20, 0);
  for (std::size_t i = 0; i < due.size(); i += 1024) {
    due[i] = 1;
  }
  EXPECT_EQ(BarsOfBytes({}, true, "copied", due, due)[1].stretches.size(), 100U);
}

}  // namespace
}  // namespace nbdspec::conformance
