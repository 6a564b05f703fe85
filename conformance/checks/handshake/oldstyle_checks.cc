// SPDX-License-Identifier: BSD-3-Clause
// Checks of the oldstyle handshake, which is 152 bytes that the server sends before transmission begins. Spec:
// proto.md, "Oldstyle negotiation", "Newstyle negotiation", "Handshake flags".
#include "conformance/checks/check.h"
#include "engine/wire/fields.h"

namespace nbdspec::conformance {

namespace {

constexpr std::size_t kFieldBytes = 28;   // Without the pad.
constexpr std::uint32_t kFieldBits = 16;  // Of the flags; those of the handshake stand above those of transmission.

// What a server says first that is no newstyle greeting.
struct Greeted {
  Session session;
  std::optional<OldstyleGreeting> greeting = {};
  std::optional<ReceiveError> ended = {};  // Why it is none.

  [[nodiscard]] bool has_magic() const {
    const ByteView came = session.pending();
    return came.size() >= kMagicBytes && GetBigEndian<std::uint64_t>(came, sizeof kNbdMagic) == kOldstyleMagic;
  }

 private:
  static constexpr std::size_t kMagicBytes = sizeof kNbdMagic + sizeof kOldstyleMagic;
};

// Errors: not applicable to a newstyle server.
std::expected<Greeted, Judgement> GreetedOldstyle(CheckContext& context) {
  NBDSPEC_TRY(session, context.Connect());
  const auto first = session.Next();
  if (!first) {
    return Greeted{.session = std::move(session), .ended = first.error()};
  }
  if (const auto* greeting = std::get_if<OldstyleGreeting>(&*first)) {
    return Greeted{.session = std::move(session), .greeting = *greeting};
  }
  return Stop(NotApplicable("a newstyle greeting"));
}

// Another second magic may be a newstyle server's; that one says no more than 18 bytes.
Judgement Layout(CheckContext& context) {
  NBDSPEC_TRY(greeted, GreetedOldstyle(context));
  constexpr std::string_view kAllowed = "NBDMAGIC, the magic of the oldstyle handshake, 64 bits of size, 32 of flags";
  if (greeted.greeting) {
    return Holds();
  }
  const ReceiveError& ended = *greeted.ended;
  const std::size_t came = greeted.session.pending().size();
  if (ended.kind == ReceiveError::kUndecodable) {
    const bool is_long = came > kGreetingBytes && GetBigEndian<std::uint64_t>(greeted.session.pending()) == kNbdMagic;
    return is_long ? Broken(ended.text, kAllowed) : NotApplicable(ended.text);
  }
  return greeted.has_magic() && came < kFieldBytes ? Broken(ended.text, kAllowed) : AsJudgement(ended);
}

Judgement ZeroPad(CheckContext& context) {
  NBDSPEC_TRY(greeted, GreetedOldstyle(context));
  constexpr std::string_view kAllowed = "124 zero bytes after size and flags";
  if (!greeted.greeting) {
    const std::size_t came = greeted.session.pending().size();
    return greeted.has_magic() && came >= kFieldBytes
               ? Broken(fmt::format("{} bytes of pad, then {}", came - kFieldBytes, greeted.ended->text), kAllowed)
               : AsJudgement(*greeted.ended);
  }
  if (!greeted.greeting->pad_is_zero) {
    return Broken("a pad that is not all zeroes", kAllowed);
  }
  const auto noise = greeted.session.ExpectSilence();
  return noise && !greeted.session.pending().empty() ? Broken("after the 124 bytes of pad: " + *noise, kAllowed)
                                                     : Holds();
}

Judgement NoHandshakeFlags(CheckContext& context) {
  NBDSPEC_TRY(greeted, GreetedOldstyle(context));
  if (!greeted.greeting) {
    return AsJudgement(*greeted.ended);
  }
  const auto flags = static_cast<std::uint16_t>(greeted.greeting->flags >> kFieldBits);
  return Require(flags == 0, "an oldstyle greeting with the handshake flags " + HandshakeFlagNames(flags),
                 "no handshake flags");
}

Judgement NotOnTheNewstylePort(CheckContext& context) {
  if (context.peer.tcp_port() != kNbdPort) {
    return NotApplicable(fmt::format("the server is not met at port {} of TCP", kNbdPort));
  }
  NBDSPEC_TRY(session, context.Connect());
  NBDSPEC_TRY(first, session.Next());
  return Require(!std::holds_alternative<OldstyleGreeting>(first), "an oldstyle greeting", "a newstyle greeting there");
}

}  // namespace

std::vector<Check> OldstyleChecks() {
  return {
      {kHandshakeOldstyleGreeting,
       "What is no newstyle greeting is NBDMAGIC, the magic of the oldstyle handshake, size and flags.", Layout},
      {kHandshakeOldstyleZeroPad, "Exactly 124 zero bytes end an oldstyle greeting.", ZeroPad},
      {kHandshakeFlagsOldstyleNone, "An oldstyle greeting has no handshake flags.", NoHandshakeFlags},
      {kHandshakePortNoOldstyleOn10809, "Port 10809 of TCP does not greet in the oldstyle.", NotOnTheNewstylePort},
  };
}

}  // namespace nbdspec::conformance
