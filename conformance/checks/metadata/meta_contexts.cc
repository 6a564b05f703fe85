// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/checks/metadata/meta_contexts.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/base/check.h"
#include "engine/wire/big_endian.h"

namespace nbdspec::conformance {

namespace {

// What any option may be answered for reasons of the server's own.
bool IsRefusal(std::uint32_t type) {
  return type == OptionReplyType::kErrPolicy || type == OptionReplyType::kErrPlatform ||
         type == OptionReplyType::kErrTlsReqd || type == OptionReplyType::kErrShutdown;
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
  if (replies->end() == OptionReplyType::kErrUnsup) {
    return NotApplicable(fmt::format("{} is not supported", OptionName(option)));
  }
  const std::string saw = fmt::format("with {}: {}", malformed.what, replies->Text());
  return IsRefusal(replies->end()) ? Inconclusive(saw)
                                   : Require(replies->end() == OptionReplyType::kErrInvalid, saw, kAllowed);
}

}  // namespace

std::ptrdiff_t ContextReplies::CountOf(std::string_view name) const {
  return std::ranges::count(contexts, name, &MetaContext::name);
}

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

Bytes QueryPayload(const CheckContext& context, const std::vector<std::string>& queries) {
  return EncodePayload(engine::MetaContextQuery{.export_name = context.export_name(), .queries = queries});
}

Received<ContextReplies> AskRaw(Session& session, std::uint32_t option, Bytes payload) {
  auto heard = session.Ask(Option{.option = option, .payload = std::move(payload)});
  if (!heard) {
    return std::unexpected(std::move(heard).error());
  }
  ContextReplies replies{.replies = std::move(*heard)};
  for (const OptionReply& reply : replies.replies) {
    if (auto context = engine::DecodeMetaContext(reply.payload);
        context && reply.type == OptionReplyType::kMetaContext) {
      replies.contexts.push_back(std::move(*context));
    }
  }
  return replies;
}

std::expected<ContextReplies, Judgement> AskContexts(CheckContext& context, Session& session, std::uint32_t option,
                                                     const std::vector<std::string>& queries) {
  NBDSPEC_TRY(replies, AskRaw(session, option, QueryPayload(context, queries)));
  const std::string saw = fmt::format("{} was answered {}", OptionName(option), OptionReplyName(replies.end()));
  if (replies.end() == OptionReplyType::kErrUnsup) {
    return Stop(NotApplicable(saw));
  }
  if (IsRefusal(replies.end())) {
    return Stop(Inconclusive(saw));
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

Judgement MustBeLoneAck(const ContextReplies& replies) {
  return Require(replies.is_ack() && replies.replies.size() == 1, replies.Text(), "nothing but a single NBD_REP_ACK");
}

std::string_view NamespaceOf(std::string_view name) {
  const std::size_t colon = name.find(':');
  return colon == std::string_view::npos ? name : name.substr(0, colon + 1);
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
  Bytes payload;
  const auto put = [&payload](std::uint32_t number) { engine::PutBigEndian<std::uint32_t>(number, payload); };
  const auto put_text = [&](std::string_view text, std::size_t length) {
    put(static_cast<std::uint32_t>(length));
    payload.insert(payload.end(), text.begin(), text.end());
  };
  const std::string& name = context.export_name();
  switch (kind) {
    case Malformed::kNoData:
      return {.what = "no data", .payload = {}};
    case Malformed::kNameOverrun:
      put_text({}, 0xffff);
      put(0);
      return {.what = "an export name of 65535 bytes where 4 are left", .payload = payload};
    case Malformed::kNoCount:
      put_text(name, name.size());
      return {.what = "an export name and no count", .payload = payload};
    case Malformed::kCountOverrun:
      put_text(name, name.size());
      put(5);
      put_text(kBaseAllocation, kBaseAllocation.size());
      return {.what = "a count of 5 queries and one query", .payload = payload};
    case Malformed::kQueryOverrun:
      put_text(name, name.size());
      put(1);
      put_text("base", 4096);
      return {.what = "a query of 4096 bytes where 4 are left", .payload = payload};
    case Malformed::kSecondQueryOverrun:
      put_text(name, name.size());
      put(2);
      put_text(kBaseAllocation, kBaseAllocation.size());
      put_text("base", 4096);
      return {.what = "a whole query, then one of 4096 bytes where 4 are left", .payload = payload};
    case Malformed::kTrailingData:
      payload = QueryPayload(context, {kBaseAllocationQuery});
      payload.insert(payload.end(), {1, 2, 3});
      return {.what = "3 bytes after the last query", .payload = payload};
  }
  engine::CheckFailed("unknown Malformed");
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

std::expected<Batch, Judgement> EnterAndAskStatus(CheckContext& context, Session session) {
  NBDSPEC_TRY(entered, context.EnterExport(std::move(session)));
  const std::uint64_t length = std::min<std::uint64_t>(std::max(512U, entered.block_size().minimum), entered.size());
  if (length == 0) {
    return Stop(NotApplicable("the export is empty"));
  }
  return AskOnce(entered, RequestFor(CommandType::kBlockStatus, {.begin = 0, .end = length}));
}

std::ptrdiff_t StatusCount(const Batch& batch) {
  return batch.first().error() == 0
             ? std::ranges::count(batch.first().chunks(), ChunkType::kBlockStatus, &ReplyChunk::type)
             : 0;
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
  NBDSPEC_TRY(session, context.HaggleStructured());
  NBDSPEC_TRY(set, AskContexts(context, session, OptionType::kSetMetaContext, {kBaseAllocationQuery}));
  NBDSPEC_TRY(ordinary, EnterAndAskStatus(context, std::move(session)));
  return StatusCount(ordinary) > 0 ? Broken(saw, allowed) : Inconclusive(saw + ", and so does an ordinary client");
}

Judgement MustHaveNothingSelected(CheckContext& context, Session session, const std::string& why) {
  NBDSPEC_TRY(batch, EnterAndAskStatus(context, std::move(session)));
  if (!batch.endings.empty()) {
    return batch.endings.back().is_disconnect() ? Holds() : AsJudgement(batch.endings.back());
  }
  return Require(StatusCount(batch) == 0, why + ", but NBD_CMD_BLOCK_STATUS gets a status chunk",
                 "no status, because nothing is selected");
}

}  // namespace nbdspec::conformance
