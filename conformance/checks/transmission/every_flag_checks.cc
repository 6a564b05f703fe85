// SPDX-License-Identifier: BSD-3-Clause
// Checks of every command with every flag: known or not, offered or not, documented for the command or not; DISC among
// them. Spec: proto.md, "Command flags", "Error values", "Terminating the transmission phase".
#include "conformance/checks/transmission/asking.h"

namespace nbdspec::conformance {

namespace {

constexpr int kFlagBits = 16;

// A small request that does no harm whether the flag is refused or passed over; nothing where there is none.
std::optional<Request> Flagged(CheckContext& context, const Entered& entered, std::uint16_t command,
                               std::uint16_t flag) {
  const auto scratch = ScratchRange(entered, 1);
  // FAST_ZERO that is not offered has a check of its own.
  const bool is_asked_elsewhere = command == CommandType::kWriteZeroes && flag == CommandFlag::kFastZero &&
                                  !entered.Has(TransmissionFlag::kSendFastZero);
  if (!scratch || is_asked_elsewhere || (Changes(command) && !context.Offers(Feature::kWritable))) {
    return {};
  }
  if (command == CommandType::kWrite) {
    return WriteOf(scratch->begin, Pattern(scratch->length(), context.random()), flag);
  }
  Request request = RequestFor(command, command == CommandType::kFlush ? ByteRange{} : *scratch, flag);
  if (entered.agreed->headers == HeaderForm::kExtended && flag == CommandFlag::kPayloadLen) {
    request.payload = Bytes(request.length);  // Which the flag announces.
  }
  return request;
}

// Each command with each flag, behind each a READ, by whose answer all that came to it has come.
std::expected<Survey, Judgement> AskWithEveryFlag(CheckContext& context, bool structured) {
  constexpr std::uint16_t kUnknownCommand = 0x7fff;
  constexpr std::uint16_t kCommands[] = {CommandType::kRead,        CommandType::kWrite, CommandType::kFlush,
                                         CommandType::kTrim,        CommandType::kCache, CommandType::kWriteZeroes,
                                         CommandType::kBlockStatus, kUnknownCommand};
  NBDSPEC_TRY(entered, context.EnterWithAll(structured));
  NBDSPEC_TRY(read, FirstRead(entered));
  Survey survey{.structured = structured};
  for (const std::uint16_t command : kCommands) {
    for (int bit = 0; bit < kFlagBits; ++bit) {
      auto request = Flagged(context, entered, command, static_cast<std::uint16_t>(1U << bit));
      if (!request) {
        continue;
      }
      request->cookie = context.random();
      read.cookie = context.random();
      if (AskAll(entered, {&*request, 1}, survey.batch) && AskAll(entered, {&read, 1}, survey.batch)) {
        continue;
      }
      survey.ended = survey.ended ? survey.ended : survey.batch.endings.back();
      const bool was_silent = survey.batch.endings.back().kind == ReceiveError::kTimedOut;
      auto again = context.EnterWithAll(structured);  // A server may hang up on who breaks a rule.
      if (!again) {
        return survey;
      }
      entered = std::move(*again);
      if (was_silent) {
        break;  // Other flags of the command would be waited for in vain, too.
      }
    }
  }
  entered.session.Disconnect();
  return survey;
}

// With simple replies and with chunks, where there are any.
CheckRun WithEveryFlag(SurveyRule rule = KeepsRule) {
  return [rule](CheckContext& context) -> Judgement {
    NBDSPEC_TRY(simple, AskWithEveryFlag(context, /*structured=*/false));
    Judgement first = rule(context, simple);
    if (!first.holds() || !context.HasChunks()) {
      return first;
    }
    NBDSPEC_TRY(structured, AskWithEveryFlag(context, /*structured=*/true));
    Judgement second = rule(context, structured);
    return second.kind == Judgement::Kind::kNotApplicable ? first : second;
  };
}

// --- DISC ---

constexpr std::uint64_t kDiscCookie = 0x6469736e62640002;

// DISC with each flag, on a connection of its own. Where no client may send the flag, an error is as good as the end.
template <bool asks_for_end>
Judgement DiscWithEveryFlag(CheckContext& context) {
  for (int bit = 0; bit < kFlagBits; ++bit) {
    NBDSPEC_TRY(entered, context.EnterWithChunks());
    const Request disc{
        .flags = static_cast<std::uint16_t>(1U << bit), .type = CommandType::kDisc, .cookie = kDiscCookie};
    entered.session.Send(disc);
    const auto received = entered.session.Next();
    const auto head = received ? HeadOf(*received) : std::nullopt;
    const bool is_answered = head && head->cookie == kDiscCookie;
    if (is_answered && LegalityOf(RequestHead::Of(disc), *entered.agreed).is_illegal()) {
      continue;
    }
    const std::string what = "after " + Describe(ClientMessage(disc)) + " ";
    if (asks_for_end) {
      const ReceiveError end = received ? entered.session.WaitForEnd() : received.error();
      if (!end.is_disconnect()) {
        return Broken(what + (received ? Describe(*received) + ", and then " : "") + end.text,
                      "the server closes the connection");
      }
    } else if (is_answered) {
      return Broken(what + Describe(*received), "no reply");
    } else if (!received && !received.error().is_disconnect()) {
      return Holds();  // Silence is not what is asked here, and each flag would wait for it.
    }
  }
  return Holds();
}

}  // namespace

std::vector<Check> EveryFlagChecks() {
  return {
      {kSub<kTransmissionReplyPerRequest, "every-flag">, "Each command gets one reply, whatever flag it has.",
       WithEveryFlag(RepliesOnce)},
      {kSub<kErrorUnknownFlag, "every-command">, "Each command with an unknown flag gets NBD_EINVAL.", WithEveryFlag()},
      {kSub<kErrorInapplicableFlag, "every-command">,
       "Each command with a flag that is not documented for it gets NBD_EINVAL.", WithEveryFlag()},
      {kSub<kCacheRejectUnknownFlags, "every-flag">, "CACHE with any unknown flag fails.", WithEveryFlag(),
       Feature::kCache},
      {kSub<kDiscServerClosesTcp, "every-flag">, "After DISC with any flag the server closes the connection.",
       DiscWithEveryFlag</*asks_for_end=*/true>},
      {kSub<kDiscNoReply, "every-flag">, "DISC with any flag gets no reply.",
       DiscWithEveryFlag</*asks_for_end=*/false>},
  };
}

}  // namespace nbdspec::conformance
