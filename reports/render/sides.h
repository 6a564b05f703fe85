// SPDX-License-Identifier: BSD-3-Clause
// What reports call the two sides of a conversation, by who of them is judged. Private to this folder.

#pragma once

#include <string_view>

#include "reports/model/run.h"

namespace nbdspec::reports {

struct Sides {
  std::string_view client;   // As the ends of a drawn exchange.
  std::string_view server;   //
  std::string_view to;       // In which direction a message of the client's went, as seen from nbdspec,
  std::string_view from;     // and one of the server's.
  std::string_view asked;    // Evidence::sent: a message, or the command of a client.
  std::string_view printed;  // Evidence::standard_error, in a word,
  std::string_view heading;  // and in a heading.
};

// Of those that judge `role`.
constexpr Sides SidesOf(spec::Role role) {
  return role == spec::Role::kServer ? Sides{.client = "nbdspec, the client",
                                             .server = "the server",
                                             .to = "to the server",
                                             .from = "from the server",
                                             .asked = "sent",
                                             .printed = "stderr",
                                             .heading = "The server's standard error, its end"}
                                     : Sides{.client = "the client",
                                             .server = "nbdspec, the server",
                                             .to = "from the client",
                                             .from = "to the client",
                                             .asked = "ran",
                                             .printed = "output",
                                             .heading = "What the client printed, its end"};
}

}  // namespace nbdspec::reports
