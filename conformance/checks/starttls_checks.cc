// SPDX-License-Identifier: BSD-3-Clause
// Checks of what can be asked about TLS without speaking it: STARTTLS of a server that has none, and the modes.
// A server that acknowledges STARTTLS has TLS; most checks then do not apply. Spec: proto.md, "TLS support".
#include <array>

#include "conformance/checks/check.h"
#include "conformance/checks/haggling.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::Option;
using engine::OptionReplyType;
using engine::OptionType;

namespace {

using Replies = std::vector<engine::OptionReply>;

Received<Replies> AskStarttls(Session& session) { return session.Ask(Option{.option = OptionType::kStarttls}); }

bool IsTlsReqd(const Replies& replies) { return replies.back().type == OptionReplyType::kErrTlsReqd; }

std::array<Option, 4> PlainOptions(CheckContext& context) {
  return {Option{.option = OptionType::kList},
          InfoOption(OptionType::kInfo, context.export_name(), {engine::InfoType::kBlockSize}),
          Option{.option = kUnknownOption}, Option{.option = OptionType::kStructuredReply}};
}

// Some errors have a meaning that no answer to STARTTLS can have.
bool MayRefuseStarttls(std::uint32_t type) {
  return (type & OptionReplyType::kErrorBit) != 0 && type != OptionReplyType::kErrUnknown &&
         type != OptionReplyType::kErrBlockSizeReqd && type != OptionReplyType::kErrTlsReqd;
}

Judgement RefusesStarttls(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  const auto replies = AskStarttls(session);
  const std::string allowed = "NBD_REP_ERR_POLICY, NBD_REP_ERR_UNSUP or another error that fits";
  if (!replies) {
    return Broken(replies.error().text, allowed);
  }
  if (replies->back().type == OptionReplyType::kAck) {
    return NotApplicable("STARTTLS is acknowledged: the server has TLS");
  }
  return replies->size() == 1 && MayRefuseStarttls(replies->back().type) ? Holds() : Broken(TypesOf(*replies), allowed);
}

Judgement StarttlsAnswered(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  const auto replies = AskStarttls(session);
  const std::string allowed = "NBD_REP_ACK or an error";
  if (!replies) {
    return replies.error().is_disconnect() ? AsJudgement(replies.error()) : Broken(replies.error().text, allowed);
  }
  return replies->size() == 1 && (replies->back().type == OptionReplyType::kAck || replies->back().is_error())
             ? Holds()
             : Broken(TypesOf(*replies), allowed);
}

Judgement NeverAsksForTls(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  NBDSPEC_TRY(starttls, AskStarttls(session));
  if (!starttls.back().is_error()) {
    return NotApplicable("STARTTLS was answered " + TypesOf(starttls));
  }
  for (const Option& option : PlainOptions(context)) {
    NBDSPEC_TRY(replies, session.Ask(option));
    if (IsTlsReqd(replies)) {
      return Broken(
          engine::OptionName(option.option) + " was answered NBD_REP_ERR_TLS_REQD, but STARTTLS " + TypesOf(starttls),
          "a server without TLS does not ask for it");
    }
  }
  return Holds();
}

// --- Without fixed newstyle ---

Judgement NoTlsWithoutFixed(CheckContext& context) {
  NBDSPEC_TRY(fixed, context.Haggle());
  NBDSPEC_TRY(starttls, AskStarttls(fixed));
  if (starttls.back().type != OptionReplyType::kAck) {
    return NotApplicable("the server has no TLS: STARTTLS was answered " + TypesOf(starttls));
  }
  NBDSPEC_TRY(session, HaggleWith(context, 0));
  const auto replies = AskStarttls(session);
  return replies && replies->back().type == OptionReplyType::kAck
             ? Broken("NBD_REP_ACK", "no TLS for a client that has not set C_FIXED_NEWSTYLE")
             : Holds();
}

// Such a client may be answered or not, and closed on; it may not be asked for TLS.
Judgement NoModeWithoutFixed(CheckContext& context) {
  for (const Option& option : PlainOptions(context)) {
    NBDSPEC_TRY(session, HaggleWith(context, 0));
    const auto replies = session.Ask(option);
    if (replies && IsTlsReqd(*replies)) {
      return Broken(engine::OptionName(option.option) + " was answered NBD_REP_ERR_TLS_REQD",
                    "a server without TLS for a client that has not set C_FIXED_NEWSTYLE");
    }
  }
  NBDSPEC_TRY(session, HaggleWith(context, 0));
  const auto replies = AskStarttls(session);
  return replies && replies->back().type == OptionReplyType::kAck
             ? Broken("STARTTLS was answered NBD_REP_ACK",
                      "a server without TLS for a client that has not set C_FIXED_NEWSTYLE")
             : Holds();
}

// --- The modes ---

// LIST is refused for want of TLS in FORCEDTLS alone, and then INFO is too; without TLS neither is.
Judgement OneOfThreeModes(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  NBDSPEC_TRY(list, session.Ask(Option{.option = OptionType::kList}));
  NBDSPEC_TRY(info, session.Ask(InfoOption(OptionType::kInfo, context.export_name(), {engine::InfoType::kBlockSize})));
  NBDSPEC_TRY(starttls, AskStarttls(session));
  const std::uint32_t answer = starttls.back().type;
  if (answer == OptionReplyType::kErrShutdown) {
    return NotApplicable("the server is shutting down");
  }
  const bool has_tls = answer == OptionReplyType::kAck;
  const bool is_mix = has_tls ? IsTlsReqd(list) && !IsTlsReqd(info) : IsTlsReqd(list) || IsTlsReqd(info);
  return is_mix ? Broken("LIST: " + TypesOf(list) + "; INFO: " + TypesOf(info) + "; STARTTLS: " + TypesOf(starttls),
                         "NOTLS, FORCEDTLS or SELECTIVETLS")
                : Holds();
}

Judgement OneModeOnly(CheckContext& context) {
  const std::string allowed = "the same mode all the time";
  const Option info = InfoOption(OptionType::kInfo, context.export_name(), {engine::InfoType::kBlockSize});
  NBDSPEC_TRY(session, context.Haggle());
  NBDSPEC_TRY(info_first, session.Ask(info));
  NBDSPEC_TRY(info_again, session.Ask(info));
  if (IsTlsReqd(info_first) != IsTlsReqd(info_again)) {
    return Broken("INFO: " + TypesOf(info_first) + "; again: " + TypesOf(info_again), allowed);
  }
  NBDSPEC_TRY(starttls, AskStarttls(session));
  if (starttls.back().type == OptionReplyType::kAck) {
    return Holds();  // What follows is TLS.
  }
  NBDSPEC_TRY(starttls_again, AskStarttls(session));
  return starttls_again.back().type == OptionReplyType::kAck
             ? Broken("STARTTLS: " + TypesOf(starttls) + "; again: NBD_REP_ACK", allowed)
             : Holds();
}

}  // namespace

