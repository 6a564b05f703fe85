// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/checks/transmission/asking.h"

#include <algorithm>
#include <chrono>
#include <thread>

namespace nbdspec::conformance {

namespace {

// Takes one reply to its exchange, or to those that have none.
void Take(ServerMessage message, Batch& batch) {
  const auto head = HeadOf(message);
  const auto found = std::ranges::find(batch.exchanges, head.value_or(ReplyHead{}).cookie,
                                       [](const Exchange& e) { return e.request.cookie; });
  if (!head || found == batch.exchanges.end()) {
    batch.strays.push_back(std::move(message));
  } else if (found->answer.is_complete()) {
    batch.late.push_back(std::move(message));
  } else if (const auto* simple = std::get_if<SimpleReply>(&message)) {
    found->answer.Add(*simple);
  } else {
    found->answer.Add(std::get<Chunk>(message));
  }
}

}  // namespace

bool AskAll(Entered& entered, std::span<const Request> requests, Batch& batch) {
  const std::size_t first = batch.exchanges.size();
  batch.agreed.push_back(entered.agreed);
  for (const Request& request : requests) {
    const Request sent = InForm(entered.agreed->headers, request);
    batch.exchanges.emplace_back().Start(RequestHead::Of(sent), *entered.agreed);
    entered.session.Send(sent);
  }
  const auto all_complete = [&] {
    return std::ranges::all_of(std::span(batch.exchanges).subspan(first),
                               [](const Exchange& exchange) { return exchange.answer.is_complete(); });
  };
  ReceiveError ended{.kind = ReceiveError::kFlood, .text = "the server goes on sending"};
  for (std::uint32_t count = 0; count < entered.session.limits().messages_max && !all_complete(); ++count) {
    auto next = entered.session.Next();
    if (!next) {
      ended = next.error();
      break;
    }
    Take(std::move(*next), batch);
  }
  if (all_complete()) {
    return true;
  }
  const bool is_silent = ended.kind == ReceiveError::kTimedOut;
  for (Exchange& exchange : std::span(batch.exchanges).subspan(first)) {
    exchange.answer.EndWith(is_silent ? engine::Answer::End::kSilent : engine::Answer::End::kCutOff);
  }
  batch.endings.push_back(std::move(ended));
  return false;
}

Batch AskOnce(Entered& entered, Request request) {
  request.cookie = request.cookie == 0 ? entered.session.NextCookie() : request.cookie;
  Batch batch;
  AskAll(entered, {&request, 1}, batch);
  return batch;
}

Judgement JudgeFirst(const CheckContext& context, const Batch& batch) {
  if (!batch.first().is_complete()) {
    const ReceiveError& ended = batch.endings.back();
    const Exchange& first = batch.exchanges.front();
    if (!first.legality.is_illegal()) {
      return AsJudgement(ended);
    }
    // transmission.reply-per-request: it may not be silent.
    if (first.answer.end() == engine::Answer::End::kSilent && first.answer.chunks().empty() && batch.strays.empty()) {
      return About(SubjectOf(first),
                   Broken(fmt::format("no reply to {}", Describe(first.request)),
                          "an error, or the end of the connection: a request that is refused gets its reply, too"));
    }
    return ended.is_disconnect()
               ? NotApplicable("the server ended the connection, as it may with a client that breaks a rule")
               : AsJudgement(ended);
  }
  return JudgeBy(context.rule(), batch.exchanges.front());
}

Judgement JudgeBy(const Rule& rule, const Exchange& exchange) {
  const Ruling ruling = Apply(rule, exchange);
  Judgement judgement = AsJudgement(ruling);
  if (judgement.is_broken()) {
    judgement.about = SubjectOf(exchange, ruling);
    judgement.saw = fmt::format("in answer to {}: {}", Describe(exchange.request), judgement.saw);
  }
  return judgement;
}

bool BecomesSo(const CheckContext& context, const std::function<bool()>& is_so) {
  constexpr int kQuietTimes = 10;
  constexpr std::chrono::milliseconds kPause(10);
  const auto until =
      std::min(Transport::Clock::now() + kQuietTimes * context.limits.quiet_time, context.limits.deadline);
  while (!is_so()) {
    if (Transport::Clock::now() >= until) {
      return false;
    }
    std::this_thread::sleep_for(kPause);
  }
  return true;
}

CheckRun SurvivesZeroLength(std::uint16_t command) {
  return [command](CheckContext& context) -> Judgement {
    NBDSPEC_TRY(entered, context.EnterWithChunks());
    NBDSPEC_TRY(read, FirstRead(entered));
    Request empty = RequestFor(command, {});
    empty.cookie = entered.session.NextCookie();
    read.cookie = entered.session.NextCookie();
    Batch batch;
    if (AskAll(entered, {&empty, 1}, batch) && AskAll(entered, {&read, 1}, batch)) {
      return Holds();
    }
    return About(
        WhatFollows(SubjectOf(empty)),
        MayNotDisconnect(batch.endings.back(), fmt::format("after {} ", Describe(empty)), "the connection goes on"));
  };
}

CheckRun BeginsWithMagic(bool structured) {
  return [structured](CheckContext& context) -> Judgement {
    NBDSPEC_TRY(entered, context.Enter({.structured_replies = structured}));
    NBDSPEC_TRY(read, FirstRead(entered));
    read.cookie = entered.session.NextCookie();
    entered.session.Send(read);
    const auto first = entered.session.Next();
    if (first) {
      return std::holds_alternative<Chunk>(*first) == structured ? Holds() : NotApplicable(Describe(*first));
    }
    return first.error().kind == ReceiveError::kUndecodable
               ? Broken(first.error().text,
                        structured ? "a chunk begins with " + MagicText(Chunk::MagicOf(entered.agreed->headers))
                                   : "a simple reply begins with " + MagicText(kSimpleReplyMagic))
               : AsJudgement(first.error());
  };
}

std::expected<ByteRange, Judgement> ScratchRange(const Entered& entered, std::uint64_t cell_count) {
  const std::uint64_t grid = GridOf(entered);
  const std::uint64_t cells = UsableBytes(entered) / grid;
  if (cells < cell_count + 2) {
    return Stop(NotApplicable("the export is too small"));
  }
  const std::uint64_t begin = std::max<std::uint64_t>(1, std::min(cells / 8 * 5, cells - cell_count - 1)) * grid;
  return ByteRange{.begin = begin, .end = begin + cell_count * grid};
}

Bytes Pattern(std::uint64_t length, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Bytes bytes(length);
  std::uint64_t word = 0;
  for (std::uint8_t& byte : bytes) {
    word = word < 256 ? random() : word >> 8;
    byte = std::max<std::uint8_t>(1, static_cast<std::uint8_t>(word));
  }
  return bytes;
}

std::expected<Request, Judgement> FirstRead(const Entered& entered) {
  if (UsableBytes(entered) == 0) {
    return Stop(NotApplicable(fmt::format("the export has {} bytes, too few to read", entered.size())));
  }
  return RequestFor(CommandType::kRead, CellAt(entered));
}

Request QueryOf(ByteRange::OffsetAndLength range, std::vector<std::uint32_t> ids, std::uint16_t flags) {
  Bytes payload = EncodePayload(StatusQuery{.length = range.length, .context_ids = std::move(ids)});
  return {.flags = flags,
          .type = CommandType::kBlockStatus,
          .offset = range.offset,
          .length = payload.size(),
          .payload = std::move(payload)};
}

Bytes PayloadThatIsARead(Entered& entered, std::uint64_t length) {
  Request read = InForm(entered.agreed->headers, RequestFor(CommandType::kRead, CellAt(entered)));
  read.cookie = entered.session.NextCookie();
  Bytes payload = Encode(ClientMessage(read));
  payload.resize(length);
  return payload;
}

std::optional<Bytes> BytesRead(const Request& request, const Answer& answer) {
  if (answer.error() != NbdError::kOk) {
    return {};
  }
  if (answer.simple) {
    return answer.simple->data.size() == request.length ? std::optional(answer.simple->data) : std::nullopt;
  }
  Negotiated agreed;
  Exchange exchange;
  exchange.Start(RequestHead::Of(request), agreed);
  Bytes bytes(request.length);
  std::uint64_t given = 0;
  for (const Chunk& chunk : answer.chunks) {
    const auto content = exchange.answer.AddChunk(chunk.flags, chunk.type, chunk.payload, chunk.offset).content;
    if (!content) {
      continue;
    }
    if (!exchange.Asks(*content)) {
      return {};
    }
    given += content->length;
    if (chunk.type == ChunkType::kOffsetData) {
      const auto data = ByteView(chunk.payload).last(content->length);
      std::ranges::copy(data, bytes.begin() + static_cast<std::ptrdiff_t>(content->offset - request.offset));
    }
  }
  // Where some of it came twice, which one counts is not for us to say.
  return given == request.length && !FirstUncovered(exchange) ? std::optional(bytes) : std::nullopt;
}

std::uint64_t PayloadBytesMax(const Negotiated& agreed) {
  const std::uint64_t most = std::min(agreed.block_size.maximum, kPayloadBytesDefaultMax);
  return std::max(GridOf(agreed), most / GridOf(agreed) * GridOf(agreed));
}

std::vector<ByteRange> PiecesOf(ByteRange range, std::uint64_t piece_bytes) {
  std::vector<ByteRange> pieces;
  for (std::uint64_t begin = range.begin; begin < range.end; begin += pieces.back().length()) {
    pieces.push_back({.begin = begin, .end = std::min(range.end, begin + piece_bytes)});
  }
  return pieces;
}

Step MayHavePayload(const Entered& entered, std::uint64_t bytes) {
  const std::uint64_t most = PayloadBytesMax(entered);
  if (bytes > most) {
    return Stop(NotApplicable(fmt::format("the server takes no payload of {} bytes, but {} at most", bytes, most)));
  }
  return {};
}

std::expected<Bytes, Judgement> ReadBytes(Session& session, ByteRange range) {
  Bytes all;
  for (const ByteRange piece : PiecesOf(range, PayloadBytesMax(session.negotiated()))) {
    const Request request = RequestFor(CommandType::kRead, piece);
    NBDSPEC_TRY(answer, session.Ask(request));
    const auto bytes = BytesRead(request, answer);
    if (!bytes) {
      return Stop(Inconclusive(
          fmt::format("a READ of [{}, {}) gave no data: {}", piece.begin, piece.end, ErrorName(answer.error()))));
    }
    all.insert(all.end(), bytes->begin(), bytes->end());
  }
  return all;
}

Judgement Compare(const Bytes& found, const Bytes& wanted, std::uint64_t offset, std::string_view allowed) {
  if (found == wanted) {  // At once, however long they are.
    return Holds();
  }
  const auto [at, other] = std::ranges::mismatch(found, wanted);
  return at == found.end() ? Holds()
                           : Broken(fmt::format("{:#04x} at offset {}, not {:#04x}", *at,
                                                offset + static_cast<std::uint64_t>(at - found.begin()), *other),
                                    allowed);
}

CheckRun OnOtherExports(CheckRun judge) {
  return [judge = std::move(judge)](CheckContext& context) {
    constexpr std::size_t kJudgedMax = 8;
    const std::string own = context.export_name;
    Judgement all = NotApplicable("the server lists no other export");
    std::size_t count = 0;
    for (const ListedExport& listed : context.profile.exports) {
      if (listed.name == own || ++count > kJudgedMax) {
        continue;
      }
      context.export_name = listed.name;
      Judgement judgement = judge(context);
      context.export_name = own;
      if (!judgement.saw.empty()) {
        judgement.saw = fmt::format("the export {}: {}", Quoted(listed.name), judgement.saw);
      }
      if (judgement.is_broken()) {
        return judgement;
      }
      all = all.holds() || judgement.holds() ? Holds() : NotApplicable(std::move(judgement.saw));
    }
    return all;
  };
}

// --- Survey ----------------------------------------------------------------------------------------------------

namespace {

constexpr std::size_t kInFlightMax = 8;
constexpr std::uint64_t kReadBytesMax = 1 << 16;
constexpr std::uint64_t kPlaces = 16;  // Reads are spread over so many places.

// Asks `requests` with cookies of their own, some at a time.
bool AskInGroups(CheckContext& context, Entered& entered, std::vector<Request> requests, Batch& batch) {
  for (Request& request : requests) {
    request.cookie = context.random();
  }
  for (std::size_t i = 0; i < requests.size(); i += kInFlightMax) {
    if (!AskAll(entered, std::span(requests).subspan(i, std::min(kInFlightMax, requests.size() - i)), batch)) {
      return false;
    }
  }
  return true;
}

std::vector<Request> ReadsAllOver(const CheckContext& context, const Entered& entered) {
  const std::uint64_t grid = GridOf(entered);
  const std::uint64_t usable = UsableBytes(entered);
  const std::uint64_t stride = std::max(grid, usable / kPlaces / grid * grid);
  const std::uint64_t longest =
      std::max(grid, std::min<std::uint64_t>(kReadBytesMax, entered.block_size().maximum) / grid * grid);
  const bool df = entered.Has(TransmissionFlag::kSendDf);
  std::vector<Request> reads;
  for (std::uint64_t place = 0; place < usable && reads.size() <= 2 * kPlaces; place += stride) {
    const std::uint64_t begin = place > longest / 2 ? (place - longest / 2) / grid * grid : 0;
    const ByteRange range = {.begin = begin, .end = std::min(usable, begin + longest)};
    reads.push_back(RequestFor(CommandType::kRead, range));
    if (df) {
      reads.push_back(RequestFor(CommandType::kRead, range, CommandFlag::kDf));
    }
  }
  reads.push_back(RequestFor(CommandType::kRead, {.begin = usable - grid, .end = usable}));
  const bool may_be_unaligned =
      context.Offers(Feature::kBlockSize) && entered.block_size().minimum == 1 && usable >= 2 * grid;
  if (may_be_unaligned) {
    reads.push_back(RequestFor(CommandType::kRead, {.begin = 1, .end = 2}));
    reads.push_back(RequestFor(CommandType::kRead, {.begin = grid - 1, .end = grid + 1}));
    reads.push_back(RequestFor(CommandType::kRead, {.begin = entered.size() - 1, .end = entered.size()}));
  }
  return reads;
}

// Those of `requests` that a client may send.
std::vector<Request> LegalOf(const Entered& entered, std::vector<Request> requests) {
  std::erase_if(requests, [&](const Request& each) {
    return !LegalityOf(RequestHead::Of(InForm(entered.agreed->headers, each)), *entered.agreed).is_legal();
  });
  return requests;
}

std::vector<Request> CommandsWithoutData(const Entered& entered) {
  const ByteRange first = CellAt(entered);
  std::vector<Request> commands = {RequestFor(CommandType::kFlush, {}), RequestFor(CommandType::kCache, first),
                                   RequestFor(CommandType::kBlockStatus, first),
                                   RequestFor(CommandType::kBlockStatus, first, CommandFlag::kReqOne)};
  if (entered.agreed->headers == HeaderForm::kExtended && !entered.agreed->contexts.empty()) {
    commands.push_back(
        QueryOf({.offset = first.begin, .length = first.length()}, {entered.agreed->contexts.front().id}));
  }
  return LegalOf(entered, std::move(commands));
}

// Two cells each of data, zeroes and whatever TRIM leaves, beside each other.
std::vector<Request> SmallWrites(CheckContext& context, const Entered& entered) {
  const auto scratch = ScratchRange(entered, 6);
  if (!scratch || !context.Offers(Feature::kWritable)) {
    return {};
  }
  const std::uint64_t pair = 2 * GridOf(entered);
  const std::uint64_t second = scratch->begin + pair;
  return LegalOf(entered, {WriteOf(scratch->begin, Pattern(pair, context.random())),
                           RequestFor(CommandType::kWriteZeroes, {.begin = second, .end = second + pair}),
                           RequestFor(CommandType::kTrim, {.begin = second + pair, .end = second + 2 * pair})});
}

// Requests that no client may send.
std::vector<Request> RequestsToRefuse(const CheckContext& context, Entered& entered) {
  const std::uint64_t grid = GridOf(entered);
  const std::uint64_t usable = UsableBytes(entered);
  const ByteRange across_end = {.begin = usable - grid, .end = usable + grid};
  const ByteRange first = CellAt(entered);
  std::vector<Request> requests = {
      RequestFor(CommandType::kRead, across_end),
      RequestFor(CommandType::kRead, {.begin = usable + grid, .end = usable + 2 * grid}),
      RequestFor(CommandType::kRead, first, 1U << 15),
      RequestFor(0x7fff, first),
  };
  for (const std::uint16_t command :
       {CommandType::kCache, CommandType::kBlockStatus, CommandType::kTrim, CommandType::kWriteZeroes}) {
    if (IsOffered(entered, command) && (!Changes(command) || context.Offers(Feature::kWritable))) {
      requests.push_back(RequestFor(command, across_end));
    }
  }
  if (context.Offers(Feature::kWritable)) {
    requests.push_back(WriteOf(across_end.begin, Bytes(across_end.length())));
  }
  if (entered.agreed->headers == HeaderForm::kExtended) {
    Request with_payload = RequestFor(CommandType::kRead, {.begin = first.begin, .end = first.begin + 64});
    with_payload.payload = PayloadThatIsARead(entered, with_payload.length);
    requests.push_back(std::move(with_payload));
  }
  return requests;
}

// Each is followed by a legal READ, by whose answer all that was sent about it has come. What the server was silent
// about in the `other` survey is not waited for again.
void AskToBeRefused(CheckContext& context, Entered entered, const Survey* other, Survey& survey) {
  const auto was_silent = [&](const Exchange& exchange, const Request& request) {
    return exchange.answer.end() == engine::Answer::End::kSilent && exchange.request.type == request.type &&
           exchange.legality.is_illegal();
  };
  for (Request request : RequestsToRefuse(context, entered)) {
    if (other != nullptr && std::ranges::any_of(other->batch.exchanges, [&](const Exchange& exchange) {
          return was_silent(exchange, request);
        })) {
      continue;
    }
    Request after = RequestFor(CommandType::kRead, CellAt(entered));
    request.cookie = context.random();
    after.cookie = context.random();
    if (AskAll(entered, {&request, 1}, survey.batch) && AskAll(entered, {&after, 1}, survey.batch)) {
      continue;
    }
    // A server may hang up on who breaks a rule.
    auto again = context.EnterWithAll(survey.structured);
    if (!again) {
      return;
    }
    entered = std::move(*again);
  }
  entered.session.Disconnect();
}

// Who refuses what no client may send by simple replies may have error chunks all the same: for READs that fail.
void AskForWhatIsLost(CheckContext& context, Survey& survey) {
  const auto has_error = [](const Exchange& exchange) {
    return std::ranges::any_of(exchange.answer.chunks(), &engine::ReplyChunk::is_error);
  };
  if (!survey.structured || std::ranges::any_of(survey.batch.exchanges, has_error)) {
    return;
  }
  if (auto entered = context.EnterWithAll(survey.structured)) {
    const std::uint64_t usable = UsableBytes(*entered);
    const std::uint64_t lost_bytes = std::min(kReadBytesMax, usable / GridOf(*entered) / 2 * GridOf(*entered));
    if (const auto lost = context.peer.LoseEnd(lost_bytes)) {
      const ByteRange end = {.begin = usable - lost_bytes, .end = usable};
      (void)AskInGroups(context, *entered, {RequestFor(CommandType::kRead, end)}, survey.batch);
    }
    entered->session.Disconnect();
  }
}

// Reads all over the export (some with DF), every other command that is offered, small writes where they are allowed,
// and at last requests that must fail, each of which may cost a connection, and where that showed no error chunk, READs
// of what the server cannot read.
std::expected<Survey, Judgement> SurveyReplies(CheckContext& context, bool structured, const Survey* other = nullptr) {
  NBDSPEC_TRY(entered, context.EnterWithAll(structured));
  NBDSPEC_TRY(first_read, FirstRead(entered));
  Survey survey{.structured = structured};
  const std::vector<Request> parts[] = {
      SmallWrites(context, entered), ReadsAllOver(context, entered), CommandsWithoutData(entered), {first_read}};
  for (const std::vector<Request>& part : parts) {
    if (AskInGroups(context, entered, part, survey.batch)) {
      continue;
    }
    survey.ended = survey.ended ? survey.ended : survey.batch.endings.back();
    // The other parts show things of their own.
    auto again = context.EnterWithAll(structured);
    if (!again) {
      return survey;
    }
    entered = std::move(*again);
  }
  AskToBeRefused(context, std::move(entered), other, survey);
  AskForWhatIsLost(context, survey);
  return survey;
}

CheckRun InMode(bool structured, SurveyRule rule) {
  return [structured, rule](CheckContext& context) -> Judgement {
    NBDSPEC_TRY(survey, SurveyReplies(context, structured));
    return rule(context, survey);
  };
}

}  // namespace

Judgement KeepsRule(CheckContext& context, const Survey& survey) {
  bool kept = false;
  std::string missing;
  for (const Exchange& exchange : survey.batch.exchanges) {
    Judgement judgement = JudgeBy(context.rule(), exchange);
    if (judgement.is_broken()) {
      return judgement;
    }
    kept = kept || judgement.holds();
    missing = std::move(judgement.saw);
  }
  if (kept) {
    return Holds();
  }
  if (!survey.batch.any_complete() && survey.ended) {
    return Inconclusive(survey.ended->text);
  }
  return NotApplicable(fmt::format("none of {} answers could be judged{}{}", survey.batch.exchanges.size(),
                                   missing.empty() ? "" : ": ", missing));
}

Judgement HoldsWhereAnswered(const Survey& survey) {
  return survey.batch.any_complete() ? Holds()
                                     : Inconclusive(survey.ended ? survey.ended->text : "nothing was answered");
}

Judgement RepliesOnce(CheckContext&, const Survey& survey) {
  const auto second =
      std::ranges::find_if(survey.batch.late, [](const ServerMessage& message) { return HeadOf(message)->ends; });
  if (second != survey.batch.late.end()) {
    return About(SubjectOf(*second),
                 Broken(fmt::format("{}, for a request that was answered already", Describe(*second)),
                        "one reply to each request"));
  }
  for (const Exchange& exchange : survey.batch.exchanges) {
    const bool silent = exchange.answer.end() == engine::Answer::End::kSilent;
    if (silent && exchange.answer.chunks().empty() && survey.batch.strays.empty()) {
      return About(SubjectOf(exchange), Broken(fmt::format("no reply to {}", Describe(exchange.request)),
                                               "a reply to each request while the connection is up"));
    }
  }
  return HoldsWhereAnswered(survey);
}

Judgement EchoesCookies(CheckContext&, const Survey& survey) {
  const auto& strays = survey.batch.strays;
  return strays.empty() ? HoldsWhereAnswered(survey)
                        : About(SubjectOf(strays.front()),
                                Broken(fmt::format("{}, with a cookie never sent", Describe(strays.front())),
                                       "the cookie of the request in each reply"));
}

Judgement HasAccurateLengths(CheckContext&, const Survey& survey) {
  if (!survey.any_chunk()) {
    return Inconclusive(survey.ended ? survey.ended->text : "no chunk came");
  }
  const auto& endings = survey.batch.endings;
  const auto ended = std::ranges::find(endings, ReceiveError::kUndecodable, &ReceiveError::kind);
  return ended == endings.end()
             ? Holds()
             : About(SubjectOf(*ended),
                     Broken(ended->text, "the next header stands right after the payload whose length was given"));
}

CheckRun WithSimple(SurveyRule rule) { return InMode(/*structured=*/false, rule); }
CheckRun WithStructured(SurveyRule rule) { return InMode(/*structured=*/true, rule); }

CheckRun InBothModes(SurveyRule rule) {
  return [rule](CheckContext& context) -> Judgement {
    NBDSPEC_TRY(simple, SurveyReplies(context, /*structured=*/false));
    Judgement first = rule(context, simple);
    if (first.is_broken() || !context.Offers(Feature::kStructuredReplies)) {
      return first;
    }
    NBDSPEC_TRY(structured, SurveyReplies(context, /*structured=*/true, &simple));
    Judgement second = rule(context, structured);
    return second.kind == Judgement::Kind::kNotApplicable ? first : second;
  };
}

}  // namespace nbdspec::conformance
