// SPDX-License-Identifier: BSD-3-Clause
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <pugixml.hpp>
#include <string>

#include "reports/render/render.h"

namespace nbdspec::reports {
namespace {

ExtentMap MapOf(std::uint64_t size, std::initializer_list<std::pair<std::uint64_t, std::uint64_t>> extents) {
  ExtentMap map{.target = "server", .export_name = "", .size = size};
  for (const auto& [length, flags] : extents) {
    Append(map, length, flags);
  }
  return map;
}

// A million extents of 64 KiB on 8 TiB, of which every hundredth has data.
ExtentMap Large() {
  ExtentMap map{.target = "large", .export_name = "x", .size = std::uint64_t{8} << 40};
  for (int i = 0; i < 1'000'000; ++i) {
    Append(map, 8'000'000, i % 100 == 0 ? 0 : static_cast<std::uint64_t>(2 + i % 2));
  }
  return map;
}

TEST(RenderMap, AppendMergesAndEndsAtTheEnd) {
  const ExtentMap map = MapOf(100, {{10, 0}, {0, 3}, {20, 0}, {500, 3}, {1, 0}});
  ASSERT_EQ(map.extents.size(), 2U);
  EXPECT_EQ(map.extents[0], (MappedExtent{.begin = 0, .end = 30, .flags = 0}));
  EXPECT_EQ(map.extents[1], (MappedExtent{.begin = 30, .end = 100, .flags = 3}));
}

TEST(RenderMap, TextShowsEveryKindInItsPlace) {
  const std::string text = RenderText(MapOf(4096, {{1024, 0}, {1024, 2}, {1024, 3}, {1024, 1}}), 52, false);
  EXPECT_EQ(text,
            "server, export \"\": 4096 bytes (4 KiB), 4 extents\n\n"
            "    0 bytes ██████████░░░░░░░░░░··········▒▒▒▒▒▒▒▒▒▒\n\n"
            "  █ data             1 KiB  25.00 %  in 1 extent: data\n"
            "  ▒ hole             1 KiB  25.00 %  in 1 extent: a hole that need not read as zeroes\n"
            "  ░ zero             1 KiB  25.00 %  in 1 extent: zeroes that are allocated\n"
            "  · hole,zero        1 KiB  25.00 %  in 1 extent: a hole that reads as zeroes\n"
            "  ▓ data and something else\n");
}

TEST(RenderMap, OneByteOfDataShowsInTerabytes) {
  const std::uint64_t size = std::uint64_t{1} << 44;
  const std::string text = RenderText(MapOf(size, {{size / 2, 3}, {1, 0}, {size, 3}}), 80, false);
  EXPECT_NE(text.find("▓"), text.rfind("▓"));  // In the bar, and in the legend.
  EXPECT_NE(text.find("in 1 extent: data"), std::string::npos);
}

TEST(RenderMap, WhatIsNotKnownIsBlankAndSaidToBe) {
  ExtentMap map = MapOf(1024, {{512, 0}});
  map.trouble = "gone\n\x1b[31m";
  const std::string text = RenderText(map, 52, true);
  EXPECT_NE(text.find("████████████████████                    \n"), std::string::npos) << text;
  EXPECT_NE(text.find("That is not all: gone\n\\x1b[31m\n"), std::string::npos) << text;
  EXPECT_NE(text.find("                   0                  512  0x0 data\n"), std::string::npos) << text;
  EXPECT_EQ(nlohmann::json::parse(RenderJson(map))["trouble"], "gone\\n\\x1b[31m");
}

TEST(RenderMap, SmallAndEmptyExportsHaveMaps) {
  EXPECT_NE(RenderText(MapOf(0, {}), 80, true).find("0 bytes"), std::string::npos);
  EXPECT_NE(RenderText(MapOf(3, {{3, 0}}), 80, true).find(" ███\n"), std::string::npos);
  pugi::xml_document document;
  EXPECT_TRUE(document.load_string(RenderSvg(MapOf(0, {})).c_str()));
}

TEST(RenderMap, JsonHasEachExtent) {
  const auto json = nlohmann::json::parse(RenderJson(MapOf(std::uint64_t{1} << 63, {{512, 0}, {~0ULL, 3}})));
  EXPECT_EQ(json["size"], std::uint64_t{1} << 63);
  ASSERT_EQ(json["extents"].size(), 2U);
  EXPECT_EQ(json["extents"][1]["offset"], 512);
  EXPECT_EQ(json["extents"][1]["length"], (std::uint64_t{1} << 63) - 512);
  EXPECT_EQ(json["extents"][1]["type"], 3);
  EXPECT_EQ(json["extents"][1]["description"], "hole,zero");
}

TEST(RenderMap, AMillionExtentsMakeASmallPicture) {
  const ExtentMap map = Large();
  const std::string svg = RenderSvg(map);
  EXPECT_LT(svg.size(), 1U << 20);
  EXPECT_LT(RenderText(map, 100, false).size(), 10'000U);
  pugi::xml_document document;
  ASSERT_TRUE(document.load_string(svg.c_str()));
  // The boxes of the bar cover it: no part is left out, none is drawn twice.
  double area = 0;
  for (const pugi::xml_node box : document.child("svg").children("rect")) {
    area += box.attribute("stroke") ? 0 : box.attribute("width").as_double() * box.attribute("height").as_double();
  }
  const double known = static_cast<double>(map.extents.back().end) / static_cast<double>(map.size);
  EXPECT_NEAR(area, 1000 * 60 * known, 100);
}

TEST(RenderMap, NamesCannotLeaveThePicture) {
  ExtentMap map = MapOf(512, {{512, 0}});
  map.target = "</text><script>alert(1)</script>";
  map.export_name = "\"'&<";
  pugi::xml_document document;
  ASSERT_TRUE(document.load_string(RenderSvg(map).c_str()));
  EXPECT_FALSE(document.child("svg").child("script"));
  EXPECT_NE(std::string(document.child("svg").child_value("title")).find(map.target), std::string::npos);
}

}  // namespace
}  // namespace nbdspec::reports
