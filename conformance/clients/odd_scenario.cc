// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/clients/odd_scenario.h"

#include <algorithm>
#include <iterator>
#include <string_view>
#include <utility>

#include "engine/wire/protocol.h"

namespace nbdspec::conformance {

namespace {

using engine::TransmissionFlag;

// Oddities that take something from a client that it may need.
struct Taking {
  std::string_view oddity;
  ClientTasks from;
};
constexpr Taking kTakings[] = {
    {"server_demands_extended_headers", kAnyTask},
    {"server_demands_to_be_asked_for_block_sizes", kAnyTask},
    {"server_reads_little_with_df", kAnyTask},
    {"server_refuses_contexts", ClientTask::kMaps},
    {"server_refuses_contexts_by_policy", ClientTask::kMaps},
    {"server_refuses_list_by_policy", ClientTask::kVisits},
    {"server_refuses_long_trims", ClientTask::kCopiesIn},
    {"server_refuses_long_zeroes", ClientTask::kCopiesIn},
    {"server_refuses_structured_replies_by_platform", ClientTask::kMaps},
    {"server_refuses_structured_replies_by_policy", ClientTask::kMaps},
    {"server_shows_statuses_and_fails", kAnyTask},
    {"server_wants_extended_headers_for_contexts", ClientTask::kMaps},
    {"server_wants_block_sizes_asked_for_with_extended_headers", kAnyTask},
};

// What a client may fail at, where the server does not offer it.
ClientTasks TakenBy(const Scenario& scenario, std::string_view oddity) {
  engine::ExportOptions offered;
  if (scenario.offers) {
    scenario.offers(offered);
  }
  const auto* taking = std::ranges::find(kTakings, oddity, &Taking::oddity);
  const bool has_map = offered.base_allocation && scenario.server.structured_replies;
  const bool is_flushed = (offered.flags & TransmissionFlag::kSendFlush) != 0;  // A user may ask for that.
  ClientTasks taken = taking != std::end(kTakings) ? taking->from : ClientTasks{0};
  if (offered.read_only || !is_flushed) {
    taken |= ClientTask::kCopiesIn | ClientTask::kVisits;
  }
  if (!has_map) {
    taken |= ClientTask::kMaps;
  }
  return taken;
}

}  // namespace

void MakeOdd(const engine::oddities::Oddity& oddity, Scenario& scenario) {
  const bool is_first = scenario.changes.empty();
  scenario.changes = {is_first ? oddity.change : Both(scenario.changes.front(), oddity.change)};
  scenario.is_met_by_all |= oddity.offers != nullptr || oddity.server != nullptr;
  if (oddity.server) {
    oddity.server(scenario.server);
  }
  if (oddity.offers && scenario.offers) {
    scenario.offers = [before = std::move(scenario.offers), then = oddity.offers](engine::ExportOptions& of) {
      before(of);
      then(of);
    };
  } else if (oddity.offers) {
    scenario.offers = oddity.offers;
  }
  scenario.may_fail |= TakenBy(scenario, oddity.name);
}

}  // namespace nbdspec::conformance
