// SPDX-License-Identifier: BSD-3-Clause
// `nbdspec selftest`: the checks, and `nbdspec fuzz`, on servers and clients that are wrong in known ways.

#include <fmt/color.h>
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <vector>

#include "command/command_table.h"
#include "command/output.h"
#include "conformance/clients/client_runner.h"
#include "conformance/clients/client_selftest.h"
#include "conformance/clients/client_way.h"
#include "conformance/selftest/selftest.h"
#include "engine/base/quoted.h"
#include "engine/faults/fault.h"
#include "engine/faults/storage_family.h"
#include "fuzz/live/run/fuzz_fault.h"
#include "reports/model/run.h"

namespace nbdspec::command {

namespace {

using conformance::SelfTestRow;
using engine::faults::Detector;

// "caught", "MISSED"; "no TLS" where no check can be asked inside of it; "tests" where only the project's tests run the
// detectors.
std::string Mark(const SelfTestRow& row, bool color) {
  const std::string word = row.catches.empty() ? "tests "
                           : !row.holds()      ? "MISSED"
                           : row.caught()      ? "caught"
                                               : "no TLS";
  const auto shade = row.holds() ? fmt::terminal_color::green : fmt::terminal_color::red;
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

// Shows which of its checks did not catch a fault, and why some need not.
void PrintMisses(const SelfTestRow& row) {
  for (const conformance::Catch& each : row.catches) {
    if (!each.why_not.empty()) {
      fmt::print("        {} is {} inside TLS: {}\n", each.check,
                 each.holds() ? "not asked for it" : "said not to catch it, and does", each.why_not);
    } else if (!each.caught()) {
      fmt::print("        {} says {} and not {}: {}\n", each.check, reports::Word(each.got),
                 reports::Word(each.expected), each.saw);
    }
  }
}

// --- The faults of what is stored: by whom, and how soon `nbdspec fuzz` finds them ---

struct StorageTally {
  std::size_t faults = 0;
  std::size_t by_check = 0;  // Of these, so the next.
  std::size_t by_fuzzing_alone = 0;
  std::size_t missed = 0;
  double slowest_seconds = 0;  // Of fuzzing.
};

void TestOfStorage(const engine::faults::Fault& fault, std::uint64_t seed, StorageTally& tally) {
  const SelfTestRow row = conformance::RunFault(fault, {.seed = seed});
  bool is_caught = row.holds();
  fmt::print("{}\n", fault.name);
  for (const conformance::Catch& each : row.catches) {
    fmt::print("        {}  check {}\n", each.caught() ? "caught" : "MISSED", each.check);
  }
  PrintMisses(row);
  for (const Detector& detector : fault.detectors) {
    if (detector.kind != Detector::Kind::kFuzz) {
      continue;
    }
    const fuzz::FuzzedFault fuzzed = fuzz::FuzzFault({.fault = fault, .detector = detector}, seed);
    fmt::print("        {}  fuzz {} of {}: script {}, {:.2f} s\n", fuzzed.is_found ? "caught" : "MISSED",
               detector.finding, detector.id, fuzzed.report.script_count, fuzzed.report.seconds);
    is_caught = is_caught && fuzzed.is_found;
    tally.slowest_seconds = std::max(tally.slowest_seconds, fuzzed.report.seconds);
  }
  ++tally.faults;
  ++(!is_caught ? tally.missed : row.catches.empty() ? tally.by_fuzzing_alone : tally.by_check);
}

int TestStorage(std::uint64_t seed) {
  StorageTally tally;
  for (const engine::faults::Fault& fault : engine::faults::AllFaults()) {
    if (engine::faults::IsOfStorage(fault)) {
      TestOfStorage(fault, seed, tally);
    }
  }
  fmt::print(
      "\n{} faults of what is stored: {} caught by check, {} by fuzz alone, {} missed; fuzz took at most {:.1f} s\n",
      tally.faults, tally.by_check, tally.by_fuzzing_alone, tally.missed, tally.slowest_seconds);
  return tally.missed == 0 ? reports::ExitCode::kSuccess : reports::ExitCode::kFailure;
}

// --- The checks of servers ---

void PrintFalseAlarms(std::string_view before, std::string_view whom, const std::vector<reports::Outcome>& alarms) {
  for (const reports::Outcome& outcome : alarms) {
    fmt::print("{}{} accuses the sound reference {}: {} {}\n", before, outcome.id, whom, reports::Word(outcome.verdict),
               outcome.evidence.saw);
  }
}

void PrintOfServers(const conformance::SelfTest& result, bool color) {
  for (const SelfTestRow& row : result.rows) {
    fmt::print("{}  {:<52} {}\n", Mark(row, color), row.fault.name, NamesOf(row.fault.detectors));
    PrintMisses(row);
  }
  for (const std::string_view check : result.checks_unproven) {
    fmt::print("no fault shows that {} can fail\n", check);
  }
  PrintFalseAlarms("", "server", result.false_alarms);
  for (const conformance::FormTest& form : result.forms) {
    const std::string before = fmt::format("{}: ", form.form);
    for (const std::string_view check : form.checks_unproven) {
      fmt::print("{}{} catches none of its faults\n", before, check);
    }
    PrintFalseAlarms(before, "server", form.false_alarms);
    fmt::print("{}{} checks proven\n", before, form.proven_count);
  }
  const auto missed = std::ranges::count_if(result.rows, [](const SelfTestRow& row) { return !row.holds(); });
  const auto others = std::ranges::count_if(result.rows, [](const SelfTestRow& row) { return row.catches.empty(); });
  const auto outside = std::ranges::count_if(
      result.rows, [](const SelfTestRow& row) { return !row.catches.empty() && row.holds() && !row.caught(); });
  fmt::print(
      "\n{} faults, {} caught by each of their checks, {} missed, {} for fuzzing alone, which only tests run{}; "
      "{} checks without a fault; {} false alarms\n",
      result.rows.size(), std::ssize(result.rows) - missed - others - outside, missed, others,
      outside == 0 ? "" : fmt::format(", {} without TLS alone", outside), result.checks_unproven.size(),
      result.false_alarms.size());
}

// --- The checks of clients ---

std::vector<conformance::ClientCheck> ClientChecksWith(std::string_view prefix) {
  std::vector<conformance::ClientCheck> checks;
  std::ranges::copy_if(conformance::AllClientChecks(), std::back_inserter(checks),
                       [&](const conformance::ClientCheck& check) { return check.id.starts_with(prefix); });
  return checks;
}

// Shows a fault of a client that each of `checks` catches, and whom they accuse besides. Returns whether all is well.
bool TestOfClients(const std::vector<conformance::ClientCheck>& checks, bool color) {
  const auto rows = conformance::RunClientSelfTest(checks);
  std::ptrdiff_t unproven_count = 0;
  fmt::print("\nclients: a fault that each check catches\n");
  for (const conformance::ClientSelfTestRow& row : rows) {
    const bool is_caught = !row.caught.empty();
    unproven_count += is_caught ? 0 : 1;
    const auto shade = is_caught ? fmt::terminal_color::green : fmt::terminal_color::red;
    const std::string word = is_caught ? "caught" : "MISSED";
    fmt::print("{}  {:<52} {}\n", color ? fmt::format(fmt::fg(shade), "{}", word) : word,
               is_caught ? row.caught.front() : "no fault shows that it can fail", row.check);
  }
  reports::Run right = conformance::RunClientChecks(conformance::ReferenceClientWays(), checks,
                                                    {.worker_count = 2, .version = kVersion});
  std::erase_if(right.outcomes, [](const reports::Outcome& each) {
    return !IsFailure(each.verdict) && each.verdict != reports::Verdict::kWarn;
  });
  PrintFalseAlarms("", "client", right.outcomes);
  fmt::print("\n{} checks of clients, {} of them without a fault; {} false alarms\n", rows.size(), unproven_count,
             right.outcomes.size());
  return unproven_count == 0 && right.outcomes.empty();
}

}  // namespace

ExitOrRefusal SelfTestCommand(const Options& options) {
  if (options.storage && !options.words.empty()) {
    return Refuse("--storage selects faults, so it takes no PREFIX");
  }
  if (options.storage) {
    return TestStorage(options.seed);
  }
  const bool color = UseColor(options.no_color);
  const std::string prefix = options.words.empty() ? "" : options.words.front();
  const conformance::SelfTest result = conformance::RunSelfTest(
      {.seed = options.seed, .prefix = prefix, .extended = options.extended, .tls = options.tls});
  // In which form servers are asked says nothing of clients.
  const auto of_clients =
      options.extended || options.tls ? std::vector<conformance::ClientCheck>() : ClientChecksWith(prefix);
  if (result.rows.empty() && of_clients.empty()) {
    return Refuse(
        fmt::format("no check's id begins with {}; `nbdspec list` shows every check.", engine::Quoted(prefix)));
  }
  bool holds = true;
  if (!result.rows.empty()) {
    PrintOfServers(result, color);
    holds = result.holds();
  }
  if (!of_clients.empty()) {
    holds = TestOfClients(of_clients, color) && holds;
  }
  return holds ? reports::ExitCode::kSuccess : reports::ExitCode::kFailure;
}

}  // namespace nbdspec::command
