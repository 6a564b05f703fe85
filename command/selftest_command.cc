// SPDX-License-Identifier: BSD-3-Clause
#include <fmt/color.h>
#include <fmt/format.h>

#include <algorithm>

#include "command/commands.h"
#include "command/selection.h"
#include "conformance/faulty/selftest.h"
#include "engine/base/quoted.h"
#include "engine/wire/messages.h"
#include "reports/model/run.h"

namespace nbdspec::conformance {

namespace {

std::string Mark(bool good, bool color) {
  const std::string word = good ? "caught" : "MISSED";
  return color ? fmt::format(fmt::fg(good ? fmt::terminal_color::green : fmt::terminal_color::red), "{}", word) : word;
}

}  // namespace

int SelfTestCommand(const SelfTestOptions& options) {
  const bool color = UseColor(options.no_color);
  const SelfTest result = RunSelfTest(options.seed, options.prefix);
  if (result.rows.empty()) {
    fmt::print(stderr, "nbdspec: no check's id begins with {}; `nbdspec list` shows every check.\n",
               engine::Quoted(options.prefix));
    return reports::ExitCode::kUsage;
  }
  for (const SelfTestRow& row : result.rows) {
    fmt::print("{}  {:<12} {:<55} {}\n", Mark(row.caught(), color), reports::Word(row.got), row.check, row.fault);
    if (!row.caught()) {
      fmt::print("        should be {}; {}\n", reports::Word(row.expected), row.saw);
    }
  }
  for (const std::string_view check : result.checks_unproven) {
    fmt::print("no fault shows that {} can fail\n", check);
  }
  for (const reports::Outcome& outcome : result.false_alarms) {
    fmt::print("{} accuses the sound reference server: {} {}\n", outcome.id, reports::Word(outcome.verdict),
               outcome.evidence.saw);
  }
  const auto missed = std::ranges::count_if(result.rows, [](const SelfTestRow& row) { return !row.caught(); });
  fmt::print("\n{} faults, {} caught by their check, {} missed; {} checks without a fault; {} false alarms\n",
             result.rows.size(), std::ssize(result.rows) - missed, missed, result.checks_unproven.size(),
             result.false_alarms.size());
  return result.holds() ? reports::ExitCode::kSuccess : reports::ExitCode::kFailure;
}

}  // namespace nbdspec::conformance
