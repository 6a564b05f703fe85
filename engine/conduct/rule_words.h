// SPDX-License-Identifier: BSD-3-Clause
// What the tables of rules about clients are written with. Private to this folder.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
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

// `saw` is what the client sent, a message or words: most messages keep most rules, so its words are made only here.
template <typename Saw>
Ruling Require(bool holds, std::string_view expected, const Saw& saw) {
  if (holds) {
    return {};
  }
  if constexpr (std::is_convertible_v<const Saw&, std::string>) {
    return Broken(std::string(expected), saw);
  } else {
    return Broken(std::string(expected), Describe(ClientMessage(saw)));
  }
}

// Whether the client's flags took 16 bits in place of 32, so that the magic of its first option stands in them.
inline bool AreHalf(std::uint32_t client_flags) { return (client_flags & 0xffff) == kOptionMagic >> 48; }

}  // namespace nbdspec::engine
