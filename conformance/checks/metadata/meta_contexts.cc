// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/checks/metadata/meta_contexts.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/base/quoted.h"
#include "engine/wire/big_endian.h"

namespace nbdspec::conformance {

using engine::OptionReplyType;
using engine::OptionType;
using engine::Quoted;

namespace {

// What any option may be answered for reasons of the server's own.
bool IsRefusal(std::uint32_t type) {
  return type == OptionReplyType::kErrPolicy || type == OptionReplyType::kErrPlatform ||
         type == OptionReplyType::kErrTlsReqd || type == OptionReplyType::kErrShutdown;
}

constexpr std::size_t kShownMax = 8;

void PutString(std::string_view text, engine::Bytes& out) {
  engine::PutBigEndian<std::uint32_t>(static_cast<std::uint32_t>(text.size()), out);
  out.insert(out.end(), text.begin(), text.end());
}

// A name, a count, and queries of which the last claims 4096 bytes and has four.
engine::Bytes Overrunning(const std::string& export_name, const std::vector<std::string>& whole_queries) {
  engine::Bytes payload;
  PutString(export_name, payload);
  engine::PutBigEndian<std::uint32_t>(static_cast<std::uint32_t>(whole_queries.size() + 1), payload);
  for (const std::string& each : whole_queries) {
    PutString(each, payload);
  }
  engine::PutBigEndian<std::uint32_t>(0x1000, payload);
  payload.insert(payload.end(), {'b', 'a', 's', 'e'});
  return payload;
}

}  // namespace

std::ptrdiff_t ContextReplies::CountOf(std::string_view name) const {
  return std::ranges::count(contexts, name, &engine::MetaContext::name);
}

std::string ContextReplies::Text() const {
  std::string text;
  for (std::size_t i = 0; i < contexts.size() && i < kShownMax; ++i) {
    text += fmt::format("NBD_REP_META_CONTEXT {} with id {}, ", Quoted(contexts[i].name), contexts[i].id);
  }
  if (contexts.size() > kShownMax) {
    text += fmt::format("{} more, ", contexts.size() - kShownMax);
  }
  return text + (text.empty() ? "" : "then ") + engine::OptionReplyName(end());
}

engine::Bytes QueryPayload(const CheckContext& context, const std::vector<std::string>& queries) {
  return EncodePayload(engine::MetaContextQuery{.export_name = context.export_name(), .queries = queries});
}

Received<ContextReplies> AskRaw(Session& session, std::uint32_t option, engine::Bytes payload) {
  auto heard = session.Ask(engine::Option{.option = option, .payload = std::move(payload)});
  if (!heard) {
    return std::unexpected(std::move(heard).error());
  }
  ContextReplies replies{.replies = std::move(*heard)};
  for (const engine::OptionReply& reply : replies.replies) {
    if (auto context = engine::DecodePayload<engine::MetaContext>(reply.payload);
        context && reply.type == OptionReplyType::kMetaContext) {
      replies.contexts.push_back(std::move(*context));
    }
  }
  return replies;
}

std::expected<ContextReplies, Judgement> AskContexts(CheckContext& context, Session& session, std::uint32_t option,
                                                     const std::vector<std::string>& queries) {
  NBDSPEC_TRY(replies, AskRaw(session, option, QueryPayload(context, queries)));
  const std::string saw =
      fmt::format("{} was answered {}", engine::OptionName(option), engine::OptionReplyName(replies.end()));
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

Judgement MustGive(const ContextReplies& replies, std::string_view name, bool record_will_do) {
  const bool has_record = record_will_do && replies.CountOf(NamespaceOf(name)) > 0;
  return Require(replies.is_ack() && (replies.CountOf(name) > 0 || has_record), replies.Text(),
                 fmt::format("NBD_REP_META_CONTEXT {} among the replies, then NBD_REP_ACK", name));
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

MalformedQuery QueryOverrun(const std::string& export_name) {
  return {.what = "a query of 4096 bytes where 4 are left", .payload = Overrunning(export_name, {})};
}

MalformedQuery SecondQueryOverrun(const std::string& export_name) {
  return {.what = "a whole query, then one of 4096 bytes where 4 are left",
          .payload = Overrunning(export_name, {kBaseAllocationQuery})};
}

MalformedQuery NameOverrun() {
  engine::Bytes payload;
  engine::PutBigEndian<std::uint32_t>(0xffff, payload);
  engine::PutBigEndian<std::uint32_t>(0, payload);
  return {.what = "an export name of 65535 bytes where 4 are left", .payload = std::move(payload)};
}

MalformedQuery CountOverrun(const std::string& export_name) {
  engine::Bytes payload;
  PutString(export_name, payload);
  engine::PutBigEndian<std::uint32_t>(5, payload);
  PutString(engine::kBaseAllocation, payload);
  return {.what = "a count of 5 queries and one query", .payload = std::move(payload)};
}

MalformedQuery NoData() { return {.what = "no data", .payload = {}}; }

MalformedQuery NoCount(const std::string& export_name) {
  engine::Bytes payload;
  PutString(export_name, payload);
  return {.what = "an export name and no count", .payload = std::move(payload)};
}

Judgement MustBeInvalid(CheckContext& context, std::uint32_t option, const MalformedQuery& malformed) {
  constexpr std::string_view kAllowed = "NBD_REP_ERR_INVALID";
  NBDSPEC_TRY(session, context.HaggleStructured());
  const auto replies = AskRaw(session, option, malformed.payload);
  if (!replies) {
    // A client that breaks a rule may be disconnected: session.violation.may-hard.server
    return Require(replies.error().is_disconnect(), fmt::format("with {}: {}", malformed.what, replies.error().text),
                   kAllowed);
  }
  if (replies->end() == OptionReplyType::kErrUnsup) {
    return NotApplicable(fmt::format("{} is not supported", engine::OptionName(option)));
  }
  const std::string saw = fmt::format("with {}: {}", malformed.what, replies->Text());
  return IsRefusal(replies->end()) ? Inconclusive(saw)
                                   : Require(replies->end() == OptionReplyType::kErrInvalid, saw, kAllowed);
}

std::expected<Batch, Judgement> EnterAndAskStatus(CheckContext& context, Session session) {
  NBDSPEC_TRY(entered, context.EnterExport(std::move(session)));
  const std::uint64_t length = std::min<std::uint64_t>(std::max(512U, entered.block_size().minimum), entered.size());
  if (length == 0) {
    return Stop(NotApplicable("the export is empty"));
  }
  return AskOnce(entered, RequestFor(engine::CommandType::kBlockStatus, {.begin = 0, .end = length}));
}

std::ptrdiff_t StatusCount(const Batch& batch) {
  return batch.first().error() == 0
             ? std::ranges::count(batch.first().chunks(), engine::ChunkType::kBlockStatus, &engine::ReplyChunk::type)
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
  const std::string saw =
      when + " NBD_CMD_BLOCK_STATUS gets " + (error == 0 ? "no status chunk" : engine::ErrorName(error));
  if (error != 0 && error != engine::NbdError::kEinval) {
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
