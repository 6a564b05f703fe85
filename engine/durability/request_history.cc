// SPDX-License-Identifier: BSD-3-Clause
#include "engine/durability/request_history.h"

#include <algorithm>
#include <iterator>
#include <set>

#include "engine/base/check.h"

namespace nbdspec::engine {

RequestHistory::Number RequestHistory::Begin(Request request) {
  request.begun = ++clock_;
  requests_.push_back(request);
  return requests_.size();
}

RequestHistory::Number RequestHistory::BeginWrite(ByteRange range, bool has_fua, std::uint8_t connection) {
  return Begin({.range = range, .has_fua = has_fua, .connection = connection});
}

RequestHistory::Number RequestHistory::BeginFlush(std::uint8_t connection) {
  return Begin({.range = {}, .is_flush = true, .connection = connection});
}

void RequestHistory::End(Number number, bool succeeded) {
  NBDSPEC_CHECK(number != kBefore && number <= requests_.size() && requests_[number - 1].ended == kNever);
  Request& request = requests_[number - 1];
  request.ended = ++clock_;
  request.has_succeeded = succeeded;
  request.is_covered = request.has_fua && succeeded;
  if (!request.is_flush && (!request.has_fua || succeeded)) {
    return;
  }
  for (Request& write : requests_) {
    const bool is_in_reach = flush_covers_all_ || write.connection == request.connection;
    write.is_given_up |= !succeeded && !flush_covers_given_up_;
    write.is_covered |= succeeded && !write.is_given_up && !write.is_flush && write.has_succeeded &&
                        write.ended < request.begun && is_in_reach;
  }
}

bool RequestHistory::CertainlyBefore(Number first, Number second) const {
  return second != kBefore && (first == kBefore || requests_[first - 1].ended < requests_[second - 1].begun);
}

std::vector<RequestHistory::Number> RequestHistory::MayStandAt(std::uint64_t offset) const {
  std::vector<Number> writes = {kBefore};
  for (Number number = 1; number <= requests_.size(); ++number) {
    if (requests_[number - 1].range.Contains(offset)) {
      writes.push_back(number);
    }
  }
  std::vector<Number> may_stand;
  std::ranges::copy_if(writes, std::back_inserter(may_stand), [&](Number each) {
    return std::ranges::none_of(writes, [&](Number later) { return IsCovered(later) && CertainlyBefore(each, later); });
  });
  return may_stand;
}

std::vector<ByteRange> RequestHistory::CellsOf(ByteRange range) const {
  std::set<std::uint64_t> edges = {range.begin, range.end};
  for (const Request& request : requests_) {
    const ByteRange shared = Intersect(request.range, range);
    if (!shared.empty()) {
      edges.insert({shared.begin, shared.end});
    }
  }
  std::vector<ByteRange> cells;
  for (auto edge = edges.begin(); std::next(edge) != edges.end(); ++edge) {
    cells.push_back({.begin = *edge, .end = *std::next(edge)});
  }
  return cells;
}

}  // namespace nbdspec::engine
