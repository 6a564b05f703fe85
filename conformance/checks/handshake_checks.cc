// SPDX-License-Identifier: BSD-3-Clause
// Checks of the greeting and the client flags. Spec: proto.md, "Newstyle negotiation", "Handshake flags".
#include <fmt/format.h>

#include "conformance/checks/check.h"
#include "engine/wire/big_endian.h"

namespace nbdspec::conformance {

using engine::ClientFlag;
using engine::HandshakeFlag;
using engine::OptionType;

namespace {

Judgement Magic(CheckContext& context) {
  NBDSPEC_TRY(session, context.Connect());
  const auto greeting = session.Next();
  if (!greeting) {
    return greeting.error().how == Ended::How::kUndecodable ? Broken(greeting.error().text, "NBDMAGIC, then IHAVEOPT")
                                                            : AsJudgement(greeting.error());
  }
  return Holds();  // A message that does not begin with NBDMAGIC is no greeting.
}

Judgement FlagsWidth(CheckContext& context) {
  NBDSPEC_TRY(session, context.Connect());
  NBDSPEC_TRY(greeting, session.NextGreeting());
  const auto noise = session.Silence();
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
  session.Say(engine::ClientFlags{.flags = greeting.flags | extra});
  session.Say(engine::Option{.option = OptionType::kList});
  const Ended end = session.NextEnd();
  return end.is_disconnect() ? Holds() : Broken(end.text, "the server closes the connection");
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

}  // namespace

std::vector<Check> HandshakeChecks() {
  return {
      {.id = "handshake.magic", .claim = "The first 16 bytes are NBDMAGIC and IHAVEOPT.", .run = Magic},
      {.id = "handshake.flags.width",
       .claim = "After 18 bytes of greeting the server waits for the client flags.",
       .run = FlagsWidth},
      {.id = "handshake.flags.no-other", .claim = "Handshake flags have no unknown bits.", .run = NoOtherFlags},
      {.id = "handshake.client-flags.drop-unknown",
       .claim = "A client that sets flag bit 2 is dropped.",
       .run = DropUnknownFlag},
      {.id = "handshake.client-flags.drop-unknown/high",
       .claim = "A client that sets flag bit 31 is dropped.",
       .run = DropUnknownHighFlag},
      {.id = "handshake.client-flags.drop-unoffered",
       .claim = "A client that sets NO_ZEROES where it was not offered is dropped.",
       .run = DropUnofferedFlag},
  };
}

}  // namespace nbdspec::conformance
