// SPDX-License-Identifier: BSD-3-Clause
// Each fault is caught by its clauses and by no other one, where the right client is right; and each rule about
// clients has a fault.
#include <gtest/gtest.h>

#include <set>

#include "engine/client/client_fault.h"
#include "engine/client/testdata/play.h"
#include "engine/spec/catalogue.h"

namespace nbdspec::engine {
namespace {

using Ids = std::set<std::string_view>;
using Shows = ClientFault::Shows;

bool IsFailure(std::string_view id) {
  return spec::SeverityOf(spec::RequirementOf(id), spec::Role::kClient) == spec::Severity::kFailure;
}

Ids FailuresOf(const Ids& ids) {
  Ids failures;
  std::ranges::copy_if(ids, std::inserter(failures, failures.end()), IsFailure);
  return failures;
}

// The ids that a rule of engine/conduct judges.
Ids Judged(const std::vector<std::string_view>& ids) {
  Ids judged;
  for (const ClientRule& rule : AllClientRules()) {
    if (std::ranges::count(ids, rule.requirement) > 0) {
      judged.insert(rule.requirement);
    }
  }
  return judged;
}

TEST(ClientFaults, AreNamedOnceAndBreakClausesOfClients) {
  Ids names;
  for (const ClientFault& fault : AllClientFaults()) {
    EXPECT_TRUE(fault.name.starts_with("client_")) << fault.name;
    EXPECT_TRUE(names.insert(fault.name).second) << fault.name;
    EXPECT_FALSE(fault.checks.empty()) << fault.name;
    for (const std::string_view id : fault.checks) {
      const spec::Requirement* row = spec::TheCatalogue().Find(id);
      ASSERT_NE(row, nullptr) << id;
      // Or a server is permitted to do what the client does not cope with.
      EXPECT_TRUE(row->role == spec::Role::kClient || row->level == spec::Level::kMay) << id;
    }
  }
}

TEST(ClientFaults, AreCaughtByTheirRulesAlone) {
  for (const ClientFault& fault : AllClientFaults()) {
    if (fault.shows != Shows::kOnWire) {
      continue;
    }
    SCOPED_TRACE(fault.name);
    const Played played = Play(fault.conduct, fault.stage);
    const Ids expected = Judged(fault.checks);
    EXPECT_FALSE(expected.empty());
    EXPECT_EQ(FailuresOf(played.violated), FailuresOf(expected)) << played.said;
    EXPECT_TRUE(std::ranges::includes(played.violated, expected)) << played.said;
    EXPECT_EQ(Play({}, fault.stage).violated, Ids());
  }
}

// The same client without what makes it wrong.
ClientConduct Mended(ClientConduct conduct) {
  conduct.failings = {};
  conduct.hooks = {};
  return conduct;
}

void ExpectShows(Shows shows, const Played& faulty, const Played& right) {
  const bool is_wrong = !faulty.has_right_bytes || !faulty.has_true_map;
  switch (shows) {
    case Shows::kOnWire:
    case Shows::kInTls:  // There is no TLS here.
      break;
    case Shows::kLeaving:
      EXPECT_TRUE(faulty.said != right.said || faulty.call_count != right.call_count) << faulty.said;
      break;
    case Shows::kFails:
      EXPECT_TRUE(right.result.succeeded) << right.result.why;
      EXPECT_FALSE(faulty.result.succeeded) << faulty.said;
      break;
    case Shows::kTrusts:
      EXPECT_FALSE(right.result.succeeded);
      EXPECT_TRUE(faulty.result.succeeded) << faulty.result.why;
      break;
    case Shows::kWrong:
      EXPECT_TRUE(right.result.succeeded) << right.result.why;
      EXPECT_TRUE(right.has_right_bytes && right.has_true_map);
      EXPECT_TRUE(faulty.result.succeeded) << faulty.result.why;
      EXPECT_TRUE(is_wrong);
      break;
  }
}

TEST(ClientFaults, ShowWhereTheyAre) {
  for (const ClientFault& fault : AllClientFaults()) {
    SCOPED_TRACE(fault.name);
    const Played right = Play(Mended(fault.conduct), fault.stage);
    ExpectShows(fault.shows, Play(fault.conduct, fault.stage), right);
    if (fault.shows != Shows::kOnWire) {
      EXPECT_EQ(FailuresOf(right.violated), Ids()) << right.said;
    }
  }
}

TEST(ClientFaults, AreThereForEachRule) {
  Ids broken;
  for (const ClientFault& fault : AllClientFaults()) {
    broken.insert(fault.checks.begin(), fault.checks.end());
  }
  for (const ClientRule& rule : AllClientRules()) {
    EXPECT_TRUE(broken.contains(rule.requirement)) << rule.requirement;
  }
}

}  // namespace
}  // namespace nbdspec::engine
