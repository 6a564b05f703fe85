// SPDX-License-Identifier: BSD-3-Clause
// What the tables of rules about clients are written with. Private to this folder.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "engine/conduct/client_rules.h"
#include "engine/spec/ids.h"

namespace nbdspec::engine {

using namespace spec;  // The ids of requirements.

// `missing` is a literal.
inline Ruling NotAsked(std::string_view missing) { return {.kind = Ruling::Kind::kInapplicable, .missing = missing}; }

inline Ruling Broken(std::string expected, std::string saw) {
  return {.kind = Ruling::Kind::kViolated, .expected = std::move(expected), .saw = std::move(saw)};
}

inline Ruling Require(bool holds, std::string expected, std::string saw) {
  return holds ? Ruling{} : Broken(std::move(expected), std::move(saw));
}

// Whether the client's flags took 16 bits in place of 32, so that the magic of its first option stands in them.
inline bool AreHalf(std::uint32_t client_flags) { return (client_flags & 0xffff) == kOptionMagic >> 48; }

// What the client sent, for `saw`.
inline std::string Told(const Request& request) { return Describe(ClientMessage(request)); }
inline std::string Told(const Option& option) { return Describe(ClientMessage(option)); }

}  // namespace nbdspec::engine
