// SPDX-License-Identifier: BSD-3-Clause
// No check fails a server that is odd and right. While writing checks: bazel test //conformance/selftest:oddities_test
// --test_filter='*IsNotAccused/server_splits*' --test_output=all
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <set>
#include <string>
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
std::vector<Oddity> Chosen() {
  const char* const step = std::getenv("NBDSPEC_ODDITIES_STEP");
  std::vector<Oddity> chosen;
  for (std::size_t i = 0; i < AllOddities().size(); i += step == nullptr ? 1 : std::strtoul(step, nullptr, 10)) {
    chosen.push_back(AllOddities()[i]);
  }
  return chosen;
}

TEST_P(OddServer, IsNotAccused) {
  bool shows = false;
  for (const bool extended : {false, true}) {
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
