// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/checks/metadata/meta_contexts.h"

#include <limits>

#include "conformance/checks/options/haggling.h"
#include "engine/base/check.h"
#include "engine/exchange/status.h"

namespace nbdspec::conformance {

namespace {

// Refused for reasons of the server's own, whatever the option's data are: there is nothing to judge.
bool IsRefusedAsSuch(const ContextReplies& replies) {
  return IsRefusal(replies.end()) || replies.end() == OptionReplyType::kErrUnsup;
}

constexpr std::size_t kShownMax = 8;

Judgement MustGive(const ContextReplies& replies, bool has_it) {
  return Require(replies.is_ack() && has_it, replies.Text(),
                 fmt::format("NBD_REP_META_CONTEXT {} among the replies, then NBD_REP_ACK", kBaseAllocation));
}

Judgement RefusesOneMalformed(CheckContext& context, std::uint32_t option, Malformed kind) {
  constexpr std::string_view kAllowed = "NBD_REP_ERR_INVALID";
  const MalformedQuery malformed = MalformedQueryFor(context, kind);
  NBDSPEC_TRY(session, context.HaggleStructured());
  const auto replies = AskRaw(session, option, malformed.payload);
  if (!replies) {
    // A client that breaks a rule may be disconnected: session.violation.may-hard.server
    return Require(replies.error().is_disconnect(), fmt::format("with {}: {}", malformed.what, replies.error().text),
                   kAllowed);
  }
  const std::string saw = fmt::format("with {}: {}", malformed.what, replies->Text());
  return IsRefusedAsSuch(*replies) ? NotApplicable(saw)
                                   : Require(replies->end() == OptionReplyType::kErrInvalid, saw, kAllowed);
}

// What the answer reports for base:allocation, laid end to end from the request's offset and clipped to the export;
// nothing after a descriptor of length 0.
std::vector<StatusExtent> ExtentsOf(const Exchange& exchange) {
  std::vector<StatusExtent> extents;
  for (const StatusChunk chunk : StatusChunksOf(exchange)) {
    if (!extents.empty() || !IsBaseAllocation(exchange, chunk.context_id())) {
      continue;
    }
    bool is_over = false;
    ForEachDescriptor(chunk, exchange.request.offset, [&](const Located& located) {
      const ByteRange range = Intersect(located.range, {.begin = 0, .end = exchange.negotiated->info.size});
      is_over = is_over || range.empty();
      if (!is_over) {
        extents.push_back({.range = range, .status = located.descriptor().status});
      }
    });
  }
  return extents;
}

}  // namespace

std::string ContextReplies::Text() const {
  std::string text;
  for (std::size_t i = 0; i < contexts.size() && i < kShownMax; ++i) {
    text += fmt::format("NBD_REP_META_CONTEXT {} with id {}, ", Quoted(contexts[i].name), contexts[i].id);
  }
  if (contexts.size() > kShownMax) {
    text += fmt::format("{} more, ", contexts.size() - kShownMax);
  }
  return text + (text.empty() ? "" : "then ") + OptionReplyName(end());
}

Received<ContextReplies> AskRaw(Session& session, std::uint32_t option, Bytes payload) {
  auto received = session.Ask(Option{.option = option, .payload = std::move(payload)});
  if (!received) {
    return std::unexpected(std::move(received).error());
  }
  ContextReplies replies{.replies = std::move(*received)};
  replies.contexts = PayloadsOf<MetaContext>(replies.replies, OptionReplyType::kMetaContext);
  return replies;
}

std::expected<ContextReplies, Judgement> AskContexts(CheckContext& context, Session& session, std::uint32_t option,
                                                     const std::vector<std::string>& queries) {
  NBDSPEC_TRY(replies, AskRaw(session, option, QueryPayload(context, queries)));
  const std::string saw = fmt::format("{} was answered {}", OptionName(option), OptionReplyName(replies.end()));
  // option.list-meta-context.too-big, option.set-meta-context.too-big
  const bool is_too_much = queries.size() > 1 && replies.end() == OptionReplyType::kErrTooBig;
  if (IsRefusedAsSuch(replies) || is_too_much) {
    return Stop(replies.end() == OptionReplyType::kErrShutdown ? Inconclusive(saw) : NotApplicable(saw));
  }
  return std::move(replies);
}

std::expected<ContextReplies, Judgement> AskContexts(CheckContext& context, std::uint32_t option,
                                                     const std::vector<std::string>& queries) {
  NBDSPEC_TRY(session, context.HaggleStructured());
  return AskContexts(context, session, option, queries);
}

CheckRun OnContexts(std::uint32_t option, std::vector<std::string> queries, ContextRule judge) {
  return [=](CheckContext& context) -> Judgement {
    NBDSPEC_TRY(replies, AskContexts(context, option, queries));
    return judge(replies);
  };
}

Judgement MustGiveBase(const ContextReplies& replies) {
  return MustGive(replies, replies.CountOf(kBaseAllocation) > 0);
}

Judgement MustListBase(const ContextReplies& replies) {
  return MustGive(replies, replies.CountOf(kBaseAllocation) > 0 || replies.CountOf("base:") > 0);
}

std::vector<std::string> SelectableNames(const Profile& profile) {
  std::vector<std::string> names = {kBaseAllocationQuery};
  for (const std::string& name : profile.contexts) {
    const bool has_leaf = name.contains(':') && !name.ends_with(':');
    if (has_leaf && names.size() < kSelectedMax && std::ranges::count(names, name) == 0) {
      names.push_back(name);
    }
  }
  return names;
}

MalformedQuery MalformedQueryFor(const CheckContext& context, Malformed kind) {
  const std::size_t count_at = 4 + context.export_name.size();  // Behind the name and its length.
  // `payload` with another number at `at`.
  const auto with = [](Bytes payload, std::size_t at, std::uint16_t number) {
    payload[at + 2] = static_cast<std::uint8_t>(number >> 8);
    payload[at + 3] = static_cast<std::uint8_t>(number);
    return payload;
  };
  switch (kind) {
    case Malformed::kNoData:
      return {.what = "no data", .payload = {}};
    case Malformed::kNameOverrun:
      return {.what = "an export name of 65535 bytes where 4 are left", .payload = with(Bytes(8), 0, 0xffff)};
    case Malformed::kNoCount: {
      const Bytes whole = QueryPayload(context, {});
      return {.what = "an export name and no count", .payload = {whole.begin(), whole.end() - 4}};
    }
    case Malformed::kCountOverrun:
      return {.what = "a count of 5 queries and one query",
              .payload = with(QueryPayload(context, {kBaseAllocationQuery}), count_at, 5)};
    case Malformed::kQueryOverrun:
      return {.what = "a query of 4096 bytes where 4 are left",
              .payload = with(QueryPayload(context, {"base"}), count_at + 4, 4096)};
    case Malformed::kSecondQueryOverrun:
      return {.what = "a whole query, then one of 4096 bytes where 4 are left",
              .payload = with(QueryPayload(context, {kBaseAllocationQuery, "base"}),
                              count_at + 8 + kBaseAllocation.size(), 4096)};
    case Malformed::kTrailingData: {
      Bytes payload = QueryPayload(context, {kBaseAllocationQuery});
      payload.insert(payload.end(), {1, 2, 3});
      return {.what = "3 bytes after the last query", .payload = payload};
    }
  }
  CheckFailed("unknown Malformed");
}

CheckRun RefusesMalformed(std::uint32_t option, std::vector<Malformed> kinds) {
  return [=](CheckContext& context) -> Judgement {
    for (const Malformed kind : kinds) {
      Judgement judgement = RefusesOneMalformed(context, option, kind);
      if (!judgement.holds()) {
        return judgement;
      }
    }
    return Holds();
  };
}

std::expected<Session, Judgement> WithBaseAllocation(CheckContext& context) {
  NBDSPEC_TRY(session, context.HaggleStructured());
  NBDSPEC_TRY(set, AskContexts(context, session, OptionType::kSetMetaContext, {kBaseAllocationQuery}));
  if (!set.is_ack() || set.CountOf(kBaseAllocation) == 0) {
    return Stop(Inconclusive("NBD_OPT_SET_META_CONTEXT with base:allocation: " + set.Text()));
  }
  return std::move(session);
}

std::expected<Batch, Judgement> EnterAndAskStatus(CheckContext& context, Session session, bool by_name) {
  NBDSPEC_TRY(entered, context.EnterExport(std::move(session), by_name));
  const std::uint64_t length =
      std::min<std::uint64_t>(std::max(512U, context.profile.block_size.minimum), entered.size());
  if (length == 0) {
    return Stop(NotApplicable("the export is empty"));
  }
  return AskOnce(entered, RequestFor(CommandType::kBlockStatus, {.begin = 0, .end = length}));
}

std::ptrdiff_t StatusCount(const Batch& batch) {
  return batch.first().error() == 0
             ? std::ranges::count(batch.first().chunks(),
                                  BlockStatus::ChunkTypeOf(batch.exchanges.front().negotiated->headers),
                                  &ReplyChunk::type)
             : 0;
}

Judgement MustHaveNothingSelected(CheckContext& context, Session session, const std::string& why) {
  NBDSPEC_TRY(batch, EnterAndAskStatus(context, std::move(session)));
  if (!batch.endings.empty()) {
    return batch.endings.back().is_disconnect() ? Holds() : AsJudgement(batch.endings.back());
  }
  return Require(StatusCount(batch) == 0, why + ", but NBD_CMD_BLOCK_STATUS gets a status chunk",
                 "no status, because nothing is selected");
}

Judgement MustHaveStatus(CheckContext& context, const Batch& batch, const std::string& when, std::string_view allowed) {
  if (StatusCount(batch) > 0) {
    return Holds();
  }
  if (!batch.endings.empty()) {
    return AsJudgement(batch.endings.back());
  }
  const std::uint32_t error = batch.first().error();
  const std::string saw = when + " NBD_CMD_BLOCK_STATUS gets " + (error == 0 ? "no status chunk" : ErrorName(error));
  if (error != 0 && error != NbdError::kEinval) {
    return Inconclusive(saw);
  }
  NBDSPEC_TRY(session, WithBaseAllocation(context));
  NBDSPEC_TRY(ordinary, EnterAndAskStatus(context, std::move(session)));
  return About(SubjectOf(batch.exchanges.front()), StatusCount(ordinary) > 0
                                                       ? Broken(saw, allowed)
                                                       : Inconclusive(saw + ", and so does an ordinary client"));
}

// --- Block status ----------------------------------------------------------------------------------------------

std::expected<StatusAsker, Judgement> StatusAsker::Enter(CheckContext& context) {
  auto entered = context.Enter({.structured_replies = true, .contexts = SelectableNames(context.profile)});
  const auto selects_base = [&] {
    return entered && std::ranges::count(entered->agreed->contexts, kBaseAllocation, &MetaContext::name) > 0;
  };
  if (!selects_base()) {
    entered = context.Enter({.structured_replies = true, .contexts = {kBaseAllocationQuery}});
  }
  NBDSPEC_TRY(whole, std::move(entered));
  if (std::ranges::count(whole.agreed->contexts, kBaseAllocation, &MetaContext::name) == 0) {
    return Stop(Inconclusive("base:allocation, which could be selected before, is not selected now"));
  }
  if (whole.size() < whole.block_size().minimum || whole.size() > kExportBytesMax) {
    return Stop(NotApplicable(fmt::format("the export has {} bytes", whole.size())));
  }
  return StatusAsker(std::move(whole));
}

bool StatusAsker::MayAsk(ByteRange range) const {
  const bool fits =
      agreed->headers == HeaderForm::kExtended || range.length() <= std::numeric_limits<std::uint32_t>::max();
  return range.begin < range.end && range.end <= size() && range.begin % block_bytes_min() == 0 &&
         range.end % block_bytes_min() == 0 && fits;
}

Received<Exchange> StatusAsker::Ask(const StatusRequest& request) {
  Batch batch = AskOnce(*this, RequestFor(CommandType::kBlockStatus, request.asked,
                                          request.req_one ? CommandFlag::kReqOne : std::uint16_t{0}));
  if (!batch.endings.empty()) {
    return std::unexpected(std::move(batch.endings.back()));
  }
  return std::move(batch.exchanges.front());
}

std::expected<std::vector<StatusExtent>, Judgement> StatusAsker::Walk() {
  std::vector<StatusExtent> extents;
  std::uint64_t at = 0;
  for (int i = 0; i < kWalkRequestsMax && extents.size() < kWalkExtentsMax; ++i) {
    const std::uint64_t end = std::min(size() - size() % block_bytes_min(), at + kAskedBytesMax);
    if (at % block_bytes_min() != 0 || at >= end) {
      break;
    }
    NBDSPEC_TRY(exchange, Ask({.asked = {.begin = at, .end = end}}));
    const std::uint64_t before = at;
    for (StatusExtent& each : ExtentsOf(exchange)) {
      each.cookie = exchange.request.cookie;
      at = each.range.end;
      if (!extents.empty() && extents.back().status == each.status) {
        extents.back().range.end = at;
      } else if (extents.size() < kWalkExtentsMax) {
        extents.push_back(each);
      }
    }
    if (at == before) {
      break;  // An error, or no extents: whether that is right is for the rules.
    }
  }
  return extents;
}

std::expected<std::vector<StatusRequest>, Judgement> StatusAsker::Battery(CheckContext& context) {
  NBDSPEC_TRY(extents, Walk());
  std::ranges::shuffle(extents, context.random);
  extents.resize(std::min(extents.size(), kBoundariesMax));
  std::vector<StatusRequest> battery;
  // Plain arithmetic: what wraps below 0 or passes the end is a range that may not be asked for.
  const auto add = [&](std::uint64_t begin, std::uint64_t end) {
    const ByteRange range = {.begin = begin, .end = end};
    for (const bool req_one : {false, true}) {
      const StatusRequest request = {.asked = range, .req_one = req_one};
      if (MayAsk(range) && std::ranges::count(battery, request) == 0) {
        battery.push_back(request);
      }
    }
  };
  const std::uint64_t whole = size();
  const std::uint64_t u = unit();
  const std::uint64_t longest = agreed->headers == HeaderForm::kExtended ? whole : kAskedBytesMax;
  add(0, std::min(whole - whole % block_bytes_min(), longest));
  add(0, u);
  add(whole - u, whole);
  add(whole - 1, whole);
  add(1, u + 2);
  add(u - 1, u + 1);
  for (const StatusExtent& extent : extents) {
    const std::uint64_t at = extent.range.end;
    add(extent.range.begin, at);
    add(0, at);
    add(at - u, at);
    add(at, at + u);
    add(at - u, at + u);
    add(at - u / 2, at + u / 2);
    add(at - 1, at);
    add(at - 1, at + 1);
    add(extent.range.begin + 1, at);
    add(at - std::min(at, kAskedBytesMax), std::min(whole, at + u));
  }
  return battery;
}

std::expected<std::optional<Bytes>, Judgement> StatusAsker::Read(ByteRange range) {
  const Request request = RequestFor(CommandType::kRead, range);
  NBDSPEC_TRY(answer, session.Ask(request));
  return BytesRead(request, answer);
}

std::expected<std::optional<std::uint64_t>, Judgement> StatusAsker::FindNonZero(ByteRange range) {
  // Readable, even when a server describes parts of blocks.
  const std::uint64_t block = block_bytes_min();
  const std::uint64_t whole = size() - size() % block;
  const std::uint64_t readable = std::min<std::uint64_t>(kReadBytesMax, block_size().maximum);
  const std::uint64_t step = std::max(block, readable - readable % block);
  for (std::uint64_t at = range.begin - range.begin % block; at < std::min(range.end, whole); at += step) {
    const ByteRange part = {.begin = at, .end = std::min({at + step, (range.end + block - 1) / block * block, whole})};
    NBDSPEC_TRY(data, Read(part));
    if (!data) {
      return std::nullopt;
    }
    for (std::uint64_t i = std::max(part.begin, range.begin); i < std::min(part.end, range.end); ++i) {
      if ((*data)[i - at] != 0) {
        return i;
      }
    }
  }
  return std::nullopt;
}

std::expected<std::size_t, Judgement> CountKept(const CheckContext& context, StatusAsker& asker,
                                                const std::vector<StatusRequest>& requests) {
  std::size_t success_count = 0;
  for (const StatusRequest& request : requests) {
    NBDSPEC_TRY(exchange, asker.Ask(request));
    const Ruling ruling = Apply(context.rule(), exchange);
    if (ruling.is_violated()) {
      return Stop(About(SubjectOf(exchange, ruling),
                        Broken(fmt::format("asked {}: {}", Text(request), ruling.saw), ruling.expected)));
    }
    success_count += exchange.answer.error() == NbdError::kOk ? 1 : 0;
  }
  return success_count;
}

Judgement OverBattery(CheckContext& context) {
  NBDSPEC_TRY(asker, StatusAsker::Enter(context));
  NBDSPEC_TRY(battery, asker.Battery(context));
  NBDSPEC_TRY(success_count, CountKept(context, asker, battery));
  return success_count > 0 ? Holds() : Inconclusive("every NBD_CMD_BLOCK_STATUS failed");
}

}  // namespace nbdspec::conformance
