// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/checks/subject.h"

#include "reports/exchange/exchange_bars.h"

namespace nbdspec::conformance {

using namespace engine;

Subject SubjectOf(const Request& request) {
  return {.cookie = request.cookie, .message = Describe(ClientMessage(request))};
}

Subject SubjectOf(const Option& option) { return {.message = Describe(ClientMessage(option))}; }

Subject SubjectOf(const ClientFlags& flags) { return {.message = Describe(ClientMessage(flags))}; }

Subject SubjectOf(const OptionReply& reply) { return {.message = Describe(ServerMessage(reply))}; }

Subject SubjectOf(const ReceiveError& ended) { return {.message = ended.text}; }

Subject SubjectOf(const ServerMessage& message) { return {.message = Describe(message)}; }

Subject SubjectOf(const Exchange& exchange) {
  return {.cookie = exchange.request.cookie, .message = Describe(exchange.request), .bars = reports::BarsOf(exchange)};
}

Subject SubjectOf(const Exchange& exchange, const Ruling& ruling) {
  Subject subject = SubjectOf(exchange);
  subject.chunk = ruling.place.chunk;
  reports::MarkJudged(exchange, ruling.place, subject.bars);
  return subject;
}

Subject WithTruth(Subject subject, ByteRange claimed, std::uint64_t not_zero) {
  subject.bars.push_back(reports::NotZeroBar("read", claimed, not_zero));
  return subject;
}

}  // namespace nbdspec::conformance
