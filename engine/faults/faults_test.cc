// SPDX-License-Identifier: BSD-3-Clause
// The catalogue of faults is well formed. That the faults are detected is shown where the detectors are.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "engine/faults/fault.h"
#include "engine/faults/storage_family.h"
#include "engine/spec/catalogue.h"

namespace nbdspec::engine::faults {
namespace {

TEST(Faults, HaveUniqueNamesThatSayWhoAndHow) {
  std::set<std::string_view> names;
  for (const Fault& fault : AllFaults()) {
    EXPECT_TRUE(names.insert(fault.name).second) << fault.name;
    EXPECT_TRUE(fault.name.starts_with("server_")) << fault.name;
    EXPECT_EQ(&FaultNamed(fault.name), &fault);
  }
}

TEST(Faults, HaveDetectorsAndEachOnce) {
  for (const Fault& fault : AllFaults()) {
    EXPECT_FALSE(fault.detectors.empty()) << fault.name;
    std::set<std::string> seen;
    for (const Detector& detector : fault.detectors) {
      EXPECT_TRUE(seen.insert(std::string(detector.finding) + " " + std::string(detector.id)).second) << fault.name;
    }
  }
}

TEST(Faults, NameRequirementsOfServers) {
  for (const Fault& fault : AllFaults()) {
    for (const Detector& detector : fault.detectors) {
      if (detector.kind != Detector::Kind::kTarget) {
        EXPECT_NE(spec::ServerSeverityOf(detector.id), spec::Severity::kNone) << fault.name << ": " << detector.id;
      }
    }
  }
}

TEST(Faults, AreAsManyDetectionsAsThereWere) {
  EXPECT_GE(DetectionsBy(Detector::Kind::kCheck).size(), 404U);
  EXPECT_GE(DetectionsBy(Detector::Kind::kTarget).size(), 114U);
  EXPECT_GE(DetectionsBy(Detector::Kind::kFuzz).size(), 37U);
}

TEST(Faults, OfStorageAreAtLeastForty) {
  EXPECT_GE(std::ranges::count_if(AllFaults(), IsOfStorage), 40);
  EXPECT_TRUE(IsOfStorage(FaultNamed("server_answers_flush_and_does_nothing")));
  EXPECT_TRUE(IsOfStorage(FaultNamed("server_swallows_write_error")));
  EXPECT_FALSE(IsOfStorage(FaultNamed("server_does_not_know_write")));
}

}  // namespace
}  // namespace nbdspec::engine::faults
