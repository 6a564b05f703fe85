// SPDX-License-Identifier: BSD-3-Clause
// Spec: proto.md, "Option types", "Option reply types".
#include "fuzz/oracles/server_session_judge.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <span>
#include <utility>

#include "engine/base/quoted.h"
#include "engine/server/server.h"
#include "engine/wire/decoders.h"
#include "fuzz/oracles/reference_judge.h"

namespace nbdspec::fuzz {

using engine::Bytes;
using engine::InfoType;
using engine::Option;
using engine::OptionReplies;
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

using fuzz::Differ;

Found Differ(std::string expected, const OptionReplies& replies) {
  std::string text;
  for (const OptionReply& reply : replies) {
    text += engine::Describe(ServerMessage(reply)) + "; ";
  }
  return Differ(std::move(expected), text + std::to_string(replies.size()) + " in all");
}

Found DemandError(const OptionReplies& replies, std::initializer_list<std::uint32_t> permitted) {
  if (replies.size() == 1 && std::ranges::count(permitted, replies[0].type) > 0) {
    return std::nullopt;
  }
  std::string names;
  for (const std::uint32_t each : permitted) {
    names += engine::OptionReplyName(each) + " ";
  }
  return Differ("one error of " + names, replies);
}

Found DemandAck(const OptionReplies& replies) {
  const bool is_acked = replies.back().type == OptionReplyType::kAck && replies.back().payload.empty();
  return is_acked ? Found() : Differ("ACK without data at the end", replies);
}

}  // namespace

// --- Option haggling ------------------------------------------------------------------------------------------

Found HagglingJudge::Judge(const Option& option, const OptionReplies& replies) {
  for (const OptionReply& reply : replies) {
    if (reply.option != option.option) {
      return Differ("replies to " + engine::OptionName(option.option), replies);
    }
    if (reply.is_error() && !IsGoodString(TextOf(reply.payload))) {
      return Differ("the text of an error is a string", replies);
    }
  }
  if (option.option == OptionType::kAbort) {
    is_over_ = true;
    return DemandAck(replies);
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
    case OptionType::kExtendedHeaders:
      return JudgeExtendedHeaders(option, replies);
    case OptionType::kListMetaContext:
    case OptionType::kSetMetaContext:
      return JudgeMetaContext(option, replies);
    case OptionType::kStarttls:
      return DemandError(replies, {OptionReplyType::kErrUnsup, OptionReplyType::kErrPolicy});
    default:
      return DemandError(replies, {OptionReplyType::kErrUnsup});
  }
}

bool HagglingJudge::EnterByName(const Option& option) {
  const bool is_open = !option.too_long && negotiated_.headers == engine::HeaderForm::kCompact;
  engine::Export* found = is_open ? FindExport(TextOf(option.payload)) : nullptr;
  is_over_ = found == nullptr;  // option.export-name.unknown-terminates, ext.client.no-export-name
  if (found != nullptr) {
    Enter(*found);
  }
  return found != nullptr;
}

engine::ExportNameReply HagglingJudge::ExportNameReply() const {
  const bool is_padded = (server_.handshake_flags & engine::HandshakeFlag::kNoZeroes) == 0 ||
                         (negotiated_.client_flags & engine::ClientFlag::kNoZeroes) == 0;
  return {.size = negotiated_.info.size,
          .flags = negotiated_.info.flags,
          .pad = Bytes(is_padded ? engine::kExportNamePadBytes : 0)};
}

Found HagglingJudge::JudgeList(const Option& option, const OptionReplies& replies) const {
  if (!option.payload.empty()) {
    return DemandError(replies, {OptionReplyType::kErrInvalid});
  }
  std::multiset<std::string> expected;
  for (const engine::Export* each : exports_) {
    expected.insert(each->options.name);
  }
  std::multiset<std::string> listed;
  for (const OptionReply& reply : replies) {
    const auto item = engine::DecodePayload<engine::ListedExport>(reply.payload);
    if (reply.type == OptionReplyType::kServer && item && IsGoodString(item->description)) {
      listed.insert(item->name);
    }
  }
  const bool is_right = !DemandAck(replies) && listed == expected && listed.size() + 1 == replies.size();
  return is_right ? Found() : Differ("each export once, and ACK", replies);
}

Found HagglingJudge::JudgeInfoOrGo(const Option& option, const OptionReplies& replies) {
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
  if (auto refused = DemandAck(replies)) {
    return refused;
  }
  if (option.option == OptionType::kGo) {
    Enter(*found);
  }
  return JudgeInformation(*found, *query, replies);
}

