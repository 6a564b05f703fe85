// SPDX-License-Identifier: BSD-3-Clause
// Checks of what can be asked about TLS without speaking it: STARTTLS of a server that has none, and the modes.
// A server that acknowledges STARTTLS has TLS; most checks then do not apply. Spec: proto.md, "TLS support".
#include <array>

#include "conformance/checks/options/haggling.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

namespace {

const Option kStarttls{.option = OptionType::kStarttls};

bool IsTlsReqd(const Replies& replies) { return EndsIn(replies, OptionReplyType::kErrTlsReqd); }

std::array<Option, 4> PlainOptions(CheckContext& context) {
  return {Option{.option = OptionType::kList}, InfoOption(OptionType::kInfo, context.export_name()),
          Option{.option = kUnknownOption}, Option{.option = OptionType::kStructuredReply}};
}

// Some errors have a meaning that no answer to STARTTLS can have.
bool MayRefuseStarttls(std::uint32_t type) {
  return (type & OptionReplyType::kErrorBit) != 0 && type != OptionReplyType::kErrUnknown &&
         type != OptionReplyType::kErrBlockSizeReqd && type != OptionReplyType::kErrTlsReqd;
}

Judgement RefusesStarttls(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  const auto replies = session.Ask(kStarttls);
  constexpr std::string_view kAllowed = "NBD_REP_ERR_POLICY, NBD_REP_ERR_UNSUP or another error that fits";
  if (!replies) {
    return Broken(replies.error().text, kAllowed);
  }
  return IsAcknowledged(*replies)
             ? NotApplicable("STARTTLS is acknowledged: the server has TLS")
             : Require(replies->size() == 1 && MayRefuseStarttls(replies->back().type), TypesOf(*replies), kAllowed);
}

Judgement StarttlsAnswered(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  const auto replies = session.Ask(kStarttls);
  constexpr std::string_view kAllowed = "NBD_REP_ACK or an error";
  if (!replies) {
    return replies.error().is_disconnect() ? AsJudgement(replies.error()) : Broken(replies.error().text, kAllowed);
  }
  return Require(replies->size() == 1 && (IsAcknowledged(*replies) || replies->back().is_error()), TypesOf(*replies),
                 kAllowed);
}

Judgement NeverAsksForTls(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  NBDSPEC_TRY(starttls, session.Ask(kStarttls));
  if (!starttls.back().is_error()) {
    return NotApplicable("STARTTLS was answered " + TypesOf(starttls));
  }
  for (const Option& option : PlainOptions(context)) {
    NBDSPEC_TRY(replies, session.Ask(option));
    if (IsTlsReqd(replies)) {
      return Broken(OptionName(option.option) + " was answered NBD_REP_ERR_TLS_REQD, but STARTTLS " + TypesOf(starttls),
                    "a server without TLS does not ask for it");
    }
  }
  return Holds();
}

// --- Without fixed newstyle ---

Judgement NoTlsWithoutFixed(CheckContext& context) {
  NBDSPEC_TRY(fixed, context.Haggle());
  NBDSPEC_TRY(starttls, fixed.Ask(kStarttls));
  if (!IsAcknowledged(starttls)) {
    return NotApplicable("the server has no TLS: STARTTLS was answered " + TypesOf(starttls));
  }
  NBDSPEC_TRY(session, context.Haggle(/*flags=*/0));
  const auto replies = session.Ask(kStarttls);
  return Require(!replies || !IsAcknowledged(*replies), "NBD_REP_ACK",
                 "no TLS for a client that has not set C_FIXED_NEWSTYLE");
}

// Such a client may be answered or not, and closed on; it may not be asked for TLS.
Judgement NoModeWithoutFixed(CheckContext& context) {
  constexpr std::string_view kAllowed = "a server without TLS for a client that has not set C_FIXED_NEWSTYLE";
  for (const Option& option : PlainOptions(context)) {
    NBDSPEC_TRY(session, context.Haggle(/*flags=*/0));
    const auto replies = session.Ask(option);
    if (replies && IsTlsReqd(*replies)) {
      return Broken(OptionName(option.option) + " was answered NBD_REP_ERR_TLS_REQD", kAllowed);
    }
  }
  NBDSPEC_TRY(session, context.Haggle(/*flags=*/0));
  const auto replies = session.Ask(kStarttls);
  return Require(!replies || !IsAcknowledged(*replies), "STARTTLS was answered NBD_REP_ACK", kAllowed);
}

// --- The modes ---

// LIST is refused for want of TLS in FORCEDTLS alone, and then INFO is too; without TLS neither is.
Judgement OneOfThreeModes(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  NBDSPEC_TRY(list, session.Ask(Option{.option = OptionType::kList}));
  NBDSPEC_TRY(info, session.Ask(InfoOption(OptionType::kInfo, context.export_name())));
  NBDSPEC_TRY(starttls, session.Ask(kStarttls));
  if (EndsIn(starttls, OptionReplyType::kErrShutdown)) {
    return NotApplicable("the server is shutting down");
  }
  const bool is_mix =
      IsAcknowledged(starttls) ? IsTlsReqd(list) && !IsTlsReqd(info) : IsTlsReqd(list) || IsTlsReqd(info);
  return Require(!is_mix, "LIST: " + TypesOf(list) + "; INFO: " + TypesOf(info) + "; STARTTLS: " + TypesOf(starttls),
                 "NOTLS, FORCEDTLS or SELECTIVETLS");
}

Judgement OneModeOnly(CheckContext& context) {
  constexpr std::string_view kAllowed = "the same mode all the time";
  const Option info = InfoOption(OptionType::kInfo, context.export_name());
  NBDSPEC_TRY(session, context.Haggle());
  NBDSPEC_TRY(info_first, session.Ask(info));
  NBDSPEC_TRY(info_again, session.Ask(info));
  if (IsTlsReqd(info_first) != IsTlsReqd(info_again)) {
    return Broken("INFO: " + TypesOf(info_first) + "; again: " + TypesOf(info_again), kAllowed);
  }
  NBDSPEC_TRY(starttls, session.Ask(kStarttls));
  if (IsAcknowledged(starttls)) {
    return Holds();  // What follows is TLS.
  }
  NBDSPEC_TRY(starttls_again, session.Ask(kStarttls));
  return Require(!IsAcknowledged(starttls_again), "STARTTLS: " + TypesOf(starttls) + "; again: NBD_REP_ACK", kAllowed);
}

}  // namespace

std::vector<Check> StarttlsChecks() {
  return {
      {spec::kTlsNeedsFixedServer, "STARTTLS is not acknowledged to a client that has not set C_FIXED_NEWSTYLE.",
       NoTlsWithoutFixed, kFixed},
      {spec::kTlsModeOneOfThree, "The answers to LIST, INFO and STARTTLS fit one of the three modes.", OneOfThreeModes,
       kFixed},
      {spec::kTlsModeConsistent, "INFO and STARTTLS asked again fit the same mode.", OneModeOnly, kFixed},
      {spec::kTlsModeNotlsWithoutFixed,
       "The server neither demands TLS of a client that has not set C_FIXED_NEWSTYLE nor gives it.", NoModeWithoutFixed,
       kFixed},
      {spec::kTlsNotlsStarttlsError, "A server without TLS answers STARTTLS with an error that fits.", RefusesStarttls,
       kFixed},
      {spec::kTlsNotlsNoTlsReqd, "A server that refuses STARTTLS answers no option with ERR_TLS_REQD.", NeverAsksForTls,
       kFixed},
      {spec::kOptionStarttlsReply, "STARTTLS gets ACK or an error.", StarttlsAnswered, kFixed},
  };
}

}  // namespace nbdspec::conformance
