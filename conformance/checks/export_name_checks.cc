// SPDX-License-Identifier: BSD-3-Clause
// Checks of NBD_OPT_EXPORT_NAME, whose reply is unlike any other's. Spec: proto.md, "Newstyle negotiation",
// "NBD_OPT_EXPORT_NAME".
#include <fmt/format.h>

#include <algorithm>

#include "conformance/checks/check.h"
#include "conformance/checks/haggling.h"
#include "engine/base/quoted.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::ClientFlag;

namespace {

constexpr std::size_t kReplyBytes = 10;  // Without the pad.

bool IsAllZeroes(engine::ByteView bytes) {
  return std::ranges::all_of(bytes, [](auto byte) { return byte == 0; });
}

// An option reply read as an EXPORT_NAME reply: its magic stands where the size is due.
bool IsOptionReply(const engine::ExportNameReply& reply) { return reply.size == engine::kOptionReplyMagic; }

Judgement ReplyLayout(CheckContext& context) {
  NBDSPEC_TRY(answer, AskByName(context, context.export_name()));
  const std::string allowed = "64 bits of size, 16 bits of flags, and no header of an option reply";
  if (!answer.reply) {
    const std::size_t came = answer.session.pending().size();
    const std::string& text = answer.reply.error().text;
    if (answer.reply.error().kind == ReceiveError::kTimedOut && came > 0 && came < kReplyBytes) {
      return Broken(text, allowed);
    }
    return answer.reply.error().is_disconnect() && came == 0 ? NotApplicable(text) : Inconclusive(text);
  }
  return IsOptionReply(*answer.reply) ? Broken("an option reply to NBD_OPT_EXPORT_NAME", allowed) : Holds();
}

Judgement ZeroPad(CheckContext& context) {
  NBDSPEC_TRY(answer, AskByName(context, context.export_name(), ClientFlag::kFixedNewstyle));
  const std::string allowed = "124 zero bytes after size and flags";
  if (!answer.reply) {
    const ReceiveError& ended = answer.reply.error();
    const std::size_t came = answer.session.pending().size();
    if (came >= kReplyBytes) {
      return Broken(fmt::format("{} bytes of pad, then {}", came - kReplyBytes, ended.text), allowed);
    }
    return ended.is_disconnect() && came == 0 ? NotApplicable(ended.text) : Inconclusive(ended.text);
  }
  if (!IsAllZeroes(answer.reply->pad)) {
    return Broken("a pad that is not all zeroes", allowed);
  }
  const auto noise = answer.session.ExpectSilence();
  return noise && !answer.session.pending().empty() ? Broken("after the 124 bytes of pad: " + *noise, allowed)
                                                    : Holds();
}

// The pad is left out only for a client that asks for that.
Judgement PadNotOmittedUnasked(CheckContext& context) {
  NBDSPEC_TRY(answer, AskByName(context, context.export_name(), ClientFlag::kFixedNewstyle));
  const std::size_t came = answer.session.pending().size();
  if (!answer.reply && came == kReplyBytes) {
    return Broken("size and flags without a pad, though the client did not set NO_ZEROES",
                  "the pad is left out only if the client sets NO_ZEROES");
  }
  if (!answer.reply) {
    return answer.reply.error().is_disconnect() && came == 0 ? NotApplicable(answer.reply.error().text)
                                                             : AsJudgement(answer.reply.error());
  }
  return Holds();
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
  const engine::ByteView came = answer.session.pending();
  return !came.empty() && IsAllZeroes(came)
             ? Broken(fmt::format("{} zero bytes after size and flags", came.size()), "no pad after NO_ZEROES")
             : Inconclusive(*noise);
}

// The server must have said by INFO that it has no such export: some serve any name.
Judgement UnknownTerminates(CheckContext& context) {
  const std::string name = context.UnknownName();
  if (LacksExport(context, name) != true) {
    return NotApplicable("the server does not say of any name that it has no such export");
  }
  NBDSPEC_TRY(answer, AskByName(context, name));
  const std::string allowed = "the server ends the session";
  if (answer.reply) {
    return Broken(fmt::format("size {} and flags {} for the export {}", answer.reply->size,
                              engine::TransmissionFlagNames(answer.reply->flags), engine::Quoted(name)),
                  allowed);
  }
  const ReceiveError& ended = answer.reply.error();
  return ended.is_disconnect() && answer.session.pending().empty() ? Holds() : Broken(ended.text, allowed);
}

Judgement HardWhereNoSoft(CheckContext& context) {
  const std::string name = context.UnknownName();
  if (LacksExport(context, name) != true) {
    return NotApplicable("the server does not say of any name that it has no such export");
  }
  NBDSPEC_TRY(answer, AskByName(context, name));
  const std::string allowed = "a disconnect, for want of a way to return an error";
  if (answer.reply) {
    return IsOptionReply(*answer.reply) ? Broken("an option reply to NBD_OPT_EXPORT_NAME", allowed)
                                        : NotApplicable("the server serves it after all");
  }
  return answer.reply.error().is_disconnect() ? Holds() : Broken(answer.reply.error().text, allowed);
}

Judgement ServedByName(CheckContext& context) {
  const engine::InfoBlockSize& block = context.profile().block_size;
  if (block.minimum > 1 || block.maximum < engine::kPayloadBytesDefaultMax) {
    return NotApplicable("the server has block sizes of its own, and may refuse EXPORT_NAME");
  }
  NBDSPEC_TRY(answer, AskByName(context, context.export_name()));
  if (answer.reply) {
    return Holds();
  }
  const ReceiveError& ended = answer.reply.error();
  return ended.is_disconnect() ? Broken(ended.text, "EXPORT_NAME works next to GO") : AsJudgement(ended);
}

// Without options before it on either connection, so that nothing else can make a difference.
Judgement SameAsGo(CheckContext& context) {
  NBDSPEC_TRY(by_name, EnterByName(context));
  NBDSPEC_TRY(by_go, EnterByGo(context, {engine::InfoType::kBlockSize}));
  if (by_name.reply->size == by_go.info.size && by_name.reply->flags == by_go.info.flags) {
    return Holds();
  }
  return Broken(fmt::format("GO: size {}, flags {}; EXPORT_NAME: size {}, flags {}", by_go.info.size,
                            engine::TransmissionFlagNames(by_go.info.flags), by_name.reply->size,
                            engine::TransmissionFlagNames(by_name.reply->flags)),
                "the same size and flags");
}

}  // namespace