// Each piece of information at most once and right; what was asked for, and the sizes unless they are the default.
Found HagglingJudge::JudgeInformation(const engine::Export& of, const engine::InfoQuery& query,
                                      const OptionReplies& replies) const {
  const engine::ExportOptions& offered = of.options;
  const auto right = [&](std::uint16_t type) -> std::optional<Bytes> {
    switch (type) {
      case InfoType::kExport:
        return EncodePayload(engine::InfoExport{.size = of.layer().size(), .flags = TransmissionFlagsOf(offered)});
      case InfoType::kName:
        return EncodePayload(engine::InfoText{.type = type, .text = offered.name});
      case InfoType::kDescription:
        return EncodePayload(engine::InfoText{.type = type, .text = offered.description});
      case InfoType::kBlockSize:
        return EncodePayload(offered.block_size);
      default:
        return std::nullopt;
    }
  };
  std::vector<std::uint16_t> given;
  const auto is_given = [&given](std::uint16_t type) { return std::ranges::count(given, type) > 0; };
  for (const OptionReply& reply : std::span(replies).first(replies.size() - 1)) {
    const auto type = engine::DecodeInfoType(reply.payload);
    const auto info = type ? right(*type) : std::nullopt;
    if (reply.type == OptionReplyType::kInfo && type && !info && !is_plain_) {
      continue;
    }
    if (reply.type != OptionReplyType::kInfo || info != reply.payload || is_given(*type)) {
      return Differ("right information, each piece once", replies);
    }
    given.push_back(*type);
  }
  const auto is_answered = [&](std::uint16_t type) {
    return is_given(type) || !right(type) || (type == InfoType::kDescription && offered.description.empty());
  };
  const bool has_sizes = offered.block_size == engine::InfoBlockSize{} || is_given(InfoType::kBlockSize);
  return has_sizes && is_given(InfoType::kExport) && std::ranges::all_of(query.requests, is_answered)
             ? Found()
             : Differ("INFO_EXPORT, what was asked for, and block sizes that are not the default", replies);
}

Found HagglingJudge::JudgeStructuredReply(const Option& option, const OptionReplies& replies) {
  if (!server_.structured_replies) {
    return DemandError(replies, {OptionReplyType::kErrUnsup});
  }
  if (!option.payload.empty()) {
    return DemandError(replies, {OptionReplyType::kErrInvalid});
  }
  if (negotiated_.headers == engine::HeaderForm::kExtended) {
    return DemandError(replies, {OptionReplyType::kErrExtHeaderReqd});  // It would mean less than what was agreed.
  }
  if (negotiated_.structured_replies && replies.back().type == OptionReplyType::kErrInvalid) {
    return std::nullopt;  // option.state.repeat-may-fail
  }
  negotiated_.structured_replies = true;
  return DemandAck(replies);
}

Found HagglingJudge::JudgeExtendedHeaders(const Option& option, const OptionReplies& replies) {
  if (!server_.structured_replies || !server_.extended_headers) {
    return DemandError(replies, {OptionReplyType::kErrUnsup});
  }
  if (!option.payload.empty()) {
    return DemandError(replies, {OptionReplyType::kErrInvalid});  // ext.option.data-invalid
  }
  if (negotiated_.headers == engine::HeaderForm::kExtended && replies.back().type == OptionReplyType::kErrInvalid) {
    return std::nullopt;  // option.state.repeat-may-fail
  }
  negotiated_.headers = engine::HeaderForm::kExtended;
  negotiated_.structured_replies = true;
  return DemandAck(replies);
}

