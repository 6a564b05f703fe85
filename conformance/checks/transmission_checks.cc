// SPDX-License-Identifier: BSD-3-Clause
// Checks of requests and replies in general, and of DISC. Spec: proto.md, "Transmission" and its parts.
#include <fmt/format.h>

#include <algorithm>

#include "conformance/checks/survey.h"

namespace nbdspec::conformance {

using engine::CommandType;
using engine::NbdError;
using engine::Request;

namespace {

// --- Which replies come ----------------------------------------------------------------------------------------

bool EndsReply(const engine::ServerMessage& message) {
  const auto* chunk = std::get_if<engine::Chunk>(&message);
  return chunk == nullptr || chunk->is_done();
}

Judgement ReplyPerRequest(const Survey& survey) {
  const auto second = std::ranges::find_if(survey.batch.late, EndsReply);
  if (second != survey.batch.late.end()) {
    return Broken(fmt::format("{}, for a request that was answered already", engine::Describe(*second)),
                  "one reply to each request");
  }
  bool any = false;
  for (const Exchange& exchange : survey.batch.exchanges) {
    any = any || exchange.complete;
    const bool silent = exchange.ended && exchange.ended->how == Ended::How::kTimedOut;
    if (silent && exchange.answer.chunks.empty() && survey.batch.strays.empty()) {
      return Broken(fmt::format("no reply to {}: {}", engine::Describe(exchange.request), exchange.ended->text),
                    "a reply to each request while the connection is up");
    }
  }
  return any ? Holds() : Inconclusive(survey.batch.ended ? survey.batch.ended->text : "nothing was answered");
}

Judgement CookieEcho(const Survey& survey) {
  const Batch& batch = survey.batch;
  if (!batch.strays.empty()) {
    return Broken(fmt::format("{}, with a cookie never sent", engine::Describe(batch.strays.front())),
                  "the cookie of the request in each reply");
  }
  return batch.ended ? Inconclusive(batch.ended->text) : Holds();
}

// READs one after the other, the first with an ordinary cookie. Each must succeed as that one did.
Judgement AskWithCookies(CheckContext& context, const EnterOptions& options) {
  NBDSPEC_TRY(entered, context.Enter(options));
  if (UsableBytes(entered) == 0) {
    return NotApplicable("the export is too small to read");
  }
  Request read = RequestFor(CommandType::kRead, {.begin = 0, .end = GridOf(entered)});
  const std::uint64_t cookies[] = {1, 0, ~std::uint64_t{0}, std::uint64_t{1} << 63, engine::kRequestMagic};
  for (const std::uint64_t cookie : cookies) {
    read.cookie = cookie;
    const Batch batch = AskOnce(entered.session, read);
    const std::uint32_t error = batch.exchanges.front().answer.error();
    const bool answered = !batch.ended && error == NbdError::kOk;
    if (!answered && cookie == 1) {
      return Inconclusive("READ failed even with the cookie 1");
    }
    if (!answered) {
      const std::string other = batch.strays.empty() ? "" : ", but " + engine::Describe(batch.strays.front());
      return Broken(fmt::format("READ with the cookie {:#x}: {}{}", cookie,
                                batch.ended ? batch.ended->text : engine::ErrorName(error), other),
                    "any cookie will do");
    }
  }
  return Holds();
}

Judgement CookieOpaque(CheckContext& context) {
  Judgement simple = AskWithCookies(context, {});
  const bool both = context.profile().features.Has(Feature::kStructuredReplies);
  return simple.kind == Judgement::Kind::kHolds && both ? AskWithCookies(context, WithStructured(context)) : simple;
}

// --- Magics ----------------------------------------------------------------------------------------------------

// Whether some reply begins with one of `magics`: the decoder's words for a header it cannot take.
Judgement NoMagicOf(const Survey& survey, std::initializer_list<std::uint32_t> magics) {
  bool any = false;
  for (const Exchange& exchange : survey.batch.exchanges) {
    any = any || exchange.complete;
    for (const std::uint32_t magic : magics) {
      if (exchange.ended && exchange.ended->text.starts_with("reply magic is " + engine::MagicText(magic))) {
        return Broken(exchange.ended->text, "magics that the specification gives to replies");
      }
    }
  }
  return any ? Holds() : Inconclusive(survey.batch.ended ? survey.batch.ended->text : "nothing was answered");
}

Judgement MagicReserved(const Survey& survey) { return NoMagicOf(survey, {0x12560953, 0x96744668, 0x25609514}); }
Judgement MagicExtended(const Survey& survey) { return NoMagicOf(survey, {engine::kExtendedChunkMagic}); }

Judgement SimpleMagic(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  if (UsableBytes(entered) == 0) {
    return NotApplicable("the export is too small to read");
  }
  Request read = RequestFor(CommandType::kRead, {.begin = 0, .end = GridOf(entered)});
  read.cookie = entered.session.NextCookie();
  entered.session.Say(read);
  const auto first = entered.session.Next();
  if (first) {
    return std::holds_alternative<engine::SimpleReply>(*first) ? Holds() : NotApplicable("READ got no simple reply");
  }
  return first.error().how == Ended::How::kUndecodable
             ? Broken(first.error().text, "a simple reply begins with 0x67446698")
             : AsJudgement(first.error());
}

Judgement OnlySimple(const Survey&, const Exchange& exchange) {
  if (!exchange.answer.chunks.empty()) {
    return Broken(engine::Describe(exchange.answer.chunks.front()), "a simple reply");
  }
  return exchange.complete ? Holds() : NotApplicable("nothing was answered");
}

// READ, and a WRITE of what was read.
Judgement BaselineSimple(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  const auto scratch = ScratchRange(entered, 1);
  if (!scratch) {
    return NotApplicable("the export is too small");
  }
  const auto read = entered.session.Ask(RequestFor(CommandType::kRead, *scratch));
  if (!read) {
    return read.error().how == Ended::How::kUndecodable ? Broken(read.error().text, "a simple reply")
                                                        : AsJudgement(read.error());
  }
  if (!read->simple) {
    return Broken("READ: " + engine::Describe(read->chunks.front()), "a simple reply");
  }
  if (!context.profile().features.Has(Feature::kWritable) || read->simple->error != NbdError::kOk) {
    return Holds();
  }
  NBDSPEC_TRY(write, entered.session.Ask(WriteOf(scratch->begin, read->simple->data)));
  return write.simple ? Holds() : Broken("WRITE: " + engine::Describe(write.chunks.front()), "a simple reply");
}

// --- How it ends -----------------------------------------------------------------------------------------------

// Whether the end may be the answer to a READ that failed: there is no other way to say so in a simple reply.
bool MayBeReadError(const Survey& survey, const Exchange& exchange) {
  return !survey.structured && exchange.is_read() && (exchange.ended || exchange.answer.error() != NbdError::kOk);
}

Judgement OnlyAllowedDisconnect(const Survey& survey) {
  const auto& ended = survey.batch.ended;
  if (!ended) {
    return Holds();
  }
  if (!ended->is_disconnect()) {
    return Inconclusive(ended->text);
  }
  const bool excused =
      std::ranges::any_of(survey.batch.exchanges, [&](const auto& e) { return MayBeReadError(survey, e); });
  return excused ? Inconclusive("it may be how the server says that a READ failed: " + ended->text)
                 : Broken("after legal requests " + ended->text, "the connection goes on");
}

// A connection on which a READ was answered and then DISC was said.
std::expected<Session, Judgement> Disc(CheckContext& context) {
  auto entered = context.Enter(WithStructured(context));
  if (!entered) {
    return std::unexpected(std::move(entered).error());
  }
  if (UsableBytes(*entered) > 0) {
    const auto answer = entered->session.Ask(RequestFor(CommandType::kRead, {.begin = 0, .end = GridOf(*entered)}));
    if (!answer) {
      return std::unexpected(AsJudgement(answer.error()));
    }
  }
  entered->session.Say(Request{.type = CommandType::kDisc, .cookie = context.random()()});
  return std::move(entered->session);
}

Judgement DiscNoReply(CheckContext& context) {
  NBDSPEC_TRY(session, Disc(context));
  const auto heard = session.Next();
  if (heard) {
    return Broken("after NBD_CMD_DISC " + engine::Describe(*heard), "no reply");
  }
  return heard.error().how == Ended::How::kUndecodable ? Broken(heard.error().text, "no reply") : Holds();
}

Judgement DiscCloses(CheckContext& context) {
  NBDSPEC_TRY(session, Disc(context));
  const Ended end = session.NextEnd();
  return end.is_disconnect() ? Holds() : Broken("after NBD_CMD_DISC " + end.text, "the server closes the connection");
}

Judgement BaselineDisc(CheckContext& context) {
  NBDSPEC_TRY(session, Disc(context));
  const auto heard = session.Next();
  if (heard) {
    return Broken("after NBD_CMD_DISC " + engine::Describe(*heard), "no reply, and the end of the connection");
  }
  return heard.error().is_disconnect()
             ? Holds()
             : Broken("after NBD_CMD_DISC " + heard.error().text, "no reply, and the end of the connection");
}

// Writes `data` at `range` in `count` requests at once, says DISC, and hears all until the end.
// Returns whether no WRITE failed.
bool WriteAndLeave(Session& session, engine::ByteRange range, const engine::Bytes& data, std::uint64_t count) {
  const std::uint64_t part = range.length() / count;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto begin = data.begin() + static_cast<std::ptrdiff_t>(i * part);
    Request write = WriteOf(range.begin + i * part, {begin, begin + static_cast<std::ptrdiff_t>(part)});
    write.cookie = session.NextCookie();
    session.Say(write);
  }
  session.Say(Request{.type = CommandType::kDisc, .cookie = session.NextCookie()});
  bool succeeded = true;
  for (auto heard = session.Next(); heard; heard = session.Next()) {
    const auto* simple = std::get_if<engine::SimpleReply>(&*heard);
    succeeded = succeeded && (simple == nullptr || simple->error == NbdError::kOk);
  }
  return succeeded;
}

// Whether what was written on one connection, `count` parts at once, is there on the next one.
std::expected<bool, Judgement> Outlives(CheckContext& context, std::uint64_t count) {
  auto entered = context.Enter();
  if (!entered) {
    return std::unexpected(std::move(entered).error());
  }
  const auto range = ScratchRange(*entered, count);
  if (!range) {
    return std::unexpected(NotApplicable("the export is too small"));
  }
  const engine::Bytes data = Pattern(range->length(), context.random()());
  if (!WriteAndLeave(entered->session, *range, data, count)) {
    return std::unexpected(Inconclusive("WRITE failed"));
  }
  auto again = context.Enter();
  if (!again) {
    return std::unexpected(std::move(again).error());
  }
  const auto found = ReadBytes(again->session, *range);
  if (!found) {
    return std::unexpected(found.error());
  }
  return *found == data;
}

// A server may keep the writes of each connection apart (copy on write): then nothing can be seen.
Judgement DiscHandlesOutstanding(CheckContext& context) {
  constexpr std::uint64_t kWrites = 6;
  NBDSPEC_TRY(several, Outlives(context, kWrites));
  if (several) {
    return Holds();
  }
  NBDSPEC_TRY(entered, context.Enter());
  const auto range = ScratchRange(entered, 1);
  if (!range) {
    return NotApplicable("the export is too small");
  }
  const engine::Bytes data = Pattern(range->length(), context.random()());
  NBDSPEC_TRY(written, entered.session.Ask(WriteOf(range->begin, data)));
  entered.session.Disconnect();
  NBDSPEC_TRY(again, context.Enter());
  NBDSPEC_TRY(found, ReadBytes(again.session, *range));
  return found == data ? Broken(fmt::format("of {} WRITEs in flight at NBD_CMD_DISC some are lost", kWrites),
                                "the server handles all of them, then disconnects")
                       : NotApplicable("what one connection writes is never there on the next one");
}

}  // namespace

