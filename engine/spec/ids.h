// SPDX-License-Identifier: BSD-3-Clause
// The ids of requirements as constants, made from requirements.tsv: spec::kHandshakeMagic is handshake.magic.
//
// A requirement that takes several checks, or rules, gives each a suffix: spec::kSub<spec::kHandshakeMagic, "twice">.

#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>

#include "engine/spec/rule_ids.h"

namespace nbdspec::spec {

// A string literal as a template argument.
template <std::size_t kBytes>
struct Suffix {
  constexpr Suffix(const char (&text)[kBytes]) {
    std::copy_n(text, kBytes - 1, bytes.begin());
  }  // Implicit on purpose.
  std::array<char, kBytes - 1> bytes = {};
};

template <const std::string_view& kId, Suffix kSuffix>
struct Joined {
  static constexpr auto kBytes = [] {
    std::array<char, kId.size() + 1 + kSuffix.bytes.size()> bytes = {};
    auto* at = std::ranges::copy(kId, bytes.begin()).out;
    *at++ = '/';
    std::ranges::copy(kSuffix.bytes, at);
    return bytes;
  }();
};

// "ID/suffix".
template <const std::string_view& kId, Suffix kSuffix>
inline constexpr std::string_view kSub{Joined<kId, kSuffix>::kBytes.data(), Joined<kId, kSuffix>::kBytes.size()};

}  // namespace nbdspec::spec
