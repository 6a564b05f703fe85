// SPDX-License-Identifier: BSD-3-Clause
// Checks of NBD_OPT_EXPORT_NAME, whose reply is unlike any other's. Spec: proto.md, "Newstyle negotiation",
// "NBD_OPT_EXPORT_NAME".
#include <fmt/format.h>

#include <algorithm>

#include "conformance/checks/options/haggling.h"
#include "engine/base/quoted.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

namespace {

constexpr std::size_t kReplyBytes = 10;  // Without the pad.

bool IsAllZeroes(ByteView bytes) {
  return std::ranges::all_of(bytes, [](auto byte) { return byte == 0; });
}

// An option reply read as an EXPORT_NAME reply: its magic stands where the size is due.
bool IsOptionReply(const engine::ExportNameReply& reply) { return reply.size == engine::kOptionReplyMagic; }

// What an end without a byte means: a server may refuse EXPORT_NAME by closing the connection.
Judgement NoReply(const ExportNameAnswer& answer) {
  const ReceiveError& ended = answer.reply.error();
  return ended.is_disconnect() && answer.session.pending().empty() ? NotApplicable(ended.text) : AsJudgement(ended);
}

Judgement ReplyLayout(CheckContext& context) {
  NBDSPEC_TRY(answer, AskByName(context, context.export_name()));
  constexpr std::string_view kAllowed = "64 bits of size, 16 bits of flags, and no header of an option reply";
  if (answer.reply) {
    return Require(!IsOptionReply(*answer.reply), "an option reply to NBD_OPT_EXPORT_NAME", kAllowed);
  }
  const std::size_t came = answer.session.pending().size();
  const bool is_short = answer.reply.error().kind == ReceiveError::kTimedOut && came > 0 && came < kReplyBytes;
  return is_short ? Broken(answer.reply.error().text, kAllowed) : NoReply(answer);
}

Judgement ZeroPad(CheckContext& context) {
  NBDSPEC_TRY(answer, AskByName(context, context.export_name(), ClientFlag::kFixedNewstyle));
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
  NBDSPEC_TRY(answer, AskByName(context, context.export_name(), ClientFlag::kFixedNewstyle));
  if (!answer.reply && answer.session.pending().size() == kReplyBytes) {
    return Broken("size and flags without a pad, though the client did not set NO_ZEROES",
                  "the pad is left out only if the client sets NO_ZEROES");
  }
  return answer.reply ? Holds() : NoReply(answer);
}

Judgement NoPadWhenAgreed(CheckContext& context) {
  NBDSPEC_TRY(answer, EnterByName(context));
  if (!answer.no_zeroes) {
    return NotApplicable("the server does not offer NO_ZEROES this time");
  }
  const auto noise = answer.session.ExpectSilence();
  if (!noise) {
    return Holds();
  }
  const ByteView came = answer.session.pending();
  return !came.empty() && IsAllZeroes(came)
             ? Broken(fmt::format("{} zero bytes after size and flags", came.size()), "no pad after NO_ZEROES")
             : Inconclusive(*noise);
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
    return IsOptionReply(*answer.reply) ? Broken("an option reply to NBD_OPT_EXPORT_NAME", kAllowed)
                                        : NotApplicable("the server serves it after all");
  }
  return MayDisconnect(answer.reply.error(), kAllowed);
}

Judgement ServedByName(CheckContext& context) {
  const InfoBlockSize& block = context.profile().block_size;
  if (block.minimum > 1 || block.maximum < engine::kPayloadBytesDefaultMax) {
    return NotApplicable("the server has block sizes of its own, and may refuse EXPORT_NAME");
  }
  NBDSPEC_TRY(answer, AskByName(context, context.export_name()));
  return answer.reply ? Holds() : MayNotDisconnect(answer.reply.error(), "", "EXPORT_NAME works next to GO");
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

std::vector<Check> ExportNameChecks() {
  return {
      {spec::kHandshakeFlagsNoZeroes,
       "Both sides set NO_ZEROES: no pad follows the ten bytes of the EXPORT_NAME reply.", NoPadWhenAgreed,
       Feature::kNoZeroes},
      {spec::kHandshakeFlagsNoUnilateralChange,
       "The server does not leave out the pad for a client that did not set NO_ZEROES.", PadNotOmittedUnasked,
       Feature::kNoZeroes},
      {spec::kOptionExportNameReplyLayout, "EXPORT_NAME gets size and flags, without an option reply header.",
       ReplyLayout},
      {spec::kOptionExportNameZeroPad, "Without NO_ZEROES exactly 124 zero bytes end the EXPORT_NAME reply.", ZeroPad},
      {spec::kOptionExportNameUnknownTerminates,
       "EXPORT_NAME for an export that INFO does not know ends the session, without a byte.", UnknownTerminates},
      {spec::kSessionMandatedHardIfNoSoftServer,
       "EXPORT_NAME for an export that INFO does not know ends in a disconnect, not in silence.", HardWhereNoSoft},
      {spec::kInteropExportNameServer, "A server with default block sizes serves the export by EXPORT_NAME too.",
       ServedByName, Feature::kGo},
      {spec::kRepInfoExportSameAsExportName, "GO and EXPORT_NAME give the same size and flags.", SameAsGo,
       Feature::kGo},
  };
}

}  // namespace nbdspec::conformance
