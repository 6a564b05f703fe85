// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/clients/byte_bars.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string_view>
#include <utility>
#include <variant>

#include "engine/wire/messages.h"

namespace nbdspec::conformance {

namespace {

using engine::ByteView;
using engine::CommandType;
using reports::Bar;

constexpr std::size_t kStretchesMax = 100;  // Of one bar: who draws more sees no more.
constexpr std::size_t kBlockBytes = 512;    // What is said is said of whole blocks.

// The ranges of the requests that `is_meant` takes, put together where they touch.
Bar AskedBar(const std::vector<engine::Record>& records, const std::function<bool(std::uint16_t)>& is_meant) {
  std::map<std::uint64_t, std::uint64_t> ends;  // By where a range begins.
  for (const engine::Record& record : records) {
    for (const engine::Seen& seen : record.seen) {
      const auto* const message = std::get_if<engine::ClientMessage>(&seen.what);
      const auto* const request = message == nullptr ? nullptr : std::get_if<engine::Request>(message);
      if (request != nullptr && is_meant(request->type) && request->length > 0 &&
          request->length <= UINT64_MAX - request->offset) {
        std::uint64_t& end = ends[request->offset];
        end = std::max(end, request->offset + request->length);
      }
    }
  }
  Bar bar{.who = "asked", .stretches = {}};
  for (const auto& [begin, end] : ends) {
    if (!bar.stretches.empty() && begin <= bar.stretches.back().end) {
      bar.stretches.back().end = std::max(bar.stretches.back().end, end);
    } else if (bar.stretches.size() < kStretchesMax) {
      bar.stretches.push_back({.begin = begin, .end = end, .said = {}});
    }
  }
  return bar;
}

bool IsZero(ByteView bytes) {
  return std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == 0; });
}

// Of each block of `size` bytes what `say` says of it, put together where it is the same. What is wrong was judged.
Bar BarOfBlocks(std::string who, std::size_t size,
                const std::function<std::string_view(std::size_t begin, std::size_t end)>& say) {
  Bar bar{.who = std::move(who), .stretches = {}};
  for (std::size_t begin = 0; begin < size; begin += kBlockBytes) {
    const std::size_t end = std::min(size, begin + kBlockBytes);
    const std::string_view said = say(begin, end);
    if (!bar.stretches.empty() && bar.stretches.back().said == said) {
      bar.stretches.back().end = end;
    } else if (bar.stretches.size() < kStretchesMax) {
      bar.stretches.push_back(
          {.begin = begin, .end = end, .said = std::string(said), .is_judged = said == "wrong" || said == "missing"});
    } else {
      break;
    }
  }
  return bar;
}

Bar TrueBar(std::string who, ByteView due) {
  return BarOfBlocks(std::move(who), due.size(), [due](std::size_t begin, std::size_t end) {
    return IsZero(due.subspan(begin, end - begin)) ? "zero" : "data";
  });
}

}  // namespace

std::vector<Bar> BarsOfBytes(const std::vector<engine::Record>& records, bool is_read, std::string who, ByteView made,
                             ByteView due) {
  const auto is_meant = [is_read](std::uint16_t type) {
    return is_read ? type == CommandType::kRead
                   : type == CommandType::kWrite || type == CommandType::kWriteZeroes || type == CommandType::kTrim;
  };
  const auto say = [made, due](std::size_t begin, std::size_t end) -> std::string_view {
    if (begin >= made.size()) {
      return "missing";
    }
    const ByteView here = made.subspan(begin, std::min(end, made.size()) - begin);
    const ByteView there =
        due.subspan(std::min(begin, due.size()), std::min(end, due.size()) - std::min(begin, due.size()));
    return !std::ranges::equal(here, there) ? "wrong" : IsZero(here) ? "zero" : "data";
  };
  return {AskedBar(records, is_meant), BarOfBlocks(std::move(who), std::max(made.size(), due.size()), say),
          TrueBar(is_read ? "true" : "due", due)};
}

std::vector<Bar> BarsOfMap(const std::vector<engine::Record>& records, const std::vector<ClaimedExtent>& claimed,
                           ByteView due) {
  Bar bar{.who = "claimed", .stretches = {}};
  for (const ClaimedExtent& each : claimed) {
    if (each.length == 0 || each.length > UINT64_MAX - each.offset || bar.stretches.size() == kStretchesMax) {
      continue;
    }
    const std::uint64_t begin = std::min<std::uint64_t>(each.offset, due.size());
    const std::uint64_t end = std::min<std::uint64_t>(each.offset + each.length, due.size());
    bar.stretches.push_back({.begin = each.offset,
                             .end = each.offset + each.length,
                             .said = each.is_zero ? "zero" : "data",
                             .is_judged = each.is_zero && !IsZero(due.subspan(begin, end - begin))});
  }
  return {AskedBar(records, [](std::uint16_t type) { return type == CommandType::kBlockStatus; }), std::move(bar),
          TrueBar("true", due)};
}

}  // namespace nbdspec::conformance