std::vector<Check> ExportNameChecks() {
  return {
      {.id = spec::kHandshakeFlagsNoZeroes,
       .needs = {Feature::kNoZeroes},
       .claim = "Both sides set NO_ZEROES: no pad follows the ten bytes of the EXPORT_NAME reply.",
       .run = NoPadWhenAgreed},
      {.id = spec::kHandshakeFlagsNoUnilateralChange,
       .needs = {Feature::kNoZeroes},
       .claim = "The pad is not left out for a client that did not set NO_ZEROES.",
       .run = PadNotOmittedUnasked},
      {.id = spec::kOptionExportNameReplyLayout,
       .claim = "EXPORT_NAME is answered by size and flags, without an option reply header.",
       .run = ReplyLayout},
      {.id = spec::kOptionExportNameZeroPad,
       .claim = "Without NO_ZEROES exactly 124 zero bytes end the EXPORT_NAME reply.",
       .run = ZeroPad},
      {.id = spec::kOptionExportNameUnknownTerminates,
       .claim = "EXPORT_NAME for an export that INFO does not know ends the session, without a byte.",
       .run = UnknownTerminates},
      {.id = spec::kSessionMandatedHardIfNoSoftServer,
       .claim = "EXPORT_NAME for an export that INFO does not know ends in a disconnect, not in silence.",
       .run = HardWhereNoSoft},
      {.id = spec::kInteropExportNameServer,
       .needs = {Feature::kGo},
       .claim = "A server with default block sizes serves the export by EXPORT_NAME too.",
       .run = ServedByName},
      {.id = spec::kRepInfoExportSameAsExportName,
       .needs = {Feature::kGo},
       .claim = "GO and EXPORT_NAME give the same size and flags.",
       .run = SameAsGo},
  };
}

}  // namespace nbdspec::conformance
