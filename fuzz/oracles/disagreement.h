// SPDX-License-Identifier: BSD-3-Clause
// Disagreement: the first thing in which a subject and its reference differ. What a comparison returns, so that others
// can ask it about planted bugs without dying.

#pragma once

#include <algorithm>
#include <cstddef>
#include <expected>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

#include "engine/base/bytes.h"
#include "engine/base/error.h"
#include "engine/script/script.h"

namespace nbdspec::fuzz {

struct Disagreement {
  std::string where;     // "after step 3, add 4K +8K hole: foreach 0 +64"
  std::string expected;  // What the reference says.
  std::string saw;       // What the subject says.
};

using Found = std::optional<Disagreement>;

using FindScriptDisagreement = std::function<Found(const engine::Script&)>;
using FindBytesDisagreement = std::function<Found(engine::ByteView)>;

// The caller says where. Cold, so that the compiler keeps it out of loops that compare and hardly ever disagree.
[[gnu::cold]] inline Found Differ(std::string expected, std::string saw) {
  return Disagreement{.where = {}, .expected = std::move(expected), .saw = std::move(saw)};
}

// The same for values: numbers, texts, or values with a Print.
template <typename Value>
[[gnu::cold]] Found DifferInValues(std::string_view where, const Value& expected, const Value& saw) {
  const auto text = [](const Value& value) -> std::string {
    if constexpr (std::is_arithmetic_v<Value>) {
      return std::to_string(value);
    } else if constexpr (std::is_same_v<Value, std::string>) {
      return value;
    } else {
      return Print(value);
    }
  };
  return Disagreement{.where = std::string(where), .expected = text(expected), .saw = text(saw)};
}

// Nothing if `saw` is equal to `expected`.
template <typename Value>
Found Compare(std::string_view where, const Value& expected, const std::type_identity_t<Value>& saw) {
  return expected == saw ? Found() : DifferInValues(where, expected, saw);
}

inline Found Compare(std::string_view where, const char* expected, const std::string& saw) {
  return Compare<std::string>(where, expected, saw);
}

// Nothing if `text` is one line that is not very long, and that a terminal can show.
inline Found FindInLine(std::string_view where, const std::string& text) {
  constexpr std::size_t kBytesMax = 400;
  const bool is_line = !text.empty() && text.size() <= kBytesMax &&
                       std::ranges::all_of(text, [](char byte) { return byte >= ' ' && byte <= '~'; });
  return is_line ? Found() : Compare(where, "one short line that can be printed", text);
}

// Nothing if `parsed` is `expected`; `print` gives the text of a value.
template <typename Value>
Found ComparePrinted(std::string_view where, const Value& expected, const std::expected<Value, engine::Trouble>& parsed,
                     const auto& print) {
  if (parsed && *parsed == expected) {
    return std::nullopt;
  }
  return Disagreement{.where = std::string(where),
                      .expected = print(expected),
                      .saw = parsed ? print(*parsed) : parsed.error().sentence};
}

// The same, with `place` before where it was found.
inline Found Under(std::string place, Found found) {
  if (found) {
    found->where = std::move(place) + (found->where.empty() ? "" : ": ") + found->where;
  }
  return found;
}

}  // namespace nbdspec::fuzz
