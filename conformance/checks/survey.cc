// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/checks/survey.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace nbdspec::conformance {

using engine::ByteRange;
using engine::Bytes;
using engine::CommandFlag;
using engine::CommandType;
using engine::Request;
using engine::TransmissionFlag;

namespace {

constexpr std::size_t kInFlightMax = 8;
constexpr std::uint64_t kReadBytesMax = 1 << 16;
constexpr std::uint64_t kPlaces = 16;  // Reads are spread over so many places.

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
    Request after = legal;
    after.cookie = context.random()();
    const bool alive = AskAll(entered.session, {&request, 1}, /*legal=*/false, survey.batch) &&
                       AskAll(entered.session, {&after, 1}, /*legal=*/false, survey.batch);
    if (alive) {
      continue;
    }
    auto again = context.Enter(HowToEnter(context, survey.structured));  // A server may hang up on who breaks a rule.
    if (!again) {
      return;
    }
    entered = std::move(*again);
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
  const std::vector<Request> parts[] = {SmallWrites(context, *entered),
                                        ReadsAllOver(context, *entered),
                                        CommandsWithoutData(*entered),
                                        {RequestFor(CommandType::kRead, {.begin = 0, .end = GridOf(*entered)})}};
  for (const std::vector<Request>& part : parts) {
    if (AskInGroups(context, entered->session, part, survey.batch)) {
      continue;
    }
    survey.ended = survey.ended ? survey.ended : survey.batch.ended;
    entered = context.Enter(HowToEnter(context, structured));  // The other parts have their own stories to tell.
    if (!entered) {
      return survey;
    }
  }
  AskToBeRefused(context, std::move(*entered), survey);
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
  const auto answered = std::ranges::count_if(survey.batch.exchanges, &Exchange::complete);
  if (answered == 0 && survey.ended) {
    return Inconclusive(survey.ended->text);
  }
  return NotApplicable(
      fmt::format("none of {} answers could be judged{}{}", answered, missing.empty() ? "" : ": ", missing));
}

}  // namespace nbdspec::conformance
