// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/model/concurrent_model.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"

namespace nbdspec::fuzz {

using engine::ByteRange;

namespace {

constexpr std::uint64_t kBeforeBytesMax = 1 << 18;  // Of one part; of a longer one anything may be shown.
constexpr std::size_t kLooseMax = 64;
constexpr std::size_t kUnflushedMax = 256;

}  // namespace

void ConcurrentModel::Loosen(InFlight& looking, const Access& writing) const {
  Loose loose{
      .range = Intersect(looking.access.range, writing.range), .effect = writing.effect, .before = {}, .knowledge = {}};
  if (loose.range.length() <= kBeforeBytesMax && looking.loose.size() < kLooseMax) {
    bytes_.Copy(loose.range, loose.before, loose.knowledge);
  }
  looking.loose.push_back(std::move(loose));
}

void ConcurrentModel::Begin(Ticket ticket, const Access& access) {
  InFlight begun{.ticket = ticket, .access = access, .begun_at = ++clock_};
  const bool looks = access.kind == Access::Kind::kLooks;
  const bool writes = access.kind == Access::Kind::kWrites;
  for (InFlight& other : in_flight_) {
    const ByteRange shared = Intersect(access.range, other.access.range);
    const bool other_writes = other.access.kind == Access::Kind::kWrites;
    if (shared.empty()) {
      continue;
    }
    if (looks && other_writes) {
      Loosen(begun, other.access);
    } else if (writes && other.access.kind == Access::Kind::kLooks) {
      Loosen(other, access);
    } else if (writes && other_writes) {
      begun.contested.push_back(shared);
      other.contested.push_back(shared);
    }
  }
  for (const Unflushed& other : unflushed_) {
    const ByteRange shared = Intersect(access.range, other.range);
    if (shared.empty() || other.connection == access.connection) {
      continue;
    }
    if (looks) {
      begun.loose.push_back({.range = other.range, .effect = {}, .before = {}, .knowledge = {}});
    } else if (writes) {
      begun.contested.push_back(shared);
    }
  }
  in_flight_.push_back(std::move(begun));
}

void ConcurrentModel::End(Ticket ticket, bool succeeded) {
  const auto found = std::ranges::find(in_flight_, ticket, &InFlight::ticket);
  NBDSPEC_CHECK(found != in_flight_.end());
  const InFlight ended = std::move(*found);
  in_flight_.erase(found);
  if (ended.access.kind == Access::Kind::kFlushes && succeeded) {
    std::erase_if(unflushed_, [&](const Unflushed& each) { return each.ended_at < ended.begun_at; });
  }
  if (is_learning_ && !succeeded) {
    bytes_.Apply(ended.access.range, {});
  }
  if (ended.access.kind != Access::Kind::kWrites) {
    return;
  }
  bytes_.Apply(ended.access.range, succeeded ? ended.access.effect : Effect{});
  for (const ByteRange range : ended.contested) {
    bytes_.Apply(range, {});
  }
  if (may_cache_ && !(succeeded && ended.access.is_durable)) {
    if (unflushed_.size() == kUnflushedMax) {
      JoinUnflushed();
    }
    unflushed_.push_back({.range = ended.access.range, .connection = ended.access.connection, .ended_at = ++clock_});
  }
}

// Too many to tell apart: of each connection one remains, around all that it wrote.
void ConcurrentModel::JoinUnflushed() {
  std::vector<Unflushed> joined;
  for (const Unflushed& each : unflushed_) {
    const auto same = std::ranges::find(joined, each.connection, &Unflushed::connection);
    if (same == joined.end()) {
      joined.push_back(each);
      continue;
    }
    same->range = {.begin = std::min(same->range.begin, each.range.begin),
                   .end = std::max(same->range.end, each.range.end)};
    same->ended_at = std::max(same->ended_at, each.ended_at);
  }
  unflushed_ = std::move(joined);
}

const ConcurrentModel::InFlight& ConcurrentModel::Find(Ticket ticket) const {
  const auto found = std::ranges::find(in_flight_, ticket, &InFlight::ticket);
  NBDSPEC_CHECK(found != in_flight_.end());
  return *found;
}

bool ConcurrentModel::MayShow(const Loose& loose, std::uint64_t offset, std::uint8_t byte) {
  if (loose.knowledge.empty()) {
    return true;
  }
  const auto index = static_cast<std::size_t>(offset - loose.range.begin);
  const auto written = loose.effect.ByteAt(offset);
  return !written || *written == byte || loose.knowledge[index] == Knowledge::kNone || loose.before[index] == byte;
}

std::optional<std::uint64_t> ConcurrentModel::Refute(Ticket ticket, std::uint64_t offset, engine::ByteView data) {
  if (is_learning_) {
    bytes_.Learn(offset, data);
    return {};
  }
  const InFlight& looking = Find(ticket);
  std::uint64_t from = offset;
  while (const auto difference = bytes_.FirstDifference(offset, data, from)) {
    const std::uint8_t byte = data[static_cast<std::size_t>(*difference - offset)];
    const bool may_show = std::ranges::any_of(looking.loose, [&](const Loose& loose) {
      return loose.range.Contains(*difference) && MayShow(loose, *difference, byte);
    });
    if (!may_show) {
      return difference;
    }
    from = *difference + 1;
  }
  return {};
}

std::optional<std::uint64_t> ConcurrentModel::RefuteZeroes(Ticket ticket, ByteRange range) {
  if (is_learning_) {
    bytes_.Learn(range.begin, engine::Bytes(range.length()));
    return {};
  }
  const InFlight& looking = Find(ticket);
  while (const auto non_zero = bytes_.FirstNonZero(range)) {
    // What is written meanwhile may pass through states that nobody promised anything about.
    const auto loose =
        std::ranges::find_if(looking.loose, [&](const Loose& each) { return each.range.Contains(*non_zero); });
    if (loose == looking.loose.end()) {
      return non_zero;
    }
    range.begin = loose->range.end;
    if (range.begin >= range.end) {
      return {};
    }
  }
  return {};
}

}  // namespace nbdspec::fuzz
