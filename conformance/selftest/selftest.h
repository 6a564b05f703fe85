// SPDX-License-Identifier: BSD-3-Clause
// Self-test: shows that every check can fail, by running it against the faults it must catch; and that none fails who
// is merely odd.

#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/faults/fault.h"
#include "engine/oddities/oddity.h"
#include "reports/model/run.h"

namespace nbdspec::conformance {

// What a check that must catch a fault made of it.
struct Catch {
  std::string_view check;
  reports::Verdict expected = reports::Verdict::kFail;  // By the level of the check's requirement: fail or warn.
  reports::Verdict got = reports::Verdict::kPass;
  std::string saw = {};           // The evidence, for people.
  bool shows_judged = false;      // The evidence has the message that the verdict is about.
  std::string_view why_not = {};  // Why the fault cannot be inside TLS, where it is to be caught there; else empty.
  [[nodiscard]] bool caught() const { return got == expected; }
  // Whether it came as it had to. What is caught after all needs no excuse.
  [[nodiscard]] bool holds() const { return caught() == why_not.empty(); }
};

struct SelfTestRow {
  const engine::faults::Fault& fault;
  std::vector<Catch> catches = {};  // None where only fuzz targets and `nbdspec fuzz` must detect the fault.
  [[nodiscard]] bool caught() const { return std::ranges::any_of(catches, &Catch::caught); }
  [[nodiscard]] bool holds() const { return std::ranges::all_of(catches, &Catch::holds); }
};

// What checks say in a form of the reference server in which it offers less.
struct FormTest {
  std::string_view form;                          // "oldstyle".
  std::size_t proven_count = 0;                   // Checks that apply, and catch one of their faults.
  std::vector<std::string_view> checks_unproven;  // Those that apply and catch none.
  std::vector<reports::Outcome> false_alarms;     // But for what accuses every server of that form.
};

struct SelfTest {
  std::vector<SelfTestRow> rows;  // In the order of the catalogue.
  std::vector<std::string_view>
      checks_unproven;                         // Checks without a fault; inside TLS, those that apply and catch none.
  std::vector<reports::Outcome> false_alarms;  // Checks that accuse the reference server without faults.
  std::vector<FormTest> forms;

  // Whether every check catches each of its faults that can be there, and accuses nobody else.
  [[nodiscard]] bool holds() const;
};

// What the checks made of a server that is odd and right.
struct OddityRow {
  const engine::oddities::Oddity& oddity;
  bool shows = false;                         // Whether anything was other than the reference server has it.
  std::vector<reports::Outcome> accusations;  // Failures, and what could not be judged.
};

struct SelfTestOptions {
  std::uint64_t seed = 0;
  std::string_view prefix = {};  // Selects checks by the start of their ids; empty for all.
  bool extended = false;         // As in RunOptions.
  bool tls = false;              // Conversations are held inside TLS.
  std::size_t fault_step = 1;    // One in so many faults; with more than 1 nothing is said of unproven checks.
};

// Runs every check on `oddity`, in this process; those of gigabytes and of a thousand clients, which take longer than
// all others together, where the server offers what others do not. Cost: two to four seconds.
OddityRow RunOddity(const engine::oddities::Oddity& oddity, const SelfTestOptions& options);

// Runs the checks that must catch `fault`, in this process.
SelfTestRow RunFault(const engine::faults::Fault& fault, const SelfTestOptions& options);

// Runs it all, in this process.
SelfTest RunSelfTest(const SelfTestOptions& options);

}  // namespace nbdspec::conformance
