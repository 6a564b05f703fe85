// SPDX-License-Identifier: BSD-3-Clause
// Self-test: shows that every check can fail, by running it against the faults it must catch.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "reports/model/run.h"

namespace nbdspec::conformance {

// One fault met by the check that must catch it.
struct SelfTestRow {
  std::string_view fault;
  std::string_view check;
  reports::Verdict expected = reports::Verdict::kFail;  // By the level of the check's requirement: fail or warn.
  reports::Verdict got = reports::Verdict::kPass;
  std::string saw;  // The evidence, for people.
  [[nodiscard]] bool caught() const { return got == expected; }
};

struct SelfTest {
  std::vector<SelfTestRow> rows;                  // In the order of AllFaults().
  std::vector<std::string_view> checks_unproven;  // Checks without a fault.
  std::vector<reports::Outcome> false_alarms;     // Checks that accuse the reference server without faults.

  // Whether every check catches each of its faults, and accuses nobody else.
  [[nodiscard]] bool holds() const;
};

// Runs it all, in this process. `prefix` selects checks by the start of their ids; "" for all.
SelfTest RunSelfTest(std::uint64_t seed, std::string_view prefix = "");

}  // namespace nbdspec::conformance
