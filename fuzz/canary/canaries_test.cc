// SPDX-License-Identifier: BSD-3-Clause
// Every planted bug is found by its target in time, what is no bug is not, and docs/canaries.md lists them all.

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <fstream>
#include <iterator>
#include <ostream>
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

// The bugs that docs/canaries.md lists, each "TARGET/NAME", sorted.
std::vector<std::string> BugsOnPage(std::istream& page) {
  std::vector<std::string> bugs;
  std::string target;
  std::string line;
  while (std::getline(page, line)) {
    if (line.starts_with("## ")) {
      target = line.substr(3);
    } else if (!target.empty() && line.starts_with("| ") && !line.starts_with("| bug |")) {
      bugs.push_back(target + "/" + line.substr(2, line.find(' ', 2) - 2));
    }
  }
  std::ranges::sort(bugs);
  return bugs;
}

TEST(Registry, HasEachNameOnce) {
  std::vector<std::string> names;
  std::ranges::transform(AllPlanted(), std::back_inserter(names), &Planted::name);
  std::ranges::sort(names);
  EXPECT_EQ(std::ranges::adjacent_find(names), names.end());
  std::ifstream page("docs/canaries.md");
  EXPECT_EQ(BugsOnPage(page), names) << "docs/canaries.md is of other bugs: run tools/canaries";
}

}  // namespace
}  // namespace nbdspec::fuzz
