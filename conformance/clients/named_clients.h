// SPDX-License-Identifier: BSD-3-Clause
// The clients that nbdspec knows by name, each with the commands of the ways in which it is used.

#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "conformance/clients/client_way.h"
#include "engine/base/error.h"

namespace nbdspec::conformance {

struct ClientUnderTest {
  std::string description;  // "nbdcopy 1.14.2"; a command, where a user gave one.
  std::string words;        // What names it on a command line: "nbdcopy", "--run 'my-client {uri}'".
  std::string program;      // Its name, where nbdspec knows it by one; else empty.
  std::string version;      // "1.14.2"; empty where nobody knows.
  ClientWays ways;
};

struct ClientOptions {
  bool tcp = false;  // {uri} is of TCP.
  bool tls = false;  // It has TLS, and takes nbds URIs or {certs}: the scenarios of TLS are played, too.
};

// One by name, which may have @SUITE behind it, as servers' (peer/targets/other_debian.h).
// Errors: there is none of that name, or it is not installed.
std::expected<ClientUnderTest, engine::Trouble> ClientFromName(std::string_view name,
                                                               const ClientOptions& options = {});
bool IsClientName(std::string_view name);

// One that somebody starts by hand. Errors: as ClientListener::Make.
std::expected<ClientUnderTest, engine::Trouble> ClientByHand(const ClientOptions& options, ByHand by_hand);

// By its commands, of which there is at least one. Errors: as ClientCommand::From.
std::expected<ClientUnderTest, engine::Trouble> ClientFromCommands(const std::vector<std::string>& commands,
                                                                   const ClientOptions& options);

}  // namespace nbdspec::conformance
