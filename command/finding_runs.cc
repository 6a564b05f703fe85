// SPDX-License-Identifier: BSD-3-Clause
#include "command/finding_runs.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <string_view>
#include <utility>
#include <vector>

#include "command/expected_lists.h"
#include "conformance/peer/process/process.h"
#include "engine/spec/catalogue.h"

namespace nbdspec::command {

namespace {

using reports::Message;
using reports::Outcome;
using reports::Verdict;

// Takes a number off the front of `text`; 0 where there is none.
std::uint64_t TakeNumber(std::string_view& text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

bool TakeWord(std::string_view word, std::string_view& text) {
  const bool is_there = text.starts_with(word);
  text.remove_prefix(is_there ? word.size() : 0);
  return is_there;
}

// A line of a finding's transcript: "C1> @4 +16  NBD_OPT_GO"; what has no such form is a note.
Message MessageFrom(std::string_view line, std::uint64_t number) {
  Message message{.line = number, .text = std::string(line), .name = {}, .fields = {}};
  const bool is_sent = line.starts_with('C');
  std::string_view rest = line.substr(std::min<std::size_t>(line.size(), 1));
  const auto connection = static_cast<int>(TakeNumber(rest));
  if ((!is_sent && !line.starts_with('S')) || !TakeWord(is_sent ? "> @" : "< @", rest)) {
    TakeWord("-- ", line);
    message.text = line;
    return message;
  }
  message.from = is_sent ? Message::From::kClient : Message::From::kServer;
  message.connection = connection;
  message.offset = TakeNumber(rest);
  message.length = TakeWord(" +", rest) ? TakeNumber(rest) : 0;
  message.text = rest.substr(std::min(rest.find_first_not_of(' '), rest.size()));
  return message;
}

// The end of a transcript: what it was seen at, and what came before.
std::vector<Message> LastMessages(const std::vector<std::string>& transcript) {
  constexpr std::size_t kMessagesMax = 24;
  std::vector<Message> messages;
  for (std::size_t i = transcript.size() - std::min(transcript.size(), kMessagesMax); i < transcript.size(); ++i) {
    Message& message = messages.emplace_back(MessageFrom(transcript[i], i + 1));
    const bool is_what_was_seen = message.from == Message::From::kNobody && message.text.starts_with("expected ");
    message.part = is_what_was_seen ? Message::Part::kJudged : Message::Part::kNone;
  }
  return messages;
}

// A finding that was read from a file may name any clause.
// Those that were judged and what is around them, as the run drew them; else the end of the transcript.
std::vector<Message> MessagesOf(const fuzz::Finding& finding) {
  const auto& drawn = finding.picture.messages;
  const auto is_judged = [](const Message& message) { return message.part == Message::Part::kJudged; };
  return std::ranges::any_of(drawn, is_judged) ? drawn : LastMessages(finding.transcript);
}

void SetClauseOf(const std::string& id, Outcome& outcome) {
  outcome.requirement = id;
  if (const spec::Requirement* clause = spec::TheCatalogue().Find(id)) {
    SetClause(*clause, outcome);
  }
}

void AddTrouble(const std::optional<engine::Trouble>& trouble, reports::Run& run) {
  run.spec = fmt::format("proto.md {} ({})", spec::kSpecRevision, spec::kSpecDate);
  run.trouble = trouble ? trouble->sentence : "";
}

Verdict VerdictOf(fuzz::ReplayVerdict verdict) {
  switch (verdict) {
    case fuzz::ReplayVerdict::kPass:
    case fuzz::ReplayVerdict::kFixed:
      return Verdict::kPass;
    case fuzz::ReplayVerdict::kWarning:
      return Verdict::kWarn;
    case fuzz::ReplayVerdict::kUnusable:
      return Verdict::kInconclusive;
    case fuzz::ReplayVerdict::kFail:
    case fuzz::ReplayVerdict::kReproduced:
    case fuzz::ReplayVerdict::kDifferent:
      break;
  }
  return Verdict::kFail;
}

}  // namespace

void AddWarnings(const fuzz::Warnings& warnings, std::string_view whose, std::vector<Outcome>& outcomes) {
  for (const auto& [requirement, warning] : warnings) {
    Outcome& outcome = outcomes.emplace_back();
    outcome.id = std::string(whose) + requirement;
    SetClauseOf(requirement, outcome);
    outcome.verdict = Verdict::kWarn;
    outcome.evidence.sent = warning.step;
    outcome.evidence.allowed = warning.expected;
    outcome.evidence.saw =
        fmt::format("{} ({} times, first in script {})", warning.saw, warning.count, warning.script_number);
    outcome.evidence.messages = warning.picture.messages;
    outcome.evidence.bars = warning.picture.bars;
    TellOfStock(outcome);
  }
}

std::string LineToReplay(const fuzz::Finding& finding, const std::string& directory) {
  return directory.empty() ? "" : ReplayLine(finding, conformance::QuoteWord(directory));
}

Outcome OutcomeOf(const fuzz::Finding& finding, const std::string& directory) {
  Outcome outcome;
  outcome.id = KeyOf(finding);
  SetClauseOf(finding.rule, outcome);
  outcome.verdict = Verdict::kFail;
  TellOfStock(outcome);
  outcome.evidence = {.sent = finding.request_kind,
                      .allowed = finding.expected,
                      .saw = finding.saw,
                      .transcript = finding.transcript,
                      .standard_error = finding.server_stderr,
                      .ended = finding.server_ended,
                      .messages = MessagesOf(finding),
                      .bars = finding.picture.bars};
  for (const std::string& line : finding.timeline) {
    outcome.evidence.saw += "\n" + line;
  }
  outcome.replay = LineToReplay(finding, directory);
  if (!finding.known.empty()) {
    outcome.expectation = {
        .overlay = reports::Overlay::kExpected, .reason = finding.known, .place = "a bug that is public"};
  }
  return outcome;
}

Outcome OutcomeOf(const fuzz::Replayed& replayed, const std::string& path, const fuzz::Finding* finding) {
  Outcome outcome = finding != nullptr ? OutcomeOf(*finding, path) : Outcome();
  outcome.id = path;
  outcome.verdict = VerdictOf(replayed.verdict);
  outcome.expectation = {};
  const std::string then = outcome.evidence.saw.empty() ? "" : "\nthen: " + outcome.evidence.saw;
  if (replayed.seen) {  // What it shows now.
    outcome.evidence = OutcomeOf(*replayed.seen, "").evidence;
    SetClauseOf(replayed.seen->rule, outcome);
  }
  TellOfStock(outcome);
  outcome.evidence.saw =
      fmt::format("{}{}{}{}", Name(replayed.verdict), replayed.now.empty() ? "" : ": ", replayed.now, then);
  outcome.evidence.allowed += replayed.note.empty() ? "" : "; note: " + replayed.note;
  return outcome;
}

reports::Run RunOf(const fuzz::FuzzReport& report, reports::Run run) {
  AddTrouble(report.trouble, run);
  run.duration_ms = report.seconds * 1000;
  run.advertised = {{"scripts", std::to_string(report.script_count)},
                    {"commands", std::to_string(report.command_count)},
                    {"power cuts", std::to_string(report.cut_count)}};
  for (const auto& [finding, directory] : report.findings) {
    run.outcomes.push_back(OutcomeOf(finding, directory));
  }
  AddWarnings(report.warnings, "", run.outcomes);
  return run;
}

reports::Run RunOf(const fuzz::ClientFuzzReport& report, reports::Run run) {
  AddTrouble(report.trouble, run);
  run.duration_ms = report.seconds * 1000;
  run.advertised = {{"cases", std::to_string(report.case_count)}};
  for (const auto& [finding, directory] : report.findings) {
    run.outcomes.push_back(OutcomeOf(finding, directory));
  }
  return run;
}

reports::Run RunOf(const fuzz::DiffReport& report, const std::string& first, const std::string& second,
                   reports::Run run) {
  AddTrouble(report.trouble, run);
  run.target = fmt::format("{} and {}", first, second);
  run.advertised = {{"scripts", std::to_string(report.script_count)},
                    {"commands", std::to_string(report.command_count)}};
  for (int i = 0; i < fuzz::kDifferenceKindCount; ++i) {
    const auto kind = static_cast<fuzz::DifferenceKind>(i);
    run.advertised.emplace_back(Name(kind), std::to_string(report.count(kind)));
  }
  for (const fuzz::Difference& each : report.differences) {
    Outcome& outcome = run.outcomes.emplace_back();
    outcome.id = fmt::format("{}.script-{}", Name(each.kind), each.script_number);
    outcome.statement = fmt::format("{}: {}", Name(each.kind), each.step);
    const bool fails = each.kind == fuzz::DifferenceKind::kSoundness || each.kind == fuzz::DifferenceKind::kDisconnect;
    outcome.verdict = fails ? Verdict::kFail : Verdict::kWarn;
    outcome.evidence.saw = fmt::format("{}: {}\n{}: {}", first, each.first, second, each.second);
    outcome.evidence.messages = each.picture.messages;
    outcome.evidence.bars = each.picture.bars;
  }
  AddWarnings(report.warnings[0], "A.", run.outcomes);
  AddWarnings(report.warnings[1], "B.", run.outcomes);
  return run;
}

}  // namespace nbdspec::command
