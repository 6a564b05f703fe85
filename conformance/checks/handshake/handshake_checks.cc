// SPDX-License-Identifier: BSD-3-Clause
// Checks of the greeting, the client flags, the order of bytes, and of NBD_OPT_EXPORT_NAME, whose reply is unlike any
// other's. Spec: proto.md, "Newstyle negotiation", "Handshake flags", "Termination of the session during option
// haggling", "NBD_OPT_EXPORT_NAME".
#include <bit>

#include "conformance/checks/options/haggling.h"
#include "engine/exchange/legality.h"
#include "engine/wire/fields.h"

namespace nbdspec::conformance {

namespace {

// A connection whose newstyle greeting was received.
std::expected<Session, Judgement> Greeted(CheckContext& context) {
  NBDSPEC_TRY(session, context.Connect());
  const auto greeting = session.NextGreeting();
  if (!greeting) {
    return Stop(session.negotiated().oldstyle ? NotApplicable("an oldstyle greeting") : AsJudgement(greeting.error()));
  }
  return std::move(session);
}

Judgement Magic(CheckContext& context) {
  NBDSPEC_TRY(session, context.Connect());
  const auto greeting = session.Next();
  if (!greeting && greeting.error().kind == ReceiveError::kUndecodable) {
    return Broken(greeting.error().text, "NBDMAGIC, then IHAVEOPT");
  }
  return greeting ? Holds() : AsJudgement(greeting.error());  // What does not begin with NBDMAGIC is no greeting.
}

Judgement OptionMagic(CheckContext& context) {
  NBDSPEC_TRY(session, context.Connect());
  const auto greeting = session.Next();
  if (!greeting) {
    const bool magic_is_right =
        session.pending().size() >= sizeof kNbdMagic && GetBigEndian<std::uint64_t>(session.pending()) == kNbdMagic;
    return magic_is_right && greeting.error().kind == ReceiveError::kUndecodable
               ? Broken(greeting.error().text, "IHAVEOPT after NBDMAGIC")
               : AsJudgement(greeting.error());
  }
  return std::holds_alternative<OldstyleGreeting>(*greeting) ? NotApplicable("an oldstyle greeting") : Holds();
}

Judgement FlagsWidth(CheckContext& context) {
  NBDSPEC_TRY(session, Greeted(context));
  const auto noise = session.ExpectSilence();
  return noise ? Broken("after the greeting, before any client flags: " + *noise, "18 bytes, then silence") : Holds();
}

Judgement NoOtherFlags(CheckContext& context) {
  NBDSPEC_TRY(session, Greeted(context));
  const std::uint16_t flags = session.negotiated().handshake_flags;
  return Require((flags & ~unsigned{HandshakeFlag::kFixedNewstyle | HandshakeFlag::kNoZeroes}) == 0,
                 "handshake flags " + HandshakeFlagNames(flags), "no bits but FIXED_NEWSTYLE (0) and NO_ZEROES (1)");
}

// After client flags with `extra` set, which the greeting does not offer, the session must end: neither option replies
// nor silence will do.
template <std::uint32_t extra>
Judgement Drops(CheckContext& context) {
  NBDSPEC_TRY(session, Greeted(context));
  if ((session.negotiated().handshake_flags & extra) != 0) {
    return NotApplicable("the server offers both flags there are");
  }
  constexpr std::string_view kAllowed = "the server closes the connection";
  const ClientFlags flags{.flags = session.negotiated().handshake_flags | extra};
  session.Send(flags);
  if (!session.negotiated().is_fixed_newstyle()) {
    const auto reply = session.AskExportName(context.export_name, !session.negotiated().pads_export_name_reply());
    return About(WhatFollows(SubjectOf(flags)),
                 reply ? Broken("the server goes on: NBD_OPT_EXPORT_NAME was answered", kAllowed)
                       : MayDisconnect(reply.error(), kAllowed));
  }
  const auto replies = session.Ask(Option{.option = OptionType::kList});
  return About(WhatFollows(SubjectOf(flags)),
               replies ? Broken("the server goes on: NBD_OPT_LIST was answered " + TypesOf(*replies), kAllowed)
                       : MayDisconnect(replies.error(), kAllowed));
}

// Asks `option` of a server whose greeting has FIXED_NEWSTYLE clear: only one that has the flag set may haggle.
Judgement NoHagglingWithoutFlag(CheckContext& context, const Option& option) {
  NBDSPEC_TRY(session, Greeted(context));
  if ((session.negotiated().handshake_flags & HandshakeFlag::kFixedNewstyle) != 0) {
    return Holds();
  }
  session.Send(ClientFlags{.flags = session.negotiated().handshake_flags & Session::kClientFlags});
  const auto replies = session.Ask(option);
  return !replies ? Holds()
                  : Broken("FIXED_NEWSTYLE is not set, and " + OptionName(option.option) + " was answered " +
                               TypesOf(*replies),
                           "a server that answers options sets FIXED_NEWSTYLE");
}

Judgement FixedNewstyleServed(CheckContext& context) {
  NBDSPEC_TRY(session, context.Connect());
  const auto received = session.Next();
  if (received && std::holds_alternative<OldstyleGreeting>(*received)) {
    return Broken("an oldstyle greeting", "a newstyle greeting with FIXED_NEWSTYLE set");
  }
  if (!received || !std::holds_alternative<Greeting>(*received)) {
    return Inconclusive(received ? "no greeting" : received.error().text);
  }
  const std::uint16_t flags = std::get<Greeting>(*received).flags;
  if ((flags & HandshakeFlag::kFixedNewstyle) == 0) {
    return Broken("handshake flags " + HandshakeFlagNames(flags), "FIXED_NEWSTYLE set");
  }
  session.Send(ClientFlags{.flags = flags & Session::kClientFlags});
  const auto replies = session.Ask(Option{.option = OptionType::kList});
  return replies ? Holds() : Broken("NBD_OPT_LIST: " + replies.error().text, "option replies");
}

// --- Byte order ---

constexpr std::string_view kBigEndian = "integers in network order";

// Whether the 8 bytes of `bytes` at `at` are `magic`, the wrong way round.
bool IsSwapped(ByteView bytes, std::size_t at, std::uint64_t magic) {
  return bytes.size() >= at + sizeof magic && GetBigEndian<std::uint64_t>(bytes, at) == std::byteswap(magic);
}

bool IsKnownReply(std::uint32_t type) {
  return (type >= OptionReplyType::kAck && type <= OptionReplyType::kMetaContext) ||
         (type >= OptionReplyType::kErrUnsup && type <= OptionReplyType::kErrExtHeaderReqd);
}

bool IsSwappedError(std::uint32_t error) {
  return error != 0 && !kDefinedErrors.Contains(error) && kDefinedErrors.Contains(std::byteswap(error));
}

Judgement ByteOrderOfGreeting(CheckContext& context) {
  NBDSPEC_TRY(session, context.Connect());
  const auto greeting = session.Next();
  if (greeting) {
    return Holds();
  }
  const ByteView came = session.pending();
  const bool swapped = IsSwapped(came, 0, kNbdMagic) || IsSwapped(came, 8, kOptionMagic);
  return swapped ? Broken(greeting.error().text, kBigEndian) : AsJudgement(greeting.error());
}

// Which integer of `reply` is the wrong way round.
std::optional<std::string> SwappedIn(const Option& to, const OptionReply& reply) {
  if (reply.option != to.option && reply.option == std::byteswap(to.option)) {
    return fmt::format("option {:#x} in a reply to {:#x}", reply.option, to.option);
  }
  if (!IsKnownReply(reply.type) && IsKnownReply(std::byteswap(reply.type))) {
    return fmt::format("reply type {:#x}", reply.type);
  }
  const auto info = reply.type == OptionReplyType::kInfo ? DecodeInfoType(reply.payload) : std::nullopt;
  if (info && *info > InfoType::kBlockSize && std::byteswap(*info) <= InfoType::kBlockSize) {
    return fmt::format("information type {:#x}", *info);
  }
  return {};
}

Judgement ByteOrderOfReplies(CheckContext& context) {
  NBDSPEC_TRY(all, AskEveryOption(context));
  for (const Asked& asked : all) {
    if (asked.ended && asked.at_first_reply && IsSwapped(asked.pending, 0, engine::kOptionReplyMagic)) {
      return About(SubjectOf(asked.option), Broken(asked.ended->text, kBigEndian));
    }
    for (const OptionReply& reply : asked.replies) {
      if (const auto swapped = SwappedIn(asked.option, reply)) {
        return About(SubjectOf(reply), Broken(*swapped, kBigEndian));
      }
    }
  }
  return Holds();
}

// A READ past the end is a client's fault, so the server may answer it by closing.
std::expected<Answer, Judgement> ReadPastEnd(CheckContext& context, bool structured) {
  NBDSPEC_TRY(entered, context.Enter({.structured_replies = structured}));
  auto answer = entered.session.Ask(Request{.offset = entered.size(), .length = 512});
  if (!answer) {
    return Stop(NotApplicable("a READ past the end: " + answer.error().text));
  }
  return *std::move(answer);
}

Judgement ByteOrderOfError(CheckContext& context) {
  NBDSPEC_TRY(answer, ReadPastEnd(context, /*structured=*/false));
  return answer.simple ? Require(!IsSwappedError(answer.simple->error),
                                 fmt::format("error {:#x}", answer.simple->error), kBigEndian)
                       : NotApplicable("not a simple reply");
}

Judgement ByteOrderOfErrorChunk(CheckContext& context) {
  NBDSPEC_TRY(answer, ReadPastEnd(context, /*structured=*/true));
  constexpr std::size_t kFixedBytes = 6;  // A 32-bit error and the 16-bit length of its text.
  const auto chunk = std::ranges::find_if(
      answer.chunks, [](const Chunk& each) { return each.is_error() && each.payload.size() >= kFixedBytes; });
  if (chunk == answer.chunks.end()) {
    return NotApplicable("a READ past the end got no error chunk");
  }
  const auto error = GetBigEndian<std::uint32_t>(chunk->payload);
  const auto length = GetBigEndian<std::uint16_t>(chunk->payload, 4);
  const std::size_t room = chunk->payload.size() - kFixedBytes;
  if (IsSwappedError(error)) {
    return Broken(fmt::format("error {:#x}", error), kBigEndian);
  }
  return Require(length <= room || std::byteswap(length) > room,
                 fmt::format("{} bytes of text announced where {} follow", length, room), kBigEndian);
}

// --- The end of a session ---

constexpr std::string_view kNoDisconnect = "a reply; the server may not disconnect for it";

bool IsDisconnect(const Asked&, const ReceiveError& ended) { return ended.is_disconnect(); }

// Sixteen options are no denial of service: nbdkit, with the lowest limit known, takes 32.
Judgement ErrorsToTheUnwelcome(CheckContext& context) {
  constexpr int kTimes = 16;
  const std::string name = context.UnknownName();
  const bool go = context.Offers(Feature::kGo) && LacksExport(context, name) == true;
  const Option refused = go ? InfoOption(OptionType::kGo, name) : Option{.option = kUnknownOption};
  NBDSPEC_TRY(session, context.Haggle());
  for (int i = 1; i <= kTimes; ++i) {
    const auto replies = session.Ask(refused);
    if (!replies && replies.error().is_disconnect()) {
      return Broken(fmt::format("{} for the {}. time: {}", OptionName(refused.option), i, replies.error().text),
                    "an error each time");
    }
    if (!replies || !replies->back().is_error()) {
      return replies ? NotApplicable(OptionName(refused.option) + " was answered " + TypesOf(*replies))
                     : AsJudgement(replies.error());
    }
  }
  return Holds();
}

// --- EXPORT_NAME ---

constexpr std::size_t kReplyBytes = 10;  // Without the pad.

// Whether an option reply answers EXPORT_NAME, which none may.
bool IsOptionReply(const ExportNameAnswer& answer) {
  return !answer.reply && answer.reply.error().kind == ReceiveError::kUnexpected;
}

// What it means that there is no reply to judge: a server may refuse EXPORT_NAME by closing the connection, and that it
// does so by an option reply is for option.export-name.reply-layout.
Judgement NoReply(const ExportNameAnswer& answer) {
  const ReceiveError& ended = answer.reply.error();
  if (IsOptionReply(answer)) {
    return NotApplicable(ended.text);
  }
  return ended.is_disconnect() && answer.session.pending().empty() ? NotApplicable(ended.text) : AsJudgement(ended);
}

template <std::uint32_t flags>
Judgement ReplyLayout(CheckContext& context) {
  NBDSPEC_TRY(answer, AskByName(context, context.export_name, flags));
  constexpr std::string_view kAllowed = "64 bits of size, 16 bits of flags, and no header of an option reply";
  if (answer.reply || IsOptionReply(answer)) {
    return answer.reply ? Holds() : Broken(answer.reply.error().text, kAllowed);
  }
  const std::size_t came = answer.session.pending().size();
  const bool is_short = answer.reply.error().kind == ReceiveError::kTimedOut && came > 0 && came < kReplyBytes;
  return is_short ? Broken(answer.reply.error().text, kAllowed) : NoReply(answer);
}

template <std::uint32_t flags>
Judgement ZeroPad(CheckContext& context) {
  NBDSPEC_TRY(answer, AskByName(context, context.export_name, flags));
  constexpr std::string_view kAllowed = "124 zero bytes after size and flags";
  if (!answer.reply) {
    const std::size_t came = answer.session.pending().size();
    return came >= kReplyBytes
               ? Broken(fmt::format("{} bytes of pad, then {}", came - kReplyBytes, answer.reply.error().text),
                        kAllowed)
               : NoReply(answer);
  }
  if (!IsAllZeroes(answer.reply->pad)) {
    return Broken("a pad that is not all zeroes", kAllowed);
  }
  const auto noise = answer.session.ExpectSilence();
  return noise && !answer.session.pending().empty() ? Broken("after the 124 bytes of pad: " + *noise, kAllowed)
                                                    : Holds();
}

// The pad is left out only for a client that asks for that.
Judgement PadNotOmittedUnasked(CheckContext& context) {
  NBDSPEC_TRY(answer, AskByName(context, context.export_name, ClientFlag::kFixedNewstyle));
  if (!answer.reply && answer.session.pending().size() == kReplyBytes) {
    return Broken("size and flags without a pad, though the client did not set NO_ZEROES",
                  "the pad is left out only if the client sets NO_ZEROES");
  }
  return answer.reply ? Holds() : NoReply(answer);
}

template <std::uint32_t flags>
Judgement NoPadWhenAgreed(CheckContext& context) {
  NBDSPEC_TRY(answer, EnterByName(context, flags));
  if (answer.session.negotiated().pads_export_name_reply()) {
    return NotApplicable("the server does not offer NO_ZEROES this time");
  }
  return GetsNoPad(answer.session, "size and flags, with NO_ZEROES");
}

// A server changes what it does only for a client that takes a flag: one that leaves flags is served too.
// Where conversations are held inside TLS: the server does not hang up before it on a client that has set `flags`.
Step StaysBeforeTls(CheckContext& context, std::uint32_t flags, std::string_view allowed) {
  if (context.peer.tls() == nullptr) {
    return {};
  }
  NBDSPEC_TRY(session, context.HagglePlain(flags));
  const auto replies = session.Ask(Option{.option = kUnknownOption});
  return replies || !replies.error().is_disconnect()
             ? Step()
             : Stop(Broken("to client flags " + ClientFlagNames(flags) + ": " + replies.error().text, allowed));
}

Judgement StaysWithoutNoZeroes(CheckContext& context) {
  NBDSPEC_TRY(stays, StaysBeforeTls(context, ClientFlag::kFixedNewstyle, kNoDisconnect));
  return OnEveryEnd(IsDisconnect, kNoDisconnect, ClientFlag::kFixedNewstyle)(context);
}

Judgement ServedWhateverFlags(CheckContext& context) {
  constexpr std::string_view kAllowed = "the same size and flags for clients that leave handshake flags";
  const auto reply_for = [&](std::uint32_t flags) -> std::expected<ExportNameReply, Judgement> {
    NBDSPEC_TRY(answer, EnterByName(context, flags));
    return *std::move(answer.reply);
  };
  NBDSPEC_TRY(usual, reply_for(Session::kClientFlags));
  for (const std::uint32_t flags : {ClientFlag::kFixedNewstyle, ClientFlag::kNoZeroes, 0U}) {
    const bool is_offered = (flags & ~std::uint32_t{context.profile.greeting.flags}) == 0;
    const bool needs_tls = context.peer.tls() != nullptr && (flags & ClientFlag::kFixedNewstyle) == 0;
    if (!is_offered || needs_tls) {  // tls.needs-fixed.server
      continue;
    }
    NBDSPEC_TRY(stays, StaysBeforeTls(context, flags, kAllowed));
    const auto reply = reply_for(flags);
    const std::string saw = "to client flags " + ClientFlagNames(flags) + ": ";
    if (!reply) {
      return reply.error().kind == Judgement::Kind::kNotApplicable ? Broken(saw + reply.error().saw, kAllowed)
                                                                   : reply.error();
    }
    if (reply->size != usual.size || reply->flags != usual.flags) {
      return Broken(fmt::format("{}size {}, flags {}", saw, reply->size, TransmissionFlagNames(reply->flags)),
                    kAllowed);
    }
  }
  return Holds();
}

// EXPORT_NAME for a name of ours. The server must have said by INFO that it has no such export: some serve any name.
std::expected<ExportNameAnswer, Judgement> AskUnknownName(CheckContext& context) {
  const std::string name = context.UnknownName();
  if (LacksExport(context, name) != true) {
    return Stop(NotApplicable("the server does not say of any name that it has no such export"));
  }
  return AskByName(context, name);
}

Judgement UnknownTerminates(CheckContext& context) {
  NBDSPEC_TRY(answer, AskUnknownName(context));
  constexpr std::string_view kAllowed = "the server ends the session";
  if (answer.reply) {
    return Broken(fmt::format("size {} and flags {} for an unknown export", answer.reply->size,
                              TransmissionFlagNames(answer.reply->flags)),
                  kAllowed);
  }
  const ReceiveError& ended = answer.reply.error();
  return Require(ended.is_disconnect() && answer.session.pending().empty(), ended.text, kAllowed);
}

Judgement HardWhereNoSoft(CheckContext& context) {
  NBDSPEC_TRY(answer, AskUnknownName(context));
  constexpr std::string_view kAllowed = "a disconnect, for want of a way to return an error";
  if (answer.reply) {
    return NotApplicable("the server serves it after all");
  }
  return MayDisconnect(answer.reply.error(), kAllowed);
}

Judgement ServedByName(CheckContext& context) {
  if (context.MayRefuseExportName()) {
    return NotApplicable(std::string(kMayRefuseExportName));
  }
  NBDSPEC_TRY(answer, AskByName(context, context.export_name));
  constexpr std::string_view kAllowed = "EXPORT_NAME works next to GO";
  if (IsOptionReply(answer)) {
    return Broken(answer.reply.error().text, kAllowed);
  }
  return answer.reply ? Holds() : MayNotDisconnect(answer.reply.error(), "", kAllowed);
}

// Without options before it on either connection, so that nothing else can make a difference.
Judgement SameAsGo(CheckContext& context) {
  NBDSPEC_TRY(by_name, EnterByName(context));
  NBDSPEC_TRY(by_go, EnterByGo(context, {InfoType::kBlockSize}));
  return Require(by_name.reply->size == by_go.info.size && by_name.reply->flags == by_go.info.flags,
                 fmt::format("GO: size {}, flags {}; EXPORT_NAME: size {}, flags {}", by_go.info.size,
                             TransmissionFlagNames(by_go.info.flags), by_name.reply->size,
                             TransmissionFlagNames(by_name.reply->flags)),
                 "the same size and flags");
}

}  // namespace

std::vector<Check> HandshakeChecks() {
  constexpr std::uint32_t kBoth = Session::kClientFlags;
  return {
      {kGeneralByteOrderServer, "The magics of the greeting are in network order.", ByteOrderOfGreeting},
      {kSub<kGeneralByteOrderServer, "option-reply">, "The integers of option replies are in network order.",
       ByteOrderOfReplies, kFixed},
      {kSub<kGeneralByteOrderServer, "error">,
       "The error in the simple reply to a READ past the end is in network order.", ByteOrderOfError},
      {kSub<kGeneralByteOrderServer, "error-chunk">,
       "The error chunk for a READ past the end has its integers in network order.", ByteOrderOfErrorChunk,
       Feature::kStructuredReplies},
      {kHandshakeMagic, "The first 16 bytes are NBDMAGIC and IHAVEOPT.", Magic},
      {kHandshakeMagicIhaveopt, "IHAVEOPT follows NBDMAGIC.", OptionMagic},
      {kHandshakeFlagsWidth, "After 18 bytes of greeting the server waits for the client flags.", FlagsWidth},
      {kHandshakeFlagsNoOther, "Handshake flags have no unknown bits.", NoOtherFlags},
      {kHandshakeClientFlagsDropUnknown, "A client that sets flag bit 2 is dropped.", Drops<1U << 2>},
      {kSub<kHandshakeClientFlagsDropUnknown, "high">, "A client that sets flag bit 31 is dropped.", Drops<1U << 31>},
      {kHandshakeClientFlagsDropUnoffered, "A client that sets NO_ZEROES where it was not offered is dropped.",
       Drops<ClientFlag::kNoZeroes>},
      {kHandshakeFlagsFixedNewstyle, "A server that answers LIST has FIXED_NEWSTYLE set.",
       [](CheckContext& context) { return NoHagglingWithoutFlag(context, {.option = OptionType::kList}); }},
      {kOptionExportNameOthersNeedFixed, "A server that answers INFO has FIXED_NEWSTYLE set.",
       [](CheckContext& context) {
         return NoHagglingWithoutFlag(context, InfoOption(OptionType::kInfo, context.export_name, {}));
       }},
      {kBaselineFixedNewstyleServer, "FIXED_NEWSTYLE is set, and LIST gets option replies.", FixedNewstyleServed},
      {kSessionHardOnlyWhenAllowedServer, "None of the options that a client may send makes the server disconnect.",
       OnEveryEnd(IsDisconnect, kNoDisconnect), kFixed},
      {kSub<kSessionHardOnlyWhenAllowedServer, "without-no-zeroes">,
       "Nor does any of them where the client has not set NO_ZEROES.", StaysWithoutNoZeroes,
       kFixed | Feature::kNoZeroes},
      {kSessionServerErrorUnwelcome, "The server refuses an option 16 times without a disconnect.",
       ErrorsToTheUnwelcome, kFixed},
      {kHandshakeFlagsNoZeroes, "Both sides set NO_ZEROES: no pad follows the ten bytes of the EXPORT_NAME reply.",
       NoPadWhenAgreed<kBoth>, Feature::kNoZeroes},
      {kSub<kHandshakeFlagsNoZeroes, "not-fixed">,
       "Nor does it where the client has set NO_ZEROES and not C_FIXED_NEWSTYLE.",
       NoPadWhenAgreed<ClientFlag::kNoZeroes>, Feature::kNoZeroes},
      {kHandshakeFlagsNoUnilateralChange,
       "The server does not leave out the pad for a client that did not set NO_ZEROES.", PadNotOmittedUnasked,
       Feature::kNoZeroes},
      {kSub<kHandshakeFlagsNoUnilateralChange, "served">,
       "Clients that leave handshake flags get the same export by EXPORT_NAME as one that takes all.",
       ServedWhateverFlags},
      {kOptionExportNameReplyLayout, "EXPORT_NAME gets size and flags, without an option reply header.",
       ReplyLayout<kBoth>},
      {kSub<kOptionExportNameReplyLayout, "no-flags">, "So it does where the client has set no flags.", ReplyLayout<0>},
      {kOptionExportNameZeroPad, "Without NO_ZEROES exactly 124 zero bytes end the EXPORT_NAME reply.",
       ZeroPad<ClientFlag::kFixedNewstyle>},
      {kSub<kOptionExportNameZeroPad, "no-flags">, "So they do where the client has set no flags.", ZeroPad<0>},
      {kOptionExportNameUnknownTerminates,
       "EXPORT_NAME for an export that INFO does not know ends the session, without a byte.", UnknownTerminates},
      {kSessionMandatedHardIfNoSoftServer,
       "EXPORT_NAME for an export that INFO does not know ends in a disconnect, not in silence.", HardWhereNoSoft},
      {kInteropExportNameServer, "A server with default block sizes serves the export by EXPORT_NAME too.",
       ServedByName, Feature::kGo},
      {kRepInfoExportSameAsExportName, "GO and EXPORT_NAME give the same size and flags.", SameAsGo, Feature::kGo},
  };
}

}  // namespace nbdspec::conformance
