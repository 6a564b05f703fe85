// SPDX-License-Identifier: BSD-3-Clause
// The checks of what a client notices: servers that break a rule, by the faults that checks of servers catch. What is
// asked is that the client does not say that all went well. That it ends the connection at once, as the clauses demand,
// cannot be seen from here: requests that it sent before it read the wrong answer look like going on.
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
};

// What a client that gets such a chunk before its answer makes of it.
Scenario UnknownChunk() {
  return {.serves = Serves::kWrong,
          .changes = {AddsFirst(kRead, [](const Request& to) { return ChunkFor(to, 0x1234, {1, 2, 3, 4}); })},
          .may_fail = ClientTask::kCopiesIn | ClientTask::kMaps};
}

}  // namespace

std::vector<ScenarioCheck> NoticingChecks() {
  std::vector<ScenarioCheck> all = {{std::string(kStructuredTypeClientUnknown),
                                     "a chunk of an unknown type is no success", UnknownChunk(), JudgeNotices}};
  for (const Row& row : kFaults) {
    all.push_back({fmt::format("{}/{}", row.clause, row.fault),
                   fmt::format("what {} does is no success", row.fault),
                   {.serves = Serves::kWrong, .changes = {FaultNamed(row.fault).change}},
                   JudgeNotices});
  }
  return all;
}

}  // namespace nbdspec::conformance
