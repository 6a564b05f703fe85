// SPDX-License-Identifier: BSD-3-Clause
// The reference server in option haggling. Spec: proto.md, "Option types", "Option reply types".
#include <algorithm>
#include <ranges>

#include "engine/server/server.h"

namespace nbdspec::engine {

namespace {

OptionReply Reply(const Option& to, std::uint32_t type, Bytes payload = {}) {
  return {.option = to.option, .type = type, .payload = std::move(payload)};
}

OptionReply Refuse(const Option& to, std::uint32_t error, std::string_view text) {
  return Reply(to, error, Bytes(text.begin(), text.end()));
}

bool IsStringOfTheProtocol(std::string_view text) { return text.size() <= kStringBytesMax && IsValidString(text); }

std::vector<std::string_view> ContextsOf(const Export& of) {
  if (!of.options.base_allocation) {
    return {};
  }
  return {kBaseAllocation, kBlockIndexContext};
}

// Whether `query` asks for the context `name`. A bare namespace is a wildcard when listing and picks nothing when
// setting: metadata.base.list-wildcard, metadata.base.set-wildcard-ignored, metadata.empty-leaf.set.
bool Matches(std::string_view query, std::string_view name, bool listing) {
  return query == name || (listing && query == name.substr(0, name.find(':') + 1));
}

}  // namespace

Server::Said Server::AnswerFlags(const ClientFlags& flags) {
  state_.client_flags = flags.flags;
  // Client flag bits mirror the handshake flag bits. handshake.client-flags.drop-unknown, .drop-unoffered
  if ((flags.flags & ~static_cast<std::uint32_t>(options_.handshake_flags)) != 0) {
    return {HardDisconnect{}};
  }
  return {};
}

Server::Said Server::AnswerOption(const Option& option) {
  if ((options_.handshake_flags & HandshakeFlag::kFixedNewstyle) == 0 && option.option != OptionType::kExportName) {
    return {HardDisconnect{}};  // option.export-name.others-need-fixed: there are no replies to options.
  }
  if (option.option == OptionType::kSetMetaContext) {
    state_.contexts.clear();  // option.set-meta-context.replaces-on-failure: whatever the failure is.
    state_.context_export.clear();
  }
  // EXPORT_NAME has no replies, and what comes with ABORT is ignored. option.abort.ignore-data
  const bool may_refuse = option.option != OptionType::kExportName && option.option != OptionType::kAbort;
  if (option.too_long && may_refuse) {
    return {Refuse(option, OptionReplyType::kErrTooBig, "the option's data is too long")};
  }
  switch (option.option) {
    case OptionType::kExportName:
      return AnswerExportName(option);
    case OptionType::kAbort:
      return {Reply(option, OptionReplyType::kAck), HardDisconnect{}};
    case OptionType::kList:
      return AnswerList(option);
    case OptionType::kInfo:
    case OptionType::kGo:
      return AnswerInfoOrGo(option);
    case OptionType::kStructuredReply:
      return AnswerStructuredReply(option);
    case OptionType::kListMetaContext:
    case OptionType::kSetMetaContext:
      return AnswerMetaContext(option);
    default:
      return {Refuse(option, OptionReplyType::kErrUnsup, "unknown option")};
  }
}

Server::Said Server::AnswerExportName(const Option& option) {
  Export* found = FindExport({reinterpret_cast<const char*>(option.payload.data()), option.payload.size()});
  if (option.too_long || found == nullptr) {
    return {HardDisconnect{}};  // option.export-name.unknown-terminates: there is no way to say so.
  }
  Enter(*found);
  const bool no_zeroes =
      (options_.handshake_flags & HandshakeFlag::kNoZeroes) != 0 && (state_.client_flags & ClientFlag::kNoZeroes) != 0;
  return {ExportNameReply{
      .size = found->layer().size(),
      .flags = TransmissionFlagsOf(*found),
      .pad = Bytes(no_zeroes ? 0 : kExportNamePadBytes),
  }};
}

Server::Said Server::AnswerList(const Option& option) {
  if (!option.payload.empty()) {
    return {Refuse(option, OptionReplyType::kErrInvalid, "NBD_OPT_LIST takes no data")};
  }
  Said said;
  for (const Export* each : exports_) {
    said.emplace_back(Reply(option, OptionReplyType::kServer, EncodePayload(ListedExport{.name = each->options.name})));
  }
  said.emplace_back(Reply(option, OptionReplyType::kAck));
  return said;
}

Server::Said Server::AnswerInfoOrGo(const Option& option) {
  const auto query = DecodeInfoQuery(option.payload);
  if (!query || !IsStringOfTheProtocol(query->name)) {
    return {Refuse(option, OptionReplyType::kErrInvalid, "the option's data does not parse")};
  }
  Export* found = FindExport(query->name);
  if (found == nullptr) {
    return {Refuse(option, OptionReplyType::kErrUnknown, "no such export")};
  }
  const ExportOptions& offered = found->options;
  const auto asked_for = [&](std::uint16_t type) { return std::ranges::count(query->requests, type) > 0; };
  Said said;
  const auto inform = [&](Bytes payload) {
    said.emplace_back(Reply(option, OptionReplyType::kInfo, std::move(payload)));
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
  said.emplace_back(Reply(option, OptionReplyType::kAck));
  if (option.option == OptionType::kGo) {
    Enter(*found);
  }
  return said;
}

Server::Said Server::AnswerStructuredReply(const Option& option) {
  if (!options_.structured_replies) {
    return {Refuse(option, OptionReplyType::kErrUnsup, "structured replies are not offered")};
  }
  if (!option.payload.empty()) {
    return {Refuse(option, OptionReplyType::kErrInvalid, "NBD_OPT_STRUCTURED_REPLY takes no data")};
  }
  state_.structured_replies = true;
  return {Reply(option, OptionReplyType::kAck)};
}

Server::Said Server::AnswerMetaContext(const Option& option) {
  const bool listing = option.option == OptionType::kListMetaContext;
  if (!options_.structured_replies) {
    return {Refuse(option, OptionReplyType::kErrUnsup, "metadata contexts are not offered")};
  }
  if (!state_.structured_replies) {
    return {Refuse(option, OptionReplyType::kErrInvalid, "negotiate structured replies first")};
  }
  const auto query = DecodeMetaContextQuery(option.payload);
  if (!query || !IsStringOfTheProtocol(query->export_name) ||
      !std::ranges::all_of(query->queries, IsStringOfTheProtocol)) {
    return {Refuse(option, OptionReplyType::kErrInvalid, "the option's data does not parse")};
  }
  const Export* found = FindExport(query->export_name);
  if (found == nullptr) {
    return {Refuse(option, OptionReplyType::kErrUnknown, "no such export")};
  }
  std::vector<MetaContext> picked;
  for (const std::string_view name : ContextsOf(*found)) {
    const bool asked =
        std::ranges::any_of(query->queries, [&](std::string_view each) { return Matches(each, name, listing); });
    if (asked || (listing && query->queries.empty())) {
      picked.push_back({.id = listing ? 0 : ++context_id_last_, .name = std::string(name)});
    }
  }
  Said said;
  for (const MetaContext& context : picked) {
    said.emplace_back(Reply(option, OptionReplyType::kMetaContext, EncodePayload(context)));
  }
  said.emplace_back(Reply(option, OptionReplyType::kAck));
  if (!listing) {
    state_.contexts = std::move(picked);
    state_.context_export = query->export_name;
  }
  return said;
}

Export* Server::FindExport(std::string_view name) const {
  const auto found = std::ranges::find(exports_, name, [](const Export* each) { return each->options.name; });
  return found == exports_.end() ? nullptr : *found;
}

std::uint16_t Server::TransmissionFlagsOf(const Export& of) const {
  const ExportOptions& offered = of.options;
  const bool writable = !of.read_only();
  std::uint16_t flags = TransmissionFlag::kHasFlags;
  const auto set = [&](bool on, std::uint16_t flag) { flags |= on ? flag : std::uint16_t{0}; };
  set(!writable, TransmissionFlag::kReadOnly);
  set(offered.flush, TransmissionFlag::kSendFlush);
  set(offered.fua, TransmissionFlag::kSendFua);
  set(offered.trim && writable, TransmissionFlag::kSendTrim);
  set(offered.write_zeroes && writable, TransmissionFlag::kSendWriteZeroes);
  set(offered.fast_zero && offered.write_zeroes && writable, TransmissionFlag::kSendFastZero);
  set(offered.df && state_.structured_replies, TransmissionFlag::kSendDf);  // eflags.df.clear-without-structured
  set(offered.multi_conn, TransmissionFlag::kCanMultiConn);
  set(offered.cache, TransmissionFlag::kSendCache);
  return flags;
}

}  // namespace nbdspec::engine
