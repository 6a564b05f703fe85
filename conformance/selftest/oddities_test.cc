// SPDX-License-Identifier: BSD-3-Clause
// No check fails a server that is odd and right. While writing checks: bazel test //conformance/selftest:oddities_test
// --test_filter='*IsNotAccused/server_splits*' --test_output=all
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <iostream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "conformance/selftest/selftest.h"
#include "engine/oddities/oddity.h"
#include "engine/spec/catalogue.h"

namespace nbdspec::conformance {
namespace {

using engine::oddities::AllOddities;
using engine::oddities::Oddity;

class OddServer : public testing::TestWithParam<Oddity> {};

// NBDSPEC_ODDITIES_STEP: only every so many of them.
std::size_t StepOr(std::size_t otherwise) {
  const char* const step = std::getenv("NBDSPEC_ODDITIES_STEP");
  return step == nullptr ? otherwise : std::strtoul(step, nullptr, 10);
}

std::vector<Oddity> Chosen() {
  std::vector<Oddity> chosen;
  for (std::size_t i = 0; i < AllOddities().size(); i += StepOr(1)) {
    chosen.push_back(AllOddities()[i]);
  }
  return chosen;
}

// With extended headers: what shows only there, and every fourth; with NBDSPEC_ODDITIES_STEP=1 each.
TEST_P(OddServer, IsNotAccused) {
  const bool is_fourth = std::hash<std::string_view>()(GetParam().name) % 4 == 0 || StepOr(0) == 1;
  bool shows = false;
  for (const bool extended : {false, true}) {
    if (extended && shows && !is_fourth) {
      continue;
    }
    const OddityRow row = RunOddity(GetParam(), {.seed = 1, .extended = extended});
    shows = shows || row.shows;
    for (const reports::Outcome& outcome : row.accusations) {
      ADD_FAILURE() << outcome.id << (extended ? ", with extended headers," : "") << " says "
                    << reports::Word(outcome.verdict) << ": " << outcome.evidence.saw;
      for (const std::string& line : outcome.evidence.transcript) {
        std::cout << "    " << line << "\n";
      }
    }
  }
  EXPECT_TRUE(shows) << "nothing of it is ever seen";
}

INSTANTIATE_TEST_SUITE_P(All, OddServer, testing::ValuesIn(Chosen()),
                         [](const auto& info) { return std::string(info.param.name); });

TEST(Oddities, HaveNamesOfTheirOwnAndAClauseThatBindsServers) {
  std::set<std::string_view> names;
  for (const Oddity& oddity : AllOddities()) {
    EXPECT_TRUE(names.insert(oddity.name).second) << oddity.name;
    EXPECT_TRUE(oddity.name.starts_with("server_")) << oddity.name;
    EXPECT_EQ(spec::RequirementOf(oddity.permitted_by).role, spec::Role::kServer) << oddity.name;
  }
  EXPECT_GE(names.size(), 80U);
}

}  // namespace
}  // namespace nbdspec::conformance
