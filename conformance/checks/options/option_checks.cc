// SPDX-License-Identifier: BSD-3-Clause
// Checks of option haggling in general, unknown options, ABORT and LIST; and of what can be asked about TLS without
// speaking it: STARTTLS of a server that has none, and the modes. A server that acknowledges STARTTLS has TLS; most of
// those checks then do not apply. Spec: proto.md, "Fixed newstyle negotiation", "Option types", "Baseline", "TLS
// support".
#include <array>
#include <set>

#include "conformance/checks/options/haggling.h"
#include "engine/wire/fields.h"

namespace nbdspec::conformance {

namespace {

const Option kList{.option = OptionType::kList};

// --- Option replies in general ---

bool HasMagic(ByteView came) {
  return came.size() >= sizeof engine::kOptionReplyMagic &&
         GetBigEndian<std::uint64_t>(came) == engine::kOptionReplyMagic;
}

// Only before the first reply is it certain that the magic is wrong, and not the length before it.
Judgement ReplyMagic(CheckContext& context) {
  for (const std::uint32_t option : {OptionType::kList, kUnknownOption, OptionType::kStructuredReply}) {
    NBDSPEC_TRY(session, context.Haggle());
    const auto replies = session.Ask(Option{.option = option});
    const ByteView came = session.pending();
    if (!replies && replies.error().kind == ReceiveError::kUndecodable &&
        came.size() >= sizeof engine::kOptionReplyMagic && !HasMagic(came) &&
        session.received_byte_count() - came.size() == session.greeting_byte_count()) {
      return Broken(OptionName(option) + ": " + replies.error().text, "the option reply magic");
    }
  }
  return Holds();
}

std::string IsForOtherOption(const Option& to, const OptionReply& reply) {
  return reply.option == to.option
             ? ""
             : fmt::format("a reply for {} to {}", OptionName(reply.option), OptionName(to.option));
}

bool GotNoReply(const Asked& asked, const ReceiveError& ended) {
  return ended.kind == ReceiveError::kTimedOut && asked.pending.empty();
}

// After each reply another option is asked: its reply must begin where the one before it ended.
bool BeginsElsewhere(const Asked& asked, const ReceiveError&) {
  return !asked.pending.empty() && (HasMagic(asked.pending) || !asked.at_first_reply);
}

// --- Unknown options ---

// ERR_UNSUP alone; ERR_TLS_REQD and ERR_SHUTDOWN say nothing of the option, but of the session.
Judgement UnknownIsUnsup(CheckContext& context) {
  constexpr std::string_view kAllowed = "NBD_REP_ERR_UNSUP";
  NBDSPEC_TRY(session, context.Haggle());
  for (const std::uint32_t option : {kUnknownOption, 0xffffffffU}) {
    const auto replies = session.Ask(Option{.option = option});
    if (!replies) {
      return Broken(fmt::format("option {:#x}: {}", option, replies.error().text), kAllowed);
    }
    const bool is_of_session = IsTlsReqd(*replies) || EndsIn(*replies, OptionReplyType::kErrShutdown);
    if (!is_of_session && (replies->size() > 1 || !EndsIn(*replies, OptionReplyType::kErrUnsup))) {
      return Broken(fmt::format("option {:#x} was answered {}", option, TypesOf(*replies)), kAllowed);
    }
  }
  return Holds();
}

Judgement ResyncAfterUnknown(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  const Option unknown{.option = kUnknownOption, .payload = Bytes(1000, 0x5a)};
  NBDSPEC_TRY(refused, session.Ask(unknown));
  const auto replies = session.Ask(kList);
  return About(
      WhatFollows(SubjectOf(unknown)),
      Require(replies && replies->back().option == OptionType::kList,
              replies ? "a reply for " + OptionName(replies->back().option) : "NBD_OPT_LIST: " + replies.error().text,
              "LIST is answered after an unknown option with 1000 bytes of data"));
}

// --- ABORT ---

Judgement AbortAcknowledged(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  const auto replies = session.Ask(Option{.option = OptionType::kAbort});
  return Require(replies && replies->front().type == OptionReplyType::kAck,
                 replies ? TypesOf(*replies) : replies.error().text, "NBD_REP_ACK");
}

// Servers that close without an ACK break option.abort.ack, and nothing else.
Judgement AbortIgnoresData(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  const auto replies = session.Ask(Option{.option = OptionType::kAbort, .payload = Bytes(16, 0x5a)});
  constexpr std::string_view kAllowed = "the data is ignored";
  return replies ? Require(!replies->back().is_error(), TypesOf(*replies), kAllowed)
                 : MayDisconnect(replies.error(), kAllowed);
}

Judgement AbortThenClose(CheckContext& context) {
  {
    NBDSPEC_TRY(session, context.Haggle());
    session.Send(Option{.option = OptionType::kAbort});
    session.ShutdownSending();
  }  // Closed without a look at the reply.
  NBDSPEC_TRY(session, context.Connect());
  const auto greeting = session.NextGreeting();
  return greeting ? Holds()
                  : Broken("the next client: " + greeting.error().text, "the server goes on serving other clients");
}

// --- LIST ---

Judgement ListShape(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  const auto replies = session.Ask(kList);
  constexpr std::string_view kAllowed = "NBD_REP_SERVER, any number, then NBD_REP_ACK or an error";
  if (!replies) {
    const bool unfinished = replies.error().kind == ReceiveError::kTimedOut && session.pending().empty();
    return unfinished ? Broken("no final reply: " + replies.error().text, kAllowed) : AsJudgement(replies.error());
  }
  const bool only_servers = std::all_of(replies->begin(), replies->end() - 1, [](const OptionReply& reply) {
    return reply.type == OptionReplyType::kServer;
  });
  return Require(only_servers && (IsAcknowledged(*replies) || replies->back().is_error()), TypesOf(*replies), kAllowed);
}

// An export that is not listed is no finding where the server serves any name, nor is the default export, which may
// stand for a listed one.
Judgement ListIsComplete(CheckContext& context) {
  NBDSPEC_TRY(replies, context.AskOption(kList));
  constexpr std::string_view kAllowed = "one reply for each export";
  std::set<std::string> names;
  for (const ListedExport& listed : ListedIn(replies)) {
    if (!names.insert(listed.name).second) {
      return Broken("the export " + Quoted(listed.name) + " twice", kAllowed);
    }
  }
  const std::string& name = context.export_name;
  const bool lacks_it = !name.empty() && !names.contains(name) && LacksExport(context, context.UnknownName()) == true &&
                        LacksExport(context, name) == false;
  return About(SubjectOf(kList),
               Require(!lacks_it, fmt::format("{} exports, without {}, which INFO knows", names.size(), Quoted(name)),
                       kAllowed));
}

// Data is a client's fault, so closing the connection is allowed.
Judgement ListRefusesData(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  constexpr std::string_view kAllowed = "NBD_REP_ERR_INVALID, then the next option is answered";
  const Option with_data{.option = OptionType::kList, .payload = {0, 0, 0, 0}};
  const auto replies = session.Ask(with_data);
  if (!replies) {
    return MayDisconnect(replies.error(), kAllowed);
  }
  if (!EndsIn(*replies, OptionReplyType::kErrInvalid) || replies->size() > 1) {
    return Broken(TypesOf(*replies), kAllowed);
  }
  const auto after = session.Ask(Option{.option = kUnknownOption});
  return About(WhatFollows(SubjectOf(with_data)),
               after ? Require(after->back().option == kUnknownOption,
                               "the next option: a reply for " + OptionName(after->back().option), kAllowed)
                     : MayDisconnect(after.error(), kAllowed));
}

Judgement ListIsServed(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  const auto replies = session.Ask(kList);
  if (!replies) {
    return MayNotDisconnect(replies.error(), "", "a reply to LIST");
  }
  return Require(!EndsIn(*replies, OptionReplyType::kErrUnsup), "NBD_REP_ERR_UNSUP", "servers implement LIST");
}

Judgement ListedNamesParse(CheckContext& context) {
  NBDSPEC_TRY(replies, context.AskOption(kList));
  for (const OptionReply& reply : replies) {
    if (reply.type == OptionReplyType::kServer && !DecodePayload<ListedExport>(reply.payload)) {
      const std::string length = reply.payload.size() < 4
                                     ? "no name length"
                                     : fmt::format("name length {}", GetBigEndian<std::uint32_t>(reply.payload));
      return Broken(fmt::format("NBD_REP_SERVER of {} bytes with {}", reply.payload.size(), length),
                    "a name length of at most the reply's length - 4");
    }
  }
  return ListedIn(replies).empty() ? NotApplicable("no export is listed") : Holds();
}

// Few names on each connection: servers limit the options of one.
Judgement ListedNamesWork(CheckContext& context) {
  constexpr std::size_t kAskedMax = 8;
  NBDSPEC_TRY(session, context.Haggle());
  NBDSPEC_TRY(replies, session.Ask(kList));
  const auto listed = ListedIn(replies);
  for (const ListedExport& each : std::span(listed).first(std::min(listed.size(), kAskedMax))) {
    NBDSPEC_TRY(info, session.Ask(InfoOption(OptionType::kInfo, each.name)));
    if (EndsIn(info, OptionReplyType::kErrUnknown)) {
      return Broken("INFO for the listed export " + Quoted(each.name) + ": NBD_REP_ERR_UNKNOWN",
                    "listed names work in INFO");
    }
  }
  return listed.empty() ? NotApplicable("no export is listed") : Holds();
}

// --- STARTTLS ---

std::array<Option, 4> PlainOptions(CheckContext& context) {
  return {Option{.option = OptionType::kList}, InfoOption(OptionType::kInfo, context.export_name),
          Option{.option = kUnknownOption}, Option{.option = OptionType::kStructuredReply}};
}

// Some errors have a meaning that no answer to STARTTLS can have.
bool MayRefuseStarttls(std::uint32_t type) {
  return (type & OptionReplyType::kErrorBit) != 0 && type != OptionReplyType::kErrUnknown &&
         type != OptionReplyType::kErrBlockSizeReqd && type != OptionReplyType::kErrTlsReqd;
}

Judgement RefusesStarttls(CheckContext& context) {
  NBDSPEC_TRY(session, context.HagglePlain());
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
  NBDSPEC_TRY(session, context.HagglePlain());
  const auto replies = session.Ask(kStarttls);
  constexpr std::string_view kAllowed = "NBD_REP_ACK or an error";
  if (!replies) {
    return replies.error().is_disconnect() ? AsJudgement(replies.error()) : Broken(replies.error().text, kAllowed);
  }
  return Require(replies->size() == 1 && (IsAcknowledged(*replies) || replies->back().is_error()), TypesOf(*replies),
                 kAllowed);
}

Judgement NeverAsksForTls(CheckContext& context) {
  NBDSPEC_TRY(session, context.HagglePlain());
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
  {  // Closed before the next one: some servers haggle with one client at a time.
    NBDSPEC_TRY(fixed, context.HagglePlain());
    NBDSPEC_TRY(starttls, fixed.Ask(kStarttls));
    if (!IsAcknowledged(starttls)) {
      return NotApplicable("the server has no TLS: STARTTLS was answered " + TypesOf(starttls));
    }
  }
  NBDSPEC_TRY(session, context.HagglePlain(/*flags=*/0));
  const auto replies = session.Ask(kStarttls);
  return Require(!replies || !IsAcknowledged(*replies), "NBD_REP_ACK",
                 "no TLS for a client that has not set C_FIXED_NEWSTYLE");
}

// Such a client may be answered or not, and closed on; it may not be asked for TLS.
Judgement NoModeWithoutFixed(CheckContext& context) {
  constexpr std::string_view kAllowed = "a server without TLS for a client that has not set C_FIXED_NEWSTYLE";
  for (const Option& option : PlainOptions(context)) {
    NBDSPEC_TRY(session, context.HagglePlain(/*flags=*/0));
    const auto replies = session.Ask(option);
    if (replies && IsTlsReqd(*replies)) {
      return Broken(OptionName(option.option) + " was answered NBD_REP_ERR_TLS_REQD", kAllowed);
    }
  }
  NBDSPEC_TRY(session, context.HagglePlain(/*flags=*/0));
  const auto replies = session.Ask(kStarttls);
  return Require(!replies || !IsAcknowledged(*replies), "STARTTLS was answered NBD_REP_ACK", kAllowed);
}

// --- The modes ---

// LIST is refused for want of TLS in FORCEDTLS alone, and then INFO is too; without TLS neither is.
Judgement OneOfThreeModes(CheckContext& context) {
  NBDSPEC_TRY(session, context.HagglePlain());
  NBDSPEC_TRY(list, session.Ask(Option{.option = OptionType::kList}));
  NBDSPEC_TRY(info, session.Ask(InfoOption(OptionType::kInfo, context.export_name)));
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
  const Option info = InfoOption(OptionType::kInfo, context.export_name);
  NBDSPEC_TRY(session, context.HagglePlain());
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

std::vector<Check> OptionChecks() {
  return {
      {kOptionReplyForEveryOption, "Each option gets a reply.", OnEveryEnd(GotNoReply, "at least one reply"), kFixed},
      {spec::kOptionReplyMagic, "The first option reply on a connection begins with the option reply magic.",
       ReplyMagic, kFixed},
      {kOptionReplyEchoOption, "Each option reply repeats the number of the option, known or not.",
       OnEveryReply(IsForOtherOption, "the number of the option asked"), kFixed},
      {kOptionReplyLengthAccurate, "Each option reply begins where the length of the one before it says.",
       OnEveryEnd(BeginsElsewhere, "replies as long as they say"), kFixed},
      {kBaselineUnsup, "Unknown options get ERR_UNSUP.", UnknownIsUnsup, kFixed},
      {kBaselineUnsupResync, "LIST is answered after an unknown option with data.", ResyncAfterUnknown, kFixed},
      {kOptionAbortAck, "ABORT gets ACK.", AbortAcknowledged, kFixed},
      {kBaselineAbortServer, "The server implements ABORT and its response.", AbortAcknowledged, kFixed},
      {kOptionAbortIgnoreData, "ABORT with 16 bytes of data is not refused.", AbortIgnoresData, kFixed},
      {kOptionAbortServerToleratesClose,
       "A client that sends ABORT and closes at once does not keep the server from the next one.", AbortThenClose,
       kFixed},
      {kOptionListReplyShape, "LIST gets SERVER replies, then ACK or an error.", ListShape, kFixed},
      {kOptionListOnePerExport,
       "LIST names no export twice, and the export under test if the server is choosy about names.", ListIsComplete,
       Feature::kList},
      {kOptionListDataInvalid, "LIST with data gets ERR_INVALID, and the next option is understood.", ListRefusesData,
       Feature::kList},
      {kBaselineListServer, "The server knows LIST.", ListIsServed, kFixed},
      {kRepServerNameLength, "The names in SERVER replies lie inside of them.", ListedNamesParse, Feature::kList},
      {kRepServerNameUsable, "INFO knows the names that LIST gives.", ListedNamesWork, Feature::kList | Feature::kInfo},
      {kTlsNeedsFixedServer, "STARTTLS is not acknowledged to a client that has not set C_FIXED_NEWSTYLE.",
       NoTlsWithoutFixed, kFixed, Setup::kTlsDemanded},
      {kTlsModeOneOfThree, "The answers to LIST, INFO and STARTTLS fit one of the three modes.", OneOfThreeModes,
       kFixed},
      {kTlsModeConsistent, "INFO and STARTTLS asked again fit the same mode.", OneModeOnly, kFixed},
      {kTlsModeNotlsWithoutFixed,
       "The server neither demands TLS of a client that has not set C_FIXED_NEWSTYLE nor gives it.", NoModeWithoutFixed,
       kFixed},
      {kTlsNotlsStarttlsError, "A server without TLS answers STARTTLS with an error that fits.", RefusesStarttls,
       kFixed},
      {kTlsNotlsNoTlsReqd, "A server that refuses STARTTLS answers no option with ERR_TLS_REQD.", NeverAsksForTls,
       kFixed},
      {kOptionStarttlsReply, "STARTTLS gets ACK or an error.", StarttlsAnswered, kFixed},
  };
}

}  // namespace nbdspec::conformance
