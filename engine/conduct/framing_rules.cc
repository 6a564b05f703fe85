// SPDX-License-Identifier: BSD-3-Clause
// The rules about bytes that are no message. Such bytes break one rule, the one that explains them best; and who sends
// whole messages keeps them all.
#include <algorithm>
#include <bit>
#include <string>
#include <string_view>

#include "engine/conduct/rule_words.h"
#include "engine/wire/fields.h"
#include "engine/wire/payloads.h"

namespace nbdspec::engine {

namespace {

// The first bytes as a number; 0 where there are too few.
template <typename Number>
Number FirstOf(const NoMessage& no_message) {
  return no_message.first.size() >= sizeof(Number) ? GetBigEndian<Number>(no_message.first) : Number{0};
}

bool IsMalformed(const Option& option) {
  switch (option.option) {
    case OptionType::kInfo:
    case OptionType::kGo:
      return !DecodePayload<InfoQuery>(option.payload);
    case OptionType::kListMetaContext:
    case OptionType::kSetMetaContext:
      return !DecodePayload<MetaContextQuery>(option.payload);
    default:
      return false;
  }
}

std::string_view WhatBreaksHaggling(const Moment& moment) {
  if (moment.asked.empty() && AreHalf(moment.state.client_flags)) {
    return kHandshakeClientFlagsWidth;
  }
  if (FirstOf<std::uint64_t>(*moment.no_message) == std::byteswap(kOptionMagic)) {
    return kGeneralByteOrderClient;
  }
  return !moment.asked.empty() && IsMalformed(moment.asked.back().option) ? kOptionHeaderLengthAccurate
                                                                          : kOptionHeaderMagic;
}

std::string_view WhatBreaksTransmission(const Moment& moment) {
  const auto magic = FirstOf<std::uint32_t>(*moment.no_message);
  const bool is_extended = moment.state.headers == HeaderForm::kExtended;
  if (FirstOf<std::uint64_t>(*moment.no_message) == kOptionMagic) {
    return kOptionGoClientNoMore;
  }
  if (magic == std::byteswap(kRequestMagic) || magic == std::byteswap(kExtendedRequestMagic)) {
    return kGeneralByteOrderClient;
  }
  if (magic == kExtendedRequestMagic && !is_extended) {
    return kTransmissionMagicExtendedGatedClient;
  }
  if (magic == kRequestMagic && is_extended) {
    return kExtRequestHeader;
  }
  // Both of them, and the one of a log, are named where magics are.
  if (MagicText(magic).find("historic") != std::string::npos ||
      MagicText(magic).find("reserved") != std::string::npos) {
    return kTransmissionMagicReservedClient;
  }
  if (moment.last_request == nullptr) {
    return is_extended ? kExtRequestHeader : kTransmissionRequestMagic;
  }
  if (moment.Has(TransmissionFlag::kHasFlags) && moment.last_request->type == CommandType::kWrite) {
    return kTransmissionWriteClientPayload;
  }
  return is_extended ? kExtRequestPayloadFollowsFlag : kTransmissionRequestPayloadOnlyWrite;
}

// The one clause that the bytes break.
std::string_view WhatBreaks(const Moment& moment) {
  return moment.state.transmission ? WhatBreaksTransmission(moment) : WhatBreaksHaggling(moment);
}

std::string BytesText(const NoMessage& no_message) {
  if (no_message.first.empty()) {
    return "bytes inside TLS that are no message";
  }
  std::string text = "bytes that are no message:";
  for (const std::uint8_t byte : no_message.first) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    text += {' ', kDigits[byte >> 4], kDigits[byte & 15]};
  }
  return text;
}

enum class In { kAny, kFlags, kOptions, kOptionsWithData, kRequests, kCompactRequests, kExtendedRequests, kWrites };

bool IsIn(In where, const Moment& moment) {
  const bool is_extended = moment.state.headers == HeaderForm::kExtended;
  switch (where) {
    case In::kAny:
      return moment.flags != nullptr || moment.option != nullptr || moment.request != nullptr;
    case In::kFlags:
      return moment.option != nullptr && moment.asked.empty();
    case In::kOptions:
      return moment.option != nullptr;
    case In::kOptionsWithData:
      return moment.option != nullptr && !moment.option->payload.empty();
    case In::kRequests:
      return moment.request != nullptr;
    case In::kCompactRequests:
      return moment.request != nullptr && !is_extended;
    case In::kExtendedRequests:
      return moment.request != nullptr && is_extended;
    case In::kWrites:
      return moment.last_request != nullptr && moment.last_request->type == CommandType::kWrite;
  }
  return false;
}

constexpr std::uint64_t kRequestHeaderBytes = 28;  // Of a compact request.

// The clause that a message breaks whose end never came, of a client that nothing drove away.
std::string_view WhatTheCutBreaks(const Moment& moment) {
  const Departure* left = moment.departure;
  if (left == nullptr || !left->is_clients() || left->cut_bytes == 0 || !moment.is_right || moment.has_failed) {
    return "";
  }
  if (!moment.state.transmission) {
    return moment.asked.empty() ? "" : kOptionHeaderLengthAccurate;
  }
  if (moment.state.headers == HeaderForm::kExtended) {
    return kExtRequestHeader;
  }
  return left->cut_bytes < kRequestHeaderBytes ? kTransmissionRequestLayout : kTransmissionWriteClientPayload;
}

// Rule `id`, which messages of `where` keep.
template <const std::string_view& id, In where>
Ruling Framed(const Moment& moment) {
  if (moment.no_message != nullptr && WhatBreaks(moment) == id) {
    return Broken("whole messages, one behind the other", BytesText(*moment.no_message));
  }
  if (WhatTheCutBreaks(moment) == id) {
    return Broken("whole messages",
                  "the end of the connection behind " + std::to_string(moment.departure->cut_bytes) + " bytes of one");
  }
  return IsIn(where, moment) ? Ruling{} : NotAsked("the client sent no such message");
}

// A server that knows no such flags leaves before it sees that the rest is no message.
Ruling JudgeFlagsWidth(const Moment& moment) {
  return moment.flags != nullptr && AreHalf(moment.flags->flags)
             ? Broken("flags of 32 bits", ClientFlagNames(moment.flags->flags))
             : Framed<kHandshakeClientFlagsWidth, In::kFlags>(moment);
}

// Clauses that say the same of some bytes: `as` is the one that WhatBreaks names.
template <const std::string_view& id, In where, const std::string_view& as = id>
constexpr ClientRule Row() {
  return {.requirement = id, .judge = &Framed<as, where>};
}

constexpr ClientRule kRules[] = {
    Row<kGeneralByteOrderClient, In::kAny>(),
    {.requirement = kHandshakeClientFlagsWidth, .judge = &JudgeFlagsWidth},
    Row<kOptionHeaderMagic, In::kOptions>(),
    Row<kOptionHeaderLengthAccurate, In::kOptionsWithData>(),
    Row<kTransmissionRequestMagic, In::kCompactRequests>(),
    Row<kTransmissionRequestLayout, In::kCompactRequests>(),
    Row<kTransmissionRequestPayloadOnlyWrite, In::kCompactRequests>(),
    Row<kTransmissionMagicReservedClient, In::kRequests>(),
    Row<kTransmissionMagicExtendedGatedClient, In::kCompactRequests>(),
    Row<kExtOptionClientGate, In::kCompactRequests, kTransmissionMagicExtendedGatedClient>(),
    Row<kBaselineClientNegotiates, In::kCompactRequests, kTransmissionMagicExtendedGatedClient>(),
    Row<kOptionGoClientNoMore, In::kRequests>(),
    Row<kTransmissionWriteClientPayload, In::kWrites>(),
    Row<kExtRequestHeader, In::kExtendedRequests>(),
    Row<kExtRequestPayloadFollowsFlag, In::kExtendedRequests>(),
};

}  // namespace

std::span<const ClientRule> FramingRules() { return kRules; }

}  // namespace nbdspec::engine
