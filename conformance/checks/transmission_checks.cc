// SPDX-License-Identifier: BSD-3-Clause
// Checks of requests and replies in general, and of DISC. Spec: proto.md, "Transmission" and its parts.
#include <fmt/format.h>

#include <algorithm>

#include "conformance/checks/survey.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::ByteRange;
using engine::CommandType;
using engine::NbdError;
using engine::Request;

namespace {

constexpr std::uint64_t kFirstWriteCookie = 1000;

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
    const bool silent = exchange.ended && exchange.ended->kind == ReceiveError::kTimedOut;
    if (silent && exchange.answer.chunks.empty() && survey.batch.strays.empty()) {
      return Broken(fmt::format("no reply to {}: {}", engine::Describe(exchange.request), exchange.ended->text),
                    "a reply to each request while the connection is up");
    }
  }
  return any ? Holds() : Inconclusive(survey.ended ? survey.ended->text : "nothing was answered");
}

Judgement CookieEcho(const Survey& survey) {
  const Batch& batch = survey.batch;
  if (!batch.strays.empty()) {
    return Broken(fmt::format("{}, with a cookie never sent", engine::Describe(batch.strays.front())),
                  "the cookie of the request in each reply");
  }
  return std::ranges::any_of(batch.exchanges, &Exchange::complete) ? Holds() : Inconclusive("nothing was answered");
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
    // It has nothing to do with cookies that the disk has a fault, or that replies are cut wrongly.
    const bool failed_otherwise = batch.ended ? batch.ended->kind == ReceiveError::kUndecodable && batch.strays.empty()
                                              : error != NbdError::kEinval;
    if (!answered && (cookie == 1 || failed_otherwise)) {
      return Inconclusive(fmt::format("READ with the cookie {:#x} failed", cookie));
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
  return any ? Holds() : Inconclusive(survey.ended ? survey.ended->text : "nothing was answered");
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
  entered.session.Send(read);
  const auto first = entered.session.Next();
  if (first) {
    return std::holds_alternative<engine::SimpleReply>(*first) ? Holds() : NotApplicable("READ got no simple reply");
  }
  return first.error().kind == ReceiveError::kUndecodable
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
    return read.error().kind == ReceiveError::kUndecodable ? Broken(read.error().text, "a simple reply")
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
  const auto& ended = survey.ended;
  if (!ended) {
    return Holds();
  }
  if (!ended->is_disconnect()) {
    return AsJudgement(*ended);
  }
  const bool excused =
      std::ranges::any_of(survey.batch.exchanges, [&](const auto& e) { return MayBeReadError(survey, e); });
  return excused ? Inconclusive("it may be how the server says that a READ failed: " + ended->text)
                 : Broken("after legal requests " + ended->text, "the connection goes on");
}

constexpr std::uint64_t kDiscCookie = 0x6469736e62640001;

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
  entered->session.Send(Request{.type = CommandType::kDisc, .cookie = kDiscCookie});
  return std::move(entered->session);
}

struct AfterDisc {
  std::optional<engine::ServerMessage> reply = {};
  ReceiveError ended = {};
};

// What comes after DISC until the connection ends, or nothing more comes.
AfterDisc HearAfterDisc(Session& session) {
  AfterDisc after;
  for (;;) {
    auto heard = session.Next();
    if (!heard) {
      after.ended = heard.error();
      return after;
    }
    const auto* simple = std::get_if<engine::SimpleReply>(&*heard);
    const auto* chunk = std::get_if<engine::Chunk>(&*heard);
    if ((simple != nullptr && simple->cookie == kDiscCookie) || (chunk != nullptr && chunk->cookie == kDiscCookie)) {
      after.reply = std::move(*heard);
      return after;
    }
  }
}

Judgement DiscNoReply(CheckContext& context) {
  NBDSPEC_TRY(session, Disc(context));
  const AfterDisc after = HearAfterDisc(session);
  return after.reply ? Broken("after NBD_CMD_DISC " + engine::Describe(*after.reply), "no reply") : Holds();
}

Judgement DiscCloses(CheckContext& context) {
  NBDSPEC_TRY(session, Disc(context));
  const ReceiveError end = session.WaitForEnd();
  return end.is_disconnect() ? Holds() : Broken("after NBD_CMD_DISC " + end.text, "the server closes the connection");
}

Judgement BaselineDisc(CheckContext& context) {
  NBDSPEC_TRY(session, Disc(context));
  const AfterDisc after = HearAfterDisc(session);
  if (after.reply) {
    return Broken("after NBD_CMD_DISC " + engine::Describe(*after.reply), "no reply, and the end of the connection");
  }
  return after.ended.is_disconnect()
             ? Holds()
             : Broken("after NBD_CMD_DISC " + after.ended.text, "no reply, and the end of the connection");
}

