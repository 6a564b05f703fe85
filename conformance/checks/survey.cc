// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/checks/survey.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace nbdspec::conformance {

using engine::ByteRange;
using engine::Bytes;
using engine::ChunkType;
using engine::CommandFlag;
using engine::CommandType;
using engine::Request;
using engine::ServerMessage;
using engine::TransmissionFlag;

namespace {

constexpr std::size_t kInFlightMax = 8;
constexpr std::uint64_t kReadBytesMax = 1 << 16;
constexpr std::uint64_t kPlaces = 16;  // Reads are spread over so many places.

// Takes one reply to its exchange, or to those that have none.
void Take(ServerMessage message, Batch& batch) {
  auto* simple = std::get_if<engine::SimpleReply>(&message);
  auto* chunk = std::get_if<engine::Chunk>(&message);
  const std::uint64_t cookie = simple != nullptr ? simple->cookie : chunk != nullptr ? chunk->cookie : 0;
  const auto found = std::ranges::find(batch.exchanges, cookie, [](const Exchange& e) { return e.request.cookie; });
  if (found == batch.exchanges.end() || (simple == nullptr && chunk == nullptr)) {
    batch.strays.push_back(std::move(message));
  } else if (found->complete) {
    batch.late.push_back(std::move(message));
  } else if (simple != nullptr) {
    found->complete = true;
    found->answer.simple = std::move(*simple);
  } else {
    found->complete = chunk->is_done();
    found->answer.chunks.push_back(std::move(*chunk));
  }
}

}  // namespace

bool Exchange::has_error_chunk() const {
  return std::ranges::any_of(answer.chunks, [](const engine::Chunk& chunk) { return chunk.is_error(); });
}

bool AskAll(Session& session, std::span<const Request> requests, bool legal, Batch& batch) {
  const std::size_t first = batch.exchanges.size();
  for (const Request& request : requests) {
    batch.exchanges.push_back({.request = request, .legal = legal});
    session.Say(request);
  }
  const auto unanswered = [&] {
    return std::any_of(batch.exchanges.begin() + static_cast<std::ptrdiff_t>(first), batch.exchanges.end(),
                       [](const Exchange& exchange) { return !exchange.complete; });
  };
  Ended ended{.how = Ended::How::kFlood, .text = "the server goes on talking"};
  for (std::uint32_t heard = 0; heard < session.limits().messages_max && unanswered(); ++heard) {
    auto next = session.Next();
    if (!next) {
      ended = next.error();
      break;
    }
    Take(std::move(*next), batch);
  }
  if (!unanswered()) {
    return true;
  }
  for (std::size_t i = first; i < batch.exchanges.size(); ++i) {
    if (!batch.exchanges[i].complete) {
      batch.exchanges[i].ended = ended;
    }
  }
  batch.ended = ended;
  return false;
}

Batch AskOnce(Session& session, const Request& request, bool legal) {
  Batch batch;
  AskAll(session, {&request, 1}, legal, batch);
  return batch;
}

