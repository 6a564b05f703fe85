// SPDX-License-Identifier: BSD-3-Clause
// A disk that a power cut damages fails the checks of power cuts; one that fails by itself is not said to be damaged.

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "conformance/checks/check.h"
#include "conformance/peer/reference_target.h"
#include "conformance/runner/runner.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {
namespace {

using reports::Verdict;

constexpr char kDamage[] = "ERROR cluster 3 refcount=0 reference=1\n";

reports::Outcome OutcomeOf(std::string_view id, const ReferenceOptions& options) {
  const auto check = std::ranges::find(AllChecks(), id, &Check::id);
  EXPECT_NE(check, AllChecks().end()) << id;
  const auto target = ReferenceTarget(options);
  return RunChecks(*target, std::vector<Check>{*check}, {}).outcomes.at(0);
}

TEST(DamagedDisk, FailsTheChecksOfPowerCuts) {
  for (const std::string_view id : {spec::kTransmissionFlushCoversCompleted, spec::kTransmissionFuaNoEarlyReply}) {
    const reports::Outcome outcome = OutcomeOf(id, {.damage = kDamage});
    EXPECT_EQ(outcome.verdict, Verdict::kFail) << id;
    EXPECT_TRUE(outcome.evidence.saw.contains("refcount=0")) << outcome.evidence.saw;
    EXPECT_EQ(OutcomeOf(id, {}).verdict, Verdict::kPass) << id;
  }
}

TEST(DamagedDisk, IsNoNewsWhereTheDiskFailed) {
  const std::string id = std::string(spec::kFlushNoEarlySuccess) + "/failing-sync";
  EXPECT_EQ(OutcomeOf(id, {.damage = kDamage}).verdict, Verdict::kPass);
}

}  // namespace
}  // namespace nbdspec::conformance
