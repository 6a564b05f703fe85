// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/model/timeline.h"

#include <algorithm>

namespace nbdspec::fuzz {

namespace {

constexpr std::size_t kLinesMax = 24;  // The last ones.

bool Writes(const TimedAccess& each, std::uint64_t offset) {
  return each.access.kind == Access::Kind::kWrites && each.access.range.Contains(offset);
}

// Since when what happened matters: the write that left `byte`, or the last one; and what was in flight with it.
Time BeginOf(const std::vector<TimedAccess>& history, const TimedAccess& looking, std::uint64_t offset,
             std::uint8_t byte) {
  const TimedAccess* first = LastWriteBefore(history, looking, offset);
  for (const TimedAccess& each : history) {
    const bool is_source = Writes(each, offset) && each.succeeded && each.access.effect.ByteAt(offset) == byte;
    first = is_source && each.answered_at < looking.sent_at ? &each : first;
  }
  Time begin = first == nullptr ? looking.sent_at : first->sent_at;
  for (const TimedAccess& each : history) {
    if (Writes(each, offset) && each.sent_at < begin && each.answered_at > begin) {
      begin = each.sent_at;
    }
  }
  return begin;
}

bool Matters(const TimedAccess& each, std::uint64_t offset, bool is_shared) {
  switch (each.access.kind) {
    case Access::Kind::kWrites:
      return each.access.range.Contains(offset);
    case Access::Kind::kLooks:
      return each.access.request.command == engine::Command::kRead && each.access.range.Contains(offset) &&
             each.succeeded;
    case Access::Kind::kFlushes:
      return is_shared && each.succeeded;
    case Access::Kind::kNone:
      return false;
  }
  return false;
}

std::string ByteText(std::optional<std::uint8_t> byte) { return byte ? "byte " + std::to_string(*byte) : "anything"; }

std::string EffectText(const TimedAccess& each, std::uint64_t offset) {
  if (each.access.kind == Access::Kind::kFlushes) {
    return "";
  }
  if (each.access.kind == Access::Kind::kWrites) {
    const bool is_in_flight = each.answered_at == kNever;
    const auto byte = is_in_flight || each.succeeded ? each.access.effect.ByteAt(offset) : std::nullopt;
    return (is_in_flight ? "may leave " : each.succeeded ? "leaves " : "fails: leaves ") + ByteText(byte);
  }
  const auto shown = std::ranges::find_if(each.shown, [&](const SeenRun& run) { return run.range.Contains(offset); });
  if (shown == each.shown.end()) {
    return "showed the only value that was possible";
  }
  return "showed " + (shown->ticket == 0 ? "what was there before" : ByteText(shown->effect.ByteAt(offset)));
}

// "  |---|  ": from `sent` to `answered`, of `count` places.
std::string Bar(std::size_t sent, std::size_t answered, std::size_t count) {
  std::string bar(count, ' ');
  for (std::size_t i = sent; i < std::min(answered, count); ++i) {
    bar[i] = '-';
  }
  bar[sent] = '|';
  if (answered < count) {
    bar[answered] = '|';
  }
  return bar;
}

}  // namespace

const TimedAccess* LastWriteBefore(const std::vector<TimedAccess>& history, const TimedAccess& looking,
                                   std::uint64_t offset) {
  const TimedAccess* last = nullptr;
  for (const TimedAccess& each : history) {
    if (Writes(each, offset) && each.succeeded && each.answered_at < looking.sent_at &&
        (last == nullptr || each.answered_at > last->answered_at)) {
      last = &each;
    }
  }
  return last;
}

std::vector<std::string> Timeline(const std::vector<TimedAccess>& history, const TimedAccess& looking,
                                  std::uint64_t offset, std::uint8_t byte) {
  const Time begin = BeginOf(history, looking, offset, byte);
  std::vector<const TimedAccess*> shown;
  for (const TimedAccess& each : history) {
    const bool is_shared = each.access.connection != looking.access.connection || shown.size() > 1;
    if (each.ticket == looking.ticket || (each.answered_at >= begin && Matters(each, offset, is_shared))) {
      shown.push_back(&each);
    }
  }
  shown.erase(shown.begin(), shown.end() - static_cast<std::ptrdiff_t>(std::min(shown.size(), kLinesMax)));
  std::vector<Time> times;
  std::size_t width = 0;
  for (const TimedAccess* each : shown) {
    times.push_back(each->sent_at);
    times.push_back(each->answered_at);
    width = std::max(width, Print(each->access.request).size());
  }
  std::ranges::sort(times);
  times.erase(std::ranges::unique(times).begin(), times.end());
  const auto rank = [&](Time time) {
    return static_cast<std::size_t>(std::ranges::lower_bound(times, time) - times.begin());
  };
  const std::size_t count = rank(kNever) + 1;
  std::vector<std::string> lines;
  for (const TimedAccess* each : shown) {
    std::string line = Print(each->access.request);
    line.resize(width + 2, ' ');
    line += Bar(rank(each->sent_at), each->answered_at == kNever ? count : rank(each->answered_at), count) + "  ";
    line += each->ticket == looking.ticket ? "shows " + ByteText(byte) : EffectText(*each, offset);
    line.erase(line.find_last_not_of(' ') + 1);
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace nbdspec::fuzz
