// SPDX-License-Identifier: BSD-3-Clause
// Every history of up to three writes and a flush on two sectors, on up to two connections: RequestHistory allows what
// some disk that keeps its word leaves after a power cut, and nothing else.
//
// The disks are enumerated, not reasoned about. A disk takes writes one after the other, in any order in which none
// that was answered comes after one that was not yet sent. Each that was taken it may keep or lose, but for those that
// it has promised: with FUA, or by a flush, to have kept. What it has when the power returns is the last one that it
// kept.

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <set>
#include <string>
#include <vector>

#include "engine/durability/request_history.h"

namespace nbdspec::engine {
namespace {

using Number = RequestHistory::Number;

constexpr std::size_t kWritesMax = 3;
constexpr std::uint64_t kSectors = 2;

struct Kind {
  bool is_flush = false;
  ByteRange range = {};  // Of sectors.
  bool has_fua = false;
  std::uint8_t connection = 1;
};

struct Event {
  std::size_t request;
  bool is_end;
  bool operator==(const Event&) const = default;
};

// A history as the test sees it, without RequestHistory.
struct History {
  std::vector<Kind> kinds;
  std::vector<Event> events;
  bool is_shared = false;  // Whether a flush covers other connections.

  [[nodiscard]] std::size_t PlaceOf(Event event) const {
    return static_cast<std::size_t>(std::ranges::find(events, event) - events.begin());  // events.size(): never.
  }
  [[nodiscard]] bool HasEnded(std::size_t request) const {
    return PlaceOf({.request = request, .is_end = true}) < events.size();
  }
  [[nodiscard]] bool IsBefore(std::size_t first, std::size_t second) const {
    return HasEnded(first) &&
           PlaceOf({.request = first, .is_end = true}) < PlaceOf({.request = second, .is_end = false});
  }
  // Whether a disk has promised to keep it.
  [[nodiscard]] bool IsPromised(std::size_t write) const {
    if (kinds[write].has_fua && HasEnded(write)) {
      return true;
    }
    for (std::size_t other = 0; other < kinds.size(); ++other) {
      const bool reaches = is_shared || kinds[other].connection == kinds[write].connection;
      if (kinds[other].is_flush && HasEnded(other) && IsBefore(write, other) && reaches) {
        return true;
      }
    }
    return false;
  }
};

// What any disk may have in `sector`: the number of the request that left it, 0 for none.
std::set<Number> FromEveryDisk(const History& history, std::uint64_t sector) {
  std::vector<std::size_t> writes;
  for (std::size_t i = 0; i < history.kinds.size(); ++i) {
    if (!history.kinds[i].is_flush && history.kinds[i].range.Contains(sector)) {
      writes.push_back(i);
    }
  }
  std::set<Number> left;
  do {  // In each order.
    bool is_possible = true;
    for (std::size_t i = 0; i < writes.size(); ++i) {
      for (std::size_t j = i + 1; j < writes.size(); ++j) {
        is_possible = is_possible && !history.IsBefore(writes[j], writes[i]);
      }
    }
    for (unsigned kept = 0; is_possible && kept < 1U << writes.size(); ++kept) {
      Number last = 0;
      bool keeps_word = true;
      for (std::size_t i = 0; i < writes.size(); ++i) {
        const bool is_kept = (kept >> i & 1) != 0;
        keeps_word = keeps_word && (is_kept || !history.IsPromised(writes[i]));
        last = is_kept ? writes[i] + 1 : last;
      }
      if (keeps_word) {
        left.insert(last);
      }
    }
  } while (std::ranges::next_permutation(writes).found);
  return left;
}

// The same question to RequestHistory, whose numbers go by the order of beginning.
std::set<Number> FromRule(const History& history, std::uint64_t sector) {
  RequestHistory rule(history.is_shared);
  std::vector<Number> number_of(history.kinds.size());
  std::vector<Number> request_of = {0};
  for (const Event& event : history.events) {
    const Kind& kind = history.kinds[event.request];
    if (event.is_end) {
      rule.End(number_of[event.request], true);
      continue;
    }
    number_of[event.request] =
        kind.is_flush ? rule.BeginFlush(kind.connection) : rule.BeginWrite(kind.range, kind.has_fua, kind.connection);
    request_of.push_back(event.request + 1);
  }
  std::set<Number> left;
  for (const Number number : rule.MayStandAt(sector)) {
    left.insert(request_of[number]);
  }
  return left;
}

class Enumeration {
 public:
  std::uint64_t compared = 0;
  std::uint64_t restricted = 0;  // Where not everything is allowed.

