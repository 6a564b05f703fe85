// SPDX-License-Identifier: BSD-3-Clause
// ClientCheck: code that asks one requirement of a client: in one scenario, or by what it does on the wire in all of
// them. docs/howto/add_a_client_check.md shows how to write one.
//
// Three things are judged apart: the wire (what the client sent), the outcome (its exit status) and the bytes (what it
// wrote or copied).

#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "conformance/checks/check.h"
#include "conformance/clients/scenario.h"
#include "conformance/peer/clients/client_process.h"
#include "engine/conduct/client_rules.h"
#include "engine/spec/catalogue.h"
#include "reports/model/evidence.h"

namespace nbdspec::conformance {

// What the bytes of a run say.
enum class BytesVerdict : std::uint8_t {
  kNone,   // It was to make none, or made none.
  kRight,  //
  kWrong,  // They are not the export's; `bytes_text` says where.
};

// One run of one of a client's commands in a scenario.
struct ClientPlay {
  std::string command = {};  // As its user wrote it.
  ClientTasks tasks = 0;
  ClientRun run = {};
  BytesVerdict bytes = BytesVerdict::kNone;
  std::string bytes_text = {};                                   // "byte 65536 is 0x41 and not 0x00".
  ClientTasks wrong_task = 0;                                    // Of wrong ones: which made them.
  std::vector<reports::Bar> bars = {};                           // Of wrong ones.
  std::vector<std::vector<engine::ConductRuling>> rulings = {};  // Of each connection.

  // "Cannot do this", by its exit status.
  static constexpr int kCannotStatus = 89;
  [[nodiscard]] bool cannot() const { return run.exit_status == kCannotStatus; }
  [[nodiscard]] bool succeeded() const { return run.exit_status == 0; }
  // Whether the client got something that the scenario is about.
  [[nodiscard]] bool was_met() const;
};

// Where in a play a verdict was reached.
struct Place {
  std::size_t play = 0;
  std::size_t connection = 0;
  std::optional<std::size_t> message = {};  // In Record::seen.
};

struct ClientJudgement {
  Judgement judgement = {};
  Place place = {};
  // Of what is a failure whatever the clause says (FindHarm): kData, or kDenial.
  spec::Harm harm = spec::Harm::kUnsaid;
};

// The plays of a scenario, one of each command.
struct Performance {
  const Scenario* scenario = nullptr;
  std::vector<ClientPlay> plays;
};

struct ClientCheck {
  std::string id;     // As of a Check.
  std::string claim;  // One sentence.
  // The scenario that it is about; empty for a rule that holds in all that are played.
  std::string scenario = {};
  std::function<ClientJudgement(const Performance& performance)> judge = {};

  [[nodiscard]] std::string_view requirement() const { return std::string_view(id).substr(0, id.find('/')); }
};

// Every check of clients, in the order of the catalogue. Built once.
std::span<const ClientCheck> AllClientChecks();

// --- Judges, for the tables ---

// What holds in any scenario whatever a check asks: no wrong bytes with success, no crash, no hang.
// Looks at commands with one of `tasks`.
std::optional<ClientJudgement> FindHarm(const Performance& performance, ClientTasks tasks = kAnyTask);

// The client did what it was asked to, and rightly.
ClientJudgement JudgeCopes(const Performance& performance);
// The same of commands with one of `tasks`.
ClientJudgement JudgeCopesAt(const Performance& performance, ClientTasks tasks);
// It did not say that it had done what could not be done.
ClientJudgement JudgeNotices(const Performance& performance);
// What rule `requirement` says of all connections of `performance`.
ClientJudgement JudgeRule(const Performance& performance, std::string_view requirement);

// A check and the scenario that is played for it alone, which has its id as its name.
struct ScenarioCheck {
  std::string id;
  std::string claim;
  Scenario scenario = {};
  ClientJudgement (*judge)(const Performance& performance) = JudgeCopes;
};

// The tables, each in the file of its name.
std::vector<ScenarioCheck> CopingChecks();    // Right servers, as clauses about clients have them.
std::vector<ScenarioCheck> OddityChecks();    // Right servers that are odd.
std::vector<ScenarioCheck> NoticingChecks();  // Wrong ones.
std::vector<ScenarioCheck> TlsClientChecks();
// All of them.
std::vector<ScenarioCheck> AllScenarioChecks();

}  // namespace nbdspec::conformance
