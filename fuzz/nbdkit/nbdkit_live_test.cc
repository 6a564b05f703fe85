// SPDX-License-Identifier: BSD-3-Clause
// Random scripts inside real nbdkit, bare and under its filters, and the known cases where nbdkit deviates. It fails
// where nbdkit or nbdinfo is not installed.
//
// NBDSPEC_LIVE_SCRIPTS is how many scripts, NBDSPEC_LIVE_SEED the first of their seeds.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "engine/script/shrink.h"
#include "fuzz/nbdkit/nbdkit_case.h"

namespace nbdspec::fuzz {
namespace {

constexpr std::uint64_t kScripts = 300;

std::uint64_t FromEnvironment(const char* name, std::uint64_t otherwise) {
  const char* const text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// The case with the smallest script, found with some tries, that still fails.
NbdkitCase Shrunk(const NbdkitCase& failing) {
  NbdkitCase small = failing;
  small.script = engine::Shrink(
      failing.script,
      [&](const engine::Script& script) {
        NbdkitCase candidate = failing;
        candidate.script = script;
        return IsUsable(candidate) && FindNbdkitDisagreement(candidate).has_value();
      },
      /*tries_max=*/300);
  return small;
}

// Whether nbdkit and the truth agree; if not, the test has failed with all that is needed to see it again.
bool Agree(const NbdkitCase& test_case, std::uint64_t seed) {
  if (!FindNbdkitDisagreement(test_case)) {
    return true;
  }
  const NbdkitCase small = Shrunk(test_case);
  const auto found = FindNbdkitDisagreement(small);
  ADD_FAILURE() << "seed " << seed << "\nwhere     " << (found ? found->where : "(only sometimes)") << "\nexpected  "
                << (found ? found->expected : "") << "\nsaw       " << (found ? found->saw : "")
                << "\nA file for corpus/regressions/nbdkit_extents/, once judged:\n"
                << Print(small) << "As it was found:\n"
                << Print(test_case);
  return false;
}

TEST(NbdkitLive, RandomScriptsAreSeenAsTheOracleSaysBareAndUnderFilters) {
  const std::uint64_t first = FromEnvironment("NBDSPEC_LIVE_SEED", 1);
  const std::uint64_t count = FromEnvironment("NBDSPEC_LIVE_SCRIPTS", kScripts);
  std::uint64_t stacked = 0;
  for (std::uint64_t seed = first; seed < first + count; ++seed) {
    const NbdkitCase test_case = RandomNbdkitCase(seed);
    NbdkitCase bare = test_case;
    bare.stack.clear();
    ASSERT_TRUE(Agree(bare, seed));
    if (!test_case.stack.empty()) {
      ++stacked;
      ASSERT_TRUE(Agree(test_case, seed));
    }
  }
  RecordProperty("scripts", std::to_string(count));
  RecordProperty("under_filters", std::to_string(stacked));
}

// Each file is a case with what nbdkit does with it. One that comes out otherwise is stale: nbdkit has changed.
TEST(NbdkitLive, KnownCasesComeOutAsTheySay) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("corpus/regressions/nbdkit_extents")) {
    ++count;
    std::ifstream file(entry.path());
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    const auto found = FindNbdkitCaseDisagreement(engine::Bytes(text.begin(), text.end()));
    EXPECT_FALSE(found) << entry.path() << ": expected " << found->expected << "; saw " << found->saw;
  }
  EXPECT_GT(count, 0);
}

// What shows that the comparison can fail: truths that differ from the case's in one byte, or in one claim.
TEST(NbdkitLive, OtherTruthsAreRefuted) {
  const NbdkitCase test_case = {
      .script = engine::ParseScript("size 64K\ninitial data\nadd 4096 +8K zero\nforeach 0 +100\nlookup 5000").value()};
  const Truth truth = TruthOf(test_case);
  EXPECT_EQ(FindNbdkitDisagreement(test_case, truth), std::nullopt);
  using engine::ExtentType;
  for (const std::uint64_t offset : {0U, 99U, 4095U, 4096U, 5000U, 12287U, 12288U, 65535U}) {
    for (const ExtentType type : {ExtentType::kData, ExtentType::kHole, ExtentType::kZero, ExtentType::kHoleZero}) {
      const Truth other = truth.With({.begin = offset, .end = offset + 1}, type);
      EXPECT_EQ(FindNbdkitDisagreement(test_case, other).has_value(), type != truth.TypeAt(offset))
          << offset << " " << engine::Print(type);
    }
  }
  EXPECT_TRUE(FindNbdkitDisagreement(test_case, truth.Resized(65535)).has_value());
}

TEST(NbdkitLive, BytesThatRefuteAClaimAreSeen) {
  // noextents makes no claim, so only the bytes can tell.
  const NbdkitCase test_case = {.script = engine::ParseScript("size 512\ninitial data").value(),
                                .stack = {{.kind = Layer::Kind::kNoExtents}}};
  const auto found =
      FindNbdkitDisagreement(test_case, Truth::Of(engine::ParseScript("size 512\ninitial zero").value()));
  ASSERT_TRUE(found.has_value());
}

}  // namespace
}  // namespace nbdspec::fuzz