  // Adds every event that may come next, to histories of `kinds`, and compares each of them: a power cut may come at
  // any time.
  void Extend(History& history) {
    Compare(history);
    for (std::size_t request = 0; request < history.kinds.size() && !testing::Test::HasFailure(); ++request) {
      const Event begin = {.request = request, .is_end = false};
      const Event end = {.request = request, .is_end = true};
      const bool has_begun = history.PlaceOf(begin) < history.events.size();
      if (has_begun && history.HasEnded(request)) {
        continue;
      }
      history.events.push_back(has_begun ? end : begin);
      Extend(history);
      history.events.pop_back();
    }
  }

 private:
  void Compare(const History& history) {
    History begun = history;  // What was not sent is not there for either.
    for (std::uint64_t sector = 0; sector < kSectors; ++sector) {
      for (std::size_t i = 0; i < begun.kinds.size(); ++i) {
        if (history.PlaceOf({.request = i, .is_end = false}) == history.events.size()) {
          begun.kinds[i].range = {};
        }
      }
      const std::set<Number> expected = FromEveryDisk(begun, sector);
      ++compared;
      restricted += expected.contains(0) ? 0 : 1;
      ASSERT_EQ(FromRule(history, sector), expected) << Print(history) << "sector " << sector;
    }
  }

  static std::string Print(const History& history) {
    std::string text = history.is_shared ? "shared; " : "";
    for (const Event& event : history.events) {
      const Kind& kind = history.kinds[event.request];
      text += (event.is_end ? "end " : "begin ") + std::to_string(event.request + 1) +
              (kind.is_flush ? " flush"
                             : " write " + std::to_string(kind.range.begin) + "-" + std::to_string(kind.range.end)) +
              (kind.has_fua ? " fua" : "") + " on " + std::to_string(kind.connection) + "; ";
    }
    return text;
  }
};

// Calls visit(kinds) for each choice of `count` writes, a flush after them in the list or not.
template <typename Visit>
void ForEachKinds(std::size_t count, bool with_flush, bool with_connections, Visit visit) {
  constexpr std::array<ByteRange, 3> kRanges = {
      {{.begin = 0, .end = 1}, {.begin = 1, .end = 2}, {.begin = 0, .end = 2}}};
  const std::size_t choices = kRanges.size() * 2 * (with_connections ? 2 : 1);
  std::size_t total = 1;
  for (std::size_t i = 0; i < count; ++i) {
    total *= choices;
  }
  for (std::size_t chosen = 0; chosen < total; ++chosen) {
    std::vector<Kind> kinds;
    for (std::size_t i = 0, rest = chosen; i < count; ++i, rest /= choices) {
      const std::size_t choice = rest % choices;
      kinds.push_back({.range = kRanges[choice % 3],
                       .has_fua = choice / 3 % 2 != 0,
                       .connection = static_cast<std::uint8_t>(1 + choice / 6)});
    }
    if (with_flush) {
      kinds.push_back({.is_flush = true});
    }
    visit(kinds);
  }
}

TEST(RequestHistoryExhaustive, AllowsWhatSomeDiskThatKeepsItsWordLeavesAndNothingElse) {
  Enumeration all;
  for (std::size_t count = 0; count <= kWritesMax; ++count) {
    for (const bool with_flush : {false, true}) {
      ForEachKinds(count, with_flush, false, [&](const std::vector<Kind>& kinds) {
        History history{.kinds = kinds, .events = {}};
        all.Extend(history);
      });
    }
  }
  for (const bool is_shared : {false, true}) {  // Two connections: two writes and a flush.
    ForEachKinds(2, true, true, [&](const std::vector<Kind>& kinds) {
      History history{.kinds = kinds, .events = {}, .is_shared = is_shared};
      all.Extend(history);
    });
  }
  RecordProperty("compared", std::to_string(all.compared));
  std::printf("%ju sectors after power cuts, %ju of them restricted\n", std::uintmax_t{all.compared},
              std::uintmax_t{all.restricted});
  EXPECT_GT(all.compared, 100'000U);  // Else the enumeration is broken.
  EXPECT_GT(all.restricted, 10'000U);
}

}  // namespace
}  // namespace nbdspec::engine
