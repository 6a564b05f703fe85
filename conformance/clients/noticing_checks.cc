// SPDX-License-Identifier: BSD-3-Clause
// The checks of what a client notices: servers that break a rule, by the faults that checks of servers catch. What is
// asked is that the client does not say that all went well. Requests that it sent before it read the wrong answer look
// like going on, so that of ending the connection at once, as the clauses demand, only this is asked: it sends no DISC.
#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

#include "conformance/clients/client_check.h"
#include "engine/faults/answer_changes.h"
#include "engine/faults/fault.h"

namespace nbdspec::conformance {

namespace {

using namespace engine::faults;  // The vocabulary of changes.
using engine::Request;

// A fault of a server, and the clause by which a client has to notice it.
struct Row {
  std::string_view clause;
  std::string_view fault;
};
constexpr Row kFaults[] = {
    {kStructuredClientInconsistentDisconnect, "server_sends_data_past_the_request"},
    {kStructuredClientInconsistentDisconnect, "server_sends_data_at_the_highest_offset"},
    {kStructuredClientInconsistentDisconnect, "server_sends_data_chunk_without_data"},
    {kStructuredClientInconsistentDisconnect, "server_counts_offsets_from_the_request"},
    {kStructuredClientInconsistentDisconnect, "server_sends_hole_past_the_request"},
    {kStructuredClientInconsistentDisconnect, "server_sends_long_hole_chunk"},
    {kStructuredClientInconsistentDisconnect, "server_sends_empty_hole"},
    {kStructuredClientInconsistentDisconnect, "server_sends_none_with_payload"},
    {kStructuredClientInconsistentDisconnect, "server_sends_a_byte_of_data_twice"},
    {kStructuredClientInconsistentDisconnect, "server_leaves_out_the_last_chunk"},
    {kStructuredClientInconsistentDisconnect, "server_sends_swapped_chunk_magic"},
    {kStructuredClientInconsistentDisconnect, "server_sends_chunk_with_foreign_cookie"},
    {kStructuredClientInconsistentDisconnect, "server_swaps_halves_of_cookies"},
    {kStructuredClientInconsistentDisconnect, "server_gives_chunk_length_too_short"},
    {kStructuredClientInconsistentDisconnect, "server_flushes_with_data"},
    {kStructuredClientInconsistentDisconnect, "server_flushes_with_hole"},
    {kStructuredClientInconsistentDisconnect, "server_sends_zero_length_descriptor"},
    {kStructuredClientInconsistentDisconnect, "server_answers_structured_read_simply"},
};

// What a client that gets such a chunk before its answer makes of it.
Scenario UnknownChunk() {
  return {.serves = Serves::kWrong,
          .changes = {AddsFirst(kRead, [](const Request& to) { return ChunkFor(to, 0x1234, {1, 2, 3, 4}); })},
          .may_fail = ClientTask::kCopiesIn | ClientTask::kMaps};
}

// READs on the first connection are answered wrongly. On the others a client may leave as it likes.
Scenario WrongAtFirst() {
  Change change = FaultNamed("server_sends_data_at_the_highest_offset").change;
  change.sent = [wrong = change.sent](const engine::ClientMessage* to, const Connection& on, Messages& sent) {
    if (on.number == 0) {
      wrong(to, on, sent);
    }
  };
  return {.serves = Serves::kWrong, .changes = {std::move(change)}};
}

// Who says DISC, once all was answered, has read the wrong answer.
ClientJudgement JudgeLeavesAtOnce(const Performance& performance) {
  ClientJudgement judgement{.judgement = NotApplicable("the client never met it")};
  for (std::size_t i = 0; i < performance.plays.size(); ++i) {
    const auto& records = performance.plays[i].run.records;
    if (records.empty() || !records.front().changed_at) {
      continue;
    }
    judgement = {.judgement = Holds(), .place = {.play = i}};
    const auto& seen = records.front().seen;
    for (std::size_t index = *records.front().changed_at; index < seen.size(); ++index) {
      const auto* message = std::get_if<engine::ClientMessage>(&seen[index].what);
      const auto* request = message != nullptr ? std::get_if<Request>(message) : nullptr;
      if (request != nullptr && request->type == kDisc && !seen[index].is_early) {
        return {.judgement = Broken("NBD_CMD_DISC behind an answer that breaks a rule",
                                    "the end of the connection without a word"),
                .place = {.play = i, .message = index}};
      }
    }
  }
  return judgement;
}

}  // namespace

std::vector<ScenarioCheck> NoticingChecks() {
  const Change fails_first =
      AddsFirst(kRead, [](const Request& to) { return ErrorChunk(to, {.error = engine::NbdError::kEio}); });
  std::vector<ScenarioCheck> all = {
      {std::string(kStructuredTypeClientUnknown), "a chunk of an unknown type is no success", UnknownChunk(),
       JudgeNotices},
      {std::string(kStructuredSuccessNoErrorChunk) + "/error-first",
       "an error and then all of the content is no success",
       {.serves = Serves::kWrong, .changes = {fails_first}},
       JudgeNotices},
      {std::string(kStructuredClientInconsistentDisconnect) + "/at-once",
       "a READ that is answered wrongly is followed by no farewell", WrongAtFirst(), JudgeLeavesAtOnce}};
  for (const Row& row : kFaults) {
    all.push_back({fmt::format("{}/{}", row.clause, row.fault),
                   fmt::format("what {} does is no success", row.fault),
                   {.serves = Serves::kWrong, .changes = {FaultNamed(row.fault).change}},
                   JudgeNotices});
  }
  return all;
}

}  // namespace nbdspec::conformance
