// SPDX-License-Identifier: BSD-3-Clause
#include <fmt/color.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "command/command_table.h"
#include "command/output.h"
#include "conformance/selftest/selftest.h"
#include "engine/base/quoted.h"
#include "engine/faults/fault.h"
#include "reports/model/run.h"

namespace nbdspec::command {

namespace {

using conformance::SelfTestRow;
using engine::faults::Detector;

// "caught", "MISSED"; "tests" where only the project's tests run the detectors.
std::string Mark(const SelfTestRow& row, bool color) {
  const std::string word = row.catches.empty() ? "tests " : row.caught() ? "caught" : "MISSED";
  const auto shade = row.caught() ? fmt::terminal_color::green : fmt::terminal_color::red;
  return color && !row.catches.empty() ? fmt::format(fmt::fg(shade), "{}", word) : word;
}

// "handshake.magic, target server_session, fuzz wrong-data".
std::string NamesOf(const std::vector<Detector>& detectors) {
  std::string names;
  for (const Detector& each : detectors) {
    names += names.empty() ? "" : ", ";
    names += each.kind == Detector::Kind::kTarget ? "target " : each.kind == Detector::Kind::kFuzz ? "fuzz " : "";
    names += each.kind == Detector::Kind::kFuzz ? each.finding : each.id;
  }
  return names;
}

}  // namespace

ExitOrRefusal SelfTestCommand(const Options& options) {
  const bool color = UseColor(options.no_color);
  const std::string prefix = options.words.empty() ? "" : options.words.front();
  const conformance::SelfTest result = conformance::RunSelfTest(options.seed, prefix);
  if (result.rows.empty()) {
    return Refuse(
        fmt::format("no check's id begins with {}; `nbdspec list` shows every check.", engine::Quoted(prefix)));
  }
  for (const SelfTestRow& row : result.rows) {
    fmt::print("{}  {:<52} {}\n", Mark(row, color), row.fault.name, NamesOf(row.fault.detectors));
    for (const conformance::Catch& each : row.catches) {
      if (!each.caught()) {
        fmt::print("        {} says {} and not {}: {}\n", each.check, reports::Word(each.got),
                   reports::Word(each.expected), each.saw);
      }
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
  const auto others = std::ranges::count_if(result.rows, [](const SelfTestRow& row) { return row.catches.empty(); });
  fmt::print(
      "\n{} faults, {} caught by each of their checks, {} missed, {} for fuzzing alone, which only tests run; "
      "{} checks without a fault; {} false alarms\n",
      result.rows.size(), std::ssize(result.rows) - missed - others, missed, others, result.checks_unproven.size(),
      result.false_alarms.size());
  return result.holds() ? reports::ExitCode::kSuccess : reports::ExitCode::kFailure;
}

}  // namespace nbdspec::command
