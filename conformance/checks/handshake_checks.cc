// SPDX-License-Identifier: BSD-3-Clause
// Checks of the greeting, the client flags and the order of bytes. Spec: proto.md, "Newstyle negotiation",
// "Handshake flags", "Termination of the session during option haggling".
#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "conformance/checks/check.h"
#include "conformance/checks/haggling.h"
#include "engine/spec/ids.h"
#include "engine/wire/big_endian.h"

namespace nbdspec::conformance {

using engine::ClientFlag;
using engine::HandshakeFlag;
using engine::InfoType;
using engine::OptionReplyType;
using engine::OptionType;

namespace {

Judgement Magic(CheckContext& context) {
  NBDSPEC_TRY(session, context.Connect());
  const auto greeting = session.Next();
  if (!greeting) {
    return greeting.error().kind == ReceiveError::kUndecodable
               ? Broken(greeting.error().text, "NBDMAGIC, then IHAVEOPT")
               : AsJudgement(greeting.error());
  }
  return Holds();  // A message that does not begin with NBDMAGIC is no greeting.
}

Judgement OptionMagic(CheckContext& context) {
  NBDSPEC_TRY(session, context.Connect());
  const auto greeting = session.Next();
  if (!greeting) {
    const bool magic_is_right = session.pending().size() >= sizeof engine::kNbdMagic &&
                                engine::GetBigEndian<std::uint64_t>(session.pending()) == engine::kNbdMagic;
    return magic_is_right && greeting.error().kind == ReceiveError::kUndecodable
               ? Broken(greeting.error().text, "IHAVEOPT after NBDMAGIC")
               : AsJudgement(greeting.error());
  }
  return std::holds_alternative<engine::OldstyleGreeting>(*greeting) ? NotApplicable("an oldstyle greeting") : Holds();
}

Judgement FlagsWidth(CheckContext& context) {
  NBDSPEC_TRY(session, context.Connect());
  NBDSPEC_TRY(greeting, session.NextGreeting());
  const auto noise = session.ExpectSilence();
  return noise ? Broken("after the greeting, before any client flags: " + *noise, "18 bytes, then silence") : Holds();
}

Judgement NoOtherFlags(CheckContext& context) {
  NBDSPEC_TRY(session, context.Connect());
  NBDSPEC_TRY(greeting, session.NextGreeting());
  const unsigned others = greeting.flags & ~unsigned{HandshakeFlag::kFixedNewstyle | HandshakeFlag::kNoZeroes};
  return others == 0 ? Holds()
                     : Broken("handshake flags " + engine::HandshakeFlagNames(greeting.flags),
                              "no bits but FIXED_NEWSTYLE (0) and NO_ZEROES (1)");
}

// After client flags with `extra` set the session must end: neither option replies nor silence will do.
Judgement Dropped(Session& session, const engine::Greeting& greeting, std::uint32_t extra) {
  const std::string allowed = "the server closes the connection";
  session.Send(engine::ClientFlags{.flags = greeting.flags | extra});
  const auto replies = session.Ask(engine::Option{.option = OptionType::kList});
  if (replies) {
    return Broken("the server goes on: NBD_OPT_LIST was answered " + TypesOf(*replies), allowed);
  }
  return replies.error().is_disconnect() ? Holds() : Broken(replies.error().text, allowed);
}

Judgement DropUnknownFlag(CheckContext& context) {
  NBDSPEC_TRY(session, context.Connect());
  NBDSPEC_TRY(greeting, session.NextGreeting());
  return Dropped(session, greeting, 1U << 2);
}

Judgement DropUnknownHighFlag(CheckContext& context) {
  NBDSPEC_TRY(session, context.Connect());
  NBDSPEC_TRY(greeting, session.NextGreeting());
  return Dropped(session, greeting, 1U << 31);
}

Judgement DropUnofferedFlag(CheckContext& context) {
  NBDSPEC_TRY(session, context.Connect());
  NBDSPEC_TRY(greeting, session.NextGreeting());
  if ((greeting.flags & HandshakeFlag::kNoZeroes) != 0) {
    return NotApplicable("the server offers both flags there are");
  }
  return Dropped(session, greeting, ClientFlag::kNoZeroes);
}

// Asks `option` of a server whose greeting has FIXED_NEWSTYLE clear: only one that has the flag set may haggle.
Judgement NoHagglingWithoutFlag(CheckContext& context, const engine::Option& option) {
  NBDSPEC_TRY(session, context.Connect());
  NBDSPEC_TRY(greeting, session.NextGreeting());
  if ((greeting.flags & HandshakeFlag::kFixedNewstyle) != 0) {
    return Holds();
  }
  session.Send(engine::ClientFlags{.flags = greeting.flags & kAllClientFlags});
  const auto replies = session.Ask(option);
  return !replies ? Holds()
                  : Broken("FIXED_NEWSTYLE is not set, and " + engine::OptionName(option.option) + " was answered " +
                               TypesOf(*replies),
                           "a server that answers options sets FIXED_NEWSTYLE");
}

Judgement FixedNewstyleSet(CheckContext& context) {
  return NoHagglingWithoutFlag(context, {.option = OptionType::kList});
}

Judgement OthersNeedFixed(CheckContext& context) {
  return NoHagglingWithoutFlag(context, InfoOption(OptionType::kInfo, context.export_name(), {}));
}

Judgement FixedNewstyleServed(CheckContext& context) {
  NBDSPEC_TRY(session, context.Connect());
  const auto heard = session.Next();
  if (heard && std::holds_alternative<engine::OldstyleGreeting>(*heard)) {
    return Broken("an oldstyle greeting", "a newstyle greeting with FIXED_NEWSTYLE set");
  }
  if (!heard || !std::holds_alternative<engine::Greeting>(*heard)) {
    return Inconclusive(heard ? "no greeting" : heard.error().text);
  }
  const auto& greeting = std::get<engine::Greeting>(*heard);
  if ((greeting.flags & HandshakeFlag::kFixedNewstyle) == 0) {
    return Broken("handshake flags " + engine::HandshakeFlagNames(greeting.flags), "FIXED_NEWSTYLE set");
  }
  session.Send(engine::ClientFlags{.flags = greeting.flags & kAllClientFlags});
  const auto replies = session.Ask(engine::Option{.option = OptionType::kList});
  return replies ? Holds() : Broken("NBD_OPT_LIST: " + replies.error().text, "option replies");
}

// --- Byte order ---

constexpr std::string_view kBigEndian = "integers in network order";

// Whether the 8 bytes of `bytes` at `at` are `magic`, the wrong way round.
bool IsSwapped(engine::ByteView bytes, std::size_t at, std::uint64_t magic) {
  return bytes.size() >= at + sizeof magic && engine::GetBigEndian<std::uint64_t>(bytes, at) == std::byteswap(magic);
}

bool IsKnownReply(std::uint32_t type) {
  return (type >= OptionReplyType::kAck && type <= OptionReplyType::kMetaContext) ||
         (type >= OptionReplyType::kErrUnsup && type <= OptionReplyType::kErrExtHeaderReqd);
}

bool IsKnownError(std::uint32_t error) {
  using engine::NbdError;
  constexpr std::uint32_t kKnown[] = {NbdError::kOk,        NbdError::kEperm,   NbdError::kEio,
                                      NbdError::kEnomem,    NbdError::kEinval,  NbdError::kEnospc,
                                      NbdError::kEoverflow, NbdError::kEnotsup, NbdError::kEshutdown};
  return std::ranges::find(kKnown, error) != std::end(kKnown);
}

bool IsSwappedError(std::uint32_t error) { return !IsKnownError(error) && IsKnownError(std::byteswap(error)); }

Judgement ByteOrderOfGreeting(CheckContext& context) {
  NBDSPEC_TRY(session, context.Connect());
  const auto greeting = session.Next();
  if (greeting) {
    return Holds();
  }
  const engine::ByteView came = session.pending();
  const bool swapped = IsSwapped(came, 0, engine::kNbdMagic) || IsSwapped(came, 8, engine::kOptionMagic);
  return swapped ? Broken(greeting.error().text, std::string(kBigEndian)) : AsJudgement(greeting.error());
}

// Which integer of `reply` is the wrong way round.
std::optional<std::string> SwappedIn(const engine::Option& to, const engine::OptionReply& reply) {
  if (reply.option != to.option && reply.option == std::byteswap(to.option)) {
    return fmt::format("option {:#x} in a reply to {:#x}", reply.option, to.option);
  }
  if (!IsKnownReply(reply.type) && IsKnownReply(std::byteswap(reply.type))) {
    return fmt::format("reply type {:#x}", reply.type);
  }
  const auto info = reply.type == OptionReplyType::kInfo ? engine::DecodeInfoType(reply.payload) : std::nullopt;
  if (info && *info > InfoType::kBlockSize && std::byteswap(*info) <= InfoType::kBlockSize) {
    return fmt::format("information type {:#x}", *info);
  }
  return {};
}

Judgement ByteOrderOfReplies(CheckContext& context) {
  NBDSPEC_TRY(all, AskEveryOption(context));
  for (const Asked& asked : all) {
    if (asked.ended && asked.at_first_reply && IsSwapped(asked.pending, 0, engine::kOptionReplyMagic)) {
      return Broken(asked.ended->text, std::string(kBigEndian));
    }
    for (const engine::OptionReply& reply : asked.replies) {
      if (const auto swapped = SwappedIn(asked.option, reply)) {
        return Broken(*swapped, std::string(kBigEndian));
      }
    }
  }
  return Holds();
}

// A READ past the end is a client's fault, so the server may answer it by closing.
Judgement ByteOrderOfError(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  const auto answer = entered.session.Ask(engine::Request{.offset = entered.info.size, .length = 512});
  if (!answer || !answer->simple) {
    return NotApplicable(answer ? "not a simple reply" : answer.error().text);
  }
  return IsSwappedError(answer->simple->error)
             ? Broken(fmt::format("error {:#x}", answer->simple->error), std::string(kBigEndian))
             : Holds();
}

Judgement ByteOrderOfErrorChunk(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter({.structured_replies = true}));
  const auto answer = entered.session.Ask(engine::Request{.offset = entered.info.size, .length = 512});
  if (!answer) {
    return NotApplicable("a READ past the end: " + answer.error().text);
  }
  constexpr std::size_t kFixedBytes = 6;  // A 32-bit error and the 16-bit length of its text.
  for (const engine::Chunk& chunk : answer->chunks) {
    if (!chunk.is_error() || chunk.payload.size() < kFixedBytes) {
      continue;
    }
    const auto error = engine::GetBigEndian<std::uint32_t>(chunk.payload);
    const auto length = engine::GetBigEndian<std::uint16_t>(chunk.payload, 4);
    const std::size_t room = chunk.payload.size() - kFixedBytes;
    if (IsSwappedError(error)) {
      return Broken(fmt::format("error {:#x}", error), std::string(kBigEndian));
    }
    return length > room && std::byteswap(length) <= room
               ? Broken(fmt::format("{} bytes of text announced where {} follow", length, room),
                        std::string(kBigEndian))
               : Holds();
  }
  return NotApplicable("a READ past the end got no error chunk");
}

// --- The end of a session ---

Judgement NoNeedlessEnd(CheckContext& context) {
  NBDSPEC_TRY(all, AskEveryOption(context));
  for (const Asked& asked : all) {
    if (asked.ended && asked.ended->is_disconnect()) {
      return Broken(engine::OptionName(asked.option.option) + ": " + asked.ended->text,
                    "a reply; the server may not disconnect for it");
    }
  }
  return Holds();
}

// Sixteen options are no denial of service: nbdkit, with the lowest limit known, takes 32.
Judgement ErrorsToTheUnwelcome(CheckContext& context) {
  constexpr int kTimes = 16;
  const std::string name = context.UnknownName();
  const bool go = context.profile().features.Has(Feature::kGo) && LacksExport(context, name) == true;
  const engine::Option refused =
      go ? InfoOption(OptionType::kGo, name, {InfoType::kBlockSize}) : engine::Option{.option = kUnknownOption};
  NBDSPEC_TRY(session, context.Haggle());
  for (int i = 1; i <= kTimes; ++i) {
    const auto replies = session.Ask(refused);
    if (!replies && replies.error().is_disconnect()) {
      return Broken(fmt::format("{} for the {}. time: {}", engine::OptionName(refused.option), i, replies.error().text),
                    "an error each time");
    }
    if (!replies) {
      return AsJudgement(replies.error());
    }
    if (!replies->back().is_error()) {
      return NotApplicable(engine::OptionName(refused.option) + " was answered " + TypesOf(*replies));
    }
  }
  return Holds();
}

}  // namespace

