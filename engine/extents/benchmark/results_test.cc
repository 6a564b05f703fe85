// SPDX-License-Identifier: BSD-3-Clause
#include "engine/extents/benchmark/results.h"

#include <gtest/gtest.h>

namespace nbdspec::engine::speed {
namespace {

Result One(const std::string& row, std::uint64_t n, const std::string& subject, std::vector<double> rounds) {
  return {.row = row,
          .title = row + " in words",
          .unit = row.starts_with("bytes") ? "B/extent" : "ns/op",
          .n = n,
          .subject = subject,
          .rounds = std::move(rounds)};
}

Results Measured() {
  return {.machine = {{"compiler", "some"}},
          .all = {One("random", 1000, "extent_map", {9, 10, 50}), One("random", 1000, "llvm", {20, 21, 22}),
                  One("random", 1000, "std_map", {15, 15, 15}), One("random", 1'000'000, "extent_map", {100}),
                  One("random", 1'000'000, "llvm", {144, 144}), One("bytes_dense", 1'000'000, "extent_map", {6}),
                  One("reply", 1 << 20, "extent_map", {1}), One("reply", 1 << 20, "memcpy", {0.25}),
                  One("reply", 1 << 20, "icl", {3})}};
}

bool Has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(Results, MedianIsTheMiddleOrTheMeanOfBoth) {
  EXPECT_EQ(Median({3}), 3);
  EXPECT_EQ(Median({9, 1, 2}), 2);
  EXPECT_EQ(Median({4, 1, 2, 9}), 3);
}

TEST(Results, BestPeerIsNeitherUsNorACopy) {
  const Results results = Measured();
  EXPECT_EQ(BestPeer(results, "random", 1000)->subject, "std_map");
  EXPECT_EQ(BestPeer(results, "random", 1000)->cost, 15);
  EXPECT_EQ(BestPeer(results, "reply", 1 << 20)->subject, "icl");
  EXPECT_FALSE(BestPeer(results, "bytes_dense", 1'000'000));
  EXPECT_FALSE(BestPeer(results, "random", 7));
}

TEST(Results, JsonKeepsEverything) {
  const Results results = Measured();
  const auto again = FromJson(ToJson(results));
  ASSERT_TRUE(again) << again.error();
  EXPECT_EQ(again->machine, results.machine);
  ASSERT_EQ(again->all.size(), results.all.size());
  for (std::size_t i = 0; i < results.all.size(); ++i) {
    EXPECT_EQ(again->all[i].row, results.all[i].row);
    EXPECT_EQ(again->all[i].title, results.all[i].title);
    EXPECT_EQ(again->all[i].unit, results.all[i].unit);
    EXPECT_EQ(again->all[i].n, results.all[i].n);
    EXPECT_EQ(again->all[i].subject, results.all[i].subject);
    EXPECT_EQ(again->all[i].rounds, results.all[i].rounds);
  }
}

TEST(Results, RefusesForeignJson) {
  EXPECT_FALSE(FromJson(""));
  EXPECT_FALSE(FromJson("{}"));
  EXPECT_FALSE(FromJson("[1]"));
  EXPECT_FALSE(FromJson(R"({"machine": {}, "results": [{"row": 1}]})"));
  EXPECT_FALSE(FromJson(
      R"({"machine": {}, "results": [{"row": "r", "title": "t", "unit": "u", "n": 1, "subject": "s", "rounds": []}]})"));
}

TEST(Results, TargetsCompareWithWhomTheyName) {
  std::vector<std::string> seen;
  for (const TargetOutcome& outcome : OutcomesOf(Measured())) {
    seen.push_back(std::string(outcome.target.row) + " " + outcome.against + (outcome.met ? " met" : " not"));
  }
  // 1.44 is just not 1.45; 6 bytes are below 6.5; a quarter of memcpy is above a fifth.
  EXPECT_EQ(seen, (std::vector<std::string>{"bytes_dense  met", "random llvm not", "random std_map met",
                                            "reply memcpy met"}));
}

TEST(Tables, ShowMediansAndTheRatioToTheBestPeer) {
  const std::string page = RenderPage(Measured());
  EXPECT_TRUE(Has(page, "| n | extent_map | llvm | std_map | best peer | ours is |"));
  EXPECT_TRUE(Has(page, "| 1e3 | 10.0 | 21.0 | 15.0 | std_map | 1.50x |"));
  EXPECT_TRUE(Has(page, "| 1e6 | 100 | 144 | - | llvm | 1.44x |"));
  EXPECT_TRUE(Has(page, "| 2^20 | 1.00 | 3.00 | 0.25 | icl | 3.00x |") ||
              Has(page, "| 2^20 | 1.00 | 0.25 | 3.00 | icl | 3.00x |"));
  EXPECT_TRUE(Has(page, "(extent_map_speed.svg)"));
}

TEST(Tables, GrowthIsFromTheSmallestToTheLargestSize) {
  const std::string text = RenderTables(Measured(), TableForm::kMarkdown);
  EXPECT_TRUE(Has(text, "| random | 10.0x n^0.33 | 6.86x n^0.28 | - |"));
}

TEST(Tables, PlainColumnsAreAligned) {
  const std::string text = RenderTables(Measured(), TableForm::kPlain);
  EXPECT_TRUE(Has(text,
                  "  1e3        10.0  21.0     15.0    std_map    1.50x\n"
                  "  1e6         100   144        -       llvm    1.44x\n"));
}

TEST(Plot, HasAPanelOnlyForRowsOfSeveralSizes) {
  const std::string svg = RenderPlot(Measured());
  EXPECT_TRUE(Has(svg, ">random in words<"));
  EXPECT_FALSE(Has(svg, "reply in words"));
  EXPECT_TRUE(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
}

TEST(Plot, HigherCostIsHigherUpAndOursIsThick) {
  Results results = {.machine = {}, .all = {One("r", 1000, "extent_map", {10}), One("r", 10'000, "extent_map", {100})}};
  // One decade each way: from the lower left corner of the panel to its upper right.
  EXPECT_TRUE(Has(RenderPlot(results),
                  "<path d=\"M48.0 240.0L286.0 74.0\" fill=\"none\" stroke=\"#000000\" "
                  "stroke-width=\"3\"/>"));
}

TEST(Plot, WithoutResultsIsAnEmptyPicture) {
  EXPECT_TRUE(Has(RenderPlot({}), "</svg>"));
  EXPECT_EQ(RenderTables({}, TableForm::kPlain), "");
}

}  // namespace
}  // namespace nbdspec::engine::speed
