// SPDX-License-Identifier: BSD-3-Clause
// The reference server: its connection, and option haggling. Spec: proto.md, "Option types", "Option reply types".
#include "engine/server/server.h"

#include <algorithm>
#include <ranges>
#include <utility>

#include "engine/base/check.h"

namespace nbdspec::engine {

namespace {

OptionReply Reply(const Option& to, std::uint32_t type, Bytes payload = {}) {
  return {.option = to.option, .type = type, .payload = std::move(payload)};
}

OptionReply Refuse(const Option& to, std::uint32_t error, std::string_view text) {
  return Reply(to, error, Bytes(text.begin(), text.end()));
}

bool IsStringOfTheProtocol(std::string_view text) { return text.size() <= kStringBytesMax && IsValidString(text); }

// Whether `query` asks for the context `name`. A bare namespace is a wildcard when listing and picks nothing when
// setting: metadata.base.list-wildcard, metadata.base.set-wildcard-ignored, metadata.empty-leaf.set.
bool Matches(std::string_view query, std::string_view name, bool listing) {
  return query == name || (listing && query == name.substr(0, name.find(':') + 1));
}

}  // namespace

Server::Server(const ServerOptions& options, std::vector<Export*> exports, Interposer* interposer)
    : options_(options), exports_(std::move(exports)), interposer_(interposer), decoder_(options.limits) {
  Greet();
}

void Server::Greet() {
  if (!options_.oldstyle) {
    const Greeting greeting{.flags = options_.handshake_flags};
    state_.Apply(greeting);
    Send(nullptr, {greeting});
    return;
  }
  entered_ = FindExport("");
  NBDSPEC_CHECK(entered_ != nullptr && options_.tls == TlsMode::kNone);
  const OldstyleGreeting greeting{.size = entered_->layer().size(), .flags = TransmissionFlagsOf(*entered_)};
  state_.Apply(greeting);
  decoder_.EnterTransmission();
  Send(nullptr, {greeting});
}

void Server::Receive(ByteView bytes) {
  if (interposer_ != nullptr) {
    interposer_->BytesCame();
  }
  if (closed_) {
    return;
  }
  decoder_.Feed(bytes);
  Pump();
}

Bytes Server::TakeOutput() {
  Bytes taken = std::exchange(output_, {});
  Pump();
  return taken;
}

Bytes Server::BeginTls() {
  tls_is_due_ = false;
  tls_has_begun_ = true;
  return decoder_.TakePending();
}

void Server::Pump() {
  while (!closed_ && !tls_is_due_ && output_.size() <= kOutputBytesMax) {
    auto next = decoder_.Next();
    if (!next) {
      return;
    }
    if (std::holds_alternative<Undecodable>(*next)) {
      closed_ = true;  // session.violation.may-hard.server: there is no telling where the next message begins.
      return;
    }
    Handle(std::get<ClientMessage>(std::move(*next)));
  }
}

void Server::Handle(ClientMessage received) {
  const ClientMessage as_it_came = interposer_ != nullptr ? received : ClientMessage{};
  Messages messages;
  if (interposer_ == nullptr || interposer_->BeforeServer(received, state_)) {
    if (const auto* flags = std::get_if<ClientFlags>(&received)) {
      messages = AnswerFlags(*flags);
    } else if (const auto* option = std::get_if<Option>(&received)) {
      messages = AnswerOption(*option);
    } else {
      messages = AnswerRequest(std::get<Request>(received));
    }
  }
  Send(&as_it_came, std::move(messages));
}

void Server::Send(const ClientMessage* received, Messages messages) {
  if (interposer_ != nullptr) {
    interposer_->AfterServer(received, state_, messages);
  }
  for (const ServerMessage& message : messages) {
    if (std::holds_alternative<HardDisconnect>(message)) {
      closed_ = true;
      return;
    }
    Encode(message, output_);
    const auto* reply = std::get_if<OptionReply>(&message);
    tls_is_due_ |= state_.tls && !tls_has_begun_ && reply != nullptr && reply->option == OptionType::kStarttls &&
                   !reply->is_error();
  }
}

// --- Option haggling ---

Server::Messages Server::AnswerFlags(const ClientFlags& flags) {
  state_.Apply(flags);
  // Client flag bits mirror the handshake flag bits. handshake.client-flags.drop-unknown, .drop-unoffered
  if ((flags.flags & ~static_cast<std::uint32_t>(options_.handshake_flags)) != 0) {
    return {HardDisconnect{}};
  }
  return {};
}

Server::Messages Server::AnswerOption(const Option& option) {
  if (option.option == OptionType::kExportName) {
    return AnswerExportName(option);
  }
  if (!state_.is_fixed_newstyle()) {
    return {HardDisconnect{}};  // option.export-name.others-need-fixed: there are no replies to options.
  }
  if (IsForced() && (state_.client_flags & ClientFlag::kFixedNewstyle) == 0) {
    return {HardDisconnect{}};  // Such a client can neither be served nor asked for TLS.
  }
  const OptionReplies replies = RepliesTo(option);
  state_.Apply(option, replies);
  if (state_.transmission) {
    decoder_.EnterTransmission(state_.headers);
  }
  Messages messages(replies.begin(), replies.end());
  if (option.option == OptionType::kAbort) {
    messages.emplace_back(HardDisconnect{});
  }
  return messages;
}

Server::Messages Server::AnswerExportName(const Option& option) {
  if (state_.headers == HeaderForm::kExtended) {
    return {HardDisconnect{}};  // ext.client.no-export-name
  }
  entered_ = FindExport({reinterpret_cast<const char*>(option.payload.data()), option.payload.size()});
  if (option.too_long || entered_ == nullptr || IsForced() || IsHidden(*entered_) || is_shutting_down_) {
    return {HardDisconnect{}};  // option.export-name.unknown-terminates, tls.forced.export-name: no way to say so.
  }
  const ExportNameReply reply{.size = entered_->layer().size(),
                              .flags = TransmissionFlagsOf(*entered_),
                              .pad = Bytes(state_.pads_export_name_reply() ? kExportNamePadBytes : 0)};
  state_.Apply(option, reply);
  decoder_.EnterTransmission();
  return {reply};
}

OptionReplies Server::RepliesTo(const Option& option) {
  if (option.option == OptionType::kAbort) {
    return {Reply(option, OptionReplyType::kAck)};  // option.abort.ignore-data
  }
  if (is_shutting_down_) {
    return {Refuse(option, OptionReplyType::kErrShutdown, "the server is being shut down")};
  }
  if (option.option == OptionType::kStarttls && options_.tls != TlsMode::kNone) {
    return AnswerStarttls(option);
  }
  if (IsForced()) {
    return {Refuse(option, OptionReplyType::kErrTlsReqd, "begin TLS first")};
  }
  if (option.too_long) {
    return {Refuse(option, OptionReplyType::kErrTooBig, "the option's data is too long")};
  }
  switch (option.option) {
    case OptionType::kList:
      return AnswerList(option);
    case OptionType::kInfo:
    case OptionType::kGo:
      return AnswerInfoOrGo(option);
    case OptionType::kStructuredReply:
    case OptionType::kExtendedHeaders:
      return AnswerHeaders(option);
    case OptionType::kListMetaContext:
    case OptionType::kSetMetaContext:
      return AnswerMetaContext(option);
    default:
      return {Refuse(option, OptionReplyType::kErrUnsup, "unknown option")};
  }
}

OptionReplies Server::AnswerStarttls(const Option& option) const {
  if (state_.tls || option.too_long || !option.payload.empty()) {
    return {Refuse(option, OptionReplyType::kErrInvalid, state_.tls ? "this is TLS" : "STARTTLS takes no data")};
  }
  if ((state_.client_flags & ClientFlag::kFixedNewstyle) == 0) {
    return {Refuse(option, OptionReplyType::kErrPolicy, "TLS needs fixed newstyle")};  // tls.needs-fixed.server
  }
  return {Reply(option, OptionReplyType::kAck)};
}

OptionReplies Server::AnswerHeaders(const Option& option) const {
  const bool is_extended = option.option == OptionType::kExtendedHeaders;
  if (!options_.structured_replies || (is_extended && !options_.extended_headers)) {
    return {Refuse(option, OptionReplyType::kErrUnsup, OptionName(option.option) + " is not offered")};
  }
  if (!option.payload.empty()) {
    return {Refuse(option, OptionReplyType::kErrInvalid, OptionName(option.option) + " takes no data")};
  }
  if (!is_extended && state_.headers == HeaderForm::kExtended) {
    return {Refuse(option, OptionReplyType::kErrExtHeaderReqd, "extended headers are agreed already")};
  }
  return {Reply(option, OptionReplyType::kAck)};
}

OptionReplies Server::AnswerList(const Option& option) const {
  if (!option.payload.empty()) {
    return {Refuse(option, OptionReplyType::kErrInvalid, "NBD_OPT_LIST takes no data")};
  }
  OptionReplies replies;
  for (const Export* each : exports_) {
    if (!IsHidden(*each)) {
      replies.push_back(
          Reply(option, OptionReplyType::kServer, EncodePayload(ListedExport{.name = each->options.name})));
    }
  }
  replies.push_back(Reply(option, OptionReplyType::kAck));
  return replies;
}

OptionReplies Server::AnswerInfoOrGo(const Option& option) {
  const auto query = DecodePayload<InfoQuery>(option.payload);
  if (!query || !IsStringOfTheProtocol(query->name)) {
    return {Refuse(option, OptionReplyType::kErrInvalid, "the option's data does not parse")};
  }
  Export* found = FindExport(query->name);
  if (found == nullptr) {
    return {Refuse(option, OptionReplyType::kErrUnknown, "no such export")};
  }
  if (IsHidden(*found)) {
    return {Refuse(option, OptionReplyType::kErrTlsReqd, "this export needs TLS")};
  }
  const ExportOptions& offered = found->options;
  const auto asked_for = [&](std::uint16_t type) { return std::ranges::count(query->requests, type) > 0; };
  OptionReplies replies;
  const auto inform = [&](Bytes payload) {
    replies.push_back(Reply(option, OptionReplyType::kInfo, std::move(payload)));
  };
  inform(EncodePayload(InfoExport{.size = found->layer().size(), .flags = TransmissionFlagsOf(*found)}));
  if (asked_for(InfoType::kName)) {
    inform(EncodePayload(InfoText{.type = InfoType::kName, .text = offered.name}));
  }
  if (asked_for(InfoType::kDescription) && !offered.description.empty()) {
    inform(EncodePayload(InfoText{.type = InfoType::kDescription, .text = offered.description}));
  }
  if (asked_for(InfoType::kBlockSize) || offered.block_size != InfoBlockSize{}) {
    inform(EncodePayload(offered.block_size));
  }
  replies.push_back(Reply(option, OptionReplyType::kAck));
  if (option.option == OptionType::kGo) {
    entered_ = found;
  }
  return replies;
}

OptionReplies Server::AnswerMetaContext(const Option& option) {
  const bool listing = option.option == OptionType::kListMetaContext;
  if (!options_.structured_replies) {
    return {Refuse(option, OptionReplyType::kErrUnsup, "metadata contexts are not offered")};
  }
  if (!state_.structured_replies) {
    return {Refuse(option, OptionReplyType::kErrInvalid, "negotiate structured replies first")};
  }
  const auto query = DecodePayload<MetaContextQuery>(option.payload);
  if (!query || !IsStringOfTheProtocol(query->export_name) ||
      !std::ranges::all_of(query->queries, IsStringOfTheProtocol)) {
    return {Refuse(option, OptionReplyType::kErrInvalid, "the option's data does not parse")};
  }
  const Export* found = FindExport(query->export_name);
  if (found == nullptr || IsHidden(*found)) {
    return {Refuse(option, OptionReplyType::kErrUnknown, "no such export")};
  }
  OptionReplies replies;
  bool lists_too_wide = false;
  for (const std::string_view name : ContextsOf(*found)) {
    const bool asked =
        std::ranges::any_of(query->queries, [&](std::string_view each) { return Matches(each, name, listing); });
    const bool is_too_wide = name == kBlockCountdownContext && state_.headers == HeaderForm::kCompact;
    const bool is_left_out = is_too_wide && !listing;  // ext.set-meta-context.64bit
    if ((asked || (listing && query->queries.empty())) && !is_left_out) {
      const MetaContext context = {.id = listing ? 0 : ++context_id_last_, .name = std::string(name)};
      replies.push_back(Reply(option, OptionReplyType::kMetaContext, EncodePayload(context)));
      lists_too_wide = lists_too_wide || is_too_wide;
    }
  }
  replies.push_back(lists_too_wide ? Refuse(option, OptionReplyType::kErrExtHeaderReqd, "one needs extended headers")
                                   : Reply(option, OptionReplyType::kAck));  // ext.list-meta-context.64bit-final
  return replies;
}

std::vector<std::string_view> Server::ContextsOf(const Export& of) const {
  if (!of.options.base_allocation) {
    return {};
  }
  std::vector<std::string_view> names = {kBaseAllocation, kBlockIndexContext};
  if (options_.extended_headers) {
    names.push_back(kBlockCountdownContext);
  }
  return names;
}

Export* Server::FindExport(std::string_view name) const {
  const auto found = std::ranges::find(exports_, name, [](const Export* each) { return each->options.name; });
  return found == exports_.end() ? nullptr : *found;
}

std::uint16_t Server::TransmissionFlagsOf(const Export& of) const {
  std::uint16_t flags = of.options.flags;
  if (of.read_only()) {
    flags &= ~(TransmissionFlag::kSendTrim | TransmissionFlag::kSendWriteZeroes | TransmissionFlag::kSendFastZero);
    flags |= TransmissionFlag::kReadOnly;
  }
  if (!state_.structured_replies) {
    flags &= ~TransmissionFlag::kSendDf;  // eflags.df.clear-without-structured
  }
  const bool has_context = !state_.contexts.empty() && state_.context_export == of.options.name;
  if (state_.headers != HeaderForm::kExtended || !has_context) {
    flags &= ~TransmissionFlag::kBlockStatusPayload;  // ext.eflags.block-status-payload-gated, .needs-meta
  }
  return flags;
}

}  // namespace nbdspec::engine
