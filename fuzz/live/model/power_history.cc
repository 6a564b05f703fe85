// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/model/power_history.h"

#include <algorithm>

namespace nbdspec::fuzz {

using engine::ByteRange;
using engine::RequestHistory;

void PowerHistory::Begin(Ticket ticket, const Access& access) {
  if (access.kind == Access::Kind::kWrites) {
    in_flight_[ticket] = history_.BeginWrite(access.range, access.is_durable, access.connection);
  } else if (access.kind == Access::Kind::kFlushes && (flags_ & engine::TransmissionFlag::kSendFlush) != 0) {
    in_flight_[ticket] = history_.BeginFlush(access.connection);
  } else {
    return;
  }
  sent_.push_back(access);
}

void PowerHistory::End(Ticket ticket, bool succeeded) {
  const auto found = in_flight_.find(ticket);
  if (found == in_flight_.end()) {
    return;  // It changes nothing.
  }
  history_.End(found->second, succeeded);
  in_flight_.erase(found);
}

std::optional<PowerHistory::Lost> PowerHistory::Judge(KnownBytes& after) const {
  for (const ByteRange window : after.windows()) {
    for (const ByteRange cell : history_.CellsOf(window)) {
      if (auto lost = JudgeCell(cell, after)) {
        return lost;
      }
    }
  }
  return {};
}

std::optional<PowerHistory::Lost> PowerHistory::JudgeCell(ByteRange cell, KnownBytes& after) const {
  const std::vector<RequestHistory::Number> writers = history_.MayStandAt(cell.begin);
  const bool may_be_anything = std::ranges::any_of(writers, [&](RequestHistory::Number number) {
    return history_.MayLeaveAnything(number) ||
           (number != RequestHistory::kBefore && Sent(number).effect.kind == Effect::Kind::kUnknown);
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
                             return number != RequestHistory::kBefore && Sent(number).effect.ByteAt(offset) == bytes[i];
                           });
    if (!may_stand) {
      Lost lost{.offset = offset, .saw = bytes[i]};
      for (const RequestHistory::Number number : writers) {
        lost.expected += (lost.expected.empty() ? "" : ", or ") + NameOf(number);
        lost.is_by_fua |= number != RequestHistory::kBefore && history_.IsCovered(number) && Sent(number).is_durable;
      }
      return lost;
    }
  }
  return {};
}

std::string PowerHistory::NameOf(RequestHistory::Number number) const {
  return number == RequestHistory::kBefore ? "what stood there at the last power cut"
                                           : "\"" + Print(Sent(number).request) + "\"";
}

}  // namespace nbdspec::fuzz
