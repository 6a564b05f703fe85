// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/findings/fold.h"

#include <algorithm>
#include <compare>
#include <cstddef>
#include <string>
#include <tuple>

#include "engine/base/quoted.h"

namespace nbdspec::fuzz {

namespace {

// Of what was raw, and of what was read from the disk, where it is escaped, the same.
std::string EscapedAssertionOf(const Finding& finding) {
  std::string escaped;
  for (const char c : AssertionOf(finding)) {
    const bool stays = c == '"' || c == '\\';
    escaped += stays ? std::string(1, c) : engine::Escaped(static_cast<std::uint8_t>(c));
  }
  return escaped;
}

// The less, the better.
auto CostOf(const Finding& finding) {
  const std::size_t bytes = finding.client_case.empty() ? Print(finding.script).size() : finding.client_case.size();
  return std::tuple(finding.state != FindingState::kReproduced, finding.script.steps.size(), bytes);
}

}  // namespace

bool LooksTheSame(const Finding& a, const Finding& b) {
  return KeyOf(a) == KeyOf(b) && a.known == b.known && a.target == b.target &&
         a.client_case.empty() == b.client_case.empty() && EscapedAssertionOf(a) == EscapedAssertionOf(b);
}

bool IsBetter(const Finding& a, const Finding& b) { return CostOf(a) < CostOf(b); }

std::vector<Sighting> SightingsOf(const Finding& finding) {
  if (!finding.seen_by.empty()) {
    return finding.seen_by;
  }
  return {{.seed = finding.seed, .script_number = finding.script_number, .count = finding.count}};
}

std::vector<Sighting> Together(std::vector<Sighting> some, const std::vector<Sighting>& others) {
  for (const Sighting& other : others) {
    const auto same = std::ranges::find_if(
        some, [&](const Sighting& each) { return each.run == other.run && each.seed == other.seed; });
    if (same == some.end()) {
      some.push_back(other);
    } else if (other.count > same->count) {
      *same = other;
    }
  }
  std::ranges::sort(some, {}, [](const Sighting& each) { return std::tuple(each.run, each.seed); });
  return some;
}

std::uint64_t CountOf(const std::vector<Sighting>& sightings) {
  std::uint64_t count = 0;
  for (const Sighting& each : sightings) {
    count += each.count;
  }
  return count;
}

}  // namespace nbdspec::fuzz
