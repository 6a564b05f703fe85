// SPDX-License-Identifier: BSD-3-Clause
#include "command/planned_client.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <iterator>
#include <utility>

#include "command/clients.h"
#include "command/expected_lists.h"
#include "command/selection.h"
#include "command/servers.h"
#include "engine/base/or_return.h"
#include "engine/base/quoted.h"

namespace nbdspec::command {

namespace {

using conformance::ClientCheck;
using conformance::ClientUnderTest;

// That there are no more clients that somebody starts by hand.
std::atomic<bool> no_more_clients = false;

// Tells who starts clients by hand what is wanted of them; an interruption says that there are no more.
conformance::ByHand ByHand() {
  const auto tell = [number = 0](const conformance::Scenario& scenario, const std::string& uri) mutable {
    Complain(fmt::format("{}. {}: start the client on {} , and let it do its work and leave. Ctrl-C ends the run.",
                         ++number, scenario.name, uri));
  };
  return {.on_ready = tell, .is_stopped = [] { return Interrupted().load(); }, .is_over = &no_more_clients};
}

// The client of `options`: one that they name, or that somebody starts.
std::expected<ClientUnderTest, Refusal> ChosenClient(Options& options) {
  if (!options.listen) {
    return TakeClient("client", options);
  }
  if (!options.client_commands.empty()) {
    return Refuse("--listen waits for a client that somebody else starts: leave out --run.");
  }
  if (!options.words.empty() && conformance::IsClientName(options.words.front())) {
    return Refuse("--listen waits for a client that somebody else starts: leave out " +
                  engine::Quoted(options.words.front()) + ".");
  }
  NBDSPEC_ASSIGN_OR_RETURN(client, conformance::ClientByHand({.tcp = options.tcp, .tls = options.tls}, ByHand()));
  return std::move(client);
}

std::expected<std::vector<ClientCheck>, Refusal> SelectClientChecks(const std::vector<std::string>& words) {
  const auto all = conformance::AllClientChecks();
  std::vector<std::string_view> ids;
  std::ranges::transform(all, std::back_inserter(ids), &ClientCheck::id);
  NBDSPEC_ASSIGN_OR_RETURN(indices, SelectFrom(ids, words));
  std::vector<ClientCheck> checks;
  for (const std::size_t index : indices) {
    checks.push_back(all[index]);
  }
  return checks;
}

}  // namespace

reports::Run PlannedClient::Begun() const {
  return {.version = kVersion,
          .spec = "",
          .target = client.description,
          .server = {.words = client.words, .program = client.program, .version = client.version},
          .trouble = "the run is not finished",
          .exit = reports::ExitCode::kOurError};
}

reports::Run PlannedClient::Run() {
  conformance::ClientRunOptions telling = run;
  telling.on_outcome = TellingOfStock(run.on_outcome);
  reports::Run done = conformance::RunClientChecks(client.ways, checks, telling);
  done.server = Begun().server;
  std::ranges::for_each(done.outcomes, TellOfStock);
  if (!run.plays_again && InterruptSignal() != 0) {
    done.trouble.clear();  // That is how a run ends whose clients are started by hand.
  }
  conformance::LayOver(lists, done);
  if (run.plays_again && InterruptSignal() != 0) {
    done.exit = 128 + InterruptSignal();
  }
  return done;
}

std::expected<PlannedClient, Refusal> PlanClient(Options options) {
  NBDSPEC_ASSIGN_OR_RETURN(lists, ReadLists(options.expected));
  NBDSPEC_ASSIGN_OR_RETURN(client, ChosenClient(options));
  NBDSPEC_ASSIGN_OR_RETURN(checks, SelectClientChecks(options.words));
  PlannedClient planned{.client = std::move(client), .checks = std::move(checks), .lists = std::move(lists), .run = {}};
  planned.run = {.worker_count = options.listen ? 1 : options.worker_count,
                 .time = FromSeconds(options.case_timeout_s),
                 .deadline = FromSeconds(options.deadline_s),
                 .plays_again = !options.listen,
                 .version = kVersion,
                 .client_words = planned.client.words,
                 .description = planned.client.description,
                 .cancelled = options.listen ? &no_more_clients : &Interrupted()};
  return planned;
}

}  // namespace nbdspec::command