// Writes `data` at `range` in `count` requests at once, says DISC, and hears all until the end.
// Returns the parts that were refused: the client knows of those.
std::vector<std::uint64_t> WriteAndLeave(Session& session, ByteRange range, const engine::Bytes& data,
                                         std::uint64_t count) {
  const std::uint64_t part = range.length() / count;
  for (std::uint64_t i = 0; i < count; ++i) {
    const auto bytes = engine::ByteView(data).subspan(i * part, part);
    Request write = WriteOf(range.begin + i * part, {bytes.begin(), bytes.end()});
    write.cookie = kFirstWriteCookie + i;
    session.Send(write);
  }
  session.Send(Request{.type = CommandType::kDisc, .cookie = kFirstWriteCookie + count});
  std::vector<std::uint64_t> refused;
  for (auto heard = session.Next(); heard; heard = session.Next()) {
    const auto* simple = std::get_if<engine::SimpleReply>(&*heard);
    if (simple != nullptr && simple->error != NbdError::kOk) {
      refused.push_back(simple->cookie - kFirstWriteCookie);
    }
  }
  return refused;
}

// How many of `count` WRITEs of one connection were neither refused nor are to be seen on the next one.
// Errors: nothing was written.
std::expected<std::uint64_t, Judgement> LostWrites(CheckContext& context, std::uint64_t count) {
  auto entered = context.Enter();
  if (!entered) {
    return std::unexpected(std::move(entered).error());
  }
  const auto range = ScratchRange(*entered, count);
  if (!range) {
    return std::unexpected(NotApplicable("the export is too small"));
  }
  const engine::Bytes data = Pattern(range->length(), context.random()());
  const std::vector<std::uint64_t> refused = WriteAndLeave(entered->session, *range, data, count);
  if (refused.size() >= count) {
    return std::unexpected(NotApplicable("every WRITE in flight was refused"));
  }
  auto again = context.Enter();
  if (!again) {
    return std::unexpected(std::move(again).error());
  }
  const auto found = ReadBytes(again->session, *range);
  if (!found) {
    return std::unexpected(found.error());
  }
  std::uint64_t lost = 0;
  const std::uint64_t part = range->length() / count;
  for (std::uint64_t i = 0; i < count; ++i) {
    const bool same = std::ranges::equal(engine::ByteView(*found).subspan(i * part, part),
                                         engine::ByteView(data).subspan(i * part, part));
    lost += same || std::ranges::count(refused, i) > 0 ? 0 : 1;
  }
  return lost;
}

// A server may keep the writes of each connection apart (copy on write): then nothing can be seen.
Judgement DiscHandlesOutstanding(CheckContext& context) {
  constexpr std::uint64_t kWrites = 6;
  NBDSPEC_TRY(lost, LostWrites(context, kWrites));
  if (lost == 0) {
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
  return found == data ? Broken(fmt::format("{} of {} WRITEs in flight at NBD_CMD_DISC are lost", lost, kWrites),
                                "the server handles all of them, then disconnects")
                       : NotApplicable("what one connection writes is never there on the next one");
}

}  // namespace

std::vector<Check> TransmissionChecks() {
  return {
      {.id = spec::kTransmissionReplyPerRequest,
       .claim = "Each request is answered once.",
       .run = InBothModes<ReplyPerRequest>},
      {.id = spec::kTransmissionCookieEcho,
       .claim = "No reply has a cookie that was not sent.",
       .run = InBothModes<CookieEcho>},
      {.id = spec::kTransmissionCookieOpaque,
       .claim = "READ succeeds with the cookies 0 and 2^64-1 as with others.",
       .run = CookieOpaque},
      {.id = spec::kTransmissionSimpleMagic, .claim = "A simple reply begins with its magic.", .run = SimpleMagic},
      {.id = spec::kTransmissionSimpleMandatoryWithoutStructured,
       .claim = "Without structured replies nothing is answered with a chunk.",
       .run = OverSimpleReplies<OnlySimple>},
      {.id = spec::kTransmissionMagicReservedServer,
       .claim = "No reply begins with a reserved magic.",
       .run = InBothModes<MagicReserved>},
      {.id = spec::kTransmissionMagicExtendedGatedServer,
       .claim = "No reply begins with the magic of extended headers, which were not agreed.",
       .run = InBothModes<MagicExtended>},
      {.id = spec::kTransmissionDisconnectOnlyAllowedServer,
       .claim = "Legal requests do not end the connection.",
       .run = InBothModes<OnlyAllowedDisconnect>},
      {.id = spec::kBaselineSimpleRepliesServer,
       .claim = "READ and WRITE get simple replies unless others were agreed.",
       .run = BaselineSimple},
      {.id = spec::kBaselineDiscServer, .claim = "DISC ends the connection without a reply.", .run = BaselineDisc},
      {.id = spec::kDiscNoReply, .claim = "DISC gets no reply.", .run = DiscNoReply},
      {.id = spec::kDiscServerClosesTcp, .claim = "After DISC the server closes the connection.", .run = DiscCloses},
      {.id = spec::kDiscHandleOutstanding,
       .needs = {Feature::kWritable},
       .claim = "WRITEs in flight when DISC is said are done.",
       .run = DiscHandlesOutstanding},
  };
}

}  // namespace nbdspec::conformance