namespace {

// Asks `requests` with cookies of their own, some at a time.
bool AskInGroups(CheckContext& context, Session& session, std::vector<Request> requests, Batch& batch) {
  for (Request& request : requests) {
    request.cookie = context.random()();
  }
  for (std::size_t i = 0; i < requests.size(); i += kInFlightMax) {
    const auto group = std::span(requests).subspan(i, std::min(kInFlightMax, requests.size() - i));
    if (!AskAll(session, group, /*legal=*/true, batch)) {
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
      std::max(grid, std::min<std::uint64_t>(kReadBytesMax, entered.block_size.maximum) / grid * grid);
  const bool df = (entered.info.flags & TransmissionFlag::kSendDf) != 0;
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
      context.profile().features.Has(Feature::kBlockSize) && entered.block_size.minimum == 1 && usable >= 2 * grid;
  if (may_be_unaligned) {
    reads.push_back(RequestFor(CommandType::kRead, {.begin = 1, .end = 2}));
    reads.push_back(RequestFor(CommandType::kRead, {.begin = grid - 1, .end = grid + 1}));
    reads.push_back(RequestFor(CommandType::kRead, {.begin = entered.info.size - 1, .end = entered.info.size}));
  }
  return reads;
}

std::vector<Request> CommandsWithoutData(const Entered& entered) {
  const ByteRange first = {.begin = 0, .end = GridOf(entered)};
  std::vector<Request> requests;
  if ((entered.info.flags & TransmissionFlag::kSendFlush) != 0) {
    requests.push_back(RequestFor(CommandType::kFlush, {}));
  }
  if ((entered.info.flags & TransmissionFlag::kSendCache) != 0) {
    requests.push_back(RequestFor(CommandType::kCache, first));
  }
  if (!entered.contexts.empty()) {
    requests.push_back(RequestFor(CommandType::kBlockStatus, first));
    requests.push_back(RequestFor(CommandType::kBlockStatus, first, CommandFlag::kReqOne));
  }
  return requests;
}

// Two cells each of data, zeroes and whatever TRIM leaves, beside each other.
std::vector<Request> SmallWrites(CheckContext& context, const Entered& entered) {
  const auto scratch = ScratchRange(entered, 6);
  if (!scratch || !context.profile().features.Has(Feature::kWritable)) {
    return {};
  }
  const std::uint64_t pair = 2 * GridOf(entered);
  std::vector<Request> requests = {WriteOf(scratch->begin, Pattern(pair, context.random()()))};
  const auto add = [&](std::uint16_t flag, std::uint16_t command, std::uint64_t begin) {
    if ((entered.info.flags & flag) != 0) {
      requests.push_back(RequestFor(command, {.begin = begin, .end = begin + pair}));
    }
  };
  add(TransmissionFlag::kSendWriteZeroes, CommandType::kWriteZeroes, scratch->begin + pair);
  add(TransmissionFlag::kSendTrim, CommandType::kTrim, scratch->begin + 2 * pair);
  return requests;
}

// Requests that no client may send.
std::vector<Request> RequestsToRefuse(const CheckContext& context, const Entered& entered) {
  const std::uint64_t grid = GridOf(entered);
  const std::uint64_t usable = UsableBytes(entered);
  const ByteRange across_end = {.begin = usable - grid, .end = usable + grid};
  const ByteRange first = {.begin = 0, .end = grid};
  std::vector<Request> requests = {
      RequestFor(CommandType::kRead, across_end),
      RequestFor(CommandType::kRead, {.begin = usable + grid, .end = usable + 2 * grid}),
      RequestFor(CommandType::kRead, first, 1U << 15),
      RequestFor(0x7fff, first),
  };
  const auto add = [&](bool offered, std::uint16_t command) {
    if (offered) {
      requests.push_back(RequestFor(command, across_end));
    }
  };
  const auto has = [&](std::uint16_t flag) { return (entered.info.flags & flag) != 0; };
  add(has(TransmissionFlag::kSendCache), CommandType::kCache);
  add(!entered.contexts.empty(), CommandType::kBlockStatus);
  if (context.profile().features.Has(Feature::kWritable)) {
    add(has(TransmissionFlag::kSendTrim), CommandType::kTrim);
    add(has(TransmissionFlag::kSendWriteZeroes), CommandType::kWriteZeroes);
    requests.push_back(WriteOf(across_end.begin, Bytes(across_end.length())));
  }
  return requests;
}

EnterOptions HowToEnter(const CheckContext& context, bool structured) {
  EnterOptions options{.structured_replies = structured};
  if (structured && context.profile().features.Has(Feature::kBaseAllocation)) {
    options.contexts = {std::string(engine::kBaseAllocation)};
  }
  return options;
}

// Each is followed by a legal READ, by whose answer all that was said about it has come.
void AskToBeRefused(CheckContext& context, Entered entered, Survey& survey) {
  const Request legal = RequestFor(CommandType::kRead, {.begin = 0, .end = GridOf(entered)});
  for (Request request : RequestsToRefuse(context, entered)) {
    request.cookie = context.random()();
    bool alive = AskAll(entered.session, {&request, 1}, /*legal=*/false, survey.batch);
    if (alive) {
      Request after = legal;
      after.cookie = context.random()();
      alive = AskAll(entered.session, {&after, 1}, /*legal=*/false, survey.batch);
    }
    if (!alive) {
      survey.batch.ended.reset();  // The server may hang up on a client that breaks a rule.
      auto again = context.Enter(HowToEnter(context, survey.structured));
      if (!again) {
        return;
      }
      entered = std::move(*again);
    }
  }
  entered.session.Disconnect();
}

}  // namespace

std::expected<Survey, Judgement> SurveyReplies(CheckContext& context, bool structured) {
  auto entered = context.Enter(HowToEnter(context, structured));
  if (!entered) {
    return std::unexpected(std::move(entered).error());
  }
  if (UsableBytes(*entered) == 0) {
    return std::unexpected(NotApplicable(fmt::format("the export has {} bytes, too few to read", entered->info.size)));
  }
  Survey survey{.structured = structured, .info = entered->info, .block_size = entered->block_size, .batch = {}};
  const bool answered =
      AskInGroups(context, entered->session, SmallWrites(context, *entered), survey.batch) &&
      AskInGroups(context, entered->session, ReadsAllOver(context, *entered), survey.batch) &&
      AskInGroups(context, entered->session, CommandsWithoutData(*entered), survey.batch) &&
      AskInGroups(context, entered->session, {RequestFor(CommandType::kRead, {.begin = 0, .end = GridOf(*entered)})},
                  survey.batch);
  if (answered) {
    AskToBeRefused(context, std::move(*entered), survey);
  }
  return survey;
}

Judgement JudgeSurvey(const Survey& survey, Rule rule) {
  bool kept = false;
  std::string missing;
  for (const Exchange& exchange : survey.batch.exchanges) {
    Judgement judgement = rule(survey, exchange);
    if (judgement.kind == Judgement::Kind::kBroken) {
      judgement.saw = fmt::format("in answer to {}: {}", engine::Describe(exchange.request), judgement.saw);
      return judgement;
    }
    kept = kept || judgement.kind == Judgement::Kind::kHolds;
    missing = std::move(judgement.saw);
  }
  if (kept) {
    return Holds();
  }
  if (survey.batch.ended) {
    return Inconclusive(survey.batch.ended->text);
  }
  return NotApplicable(fmt::format("of {} requests none was answered so that it could be judged{}{}",
                                   survey.batch.exchanges.size(), missing.empty() ? "" : ": ", missing));
}

std::uint64_t GridOf(const Entered& entered) {
  return std::clamp(entered.block_size.minimum, 512U, 1U << 16);  // No minimum may be above 64 KiB.
}

std::uint64_t UsableBytes(const Entered& entered) {
  // Sizes and block sizes come from the server: keep sums with them far from 2^64.
  const std::uint64_t size = std::min(entered.info.size, engine::kExportBytesMax);
  return size / GridOf(entered) * GridOf(entered);
}

std::optional<ByteRange> ScratchRange(const Entered& entered, std::uint64_t cell_count) {
  const std::uint64_t grid = GridOf(entered);
  const std::uint64_t cells = UsableBytes(entered) / grid;
  if (cells < cell_count + 2) {
    return {};
  }
  const std::uint64_t begin = std::max<std::uint64_t>(1, std::min(cells / 8 * 5, cells - cell_count - 1)) * grid;
  return ByteRange{.begin = begin, .end = begin + cell_count * grid};
}

Bytes Pattern(std::uint64_t length, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  Bytes bytes(length);
  for (std::uint8_t& byte : bytes) {
    byte = static_cast<std::uint8_t>(random() % 255 + 1);
  }
  return bytes;
}

Request RequestFor(std::uint16_t command, ByteRange range, std::uint16_t flags) {
  return {.flags = flags, .type = command, .offset = range.begin, .length = static_cast<std::uint32_t>(range.length())};
}

Request WriteOf(std::uint64_t offset, Bytes data, std::uint16_t flags) {
  return {.flags = flags,
          .type = CommandType::kWrite,
          .offset = offset,
          .length = static_cast<std::uint32_t>(data.size()),
          .payload = std::move(data)};
}

std::optional<Bytes> BytesRead(const Request& request, const Answer& answer) {
  if (answer.error() != engine::NbdError::kOk) {
    return {};
  }
  if (answer.simple) {
    return answer.simple->data.size() == request.length ? std::optional(answer.simple->data) : std::nullopt;
  }
  if (FirstUncovered(request, answer)) {
    return {};
  }
  Bytes bytes(request.length);
  for (const engine::Chunk& chunk : answer.chunks) {
    const auto content = ContentOf(chunk);
    if (!content || !LiesInside(*content, request) || chunk.type != ChunkType::kOffsetData) {
      continue;
    }
    const auto data = engine::ByteView(chunk.payload).last(content->length);
    std::ranges::copy(data, bytes.begin() + static_cast<std::ptrdiff_t>(content->offset - request.offset));
  }
  return bytes;
}

std::expected<Bytes, Judgement> ReadBytes(Session& session, ByteRange range) {
  const Request request = RequestFor(CommandType::kRead, range);
  const auto answer = session.Ask(request);
  if (!answer) {
    return std::unexpected(Inconclusive(answer.error().text));
  }
  auto bytes = BytesRead(request, *answer);
  if (!bytes) {
    return std::unexpected(Inconclusive(fmt::format("a READ of [{}, {}) gave no data: {}", range.begin, range.end,
                                                    engine::ErrorName(answer->error()))));
  }
  return std::move(*bytes);
}

std::optional<ByteRange::OffsetAndLength> ContentOf(const engine::Chunk& chunk) {
  if (chunk.type == ChunkType::kOffsetData) {
    const auto data = engine::DecodeOffsetData(chunk.payload);
    return data ? std::optional(ByteRange::OffsetAndLength{.offset = data->offset, .length = data->data.size()})
                : std::nullopt;
  }
  if (chunk.type == ChunkType::kOffsetHole) {
    const auto hole = engine::DecodeOffsetHole(chunk.payload);
    return hole ? std::optional(ByteRange::OffsetAndLength{.offset = hole->offset, .length = hole->length})
                : std::nullopt;
  }
  return {};
}

bool LiesInside(const ByteRange::OffsetAndLength& content, const Request& request) {
  return content.offset >= request.offset && content.length <= request.length &&
         content.offset - request.offset <= request.length - content.length;
}

std::optional<std::uint64_t> FirstUncovered(const Request& request, const Answer& answer) {
  std::vector<ByteRange> ranges;
  for (const engine::Chunk& chunk : answer.chunks) {
    const auto content = ContentOf(chunk);
    const auto range = content ? ByteRange::From(*content) : std::unexpected(engine::ErrorCode::kOutOfRange);
    if (range) {
      ranges.push_back(*range);
    }
  }
  std::ranges::sort(ranges, {}, &ByteRange::begin);
  std::uint64_t covered = request.offset;
  for (const ByteRange& range : ranges) {
    if (range.begin > covered) {
      break;
    }
    covered = std::max(covered, range.end);
  }
  return covered - request.offset < request.length ? std::optional(covered) : std::nullopt;
}

std::string ContentText(const engine::Chunk& chunk) {
  const auto content = ContentOf(chunk);
  return content ? fmt::format("{} of {} bytes at {}", engine::ChunkName(chunk.type), content->length, content->offset)
                 : fmt::format("{} with {} bytes of payload", engine::ChunkName(chunk.type), chunk.payload.size());
}

}  // namespace nbdspec::conformance
