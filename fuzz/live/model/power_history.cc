// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/model/power_history.h"

#include <algorithm>
#include <set>

namespace nbdspec::fuzz {

using engine::ByteRange;
using engine::Command;
using engine::RequestHistory;
using engine::RequestStep;

namespace {

bool Writes(const RequestStep& request) {
  return request.command == Command::kWrite || request.command == Command::kZero || request.command == Command::kTrim;
}

ByteRange RangeOf(const RequestStep& request) {
  // A request that passes 2^64 is refused, and writes nothing.
  return ByteRange::From({.offset = request.offset, .length = request.length}).value_or(ByteRange());
}

}  // namespace

void PowerHistory::Begin(Ticket ticket, const RequestStep& request) {
  const bool has_fua =
      (request.flags & engine::CommandFlag::kFua) != 0 && (flags_ & engine::TransmissionFlag::kSendFua) != 0;
  if (Writes(request)) {
    in_flight_[ticket] = history_.BeginWrite(RangeOf(request), has_fua, request.connection);
  } else if (request.command == Command::kFlush && (flags_ & engine::TransmissionFlag::kSendFlush) != 0) {
    in_flight_[ticket] = history_.BeginFlush(request.connection);
  } else {
    return;
  }
  sent_.push_back({.request = request});
}

void PowerHistory::End(Ticket ticket, bool succeeded) {
  const auto found = in_flight_.find(ticket);
  if (found == in_flight_.end()) {
    return;  // It changes nothing.
  }
  history_.End(found->second, succeeded);
  sent_[found->second - 1].has_failed = !succeeded;
  in_flight_.erase(found);
}

std::vector<std::uint64_t> PowerHistory::Edges(ByteRange window) const {
  std::set<std::uint64_t> edges = {window.begin, window.end};
  for (const Sent& sent : sent_) {
    const ByteRange range = Intersect(RangeOf(sent.request), window);
    if (Writes(sent.request) && !range.empty()) {
      edges.insert({range.begin, range.end});
    }
  }
  return {edges.begin(), edges.end()};
}

std::optional<PowerHistory::Lost> PowerHistory::Judge(KnownBytes& after) const {
  for (const ByteRange window : after.windows()) {
    const std::vector<std::uint64_t> edges = Edges(window);
    for (std::size_t i = 1; i < edges.size(); ++i) {
      if (auto lost = JudgeCell({.begin = edges[i - 1], .end = edges[i]}, after)) {
        return lost;
      }
    }
  }
  return {};
}

std::optional<PowerHistory::Lost> PowerHistory::JudgeCell(ByteRange cell, KnownBytes& after) const {
  const std::vector<RequestHistory::Number> writers = history_.MayStandAt(cell.begin);
  const bool may_be_anything = std::ranges::any_of(writers, [&](RequestHistory::Number number) {
    return number != RequestHistory::kBefore && !LeftAt(number, cell.begin);
  });
  if (may_be_anything) {
    after.Apply(cell, {});
    return {};
  }
  engine::Bytes before;
  engine::Bytes bytes;
  std::vector<Knowledge> was_known;
  std::vector<Knowledge> is_known;
  before_.Copy(cell, before, was_known);
  after.Copy(cell, bytes, is_known);
  const bool may_be_as_before = writers.front() == RequestHistory::kBefore;
  if (may_be_as_before && before == bytes) {
    return {};  // Most cells: whoever has written nothing since, or could be lost, leaves them.
  }
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const std::uint64_t offset = cell.begin + i;
    const bool is_as_before = may_be_as_before && (was_known[i] == Knowledge::kNone || before[i] == bytes[i]);
    const bool may_stand = is_as_before || is_known[i] == Knowledge::kNone ||
                           std::ranges::any_of(writers, [&](RequestHistory::Number number) {
                             return number != RequestHistory::kBefore && LeftAt(number, offset) == bytes[i];
                           });
    if (!may_stand) {
      Lost lost{.offset = offset, .saw = bytes[i]};
      for (const RequestHistory::Number number : writers) {
        lost.expected += (lost.expected.empty() ? "" : ", or ") + NameOf(number);
        lost.is_by_fua |= number != RequestHistory::kBefore && history_.IsCovered(number) &&
                          (sent_[number - 1].request.flags & engine::CommandFlag::kFua) != 0;
      }
      return lost;
    }
  }
  return {};
}

std::optional<std::uint8_t> PowerHistory::LeftAt(RequestHistory::Number number, std::uint64_t offset) const {
  const Sent& sent = sent_[number - 1];
  if (sent.has_failed || sent.request.command == Command::kTrim) {
    return {};
  }
  return sent.request.command == Command::kZero ? std::uint8_t{0} : engine::PatternByteAt(sent.request.pattern, offset);
}

std::string PowerHistory::NameOf(RequestHistory::Number number) const {
  return number == RequestHistory::kBefore ? "what stood there at the last power cut"
                                           : "\"" + Print(sent_[number - 1].request) + "\"";
}

}  // namespace nbdspec::fuzz
