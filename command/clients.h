// SPDX-License-Identifier: BSD-3-Clause
// Which client the words of a command line name.

#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "command/command_table.h"
#include "command/output.h"
#include "conformance/clients/named_clients.h"
#include "fuzz/clients/client_case.h"

namespace nbdspec::command {

// Says that a command that stands in a file is not started, and what to give `instead`.
std::string NotStarted(const std::string& command, std::string_view instead);

using ClientOrRefusal = std::expected<conformance::ClientUnderTest, Refusal>;

// By the first of the words, which it takes, or by --run. Errors: both, or neither; it cannot be found. `command` is
// what is asked to help.
ClientOrRefusal TakeClient(std::string_view command, Options& options);

// Of a case: the one that --client or --run names, else the command that it names itself. `words`: those of the finding
// that it is of, empty for none. Errors: both; as before; the command is none of a client that nbdspec knows by name,
// and nobody permits to start it.
ClientOrRefusal ClientOf(const fuzz::ClientCase& met, const std::string& words, const Options& options);

}  // namespace nbdspec::command