std::vector<Check> TransmissionChecks() {
  return {
      {.id = "transmission.reply-per-request",
       .claim = "Each request is answered once.",
       .run = InBothModes<ReplyPerRequest>},
      {.id = "transmission.cookie.echo",
       .claim = "No reply has a cookie that was not sent.",
       .run = InBothModes<CookieEcho>},
      {.id = "transmission.cookie.opaque",
       .claim = "READ succeeds with the cookies 0 and 2^64-1 as with others.",
       .run = CookieOpaque},
      {.id = "transmission.simple.magic", .claim = "A simple reply begins with its magic.", .run = SimpleMagic},
      {.id = "transmission.simple.mandatory-without-structured",
       .claim = "Without structured replies nothing is answered with a chunk.",
       .run = OverSimpleReplies<OnlySimple>},
      {.id = "transmission.magic.reserved.server",
       .claim = "No reply begins with a reserved magic.",
       .run = InBothModes<MagicReserved>},
      {.id = "transmission.magic.extended-gated.server",
       .claim = "No reply begins with the magic of extended headers, which were not agreed.",
       .run = InBothModes<MagicExtended>},
      {.id = "transmission.disconnect.only-allowed.server",
       .claim = "Legal requests do not end the connection.",
       .run = InBothModes<OnlyAllowedDisconnect>},
      {.id = "baseline.simple-replies.server",
       .claim = "READ and WRITE get simple replies unless others were agreed.",
       .run = BaselineSimple},
      {.id = "baseline.disc.server", .claim = "DISC ends the connection without a reply.", .run = BaselineDisc},
      {.id = "disc.no-reply", .claim = "DISC gets no reply.", .run = DiscNoReply},
      {.id = "disc.server-closes-tcp", .claim = "After DISC the server closes the connection.", .run = DiscCloses},
      {.id = "disc.handle-outstanding",
       .needs = {Feature::kWritable},
       .claim = "WRITEs in flight when DISC is said are done.",
       .run = DiscHandlesOutstanding},
  };
}

}  // namespace nbdspec::conformance