std::vector<Check> StarttlsChecks() {
  return {
      {.id = spec::kTlsNeedsFixedServer,
       .needs = {Feature::kFixedNewstyle},
       .claim = "STARTTLS is not acknowledged to a client that has not set C_FIXED_NEWSTYLE.",
       .run = NoTlsWithoutFixed},
      {.id = spec::kTlsModeOneOfThree,
       .needs = {Feature::kFixedNewstyle},
       .claim = "The answers to LIST, INFO and STARTTLS fit one of the three modes.",
       .run = OneOfThreeModes},
      {.id = spec::kTlsModeConsistent,
       .needs = {Feature::kFixedNewstyle},
       .claim = "INFO and STARTTLS asked again fit the same mode.",
       .run = OneModeOnly},
      {.id = spec::kTlsModeNotlsWithoutFixed,
       .needs = {Feature::kFixedNewstyle},
       .claim = "A client that has not set C_FIXED_NEWSTYLE is not asked for TLS, nor given it.",
       .run = NoModeWithoutFixed},
      {.id = spec::kTlsNotlsStarttlsError,
       .needs = {Feature::kFixedNewstyle},
       .claim = "A server without TLS answers STARTTLS with an error that fits.",
       .run = RefusesStarttls},
      {.id = spec::kTlsNotlsNoTlsReqd,
       .needs = {Feature::kFixedNewstyle},
       .claim = "A server that refuses STARTTLS answers no option with ERR_TLS_REQD.",
       .run = NeverAsksForTls},
      {.id = spec::kOptionStarttlsReply,
       .needs = {Feature::kFixedNewstyle},
       .claim = "STARTTLS is answered with ACK or an error.",
       .run = StarttlsAnswered},
  };
}

}  // namespace nbdspec::conformance
