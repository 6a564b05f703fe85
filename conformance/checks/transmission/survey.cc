// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/checks/transmission/survey.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace nbdspec::conformance {

namespace {

constexpr std::size_t kInFlightMax = 8;
constexpr std::uint64_t kReadBytesMax = 1 << 16;
constexpr std::uint64_t kPlaces = 16;  // Reads are spread over so many places.

// Asks `requests` with cookies of their own, some at a time.
bool AskInGroups(CheckContext& context, Entered& entered, std::vector<Request> requests, Batch& batch) {
  for (Request& request : requests) {
    request.cookie = context.random()();
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

std::vector<Request> CommandsWithoutData(const Entered& entered) {
  const ByteRange first = CellAt(entered);
  std::vector<Request> requests;
  if (entered.Has(TransmissionFlag::kSendFlush)) {
    requests.push_back(RequestFor(CommandType::kFlush, {}));
  }
  if (entered.Has(TransmissionFlag::kSendCache)) {
    requests.push_back(RequestFor(CommandType::kCache, first));
  }
  if (!entered.agreed->contexts.empty()) {
    requests.push_back(RequestFor(CommandType::kBlockStatus, first));
    requests.push_back(RequestFor(CommandType::kBlockStatus, first, CommandFlag::kReqOne));
  }
  return requests;
}

// Two cells each of data, zeroes and whatever TRIM leaves, beside each other.
std::vector<Request> SmallWrites(CheckContext& context, const Entered& entered) {
  const auto scratch = ScratchRange(entered, 6);
  if (!scratch || !context.Offers(Feature::kWritable)) {
    return {};
  }
  const std::uint64_t pair = 2 * GridOf(entered);
  std::vector<Request> requests = {WriteOf(scratch->begin, Pattern(pair, context.random()()))};
  const auto add = [&](std::uint16_t flag, std::uint16_t command, std::uint64_t begin) {
    if (entered.Has(flag)) {
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
  const ByteRange first = CellAt(entered);
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
  add(entered.Has(TransmissionFlag::kSendCache), CommandType::kCache);
  add(!entered.agreed->contexts.empty(), CommandType::kBlockStatus);
  if (context.Offers(Feature::kWritable)) {
    add(entered.Has(TransmissionFlag::kSendTrim), CommandType::kTrim);
    add(entered.Has(TransmissionFlag::kSendWriteZeroes), CommandType::kWriteZeroes);
    requests.push_back(WriteOf(across_end.begin, Bytes(across_end.length())));
  }
  return requests;
}

// Each is followed by a legal READ, by whose answer all that was sent about it has come.
void AskToBeRefused(CheckContext& context, Entered entered, Survey& survey) {
  for (Request request : RequestsToRefuse(context, entered)) {
    Request after = RequestFor(CommandType::kRead, CellAt(entered));
    request.cookie = context.random()();
    after.cookie = context.random()();
    if (AskAll(entered, {&request, 1}, survey.batch) && AskAll(entered, {&after, 1}, survey.batch)) {
      continue;
    }
    // A server may hang up on who breaks a rule.
    auto again = survey.structured ? context.EnterWithAll() : context.Enter();
    if (!again) {
      return;
    }
    entered = std::move(*again);
  }
  entered.session.Disconnect();
}

}  // namespace

bool Survey::any_chunk() const {
  return std::ranges::any_of(batch.exchanges, [](const Exchange& e) { return !e.answer.chunks().empty(); });
}

std::expected<Survey, Judgement> SurveyReplies(CheckContext& context, bool structured) {
  NBDSPEC_TRY(entered, structured ? context.EnterWithAll() : context.Enter());
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
    auto again = structured ? context.EnterWithAll() : context.Enter();
    if (!again) {
      return survey;
    }
    entered = std::move(*again);
  }
  AskToBeRefused(context, std::move(entered), survey);
  return survey;
}

namespace {

Judgement JudgeSurvey(CheckContext& context, const Survey& survey) {
  bool kept = false;
  std::string missing;
  for (const Exchange& exchange : survey.batch.exchanges) {
    Ruling ruling = Apply(context.rule(), exchange);
    if (ruling.is_violated()) {
      return Broken(fmt::format("in answer to {}: {}", Describe(exchange.request), ruling.saw), ruling.expected);
    }
    kept = kept || ruling.kind == Ruling::Kind::kKept;
    missing = std::move(ruling.saw);
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

}  // namespace

CheckRun WithStructured(SurveyRule rule) {
  return [rule](CheckContext& context) -> Judgement {
    NBDSPEC_TRY(survey, SurveyReplies(context, /*structured=*/true));
    return rule(context, survey);
  };
}

CheckRun InBothModes(SurveyRule rule) {
  return [rule](CheckContext& context) -> Judgement {
    NBDSPEC_TRY(simple, SurveyReplies(context, /*structured=*/false));
    Judgement first = rule(context, simple);
    if (first.is_broken() || !context.Offers(Feature::kStructuredReplies)) {
      return first;
    }
    Judgement second = WithStructured(rule)(context);
    return second.kind == Judgement::Kind::kNotApplicable ? first : second;
  };
}

Judgement OverStructuredReplies(CheckContext& context) { return WithStructured(JudgeSurvey)(context); }

Judgement OverSimpleReplies(CheckContext& context) {
  NBDSPEC_TRY(survey, SurveyReplies(context, /*structured=*/false));
  return JudgeSurvey(context, survey);
}

Judgement OverAllReplies(CheckContext& context) { return InBothModes(JudgeSurvey)(context); }

}  // namespace nbdspec::conformance
