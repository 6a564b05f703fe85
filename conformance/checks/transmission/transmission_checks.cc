// SPDX-License-Identifier: BSD-3-Clause
// Checks of requests and replies in general, and of DISC. Spec: proto.md, "Transmission" and its parts.
#include <set>

#include "conformance/checks/transmission/asking.h"

namespace nbdspec::conformance {

namespace {

// --- Which replies come ----------------------------------------------------------------------------------------

// READs one after the other, the first with an ordinary cookie. Each must succeed as that one did.
Judgement AskWithCookies(Entered& entered) {
  NBDSPEC_TRY(read, FirstRead(entered));
  const std::uint64_t cookies[] = {1, 0, ~std::uint64_t{0}, std::uint64_t{1} << 63, kRequestMagic};
  for (const std::uint64_t cookie : cookies) {
    read.cookie = cookie;
    Batch batch;
    const bool whole = AskAll(entered, {&read, 1}, batch);
    const std::uint32_t error = batch.first().error();
    if (whole && error == NbdError::kOk) {
      continue;
    }
    // It has nothing to do with cookies that the disk has a fault, or that replies are cut wrongly.
    const bool failed_otherwise = whole
                                      ? error != NbdError::kEinval
                                      : batch.endings.back().kind == ReceiveError::kUndecodable && batch.strays.empty();
    if (cookie == 1 || failed_otherwise) {
      return Inconclusive(fmt::format("READ with the cookie {:#x} failed", cookie));
    }
    return Broken(
        fmt::format("READ with the cookie {:#x}: {}{}", cookie, whole ? ErrorName(error) : batch.endings.back().text,
                    batch.strays.empty() ? "" : ", but " + Describe(batch.strays.front())),
        "any cookie will do");
  }
  return Holds();
}

Judgement CookieOpaque(CheckContext& context) {
  NBDSPEC_TRY(simple, context.Enter());
  Judgement judgement = AskWithCookies(simple);
  if (!judgement.holds() || !context.Offers(Feature::kStructuredReplies)) {
    return judgement;
  }
  NBDSPEC_TRY(structured, context.EnterWithChunks());
  return AskWithCookies(structured);
}

// READ, and a WRITE of what was read.
Judgement BaselineSimple(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  NBDSPEC_TRY(scratch, ScratchRange(entered, 1));
  const auto read = entered.session.Ask(RequestFor(CommandType::kRead, scratch));
  if (!read) {
    return read.error().kind == ReceiveError::kUndecodable ? Broken(read.error().text, "a simple reply")
                                                           : AsJudgement(read.error());
  }
  if (!read->simple) {
    return Broken("READ: " + Describe(read->chunks.front()), "a simple reply");
  }
  if (!context.Offers(Feature::kWritable) || read->simple->error != NbdError::kOk) {
    return Holds();
  }
  NBDSPEC_TRY(write, entered.session.Ask(WriteOf(scratch.begin, read->simple->data)));
  return write.simple ? Holds() : Broken("WRITE: " + Describe(write.chunks.front()), "a simple reply");
}

// --- How it ends -----------------------------------------------------------------------------------------------

// Asks a legal request of each kind in the survey alone on a connection: one that ends it, ends it by itself.
Judgement AskEachAlone(CheckContext& context, const Survey& survey) {
  std::set<std::uint16_t> asked;
  for (const Exchange& exchange : survey.batch.exchanges) {
    const RequestHead& head = exchange.request;
    if (!exchange.legality.is_legal() || head.has_query() || !asked.insert(head.type).second) {
      continue;
    }
    Request request = RequestFor(head.type, head.range(), head.flags);
    if (head.type == CommandType::kWrite) {
      request.payload = Pattern(head.length, context.random());
    }
    NBDSPEC_TRY(entered, context.EnterWithAll(survey.structured));
    const Batch batch = AskOnce(entered, request);
    const bool has_begun = !entered.session.pending().empty();
    const bool is_read_cut_off = head.type == CommandType::kRead && has_begun;
    if (!batch.first().is_complete() && batch.endings.back().is_disconnect() && !is_read_cut_off) {
      return Broken(fmt::format("after {} alone {}", Describe(head), batch.endings.back().text),
                    "an answer to a legal request");
    }
  }
  return Holds();
}

Judgement OnlyAllowedDisconnect(CheckContext& context, const Survey& survey) {
  const auto& ended = survey.ended;
  if (!ended || !ended->is_disconnect()) {
    return ended ? AsJudgement(*ended) : Holds();
  }
  // There is no other way to report in a simple reply that a READ failed after its header.
  const bool excused = !survey.structured && std::ranges::any_of(survey.batch.exchanges, [](const Exchange& exchange) {
    return exchange.Is(CommandType::kRead) && (!exchange.answer.is_complete() || exchange.answer.has_failed());
  });
  if (!excused) {
    return About(SubjectOf(*ended), Broken("after legal requests " + ended->text, "the connection goes on"));
  }
  Judgement alone = AskEachAlone(context, survey);
  return alone.holds() ? Inconclusive("it may be how the server says that a READ failed: " + ended->text) : alone;
}

constexpr std::uint64_t kDiscCookie = 0x6469736e62640001;
constexpr int kDiscTries = 16;  // A server of several threads may be right at times.

// A connection on which a READ was answered and then DISC was sent.
std::expected<Session, Judgement> Disc(CheckContext& context) {
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  if (const auto read = FirstRead(entered)) {
    NBDSPEC_TRY(answer, entered.session.Ask(*read));
  }
  entered.session.Send(Request{.type = CommandType::kDisc, .cookie = kDiscCookie});
  return std::move(entered.session);
}

// The reply to DISC, or how the connection ended, or that nothing more came.
std::expected<ServerMessage, ReceiveError> AnswerToDisc(Session& session) {
  for (;;) {
    auto received = session.Next();
    const auto head = received ? HeadOf(*received) : std::nullopt;
    if (!received || (head && head->cookie == kDiscCookie)) {
      return received;
    }
  }
}

Judgement DiscCloses(CheckContext& context) {
  for (int i = 0; i < kDiscTries; ++i) {
    NBDSPEC_TRY(session, Disc(context));
    const ReceiveError end = session.WaitForEnd();
    if (!end.is_disconnect()) {
      return Broken("after NBD_CMD_DISC " + end.text, "the server closes the connection");
    }
  }
  return Holds();
}

Judgement DiscGetsNoReply(CheckContext& context) {
  NBDSPEC_TRY(session, Disc(context));
  const auto reply = AnswerToDisc(session);
  return Require(!reply, "after NBD_CMD_DISC " + (reply ? Describe(*reply) : ""), "no reply");
}

Judgement DiscGetsNoReplyAndCloses(CheckContext& context) {
  Judgement judgement = DiscGetsNoReply(context);
  return judgement.holds() ? DiscCloses(context) : judgement;
}

constexpr std::uint64_t kWrites = 6;

// Writes `data` at `range` in parts at once, sends DISC, and receives all until the end.
// Returns the parts that were refused: the client knows of those.
std::vector<std::uint64_t> WriteAndLeave(Session& session, ByteRange range, ByteView data) {
  constexpr std::uint64_t kFirstCookie = 1000;
  const std::uint64_t part = range.length() / kWrites;
  for (std::uint64_t i = 0; i < kWrites; ++i) {
    const auto bytes = data.subspan(i * part, part);
    Request write = WriteOf(range.begin + i * part, {bytes.begin(), bytes.end()});
    write.cookie = kFirstCookie + i;
    session.Send(write);
  }
  session.Send(Request{.type = CommandType::kDisc, .cookie = kFirstCookie + kWrites});
  std::vector<std::uint64_t> refused;
  for (auto received = session.Next(); received; received = session.Next()) {
    const auto* simple = std::get_if<SimpleReply>(&*received);
    if (simple != nullptr && simple->error != NbdError::kOk) {
      refused.push_back(simple->cookie - kFirstCookie);
    }
  }
  return refused;
}

// In how many of kWrites parts, those `without`, the bytes are the same.
std::uint64_t CountSameParts(ByteView one, ByteView other, const std::vector<std::uint64_t>& without) {
  const std::uint64_t part = one.size() / kWrites;
  std::uint64_t count = 0;
  for (std::uint64_t i = 0; i < kWrites; ++i) {
    const bool is_same = std::ranges::equal(one.subspan(i * part, part), other.subspan(i * part, part));
    count += is_same && std::ranges::count(without, i) == 0 ? 1 : 0;
  }
  return count;
}

// How many WRITEs of one connection were neither refused nor are to be seen on the next one.
// Errors: nothing was written.
std::expected<std::uint64_t, Judgement> LostWrites(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  NBDSPEC_TRY(range, ScratchRange(entered, kWrites));
  const Bytes data = Pattern(range.length(), context.random());
  const std::vector<std::uint64_t> refused = WriteAndLeave(entered.session, range, data);
  if (refused.size() >= kWrites) {
    return Stop(NotApplicable("every WRITE in flight was refused"));
  }
  NBDSPEC_TRY(again, context.Enter());
  std::expected<std::uint64_t, Judgement> lost = 0;
  BecomesSo(context, [&] {
    const auto found = ReadBytes(again.session, range);
    lost =
        found
            ? std::expected<std::uint64_t, Judgement>(kWrites - refused.size() - CountSameParts(*found, data, refused))
            : std::unexpected(found.error());
    return !lost || *lost == 0;
  });
  return lost;
}

// A server may keep the writes of each connection apart (copy on write): then nothing can be seen.
Judgement DiscHandlesOutstanding(CheckContext& context) {
  NBDSPEC_TRY(lost, LostWrites(context));
  if (lost == 0) {
    return Holds();
  }
  NBDSPEC_TRY(entered, context.Enter());
  NBDSPEC_TRY(range, ScratchRange(entered, 1));
  const Bytes data = Pattern(range.length(), context.random());
  NBDSPEC_TRY(written, entered.session.Ask(WriteOf(range.begin, data)));
  entered.session.Disconnect();
  NBDSPEC_TRY(again, context.Enter());
  NBDSPEC_TRY(found, ReadBytes(again.session, range));
  return found == data ? Broken(fmt::format("{} of {} WRITEs in flight at NBD_CMD_DISC are lost", lost, kWrites),
                                "the server handles all of them, then disconnects")
                       : NotApplicable("what one connection writes is never there on the next one");
}

}  // namespace

std::vector<Check> TransmissionChecks() {
  return {
      {kTransmissionReplyPerRequest, "Each request gets one reply.", InBothModes(RepliesOnce)},
      {kTransmissionCookieEcho, "No reply has a cookie that was not sent.", InBothModes(EchoesCookies)},
      {kTransmissionCookieOpaque, "READ succeeds with the cookies 0 and 2^64-1 as with others.", CookieOpaque},
      {kTransmissionSimpleMagic, "A simple reply begins with its magic.", BeginsWithMagic(/*structured=*/false)},
      {kTransmissionSimpleMandatoryWithoutStructured, "Without structured replies no request gets a chunk.",
       WithSimple()},
      {kTransmissionMagicReservedServer, "No reply begins with a reserved magic.",
       InBothModes(NoMagicOf<0x12560953, 0x96744668, 0x25609514>)},
      {kTransmissionMagicExtendedGatedServer,
       "No reply begins with the magic of extended headers, which were not agreed.",
       InBothModes(NoMagicOf<kExtendedChunkMagic>)},
      {kTransmissionDisconnectOnlyAllowedServer, "Legal requests do not end the connection.",
       InBothModes(OnlyAllowedDisconnect)},
      {kBaselineSimpleRepliesServer, "READ and WRITE get simple replies unless others were agreed.", BaselineSimple},
      {kBaselineDiscServer, "DISC ends the connection without a reply.", DiscGetsNoReplyAndCloses},
      {kDiscNoReply, "DISC gets no reply.", DiscGetsNoReply},
      {kDiscServerClosesTcp, "After DISC the server closes the connection.", DiscCloses},
      {kDiscHandleOutstanding, "WRITEs in flight when DISC is sent are done.", DiscHandlesOutstanding,
       Feature::kWritable},
  };
}

}  // namespace nbdspec::conformance
