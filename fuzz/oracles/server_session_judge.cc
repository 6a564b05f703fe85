// SPDX-License-Identifier: BSD-3-Clause
// Spec: proto.md, "Option types", "Option reply types".
#include "fuzz/oracles/server_session_judge.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <utility>

#include "engine/base/quoted.h"
#include "engine/server/server.h"

namespace nbdspec::fuzz {

using engine::Bytes;
using engine::InfoType;
using engine::Option;
using engine::OptionReply;
using engine::OptionReplyType;
using engine::OptionType;
using engine::ServerMessage;
using engine::TransmissionFlag;

namespace {

bool IsGoodString(std::string_view text) {
  return text.size() <= engine::kStringBytesMax && engine::IsValidString(text);
}

std::string TextOf(engine::ByteView payload) { return {payload.begin(), payload.end()}; }

std::string Describe(const std::vector<OptionReply>& replies) {
  std::string text;
  for (const OptionReply& reply : replies) {
    text += engine::Describe(ServerMessage(reply)) + "; ";
  }
  return text + std::to_string(replies.size()) + " in all";
}

std::vector<std::string_view> ContextsOf(const engine::Export& of) {
  return of.options.base_allocation ? std::vector{engine::kBaseAllocation, engine::kBlockIndexContext}
                                    : std::vector<std::string_view>{};
}

}  // namespace

std::optional<Disagreement> SessionJudge::Judge(const SessionTranscript& transcript,
                                                const std::vector<engine::Export>& after) {
  server_.Feed(transcript.received);
  where_ = "greeting";
  if (const auto greeting = TakeMessage("a greeting"); greeting) {
    const engine::Greeting expected = {.flags = input_.server.handshake_flags};
    if (*greeting != ServerMessage(expected)) {
      Fail(engine::Describe(ServerMessage(expected)), engine::Describe(*greeting));
    }
  }
  client_.Feed(input_.said);
  for (int number = 1; !found_ && !is_over_; ++number) {
    const auto next = client_.Next();
    if (!next) {
      break;
    }
    where_ = "message " + std::to_string(number) + ", ";
    if (const auto* message = std::get_if<engine::ClientMessage>(&*next)) {
      where_ += engine::Describe(*message);
      JudgeMessage(*message);
    } else {
      where_ += std::get<engine::Undecodable>(*next).what;
      is_over_ = true;
    }
  }
  if (!found_) {
    JudgeEnd(transcript, after);
  }
  return found_;
}

void SessionJudge::JudgeMessage(const engine::ClientMessage& message) {
  if (const auto* flags = std::get_if<engine::ClientFlags>(&message)) {
    negotiated_.client_flags = flags->flags;
    is_over_ = (flags->flags & ~std::uint32_t{input_.server.handshake_flags}) != 0;
  } else if (const auto* option = std::get_if<Option>(&message)) {
    JudgeOption(*option);
  } else {
    JudgeRequest(std::get<engine::Request>(message));
  }
}

void SessionJudge::JudgeEnd(const SessionTranscript& transcript, const std::vector<engine::Export>& after) {
  const auto more = server_.Next();
  if (more || !server_.Pending().empty()) {
    const auto* placed = more ? std::get_if<engine::PlacedServerMessage>(&*more) : nullptr;
    Fail("nothing more is said",
         placed != nullptr ? engine::Describe(placed->message) : std::to_string(server_.Pending().size()) + " bytes");
  }
  if (transcript.closed != is_over_) {
    Fail(is_over_ ? "the server closes the connection" : "the connection stays open", "the contrary");
  }
  for (std::size_t i = 0; i < exports_.size(); ++i) {
    const engine::ByteRange all = after[i].disk.extents().range();
    const engine::ByteView expected = &exports_[i] == entered_ ? model_.contents() : exports_[i].disk.Read(all);
    const engine::ByteView held = after[i].disk.Read(all);
    if (!expected.empty() && expected.data() != held.data() &&
        std::memcmp(expected.data(), held.data(), expected.size()) != 0) {
      Fail("the export holds what was written", "export " + engine::Quoted(after[i].options.name) + " differs");
    }
  }
}

std::optional<ServerMessage> SessionJudge::TakeMessage(std::string_view wanted) {
  auto next = server_.Next();
  if (!next) {
    Fail(std::string(wanted), "nothing but " + std::to_string(server_.Pending().size()) + " bytes");
    return std::nullopt;
  }
  if (const auto* undecodable = std::get_if<engine::Undecodable>(&*next)) {
    Fail(std::string(wanted), undecodable->what);
    return std::nullopt;
  }
  return std::get<engine::PlacedServerMessage>(std::move(*next)).message;
}

std::vector<OptionReply> SessionJudge::TakeReplies(std::uint32_t option) {
  std::vector<OptionReply> replies;
  while (const auto message = TakeMessage("a reply to the option")) {
    const auto* reply = std::get_if<OptionReply>(&*message);
    if (reply == nullptr || reply->option != option) {
      Fail("a reply to " + engine::OptionName(option), engine::Describe(*message));
      return {};
    }
    replies.push_back(*reply);
    if (reply->is_error() && !IsGoodString(TextOf(reply->payload))) {
      Fail("the text of an error is a string", engine::Describe(*message));
      return {};
    }
    if (reply->is_error() || reply->type == OptionReplyType::kAck) {
      return replies;
    }
  }
  return {};
}

// --- Option haggling ------------------------------------------------------------------------------------------

void SessionJudge::JudgeOption(const Option& option) {
  if (option.option == OptionType::kExportName) {
    return JudgeExportName(option);
  }
  if ((input_.server.handshake_flags & engine::HandshakeFlag::kFixedNewstyle) == 0) {
    is_over_ = true;  // option.export-name.others-need-fixed
    return;
  }
  const std::vector<OptionReply> replies = TakeReplies(option.option);
  if (replies.empty()) {
    return;
  }
  if (option.option == OptionType::kAbort) {
    DemandAck(replies);
    is_over_ = true;
    return;
  }
  if (option.option == OptionType::kSetMetaContext) {
    negotiated_.contexts.clear();  // option.set-meta-context.replaces-on-failure
    negotiated_.context_export.clear();
  }
  if (option.too_long) {
    return DemandError(replies, {OptionReplyType::kErrTooBig});
  }
  switch (option.option) {
    case OptionType::kList:
      return JudgeList(option, replies);
    case OptionType::kInfo:
    case OptionType::kGo:
      return JudgeInfoOrGo(option, replies);
    case OptionType::kStructuredReply:
      return JudgeStructuredReply(option, replies);
    case OptionType::kListMetaContext:
    case OptionType::kSetMetaContext:
      return JudgeMetaContext(option, replies);
    case OptionType::kStarttls:
      return DemandError(replies, {OptionReplyType::kErrUnsup, OptionReplyType::kErrPolicy});
    default:
      return DemandError(replies, {OptionReplyType::kErrUnsup});
  }
}

void SessionJudge::JudgeExportName(const Option& option) {
  engine::Export* found = option.too_long ? nullptr : FindExport(TextOf(option.payload));
  if (found == nullptr) {
    is_over_ = true;  // option.export-name.unknown-terminates
    return;
  }
  const bool is_padded = (input_.server.handshake_flags & engine::HandshakeFlag::kNoZeroes) == 0 ||
                         (negotiated_.client_flags & engine::ClientFlag::kNoZeroes) == 0;
  server_.ExpectExportNameReply(is_padded);
  const engine::ExportNameReply expected = {.size = found->disk.size(),
                                            .flags = TransmissionFlagsOf(found->options),
                                            .pad = Bytes(is_padded ? engine::kExportNamePadBytes : 0)};
  const auto reply = TakeMessage("a reply to EXPORT_NAME");
  if (reply && *reply != ServerMessage(expected)) {
    Fail(engine::Describe(ServerMessage(expected)), engine::Describe(*reply));
  }
  Enter(*found);
}

void SessionJudge::JudgeList(const Option& option, const std::vector<OptionReply>& replies) {
  if (!option.payload.empty()) {
    return DemandError(replies, {OptionReplyType::kErrInvalid});
  }
  std::multiset<std::string> expected;
  for (const engine::Export& each : exports_) {
    expected.insert(each.options.name);
  }
  std::multiset<std::string> listed;
  for (const OptionReply& reply : replies) {
    const auto item = engine::DecodePayload<engine::ListedExport>(reply.payload);
    if (reply.type == OptionReplyType::kServer && item && IsGoodString(item->description)) {
      listed.insert(item->name);
    }
  }
  if (!DemandAck(replies) || listed != expected || listed.size() + 1 != replies.size()) {
    Fail("each export once, and ACK", Describe(replies));
  }
}

void SessionJudge::JudgeInfoOrGo(const Option& option, const std::vector<OptionReply>& replies) {
  const auto query = engine::DecodePayload<engine::InfoQuery>(option.payload);
  if (!query) {
    return DemandError(replies, {OptionReplyType::kErrInvalid});
  }
  if (!IsGoodString(query->name)) {
    return DemandError(replies, {OptionReplyType::kErrInvalid, OptionReplyType::kErrTooBig});
  }
  engine::Export* found = FindExport(query->name);
  if (found == nullptr) {
    return DemandError(replies, {OptionReplyType::kErrUnknown});
  }
  if (!DemandAck(replies)) {
    return;
  }
  JudgeInformation(*found, *query, replies);
  if (option.option == OptionType::kGo) {
    server_.EnterTransmission();
    Enter(*found);
  }
}

// Each piece of information at most once and right; what was asked for, and the sizes unless they are the default.
void SessionJudge::JudgeInformation(const engine::Export& of, const engine::InfoQuery& query,
                                    const std::vector<OptionReply>& replies) {
  const engine::ExportOptions& offered = of.options;
  const std::map<std::uint16_t, Bytes> right = {
      {InfoType::kExport,
       EncodePayload(engine::InfoExport{.size = of.disk.size(), .flags = TransmissionFlagsOf(offered)})},
      {InfoType::kName, EncodePayload(engine::InfoText{.type = InfoType::kName, .text = offered.name})},
      {InfoType::kDescription,
       EncodePayload(engine::InfoText{.type = InfoType::kDescription, .text = offered.description})},
      {InfoType::kBlockSize, EncodePayload(offered.block_size)},
  };
  std::set<std::uint16_t> wanted = {InfoType::kExport};
  for (const std::uint16_t type : query.requests) {
    if (right.contains(type) && (type != InfoType::kDescription || !offered.description.empty())) {
      wanted.insert(type);
    }
  }
  if (offered.block_size != engine::InfoBlockSize{}) {
    wanted.insert(InfoType::kBlockSize);
  }
  std::set<std::uint16_t> given;
  for (const OptionReply& reply : replies) {
    if (reply.type == OptionReplyType::kAck) {
      continue;
    }
    const auto type = engine::DecodeInfoType(reply.payload);
    const auto info = right.find(type.value_or(0xffff));
    if (reply.type != OptionReplyType::kInfo || info == right.end() || info->second != reply.payload ||
        !given.insert(*type).second) {
      return Fail("right information, each piece once", Describe(replies));
    }
  }
  if (!std::ranges::includes(given, wanted)) {
    Fail("INFO_EXPORT, what was asked for, and block sizes that are not the default", Describe(replies));
  }
}

void SessionJudge::JudgeStructuredReply(const Option& option, const std::vector<OptionReply>& replies) {
  if (!input_.server.structured_replies) {
    return DemandError(replies, {OptionReplyType::kErrUnsup});
  }
  if (!option.payload.empty()) {
    return DemandError(replies, {OptionReplyType::kErrInvalid});
  }
  if (negotiated_.structured_replies && replies.back().type == OptionReplyType::kErrInvalid) {
    return;  // option.state.repeat-may-fail
  }
  negotiated_.structured_replies = DemandAck(replies);
}

void SessionJudge::JudgeMetaContext(const Option& option, const std::vector<OptionReply>& replies) {
  const bool listing = option.option == OptionType::kListMetaContext;
  if (!input_.server.structured_replies) {
    return DemandError(replies, {OptionReplyType::kErrUnsup});
  }
  const auto query = engine::DecodePayload<engine::MetaContextQuery>(option.payload);
  if (!query || !negotiated_.structured_replies) {
    return DemandError(replies, {OptionReplyType::kErrInvalid});
  }
  if (!IsGoodString(query->export_name) || !std::ranges::all_of(query->queries, IsGoodString)) {
    return DemandError(replies, {OptionReplyType::kErrInvalid, OptionReplyType::kErrTooBig});
  }
  const engine::Export* found = FindExport(query->export_name);
  if (found == nullptr) {
    return DemandError(replies, {OptionReplyType::kErrUnknown});
  }
  if (DemandAck(replies)) {
    JudgeContexts(*found, *query, listing, replies);
  }
}

// Exactly the contexts that a query matches, each once. SET picks by full name only: metadata.empty-leaf.set.
void SessionJudge::JudgeContexts(const engine::Export& of, const engine::MetaContextQuery& query, bool listing,
                                 const std::vector<OptionReply>& replies) {
  std::set<std::string> wanted;
  for (const std::string_view name : ContextsOf(of)) {
    const std::string_view wildcard = name.substr(0, name.find(':') + 1);
    const bool is_named = std::ranges::count(query.queries, name) > 0;
    const bool is_listed = query.queries.empty() || std::ranges::count(query.queries, wildcard) > 0;
    if (is_named || (listing && is_listed)) {
      wanted.emplace(name);
    }
  }
  std::vector<engine::MetaContext> given;
  std::set<std::string> names;
  std::set<std::uint32_t> ids;
  for (const OptionReply& reply : replies) {
    const auto context = engine::DecodePayload<engine::MetaContext>(reply.payload);
    if (reply.type == OptionReplyType::kMetaContext && context) {
      given.push_back(*context);
      names.insert(context->name);
      ids.insert(context->id);
    }
  }
  if (given.size() + 1 != replies.size() || names != wanted || names.size() != given.size()) {
    Fail("each of " + std::to_string(wanted.size()) + " contexts once", Describe(replies));
  }
  if (listing ? ids.size() > 1 || (ids.size() == 1 && !ids.contains(0)) : ids.size() != given.size()) {
    Fail(listing ? "ids are 0" : "ids differ", Describe(replies));
  }
  if (!listing) {
    negotiated_.contexts = std::move(given);
    negotiated_.context_export = query.export_name;
  }
}

void SessionJudge::DemandError(const std::vector<OptionReply>& replies,
                               std::initializer_list<std::uint32_t> permitted) {
  if (replies.size() != 1 || std::ranges::count(permitted, replies[0].type) == 0) {
    std::string names;
    for (const std::uint32_t each : permitted) {
      names += engine::OptionReplyName(each) + " ";
    }
    Fail("one error of " + names, Describe(replies));
  }
}

bool SessionJudge::DemandAck(const std::vector<OptionReply>& replies) {
  const bool is_acked = replies.back().type == OptionReplyType::kAck && replies.back().payload.empty();
  if (!is_acked) {
    Fail("ACK without data at the end", Describe(replies));
  }
  return is_acked;
}

void SessionJudge::Enter(engine::Export& entered) {
  entered_ = &entered;
  if (negotiated_.context_export != entered.options.name) {
    negotiated_.contexts.clear();  // option.set-meta-context.other-export
  }
  negotiated_.info = {.size = entered.disk.size(), .flags = TransmissionFlagsOf(entered.options)};
  negotiated_.block_size = entered.options.block_size;
  client_.EnterTransmission();
  model_.Reset(entered);
}

engine::Export* SessionJudge::FindExport(std::string_view name) {
  const auto found = std::ranges::find(exports_, name, [](const engine::Export& each) { return each.options.name; });
  return found == exports_.end() ? nullptr : &*found;
}

std::uint16_t SessionJudge::TransmissionFlagsOf(const engine::ExportOptions& offered) const {
  const std::pair<bool, std::uint16_t> flags[] = {
      {true, TransmissionFlag::kHasFlags},
      {offered.read_only, TransmissionFlag::kReadOnly},
      {offered.flush, TransmissionFlag::kSendFlush},
      {offered.fua, TransmissionFlag::kSendFua},
      {!offered.read_only && offered.trim, TransmissionFlag::kSendTrim},
      {!offered.read_only && offered.write_zeroes, TransmissionFlag::kSendWriteZeroes},
      {!offered.read_only && offered.write_zeroes && offered.fast_zero, TransmissionFlag::kSendFastZero},
      {negotiated_.structured_replies && offered.df, TransmissionFlag::kSendDf},  // eflags.df.clear-without-structured
      {offered.multi_conn, TransmissionFlag::kCanMultiConn},
      {offered.cache, TransmissionFlag::kSendCache},
  };
  std::uint16_t set = 0;
  for (const auto& [is_set, flag] : flags) {
    set |= is_set ? flag : std::uint16_t{0};
  }
  return set;
}

// --- Transmission ---------------------------------------------------------------------------------------------

void SessionJudge::JudgeRequest(const engine::Request& request) {
  if (request.type == engine::CommandType::kDisc) {
    is_over_ = true;  // disc.no-reply
    return;
  }
  if (!negotiated_.structured_replies && request.type == engine::CommandType::kRead) {
    server_.ExpectData(request.cookie, request.length);
  }
  const auto answer = TakeAnswer(request);
  if (!answer) {
    return;
  }
  if (auto found = judge_.Judge(request, negotiated_, /*is_plain=*/true, *answer)) {
    return Fail(std::move(found->expected), std::move(found->saw));
  }
  if (judge_.has_succeeded()) {
    model_.Apply(request);
  }
}

std::optional<ReceivedAnswer> SessionJudge::TakeAnswer(const engine::Request& request) {
  ReceivedAnswer answer;
  while (!answer.is_whole) {
    auto message = TakeMessage("an answer to the request");
    if (!message) {
      return std::nullopt;
    }
    auto* simple = std::get_if<engine::SimpleReply>(&*message);
    auto* chunk = std::get_if<engine::Chunk>(&*message);
    const std::uint64_t cookie = simple != nullptr ? simple->cookie : chunk != nullptr ? chunk->cookie : 0;
    if ((simple == nullptr && chunk == nullptr) || cookie != request.cookie) {
      Fail("a reply with the request's cookie", engine::Describe(*message));
      return std::nullopt;
    }
    answer.is_whole = simple != nullptr || chunk->is_done();
    if (simple != nullptr) {
      answer.simple = std::move(*simple);
    } else {
      answer.chunks.push_back(std::move(*chunk));
    }
  }
  return answer;
}

void SessionJudge::Fail(std::string expected, std::string saw) {
  if (!found_) {
    found_ = Disagreement{.where = where_, .expected = std::move(expected), .saw = std::move(saw)};
  }
}

}  // namespace nbdspec::fuzz
