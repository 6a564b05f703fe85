// SPDX-License-Identifier: BSD-3-Clause
// The rules about how a client leaves. Where the server broke a rule first, a client may leave as it likes.
#include <string>
#include <string_view>

#include "engine/conduct/rule_words.h"

namespace nbdspec::engine {

namespace {

constexpr std::string_view kNotLeaving = "the client did not leave that way";

std::string HowText(const Moment& moment) {
  return moment.departure->how == Departure::How::kReset ? "the client reset the connection"
                                                         : "the client closed the connection";
}

// Whether the client ended a connection of its own accord in haggling, when it could have sent ABORT. Who has sent
// nothing since the greeting only looked whether somebody is there.
bool LeavesHaggling(const Moment& moment) {
  const bool is_in_tls_handshake = !moment.asked.empty() &&
                                   moment.asked.back().option.option == OptionType::kStarttls &&
                                   moment.asked.back().is_acknowledged();
  return moment.departure != nullptr && moment.departure->is_clients() && moment.is_right && moment.is_fixed() &&
         !moment.state.transmission && !is_in_tls_handshake;
}

Ruling JudgeSoft(const Moment& moment) {
  if (moment.option != nullptr && moment.option->option == OptionType::kAbort) {
    return {};
  }
  return LeavesHaggling(moment) ? Require(moment.has_left, "NBD_OPT_ABORT before the end", HowText(moment))
                                : NotAsked("the client did not leave during option haggling");
}

// The same in the words of another clause: of a client whose option was refused.
Ruling JudgeHardOnlyWhenAllowed(const Moment& moment) {
  const bool is_refused = !moment.asked.empty() && (moment.asked.back().is_refused() || moment.has_left);
  return LeavesHaggling(moment) && is_refused
             ? Require(moment.has_left, "NBD_OPT_ABORT before the end", HowText(moment))
             : NotAsked("the client did not leave after a refusal");
}

Ruling JudgeDropsAfterAbort(const Moment& moment) {
  if (!moment.has_left || moment.state.transmission) {
    return NotAsked("the client sent no NBD_OPT_ABORT");
  }
  if (moment.option != nullptr) {
    return Broken("nothing after NBD_OPT_ABORT", Describe(ClientMessage(*moment.option)));
  }
  return moment.departure == nullptr
             ? NotAsked(kNotLeaving)
             : Require(moment.departure->how != Departure::How::kStayed && moment.departure->after_bytes == 0,
                       "the end of the connection after NBD_OPT_ABORT",
                       moment.departure->after_bytes > 0 ? "more bytes" : "an open connection");
}

Ruling JudgeDisconnect(const Moment& moment) {
  if (moment.Is(CommandType::kDisc)) {
    return {};
  }
  // An oldstyle server is in transmission by its greeting; who sent it nothing is not.
  const bool is_in = moment.state.transmission && (!moment.asked.empty() || moment.request_count > 0);
  return moment.departure != nullptr && moment.departure->is_clients() && moment.is_right && is_in
             ? Require(moment.has_left, "NBD_CMD_DISC before the end", HowText(moment))
             : NotAsked("the client did not leave during transmission");
}

Ruling JudgeWaits(const Moment& moment) {
  if (!moment.Is(CommandType::kDisc)) {
    return NotAsked("the client sent no NBD_CMD_DISC");
  }
  return Require(moment.outstanding.empty() && !moment.is_early, "NBD_CMD_DISC once all requests are answered",
                 *moment.request);
}

Ruling JudgeNothingAfterDisc(const Moment& moment) {
  if (!moment.has_left || !moment.state.transmission) {
    return NotAsked("the client sent no NBD_CMD_DISC");
  }
  if (moment.request != nullptr) {
    return Broken("nothing after NBD_CMD_DISC", Describe(ClientMessage(*moment.request)));
  }
  return moment.departure == nullptr ? NotAsked(kNotLeaving)
                                     : Require(moment.departure->after_bytes == 0, "nothing after NBD_CMD_DISC",
                                               std::to_string(moment.departure->after_bytes) + " bytes more");
}

const ClientRule kRules[] = {
    {kSessionAbortClientDrops, JudgeDropsAfterAbort},
    {kSessionHardOnlyWhenAllowedClient, JudgeHardOnlyWhenAllowed},
    {kSessionClientMustSoft, JudgeSoft},
    {kDiscClientWaits, JudgeWaits},
    {kTransmissionDisconnectOnlyAllowedClient, JudgeDisconnect},
    {kDiscClientNothingAfter, JudgeNothingAfterDisc},
    {kBaselineDiscClient, JudgeDisconnect},
};

}  // namespace

std::span<const ClientRule> DepartureRules() { return kRules; }

}  // namespace nbdspec::engine
