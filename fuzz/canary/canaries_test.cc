// SPDX-License-Identifier: BSD-3-Clause
// Every planted bug is found by its target in time, what is no bug is not, and docs/canaries.md lists them all.

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <iterator>
#include <ostream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/canary/canary.h"
#include "fuzz/canary/trial.h"
#include "fuzz/inputs/input_mutator.h"

namespace nbdspec::fuzz {

void PrintTo(const Planted& planted, std::ostream* out) { *out << planted.name(); }

namespace {

// Three, so that one lucky seed cannot hide that a bug has become hard to find.
constexpr std::uint64_t kSeeds[] = {1, 2, 3};

template <typename IsAsked>
std::vector<Planted> All(const IsAsked& is_asked) {
  std::vector<Planted> all = AllPlanted();
  std::erase_if(all, [&](const Planted& planted) { return !is_asked(*planted.canary); });
  return all;
}

const auto kNameOf = [](const auto& info) {
  std::string name = info.param.target->name + "_" + info.param.canary->name;
  std::erase_if(name, [](char c) { return std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '_'; });
  return name;
};

bool IsBug(const Canary& canary) { return canary.family != Family::kEquivalent; }

class PlantedBugs : public testing::TestWithParam<Planted> {};

TEST_P(PlantedBugs, AreFoundInTime) {
  const auto& [target, canary] = GetParam();
  std::uint64_t inputs_most = 0;
  for (const std::uint64_t seed : kSeeds) {
    const TrialResult result = RunTrial(*target, *canary, {.seed = seed, .inputs_max = canary->inputs_max});
    EXPECT_TRUE(result.is_found) << "seed " << seed << " did not find it in " << result.inputs << " inputs";
    inputs_most = std::max(inputs_most, result.inputs);
  }
  RecordProperty("inputs_most", std::to_string(inputs_most));
}

INSTANTIATE_TEST_SUITE_P(All, PlantedBugs, testing::ValuesIn(All(IsBug)), kNameOf);

class PropertyBugs : public testing::TestWithParam<Planted> {};

TEST_P(PropertyBugs, AreFoundByThePropertyInTime) {
  constexpr std::uint64_t kSequencesMax = 500;
  for (const std::uint64_t seed : kSeeds) {
    const TrialOptions options = {.generator = Generator::kRapidcheck, .seed = seed, .inputs_max = kSequencesMax};
    EXPECT_TRUE(RunTrial(*GetParam().target, *GetParam().canary, options).is_found) << "seed " << seed;
  }
}

// Its sequences are too short for most bugs of shape.
INSTANTIATE_TEST_SUITE_P(All, PropertyBugs, testing::ValuesIn(All([](const Canary& canary) {
                           return canary.property && IsBug(canary) && canary.family != Family::kShape;
                         })),
                         kNameOf);

class EquivalentCode : public testing::TestWithParam<Planted> {};

TEST_P(EquivalentCode, IsNotFound) {
  const auto& [target, canary] = GetParam();
  for (const std::uint64_t seed : kSeeds) {
    EXPECT_FALSE(RunTrial(*target, *canary, {.seed = seed, .inputs_max = target->right_runs}).is_found) << seed;
  }
  const TrialOptions options = {.generator = Generator::kRapidcheck, .inputs_max = 300};
  EXPECT_FALSE(canary->property && RunTrial(*target, *canary, options).is_found);
}

INSTANTIATE_TEST_SUITE_P(All, EquivalentCode,
                         testing::ValuesIn(All([](const Canary& canary) { return !IsBug(canary); })), kNameOf);

class RightSubjects : public testing::TestWithParam<const CanaryTarget*> {};

TEST_P(RightSubjects, AreNotAccused) {
  for (const FindBytesDisagreement& find : GetParam()->right) {
    for (const std::uint64_t seed : kSeeds) {
      LikelyInputs inputs(GetParam()->inputs, seed);
      for (std::uint64_t run = 1; run <= GetParam()->right_runs; ++run) {
        if (const auto found = find(inputs.Next())) {
          FAIL() << "seed " << seed << ", run " << run << ": " << found->where << "\n  expected  " << found->expected
                 << "\n  saw       " << found->saw;
        }
      }
    }
  }
}

std::vector<const CanaryTarget*> Targets() {
  std::vector<const CanaryTarget*> targets;
  for (const CanaryTarget& target : CanaryTargets()) {
    targets.push_back(&target);
  }
  return targets;
}

INSTANTIATE_TEST_SUITE_P(All, RightSubjects, testing::ValuesIn(Targets()),
                         [](const auto& info) { return info.param->name; });

TEST(Registry, HasBugsEnoughOfEachKind) {
  EXPECT_GE(All(IsBug).size(), 80U);
  EXPECT_GE(All([](const Canary& canary) { return canary.family == Family::kShape; }).size(), 20U);
  EXPECT_EQ(All([](const Canary& canary) { return !IsBug(canary); }).size(), 5U);
}

std::string Page() {
  std::ifstream page("docs/canaries.md");
  return {std::istreambuf_iterator<char>(page), std::istreambuf_iterator<char>()};
}

TEST(Registry, HasEachNameOnce) {
  std::vector<std::string> names;
  std::ranges::transform(AllPlanted(), std::back_inserter(names), &Planted::name);
  std::ranges::sort(names);
  EXPECT_EQ(std::ranges::adjacent_find(names), names.end());
  std::vector<std::string> on_page;
  std::ranges::transform(CanariesRows(Page()), std::back_inserter(on_page), [](const auto& row) { return row.first; });
  EXPECT_EQ(on_page, names) << "docs/canaries.md is of other bugs: run tools/canaries new";
}

TEST(Tables, OfANewBugHaveItsRowAndTheOthersAsTheyWere) {
  const std::string page = Page();
  std::istringstream nothing;
  std::istringstream before(page);
  const auto same = CanariesTables(nothing, before);
  ASSERT_TRUE(same) << same.error().sentence;
  EXPECT_TRUE(page.ends_with("\n\n" + *same)) << "the tables are not what tools/canaries writes";

  const std::string row = CanariesRows(page).at("extent_map/ClearMakesAHole");
  std::string without = page;
  without.erase(without.find(row), row.size() + 1);
  std::istringstream still_nothing;
  std::istringstream page_without(without);
  EXPECT_FALSE(CanariesTables(still_nothing, page_without)) << "a bug has neither a trial nor a row";
  std::istringstream trial("extent_map/ClearMakesAHole\tours\t1\t60\t1\t77\t0.5\t1\t1\n");
  std::istringstream page_again(without);
  const auto tables = CanariesTables(trial, page_again);
  ASSERT_TRUE(tables) << tables.error().sentence;
  std::string wanted = *same;
  wanted.replace(wanted.find(row), row.size(),
                 "| ClearMakesAHole | bits | 1 1 1/1 | 77 | 0.5 | – |  |  | – |  |  | – |  |  |");
  EXPECT_EQ(*tables, wanted);
}

TEST(Tables, OfEnginesCountWhatTheyFindAndNameWhatTheyDoNot) {
  std::istringstream trials(
      "extent_map/ClearMakesAHole\tafl\t1\t10\t1\t77\t0.5\t1\t1\n"
      "extent_map/AddIsLostAtFortyExtents\tafl\t1\t10\t0\t9000\t10\t0\t0\n"
      "extent_map/ClearMakesAHole\tlikely\t1\t10\t1\t7\t0.1\t1\t1\n");
  const auto tables = EnginesTables(trials);
  ASSERT_TRUE(tables) << tables.error().sentence;
  EXPECT_NE(tables->find("| afl | 1 of 10 s | 1 of 2 | 1 | 50.0 % | 77 (1) |\n"), std::string::npos) << *tables;
  EXPECT_NE(tables->find("| likely | 1 of 10 s | 1 of 1 | 0 | 100.0 % | 7 (1) |\n"), std::string::npos) << *tables;
  EXPECT_NE(tables->find("- **afl**: extent_map/AddIsLostAtFortyExtents\n"), std::string::npos) << *tables;
  EXPECT_NE(tables->find("- **likely**: none\n"), std::string::npos) << *tables;

  std::istringstream other("no/bug\tafl\t1\t10\t1\t77\t0.5\t1\t1\n");
  EXPECT_FALSE(EnginesTables(other));
}

}  // namespace
}  // namespace nbdspec::fuzz
