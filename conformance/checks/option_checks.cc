// SPDX-License-Identifier: BSD-3-Clause
// Checks of option haggling in general, unknown options, ABORT and LIST. Spec: proto.md, "Fixed newstyle negotiation",
// "Option types", "Baseline".
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "conformance/checks/check.h"
#include "conformance/checks/haggling.h"
#include "engine/base/quoted.h"
#include "engine/spec/ids.h"
#include "engine/wire/big_endian.h"

namespace nbdspec::conformance {

using engine::Option;
using engine::OptionReply;
using engine::OptionReplyType;
using engine::OptionType;

namespace {

// --- Option replies in general ---

Judgement ReplyToEveryOption(CheckContext& context) {
  NBDSPEC_TRY(all, AskEveryOption(context));
  for (const Asked& asked : all) {
    if (asked.ended && asked.ended->kind == ReceiveError::kTimedOut && asked.pending.empty()) {
      return Broken(engine::OptionName(asked.option.option) + ": " + asked.ended->text, "at least one reply");
    }
  }
  return Holds();
}

// Only where no reply went before can it be told that the magic is wrong, and not the length before it.
Judgement ReplyMagic(CheckContext& context) {
  for (const std::uint32_t option : {OptionType::kList, kUnknownOption, OptionType::kStructuredReply}) {
    NBDSPEC_TRY(session, context.Haggle());
    const auto replies = session.Ask(Option{.option = option});
    const engine::ByteView came = session.pending();
    if (!replies && replies.error().kind == ReceiveError::kUndecodable &&
        came.size() >= sizeof engine::kOptionReplyMagic &&
        engine::GetBigEndian<std::uint64_t>(came) != engine::kOptionReplyMagic &&
        session.received_byte_count() - came.size() == kGreetingBytes) {
      return Broken(engine::OptionName(option) + ": " + replies.error().text, "the option reply magic");
    }
  }
  return Holds();
}

Judgement ReplyEchoesOption(CheckContext& context) {
  return JudgeEveryReply(
      context,
      [](const Option& to, const OptionReply& reply) -> std::optional<std::string> {
        if (reply.option == to.option) {
          return {};
        }
        return fmt::format("a reply for {} to {}", engine::OptionName(reply.option), engine::OptionName(to.option));
      },
      "the number of the option asked");
}

// After each reply another option is asked: its reply must begin where the one before it ended.
Judgement ReplyLength(CheckContext& context) {
  NBDSPEC_TRY(all, AskEveryOption(context));
  const std::string allowed = "replies as long as they say";
  for (const Asked& asked : all) {
    if (!asked.ended || asked.pending.empty()) {
      continue;
    }
    const bool has_magic = asked.pending.size() >= sizeof engine::kOptionReplyMagic &&
                           engine::GetBigEndian<std::uint64_t>(asked.pending) == engine::kOptionReplyMagic;
    if (has_magic || !asked.at_first_reply) {
      return Broken(engine::OptionName(asked.option.option) + ": " + asked.ended->text, allowed);
    }
  }
  return Holds();
}

// --- Unknown options ---

// Nothing when `replies` are right for an option that nobody knows.
std::optional<Judgement> WrongForUnknown(std::uint32_t option, const Received<std::vector<OptionReply>>& replies) {
  const std::string allowed = "NBD_REP_ERR_UNSUP";
  if (!replies) {
    return Broken(fmt::format("option {:#x}: {}", option, replies.error().text), allowed);
  }
  const std::uint32_t type = replies->back().type;
  // Not a word about the option, but about the session.
  if (type == OptionReplyType::kErrTlsReqd || type == OptionReplyType::kErrShutdown) {
    return {};
  }
  if (replies->size() > 1 || type != OptionReplyType::kErrUnsup) {
    return Broken(fmt::format("option {:#x} was answered {}", option, TypesOf(*replies)), allowed);
  }
  return {};
}

Judgement UnknownIsUnsup(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  for (const std::uint32_t option : {kUnknownOption, 0xffffffffU}) {
    const auto replies = session.Ask(Option{.option = option});
    if (auto wrong = WrongForUnknown(option, replies)) {
      return std::move(*wrong);
    }
  }
  return Holds();
}

Judgement ResyncAfterUnknown(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  NBDSPEC_TRY(unknown, session.Ask(Option{.option = kUnknownOption, .payload = engine::Bytes(1000, 0x5a)}));
  const auto replies = session.Ask(Option{.option = OptionType::kList});
  const std::string allowed = "LIST is answered after an unknown option with 1000 bytes of data";
  if (!replies) {
    return Broken("NBD_OPT_LIST: " + replies.error().text, allowed);
  }
  return replies->back().option == OptionType::kList
             ? Holds()
             : Broken("a reply for " + engine::OptionName(replies->back().option), allowed);
}

// --- ABORT ---

Judgement AbortAcknowledged(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  const auto replies = session.Ask(Option{.option = OptionType::kAbort});
  if (!replies) {
    return Broken(replies.error().text, "NBD_REP_ACK");
  }
  return replies->front().type == OptionReplyType::kAck ? Holds() : Broken(TypesOf(*replies), "NBD_REP_ACK");
}

// That some servers close without an ACK is option.abort.ack's finding.
Judgement AbortIgnoresData(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  const auto replies = session.Ask(Option{.option = OptionType::kAbort, .payload = engine::Bytes(16, 0x5a)});
  const std::string allowed = "the data is ignored";
  if (!replies) {
    return replies.error().is_disconnect() ? Holds() : Broken(replies.error().text, allowed);
  }
  return replies->back().is_error() ? Broken(TypesOf(*replies), allowed) : Holds();
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

std::vector<engine::ListedExport> ListedIn(const std::vector<OptionReply>& replies) {
  std::vector<engine::ListedExport> listed;
  for (const OptionReply& reply : replies) {
    if (auto each = engine::DecodeListedExport(reply.payload); each && reply.type == OptionReplyType::kServer) {
      listed.push_back(std::move(*each));
    }
  }
  return listed;
}

Judgement ListShape(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  const auto replies = session.Ask(Option{.option = OptionType::kList});
  const std::string allowed = "NBD_REP_SERVER, any number, then NBD_REP_ACK or an error";
  if (!replies) {
    const bool unfinished = replies.error().kind == ReceiveError::kTimedOut && session.pending().empty();
    return unfinished ? Broken("no final reply: " + replies.error().text, allowed) : AsJudgement(replies.error());
  }
  const OptionReply& last = replies->back();
  const bool only_servers = std::all_of(replies->begin(), replies->end() - 1, [](const OptionReply& reply) {
    return reply.type == OptionReplyType::kServer;
  });
  return only_servers && (last.type == OptionReplyType::kAck || last.is_error()) ? Holds()
                                                                                 : Broken(TypesOf(*replies), allowed);
}

// An export that is not listed is no finding where the server serves any name, nor is the default export, which may
// stand for a listed one.
Judgement ListIsComplete(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  NBDSPEC_TRY(replies, session.Ask(Option{.option = OptionType::kList}));
  std::set<std::string> names;
  for (const engine::ListedExport& listed : ListedIn(replies)) {
    if (!names.insert(listed.name).second) {
      return Broken("the export " + engine::Quoted(listed.name) + " twice", "one reply for each export");
    }
  }
  const bool is_choosy = LacksExport(context, context.UnknownName()) == true;
  if (is_choosy && !context.export_name().empty() && !names.contains(context.export_name()) &&
      LacksExport(context, context.export_name()) == false) {
    return Broken(
        fmt::format("{} exports, without {}, which INFO knows", names.size(), engine::Quoted(context.export_name())),
        "one reply for each export");
  }
  return Holds();
}

// Data is a client's fault, so closing the connection is allowed.
Judgement ListRefusesData(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  const std::string allowed = "NBD_REP_ERR_INVALID, then the next option is answered";
  const auto replies = session.Ask(Option{.option = OptionType::kList, .payload = {0, 0, 0, 0}});
  if (!replies) {
    return replies.error().is_disconnect() ? Holds() : Broken(replies.error().text, allowed);
  }
  if (replies->back().type != OptionReplyType::kErrInvalid || replies->size() > 1) {
    return Broken(TypesOf(*replies), allowed);
  }
  const auto after = session.Ask(Option{.option = kUnknownOption});
  if (!after) {
    return after.error().is_disconnect() ? Holds() : Broken("the next option: " + after.error().text, allowed);
  }
  return after->back().option == kUnknownOption
             ? Holds()
             : Broken("the next option: a reply for " + engine::OptionName(after->back().option), allowed);
}

Judgement ListIsServed(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  const auto replies = session.Ask(Option{.option = OptionType::kList});
  if (!replies) {
    return replies.error().is_disconnect() ? Broken(replies.error().text, "a reply to LIST")
                                           : AsJudgement(replies.error());
  }
  return replies->back().type == OptionReplyType::kErrUnsup ? Broken("NBD_REP_ERR_UNSUP", "servers implement LIST")
                                                            : Holds();
}

Judgement ListedNamesParse(CheckContext& context) {
  NBDSPEC_TRY(session, context.Haggle());
  NBDSPEC_TRY(replies, session.Ask(Option{.option = OptionType::kList}));
  for (const OptionReply& reply : replies) {
    if (reply.type == OptionReplyType::kServer && !engine::DecodeListedExport(reply.payload)) {
      const std::string length =
          reply.payload.size() < 4 ? "no name length"
                                   : fmt::format("name length {}", engine::GetBigEndian<std::uint32_t>(reply.payload));
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
  NBDSPEC_TRY(replies, session.Ask(Option{.option = OptionType::kList}));
  const auto listed = ListedIn(replies);
  for (const engine::ListedExport& each : std::span(listed).first(std::min(listed.size(), kAskedMax))) {
    NBDSPEC_TRY(info, session.Ask(InfoOption(OptionType::kInfo, each.name, {engine::InfoType::kBlockSize})));
    if (info.back().type == OptionReplyType::kErrUnknown) {
      return Broken("INFO for the listed export " + engine::Quoted(each.name) + ": NBD_REP_ERR_UNKNOWN",
                    "listed names work in INFO");
    }
  }
  return listed.empty() ? NotApplicable("no export is listed") : Holds();
}

}  // namespace

std::vector<Check> OptionChecks() {
  return {
      {.id = spec::kOptionReplyForEveryOption,
       .needs = {Feature::kFixedNewstyle},
       .claim = "No option is met with silence.",
       .run = ReplyToEveryOption},
      {.id = spec::kOptionReplyMagic,
       .needs = {Feature::kFixedNewstyle},
       .claim = "The first option reply on a connection begins with the option reply magic.",
       .run = ReplyMagic},
      {.id = spec::kOptionReplyEchoOption,
       .needs = {Feature::kFixedNewstyle},
       .claim = "Each option reply repeats the number of the option, known or not.",
       .run = ReplyEchoesOption},
      {.id = spec::kOptionReplyLengthAccurate,
       .needs = {Feature::kFixedNewstyle},
       .claim = "Each option reply begins where the length of the one before it says.",
       .run = ReplyLength},
      {.id = spec::kBaselineUnsup,
       .needs = {Feature::kFixedNewstyle},
       .claim = "Unknown options get ERR_UNSUP.",
       .run = UnknownIsUnsup},
      {.id = spec::kBaselineUnsupResync,
       .needs = {Feature::kFixedNewstyle},
       .claim = "LIST is answered after an unknown option with data.",
       .run = ResyncAfterUnknown},
      {.id = spec::kOptionAbortAck,
       .needs = {Feature::kFixedNewstyle},
       .claim = "ABORT gets ACK.",
       .run = AbortAcknowledged},
      {.id = spec::kBaselineAbortServer,
       .needs = {Feature::kFixedNewstyle},
       .claim = "ABORT and its response are there.",
       .run = AbortAcknowledged},
      {.id = spec::kOptionAbortIgnoreData,
       .needs = {Feature::kFixedNewstyle},
       .claim = "ABORT with 16 bytes of data is not refused.",
       .run = AbortIgnoresData},
      {.id = spec::kOptionAbortServerToleratesClose,
       .needs = {Feature::kFixedNewstyle},
       .claim = "A client that sends ABORT and closes at once does not keep the next one from being served.",
       .run = AbortThenClose},
      {.id = spec::kOptionListReplyShape,
       .needs = {Feature::kFixedNewstyle},
       .claim = "LIST gets SERVER replies, then ACK or an error.",
       .run = ListShape},
      {.id = spec::kOptionListOnePerExport,
       .needs = {Feature::kList},
       .claim = "LIST names no export twice, and the export under test if the server is choosy about names.",
       .run = ListIsComplete},
      {.id = spec::kOptionListDataInvalid,
       .needs = {Feature::kList},
       .claim = "LIST with data gets ERR_INVALID, and the next option is understood.",
       .run = ListRefusesData},
      {.id = spec::kBaselineListServer,
       .needs = {Feature::kFixedNewstyle},
       .claim = "LIST is not unknown to the server.",
       .run = ListIsServed},
      {.id = spec::kRepServerNameLength,
       .needs = {Feature::kList},
       .claim = "The names in SERVER replies lie inside of them.",
       .run = ListedNamesParse},
      {.id = spec::kRepServerNameUsable,
       .needs = {Feature::kList, Feature::kInfo},
       .claim = "INFO knows the names that LIST gives.",
       .run = ListedNamesWork},
  };
}

}  // namespace nbdspec::conformance
