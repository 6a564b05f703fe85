// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/model/concurrent_model.h"

#include <algorithm>

#include "engine/base/check.h"

namespace nbdspec::fuzz {

using engine::ByteRange;

namespace {

constexpr std::size_t kUnflushedMax = 256;
constexpr std::size_t kPastMax = 256;
constexpr std::size_t kShownMax = 64;

}  // namespace

void ConcurrentModel::Connect(std::uint8_t count) {
  if (count <= connections_) {
    return;
  }
  connections_ = count;
  Reconnect();
}

void ConcurrentModel::Reconnect() {
  for (const Unflushed& each : unflushed_) {  // A connection that is new may not see it yet.
    Forget(each.range);
  }
}

void ConcurrentModel::Begin(Ticket ticket, const Access& access) {
  Connect(access.connection);
  in_flight_.push_back({.ticket = ticket, .access = access, .sent_at = ++clock_});
  if (access.kind == Access::Kind::kWrites) {
    disputed_.Add(access.range, {.ticket = ticket, .effect = access.effect, .connection = access.connection});
  }
}

void ConcurrentModel::End(Ticket ticket, bool succeeded) {
  const std::size_t index = IndexOf(ticket);
  TimedAccess ended = std::move(in_flight_[index]);
  in_flight_.erase(in_flight_.begin() + static_cast<std::ptrdiff_t>(index));
  ended.answered_at = ++clock_;
  ended.succeeded = succeeded;
  switch (ended.access.kind) {
    case Access::Kind::kNone:
      return;
    case Access::Kind::kFlushes:
      if (succeeded && sharing_ == Sharing::kAtFlush) {
        disputed_.Flush(ended.sent_at, ended.answered_at);
        std::erase_if(unflushed_, [&](const Unflushed& each) { return each.ended_at < ended.sent_at; });
        Prune({.begin = 0, .end = kNever});
      }
      break;
    case Access::Kind::kLooks:
      if (!succeeded) {
        // What it showed before the error proves nothing.
        for (const SeenRun& each : ended.shown) {
          Forget(each.range);
        }
        if (is_learning_) {
          bytes().Apply(ended.access.range, {});
        }
      }
      Prune(ended.access.range);
      break;
    case Access::Kind::kWrites:
      EndWrite(ended);
      break;
  }
  if (past_.size() == kPastMax) {
    past_.pop_front();
  }
  past_.push_back(std::move(ended));
}

void ConcurrentModel::EndWrite(const TimedAccess& ended) {
  const Access& access = ended.access;
  const bool is_seen_by_all =
      sharing_ == Sharing::kAtOnce || (sharing_ == Sharing::kAtFlush && ended.succeeded && access.is_durable);
  disputed_.Settle(access.range, ended.ticket,
                   {.effect = ended.succeeded ? access.effect : Effect{},
                    .connection = access.connection,
                    .sent_at = ended.sent_at,
                    .time = ended.answered_at,
                    .is_seen_by_all = is_seen_by_all});
  if (!is_seen_by_all) {
    NoteUnflushed(ended);
  }
  Prune(access.range);
}

// Anything may stand in `range`.
void ConcurrentModel::Forget(ByteRange range) {
  ++clock_;
  disputed_.Add(range, {.ended_at = clock_, .seen_by_all_at = clock_});
  Prune(range);
}

void ConcurrentModel::NoteUnflushed(const TimedAccess& ended) {
  const Unflushed added = {.range = ended.access.range, .ended_at = ended.answered_at};
  if (unflushed_.size() < kUnflushedMax) {
    unflushed_.push_back(added);
    return;
  }
  // Too many to tell apart: one remains, around all.
  Unflushed joined = added;
  for (const Unflushed& each : unflushed_) {
    joined.range = {.begin = std::min(joined.range.begin, each.range.begin),
                    .end = std::max(joined.range.end, each.range.end)};
  }
  unflushed_ = {joined};
}

void ConcurrentModel::Prune(ByteRange range) {
  const ByteRange whole = disputed_.WholeRegions(range);
  if (whole.empty()) {
    return;
  }
  std::vector<Looker> lookers;
  for (const TimedAccess& each : in_flight_) {
    if (each.access.kind == Access::Kind::kLooks && !Intersect(each.access.range, whole).empty()) {
      lookers.push_back(LookerOf(each));
    }
  }
  disputed_.Prune(range, lookers, connections_);
}

std::size_t ConcurrentModel::IndexOf(Ticket ticket) const {
  const auto found = std::ranges::find(in_flight_, ticket, &TimedAccess::ticket);
  NBDSPEC_CHECK(found != in_flight_.end());
  return static_cast<std::size_t>(found - in_flight_.begin());
}

Unexplained ConcurrentModel::Refute(Ticket ticket, std::uint64_t offset, engine::ByteView data) {
  if (is_learning_) {
    bytes().Learn(offset, data);
    return {};
  }
  TimedAccess& looking = in_flight_[IndexOf(ticket)];
  std::vector<SeenRun> shown;
  // What proves something is kept: an error may yet take it back.
  const bool is_proof = looking.access.is_proof && looking.shown.size() < kShownMax;
  const Unexplained unexplained = disputed_.Refute(LookerOf(looking), offset, data, is_proof, shown);
  if (is_proof) {
    looking.shown.insert(looking.shown.end(), shown.begin(), shown.end());
  }
  return unexplained;
}

std::optional<std::uint64_t> ConcurrentModel::RefuteZeroes(Ticket ticket, ByteRange range) {
  if (is_learning_) {
    bytes().Learn(range.begin, engine::Bytes(range.length()));
    return {};
  }
  return disputed_.RefuteZeroes(LookerOf(in_flight_[IndexOf(ticket)]), range);
}

Refutation ConcurrentModel::Explain(Ticket ticket, std::uint64_t offset, std::uint8_t byte) const {
  const TimedAccess& looking = in_flight_[IndexOf(ticket)];
  std::vector<TimedAccess> history(past_.begin(), past_.end());
  history.insert(history.end(), in_flight_.begin(), in_flight_.end());
  std::ranges::sort(history, {}, &TimedAccess::sent_at);
  return {.possible = disputed_.ValuesAt(LookerOf(looking), offset),
          .broken = BrokenPromise(history, looking, offset),
          .timeline = Timeline(history, looking, offset, byte)};
}

// That other connections see a write is broken where it was seen, but not by this one.
Refutation::Promise ConcurrentModel::BrokenPromise(const std::vector<TimedAccess>& history, const TimedAccess& looking,
                                                   std::uint64_t offset) const {
  const Refutation::Promise of_the_write = disputed_.IsZeroed(LookerOf(looking), offset)
                                               ? Refutation::Promise::kZeroesThenReply
                                               : Refutation::Promise::kWriteThenReply;
  const TimedAccess* const last = LastWriteBefore(history, looking, offset);
  if (sharing_ != Sharing::kAtFlush || last == nullptr || last->access.connection == looking.access.connection) {
    return of_the_write;
  }
  const auto saw_it = [&](const TimedAccess& each, bool is_same_connection) {
    return each.access.kind == Access::Kind::kLooks && each.access.request.command == engine::Command::kRead &&
           each.succeeded && each.sent_at > last->answered_at && each.access.range.Contains(offset) &&
           (each.access.connection == looking.access.connection) == is_same_connection;
  };
  const bool others_saw = std::ranges::any_of(history, [&](const auto& each) { return saw_it(each, false); });
  const bool this_saw = std::ranges::any_of(history, [&](const auto& each) { return saw_it(each, true); });
  if (!others_saw || this_saw) {
    return of_the_write;
  }
  return last->access.is_durable ? Refutation::Promise::kFuaIsVisible : Refutation::Promise::kFlushIsVisible;
}

}  // namespace nbdspec::fuzz
