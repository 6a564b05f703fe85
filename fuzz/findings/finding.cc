// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/findings/finding.h"

#include <array>
#include <utility>

namespace nbdspec::fuzz {

namespace {

constexpr std::array<std::pair<FindingKind, std::string_view>, 8> kKinds = {{
    {FindingKind::kWrongData, "wrong-data"},
    {FindingKind::kFalseClaim, "false-claim"},
    {FindingKind::kBrokenRule, "broken-rule"},
    {FindingKind::kWrongSuccess, "wrong-success"},
    {FindingKind::kWrongError, "wrong-error"},
    {FindingKind::kDisconnect, "disconnect"},
    {FindingKind::kCrash, "crash"},
    {FindingKind::kHang, "hang"},
}};

constexpr std::array<std::pair<FindingState, std::string_view>, 3> kStates = {{
    {FindingState::kObserved, "observed"},
    {FindingState::kReproduced, "reproduced"},
    {FindingState::kNotReproduced, "not-reproduced"},
}};

template <typename Table, typename Value>
std::string_view NameIn(const Table& table, Value value) {
  for (const auto& [each, name] : table) {
    if (each == value) {
      return name;
    }
  }
  return "";
}

template <typename Value, typename Table>
std::optional<Value> ValueIn(const Table& table, std::string_view wanted) {
  for (const auto& [value, name] : table) {
    if (name == wanted) {
      return value;
    }
  }
  return {};
}

constexpr std::size_t kKeyBytesMax = 120;  // File systems allow 255, and more follows it.

}  // namespace

std::string_view Name(FindingKind kind) { return NameIn(kKinds, kind); }
std::optional<FindingKind> FindingKindFrom(std::string_view name) { return ValueIn<FindingKind>(kKinds, name); }
std::string_view Name(FindingState state) { return NameIn(kStates, state); }
std::optional<FindingState> FindingStateFrom(std::string_view name) { return ValueIn<FindingState>(kStates, name); }

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