Found HagglingJudge::JudgeMetaContext(const Option& option, const OptionReplies& replies) {
  if (!server_.structured_replies) {
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
  return found == nullptr ? DemandError(replies, {OptionReplyType::kErrUnknown})
                          : JudgeContexts(*found, *query,
                                          /*listing=*/option.option == OptionType::kListMetaContext, replies);
}

// Exactly the contexts that a query matches, each once. SET picks by full name only: metadata.empty-leaf.set. One of 64
// bits is not selected without extended headers, and behind a list with it comes a hint that they are needed:
// ext.set-meta-context.64bit, ext.list-meta-context.64bit-final.
Found HagglingJudge::JudgeContexts(const engine::Export& of, const engine::MetaContextQuery& query, bool listing,
                                   const OptionReplies& replies) {
  const bool is_compact = negotiated_.headers == engine::HeaderForm::kCompact;
  std::vector<std::string_view> wanted;
  for (const std::string_view name : ContextsOf(of)) {
    const std::string_view wildcard = name.substr(0, name.find(':') + 1);
    const bool is_named = std::ranges::count(query.queries, name) > 0;
    const bool is_listed = query.queries.empty() || std::ranges::count(query.queries, wildcard) > 0;
    const bool is_too_wide = is_compact && !listing && name == engine::kBlockCountdownContext;
    if ((is_named || (listing && is_listed)) && !is_too_wide) {
      wanted.push_back(name);
    }
  }
  const bool needs_hint = is_compact && std::ranges::count(wanted, engine::kBlockCountdownContext) > 0;
  const OptionReply& last = replies.back();
  if (needs_hint ? last.type != OptionReplyType::kErrExtHeaderReqd : DemandAck(replies).has_value()) {
    return Differ(needs_hint ? "at the end, that extended headers are needed" : "ACK without data at the end", replies);
  }
  auto given = engine::PayloadsOf<engine::MetaContext>(replies, OptionReplyType::kMetaContext);
  const auto is_given_once = [&given](std::string_view name) {
    return std::ranges::count(given, name, &engine::MetaContext::name) == 1;
  };
  if (given.size() + 1 != replies.size() || given.size() != wanted.size() ||
      !std::ranges::all_of(wanted, is_given_once)) {
    return Differ("each of " + std::to_string(wanted.size()) + " contexts once", replies);
  }
  const auto has_right_id = [&](const engine::MetaContext& context) {
    return listing ? context.id == 0 : std::ranges::count(given, context.id, &engine::MetaContext::id) == 1;
  };
  if (!std::ranges::all_of(given, has_right_id)) {
    return Differ(listing ? "ids are 0" : "ids differ", replies);
  }
  if (!listing) {
    negotiated_.contexts = std::move(given);
    negotiated_.context_export = query.export_name;
  }
  return std::nullopt;
}

void HagglingJudge::Enter(engine::Export& entered) {
  entered_ = &entered;
  if (negotiated_.context_export != entered.options.name) {
    negotiated_.contexts.clear();  // option.set-meta-context.other-export
  }
  negotiated_.info = {.size = entered.layer().size(), .flags = TransmissionFlagsOf(entered.options)};
  negotiated_.block_size = entered.options.block_size;
}

std::vector<std::string_view> HagglingJudge::ContextsOf(const engine::Export& of) const {
  std::vector<std::string_view> names;
  if (of.options.base_allocation) {
    names = {engine::kBaseAllocation, engine::kBlockIndexContext};
  }
  if (of.options.base_allocation && server_.extended_headers) {
    names.push_back(engine::kBlockCountdownContext);
  }
  return names;
}

engine::Export* HagglingJudge::FindExport(std::string_view name) const {
  const auto found = std::ranges::find(exports_, name, [](const engine::Export* each) { return each->options.name; });
  return found == exports_.end() ? nullptr : *found;
}

std::uint16_t HagglingJudge::TransmissionFlagsOf(const engine::ExportOptions& offered) const {
  constexpr std::uint16_t kOfWrites =
      TransmissionFlag::kSendTrim | TransmissionFlag::kSendWriteZeroes | TransmissionFlag::kSendFastZero;
  std::uint16_t flags = offered.flags;
  flags &= negotiated_.structured_replies ? 0xffff : ~TransmissionFlag::kSendDf;  // eflags.df.clear-without-structured
  const bool may_filter = negotiated_.headers == engine::HeaderForm::kExtended && !negotiated_.contexts.empty() &&
                          negotiated_.context_export == offered.name;
  // ext.eflags.block-status-payload-gated, .needs-meta
  flags &= may_filter ? 0xffff : ~TransmissionFlag::kBlockStatusPayload;
  return offered.read_only ? (flags & ~kOfWrites) | TransmissionFlag::kReadOnly : flags;
}

// --- Sessions -------------------------------------------------------------------------------------------------

std::vector<engine::Export*> PointersTo(std::vector<engine::Export>& exports) {
  std::vector<engine::Export*> pointers;
  for (engine::Export& each : exports) {
    pointers.push_back(&each);
  }
  return pointers;
}

namespace {

class SessionJudge {
 public:
  SessionJudge(const SessionInput& input, const SessionTranscript& transcript, std::vector<engine::Export>& before,
               const std::vector<engine::Export>& after, ReferenceJudge& judge)
      : input_(input),
        transcript_(transcript),
        before_(before),
        after_(after),
        judge_(judge),
        client_(input.server.limits),
        haggling_(input.server, PointersTo(before)) {}

  Found Judge() {
    server_.Feed(transcript_.received);
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
      JudgeEnd();
    }
    return found_;
  }

 private:
  void JudgeMessage(const engine::ClientMessage& message) {
    if (const auto* flags = std::get_if<engine::ClientFlags>(&message)) {
      haggling_.SetFlags(flags->flags);
      is_over_ = (flags->flags & ~std::uint32_t{input_.server.handshake_flags}) != 0;
    } else if (const auto* option = std::get_if<Option>(&message)) {
      JudgeOption(*option);
    } else {
      JudgeRequest(std::get<engine::Request>(message));
    }
  }

  void JudgeOption(const Option& option) {
    if (option.option == OptionType::kExportName) {
      JudgeExportName(option);
    } else if ((input_.server.handshake_flags & engine::HandshakeFlag::kFixedNewstyle) == 0) {
      is_over_ = true;  // option.export-name.others-need-fixed
      return;
    } else if (const OptionReplies replies = TakeReplies(); !replies.empty()) {
      Fail(haggling_.Judge(option, replies));
    }
    is_over_ = haggling_.is_over();
    if (haggling_.entered() != nullptr) {
      server_.EnterTransmission(haggling_.negotiated().headers);
      client_.EnterTransmission(haggling_.negotiated().headers);
      judge_.model.Reset(*haggling_.entered());
    }
  }

  void JudgeExportName(const Option& option) {
    if (!haggling_.EnterByName(option)) {
      return;
    }
    const engine::ExportNameReply expected = haggling_.ExportNameReply();
    server_.ExpectExportNameReply(/*pad=*/!expected.pad.empty());
    const auto reply = TakeMessage("a reply to EXPORT_NAME");
    if (reply && *reply != ServerMessage(expected)) {
      Fail(engine::Describe(ServerMessage(expected)), engine::Describe(*reply));
    }
  }

  void JudgeRequest(const engine::Request& request) {
    if (request.type == engine::CommandType::kDisc ||
        (request.too_long && request.form == engine::HeaderForm::kExtended)) {
      is_over_ = true;  // disc.no-reply, ext.request.oversize-payload-disconnect
      return;
    }
    if (!haggling_.negotiated().structured_replies && request.type == engine::CommandType::kRead) {
      server_.ExpectData(request.cookie, request.length);
    }
    ReceivedAnswer answer;
    while (!answer.is_whole) {
      auto message = TakeMessage("an answer to the request");
      if (!message) {
        return;
      }
      if (CookieOf(*message) != request.cookie) {
        return Fail("a reply with the request's cookie", engine::Describe(*message));
      }
      answer.Add(*std::move(message));
    }
    Fail(judge_.Judge(request, haggling_.negotiated(), /*is_plain=*/true, answer));
  }

  void JudgeEnd() {
    const auto more = server_.Next();
    if (more || !server_.Pending().empty()) {
      const auto* placed = more ? std::get_if<engine::PlacedServerMessage>(&*more) : nullptr;
      Fail("nothing more is said",
           placed != nullptr ? engine::Describe(placed->message) : std::to_string(server_.Pending().size()) + " bytes");
    }
    if (transcript_.closed != is_over_) {
      Fail(is_over_ ? "the server closes the connection" : "the connection stays open", "the contrary");
    }
    for (std::size_t i = 0; i < before_.size(); ++i) {
      const engine::ByteRange all = after_[i].disk.extents().range();
      const bool is_entered = &before_[i] == haggling_.entered();
      const engine::ByteView expected = is_entered ? judge_.model.contents() : before_[i].disk.Read(all);
      const engine::ByteView held = after_[i].disk.Read(all);
      if (!expected.empty() && expected.data() != held.data() &&
          std::memcmp(expected.data(), held.data(), expected.size()) != 0) {
        Fail("the export holds what was written", "export " + engine::Quoted(after_[i].options.name) + " differs");
      }
    }
  }

  // The next message; what is missed is recorded with Fail.
  std::optional<ServerMessage> TakeMessage(std::string_view wanted) {
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

  // Up to the final one; empty after a failure.
  OptionReplies TakeReplies() {
    OptionReplies replies;
    while (const auto message = TakeMessage("a reply to the option")) {
      const auto* reply = std::get_if<OptionReply>(&*message);
      if (reply == nullptr) {
        Fail("a reply to the option", engine::Describe(*message));
        return {};
      }
      replies.push_back(*reply);
      if (reply->is_error() || reply->type == OptionReplyType::kAck) {
        return replies;
      }
    }
    return {};
  }

  void Fail(std::string expected, std::string saw) { Fail(Differ(std::move(expected), std::move(saw))); }

  void Fail(Found found) {
    if (found && !found_) {
      found_ = std::move(found);
      found_->where = where_;
    }
  }

  const SessionInput& input_;
  const SessionTranscript& transcript_;
  std::vector<engine::Export>& before_;
  const std::vector<engine::Export>& after_;
  ReferenceJudge& judge_;  // Knows what was entered, once something is.
  engine::ClientDecoder client_;
  engine::ServerDecoder server_;
  HagglingJudge haggling_;
  bool is_over_ = false;
  std::string where_;
  Found found_;
};

}  // namespace

Found FindInSession(const SessionInput& input, const SessionTranscript& transcript, std::vector<engine::Export>& before,
                    const std::vector<engine::Export>& after) {
  static ReferenceJudge judge;  // To allocate its buffers anew took longer than all else that a session needs.
  return SessionJudge(input, transcript, before, after, judge).Judge();
}

}  // namespace nbdspec::fuzz
