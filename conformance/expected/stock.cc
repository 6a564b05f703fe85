// SPDX-License-Identifier: BSD-3-Clause
// What the lists that come with nbdspec know of a check: which stock servers or clients do not pass it either.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <utility>

#include "conformance/expected/expected.h"
#include "engine/base/check.h"

namespace nbdspec::conformance {

namespace {

// "# nbdkit of Debian 12, 13 and unstable: 1.32.5, 1.42.3 and 1.48.1. Lines are ..."
std::vector<std::string> VersionsIn(std::string_view text) {
  text = text.substr(0, text.find('\n'));
  text.remove_prefix(std::min(text.find(": "), text.size()));
  text = text.substr(0, text.find(". "));
  std::istringstream words{std::string(text)};
  std::vector<std::string> versions;
  for (std::string word; words >> word;) {
    word.erase(word.find_last_not_of(",.") + 1);
    if (word.contains('.')) {
      versions.push_back(word);
    }
  }
  return versions;
}

// What a server does that has these verdicts at different times.
std::string DoesWhat(const std::vector<std::string>& verdicts) {
  constexpr auto kWorstFirst =
      std::to_array<std::pair<std::string_view, std::string_view>>({{"crash", "dies"},
                                                                    {"fail", "fails"},
                                                                    {"inconclusive", "cannot be judged"},
                                                                    {"flaky", "fails"},
                                                                    {"warn", "warns"}});
  const auto has = [&](std::string_view verdict) { return std::ranges::find(verdicts, verdict) != verdicts.end(); };
  const auto worst = std::ranges::find_if(kWorstFirst, [&](const auto& each) { return has(each.first); });
  NBDSPEC_CHECK(worst != kWorstFirst.end());  // A list without one is not read.
  return fmt::format("{}{}", worst->second, has("pass") || has("flaky") ? " at times" : "");
}

// "nbdkit", "nbdkit TLS" for nbdkit*TLS, "nbd-server (3.26.1, 3.27.1)" where it is not so in every version.
std::string WhoseIs(const ExpectedEntry& entry, const StockList& stock) {
  std::string who = entry.target.empty() ? stock.list.name : entry.target;
  std::ranges::replace(who, '*', ' ');
  who.erase(who.find_last_not_of(' ') + 1);
  std::vector<std::string_view> versions;
  for (const std::string& version : stock.versions) {
    if (entry.version.empty() || ::fnmatch(entry.version.c_str(), version.c_str(), FNM_NOESCAPE) == 0) {
      versions.push_back(version);
    }
  }
  return versions.size() == stock.versions.size() ? who : fmt::format("{} ({})", who, fmt::join(versions, ", "));
}

}  // namespace

std::vector<StockList> StockLists(spec::Role role, std::span<const std::string_view> ids) {
  std::vector<StockList> lists;
  for (const ShippedList& shipped : ShippedLists()) {
    if (shipped.judged != role) {
      continue;
    }
    auto list = ParseExpected(shipped.name, shipped.text, ids);
    if (!list) {
      engine::CheckFailed(list.error().sentence);
    }
    lists.push_back({.list = *std::move(list), .versions = VersionsIn(shipped.text)});
  }
  return lists;
}

namespace {

// What they have of the ids that `is_meant`.
template <typename IsMeant>
std::string KnownOf(std::span<const StockList> stock, IsMeant is_meant) {
  std::vector<std::string> known;
  std::vector<std::string_view> unknown;
  for (const StockList& each : stock) {
    const std::size_t before = known.size();
    for (const ExpectedEntry& entry : each.list.entries) {
      std::string does = is_meant(entry.id) ? fmt::format("{} {}", WhoseIs(entry, each), DoesWhat(entry.verdicts)) : "";
      if (!does.empty() && std::ranges::find(known, does) == known.end()) {
        known.push_back(std::move(does));
      }
    }
    if (known.size() == before) {
      unknown.push_back(each.list.name);
    }
  }
  const std::string not_known = fmt::format("not known of {}", fmt::join(unknown, ", "));
  return known.empty()     ? not_known
         : unknown.empty() ? fmt::format("{}", fmt::join(known, ", "))
                           : fmt::format("{}; {}", fmt::join(known, ", "), not_known);
}

}  // namespace

std::string StockOn(std::span<const StockList> stock, std::string_view id) {
  return KnownOf(stock, [id](const std::string& each) { return each == id; });
}

std::string StockOnClause(std::span<const StockList> stock, std::string_view requirement) {
  return KnownOf(stock, [requirement](std::string_view each) { return each.substr(0, each.find('/')) == requirement; });
}

}  // namespace nbdspec::conformance
