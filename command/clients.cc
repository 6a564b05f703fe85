// SPDX-License-Identifier: BSD-3-Clause
#include "command/clients.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <utility>

#include "engine/base/or_return.h"
#include "engine/base/quoted.h"
#include "fuzz/findings/finding.h"

namespace nbdspec::command {

std::string NotStarted(const std::string& command, std::string_view instead) {
  return fmt::format("it names the command {}, and somebody else may have written that: pass {} to start it, or {}",
                     engine::Quoted(command, 200), fuzz::kRunItsCommand, instead);
}

ClientOrRefusal TakeClient(std::string_view command, Options& options) {
  const conformance::ClientOptions how{.tcp = options.tcp, .tls = options.tls};
  const bool is_named = !options.words.empty() && conformance::IsClientName(options.words.front());
  if (is_named == !options.client_commands.empty()) {
    return Refuse(is_named ? "--run and the client " + engine::Quoted(options.words.front()) +
                                 " both name a client: give only one of them."
                           : fmt::format("name a client, or give its commands with --run: `nbdspec {} --help` has both",
                                         command));
  }
  if (!is_named) {
    NBDSPEC_ASSIGN_OR_RETURN(client, conformance::ClientFromCommands(options.client_commands, how));
    return std::move(client);
  }
  const std::string name = options.words.front();
  options.words.erase(options.words.begin());
  NBDSPEC_ASSIGN_OR_RETURN(client, conformance::ClientFromName(name, how));
  return std::move(client);
}

namespace {

// Whether `command` is one by which nbdspec uses the client that `words` name, "nbdcopy --tcp".
bool IsOfNamedClient(const std::string& command, const std::string& words, const conformance::ClientOptions& how) {
  const std::string name = words.substr(0, words.find(' '));
  const auto client =
      conformance::IsClientName(name) ? conformance::ClientFromName(name, how) : std::unexpected(engine::Trouble{});
  return client && std::ranges::any_of(client->ways, [&](const auto& way) { return way->text() == command; });
}

}  // namespace

ClientOrRefusal ClientOf(const fuzz::ClientCase& met, const std::string& words, const Options& options) {
  const conformance::ClientOptions how{.tcp = met.tcp, .tls = met.tls};
  if (!options.client_name.empty() && !options.client_commands.empty()) {
    return Refuse("--run and --client both name a client: give only one of them.");
  }
  const bool is_command = met.command.contains('{');  // The reference client's have no placeholder.
  const bool is_chosen = !options.client_name.empty() || !options.client_commands.empty();
  if (is_command && !is_chosen && !options.runs_its_command && !IsOfNamedClient(met.command, words, how)) {
    return Refuse(NotStarted(met.command, "--client or --run"));
  }
  const auto client = [&] {
    if (!options.client_commands.empty() || (options.client_name.empty() && is_command)) {
      return conformance::ClientFromCommands(
          options.client_commands.empty() ? std::vector{met.command} : options.client_commands, how);
    }
    return conformance::ClientFromName(options.client_name.empty() ? "reference" : options.client_name, how);
  };
  NBDSPEC_ASSIGN_OR_RETURN(made, client());
  return std::move(made);
}

}  // namespace nbdspec::command