std::vector<Check> HandshakeChecks() {
  return {
      {.id = spec::kGeneralByteOrderServer,
       .claim = "The magics of the greeting are in network order.",
       .run = ByteOrderOfGreeting},
      {.id = spec::kSub<spec::kGeneralByteOrderServer, "option-reply">,
       .needs = {Feature::kFixedNewstyle},
       .claim = "The integers of option replies are in network order.",
       .run = ByteOrderOfReplies},
      {.id = spec::kSub<spec::kGeneralByteOrderServer, "error">,
       .claim = "The error in the simple reply to a READ past the end is in network order.",
       .run = ByteOrderOfError},
      {.id = spec::kSub<spec::kGeneralByteOrderServer, "error-chunk">,
       .needs = {Feature::kStructuredReplies},
       .claim = "The error chunk for a READ past the end has its integers in network order.",
       .run = ByteOrderOfErrorChunk},
      {.id = spec::kHandshakeMagic, .claim = "The first 16 bytes are NBDMAGIC and IHAVEOPT.", .run = Magic},
      {.id = spec::kHandshakeMagicIhaveopt, .claim = "IHAVEOPT follows NBDMAGIC.", .run = OptionMagic},
      {.id = spec::kHandshakeFlagsWidth,
       .claim = "After 18 bytes of greeting the server waits for the client flags.",
       .run = FlagsWidth},
      {.id = spec::kHandshakeFlagsNoOther, .claim = "Handshake flags have no unknown bits.", .run = NoOtherFlags},
      {.id = spec::kHandshakeClientFlagsDropUnknown,
       .claim = "A client that sets flag bit 2 is dropped.",
       .run = DropUnknownFlag},
      {.id = spec::kSub<spec::kHandshakeClientFlagsDropUnknown, "high">,
       .claim = "A client that sets flag bit 31 is dropped.",
       .run = DropUnknownHighFlag},
      {.id = spec::kHandshakeClientFlagsDropUnoffered,
       .claim = "A client that sets NO_ZEROES where it was not offered is dropped.",
       .run = DropUnofferedFlag},
      {.id = spec::kHandshakeFlagsFixedNewstyle,
       .claim = "A server that answers LIST has FIXED_NEWSTYLE set.",
       .run = FixedNewstyleSet},
      {.id = spec::kOptionExportNameOthersNeedFixed,
       .claim = "A server that answers INFO has FIXED_NEWSTYLE set.",
       .run = OthersNeedFixed},
      {.id = spec::kBaselineFixedNewstyleServer,
       .claim = "FIXED_NEWSTYLE is set, and LIST gets option replies.",
       .run = FixedNewstyleServed},
      {.id = spec::kSessionHardOnlyWhenAllowedServer,
       .needs = {Feature::kFixedNewstyle},
       .claim = "None of the options that a client may send makes the server disconnect.",
       .run = NoNeedlessEnd},
      {.id = spec::kSessionServerErrorUnwelcome,
       .needs = {Feature::kFixedNewstyle},
       .claim = "An option that the server refuses is refused 16 times, without a disconnect.",
       .run = ErrorsToTheUnwelcome},
  };
}

}  // namespace nbdspec::conformance
