// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/findings/finding.h"

#include <algorithm>
#include <array>

namespace nbdspec::fuzz {

namespace {

// In the order of the enumerators.
constexpr std::array<std::string_view, 8> kKinds = {"wrong-data",  "false-claim", "broken-rule", "wrong-success",
                                                    "wrong-error", "disconnect",  "crash",       "hang"};
constexpr std::array<std::string_view, 3> kStates = {"observed", "reproduced", "not-reproduced"};

template <typename Enum, std::size_t count>
std::optional<Enum> ValueOf(std::string_view name, const std::array<std::string_view, count>& names) {
  const auto* const found = std::ranges::find(names, name);
  return found == names.end() ? std::nullopt : std::optional(static_cast<Enum>(found - names.begin()));
}

constexpr std::size_t kKeyBytesMax = 120;  // File systems allow 255, and more follows it.

}  // namespace

std::string_view Name(FindingKind kind) { return kKinds[static_cast<std::size_t>(kind)]; }
std::optional<FindingKind> FindingKindFrom(std::string_view name) { return ValueOf<FindingKind>(name, kKinds); }
std::string_view Name(FindingState state) { return kStates[static_cast<std::size_t>(state)]; }
std::optional<FindingState> FindingStateFrom(std::string_view name) { return ValueOf<FindingState>(name, kStates); }

std::string KeyOf(const Finding& finding) {
  std::string key(Name(finding.kind));
  for (const std::string* part : {&finding.rule, &finding.request_kind}) {
    key += part->empty() ? "" : "." + *part;
  }
  for (char& c : key) {
    const bool is_upper = c >= 'A' && c <= 'Z';
    const bool is_plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
    if (is_upper) {
      c = static_cast<char>(c - 'A' + 'a');
    } else if (!is_plain) {
      c = '-';
    }
  }
  return key.substr(0, kKeyBytesMax);
}

std::string SummaryOf(const Finding& finding) {
  return std::string(Name(finding.kind)) + (finding.rule.empty() ? "" : " of " + finding.rule) + ": expected " +
         finding.expected + "; saw " + finding.saw;
}

std::string ReplayLine(const Finding& finding, const std::string& directory) {
  return "nbdspec replay " + directory + (finding.replay_options.empty() ? "" : " " + finding.replay_options);
}

}  // namespace nbdspec::fuzz
