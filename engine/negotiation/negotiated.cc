// SPDX-License-Identifier: BSD-3-Clause
#include "engine/negotiation/negotiated.h"

#include <utility>

namespace nbdspec::engine {

void Negotiated::Apply(const OldstyleGreeting& greeting) {
  oldstyle = true;
  info = {.size = greeting.size,
          .flags = static_cast<std::uint16_t>(greeting.flags)};  // The rest are of the handshake.
  has_info = true;
  Enter("");
}

void Negotiated::Apply(const Option& option, std::span<const OptionReply> replies) {
  if (option.option == OptionType::kSetMetaContext) {
    contexts.clear();
    context_export.clear();
  }
  if (replies.empty() || replies.back().type != OptionReplyType::kAck) {
    return;
  }
  switch (option.option) {
    case OptionType::kStarttls:
      *this = {.handshake_flags = handshake_flags, .client_flags = client_flags, .tls = true};
      break;
    case OptionType::kStructuredReply:
      structured_replies = true;
      break;
    case OptionType::kExtendedHeaders:
      headers = HeaderForm::kExtended;
      structured_replies = true;
      break;
    case OptionType::kSetMetaContext:
      context_export = DecodePayload<MetaContextQuery>(option.payload).value_or(MetaContextQuery{}).export_name;
      contexts = PayloadsOf<MetaContext>(replies, OptionReplyType::kMetaContext);
      break;
    case OptionType::kGo:
      for (const InfoExport& each : PayloadsOf<InfoExport>(replies, OptionReplyType::kInfo)) {
        info = each;
        has_info = true;
      }
      for (const InfoBlockSize& each : PayloadsOf<InfoBlockSize>(replies, OptionReplyType::kInfo)) {
        block_size = each;
        has_block_size = true;
      }
      Enter(DecodePayload<InfoQuery>(option.payload).value_or(InfoQuery{}).name);
      break;
    default:
      break;
  }
}

void Negotiated::Apply(const Option& option, const ExportNameReply& reply) {
  info = {.size = reply.size, .flags = reply.flags};
  has_info = true;
  Enter({option.payload.begin(), option.payload.end()});
}

void Negotiated::Enter(std::string name) {
  transmission = true;
  export_name = std::move(name);
  if (context_export != export_name) {
    contexts.clear();
  }
}

Request InForm(HeaderForm form, Request request) {
  request.form = form;
  const bool is_empty_write = request.type == CommandType::kWrite && request.length == 0;
  if (form == HeaderForm::kExtended && (!request.payload.empty() || is_empty_write)) {
    request.flags |= CommandFlag::kPayloadLen;
  }
  return request;
}

Option MakeOption(std::uint32_t option, OptionData data) {
  switch (option) {
    case OptionType::kExportName:
      return {.option = option, .payload = Bytes(data.export_name.begin(), data.export_name.end())};
    case OptionType::kInfo:
    case OptionType::kGo:
      return {.option = option,
              .payload = EncodePayload(InfoQuery{std::move(data.export_name), std::move(data.requests)})};
    case OptionType::kListMetaContext:
    case OptionType::kSetMetaContext:
      return {.option = option,
              .payload = EncodePayload(MetaContextQuery{std::move(data.export_name), std::move(data.queries)})};
    default:
      return {.option = option};
  }
}

}  // namespace nbdspec::engine
