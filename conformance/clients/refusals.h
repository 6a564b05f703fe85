// SPDX-License-Identifier: BSD-3-Clause
// Refusals of options, for the tables of scenarios.

#pragma once

#include <cstdint>
#include <variant>

#include "engine/faults/option_changes.h"

namespace nbdspec::conformance {

// The server never receives the option, so that the refusal is all that comes of it.
inline engine::faults::Change RefusesOption(std::uint32_t option, std::uint32_t error, bool only_first = false) {
  using engine::faults::Connection;
  engine::faults::Change change = engine::faults::RepliesWith(option, error);
  const auto refuses = [only_first](const Connection& on) { return !only_first || on.number == 0; };
  change.received = [=](engine::ClientMessage& received, const Connection& on) {
    const auto* asked = std::get_if<engine::Option>(&received);
    return asked == nullptr || !engine::faults::IsOneOf(*asked, option) || !refuses(on);
  };
  change.sent = [=, replies = change.sent](const engine::ClientMessage* to, const Connection& on,
                                           engine::faults::Messages& sent) {
    if (refuses(on)) {
      replies(to, on, sent);
    }
  };
  return change;
}

// Of INFO and GO.
inline engine::faults::Change RefusesEntry(std::uint32_t error) {
  return Both(RefusesOption(engine::faults::kInfo, error), RefusesOption(engine::faults::kGo, error));
}

}  // namespace nbdspec::conformance
