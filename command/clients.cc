// SPDX-License-Identifier: BSD-3-Clause
#include "command/clients.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "engine/base/or_return.h"
#include "engine/base/quoted.h"

namespace nbdspec::command {

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

ClientOrRefusal ClientOf(const fuzz::ClientCase& met, const Options& options) {
  const conformance::ClientOptions how{.tcp = met.tcp, .tls = met.tls};
  if (!options.client_name.empty() && !options.client_commands.empty()) {
    return Refuse("--run and --client both name a client: give only one of them.");
  }
  const bool is_command = met.command.contains('{');  // The reference client's have no placeholder.
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
