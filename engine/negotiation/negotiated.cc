// SPDX-License-Identifier: BSD-3-Clause
#include "engine/negotiation/negotiated.h"

#include <utility>

namespace nbdspec::engine {

bool Negotiated::pads_export_name_reply() const {
  return (handshake_flags & HandshakeFlag::kNoZeroes) == 0 || (client_flags & ClientFlag::kNoZeroes) == 0;
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
      break;
    case OptionType::kSetMetaContext:
      context_export = DecodePayload<MetaContextQuery>(option.payload).value_or(MetaContextQuery{}).export_name;
      for (const OptionReply& reply : replies) {
        if (auto context = DecodePayload<MetaContext>(reply.payload);
            context && reply.type == OptionReplyType::kMetaContext) {
          contexts.push_back(*std::move(context));
        }
      }
      break;
    case OptionType::kGo:
      for (const OptionReply& reply : replies) {
        const bool is_info = reply.type == OptionReplyType::kInfo;
        if (const auto entered = DecodePayload<InfoExport>(reply.payload); entered && is_info) {
          info = *entered;
          has_info = true;
        }
        if (const auto size = DecodePayload<InfoBlockSize>(reply.payload); size && is_info) {
          block_size = *size;
          has_block_size = true;
        }
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

bool IsFinal(const OptionReply& reply) {
  return reply.type != OptionReplyType::kServer && reply.type != OptionReplyType::kInfo &&
         reply.type != OptionReplyType::kMetaContext;
}

Option MakeOption(std::uint32_t option, const OptionData& data) {
  switch (option) {
    case OptionType::kExportName:
      return {.option = option, .payload = Bytes(data.export_name.begin(), data.export_name.end())};
    case OptionType::kInfo:
    case OptionType::kGo:
      return {.option = option, .payload = EncodePayload(InfoQuery{data.export_name, data.requests})};
    case OptionType::kListMetaContext:
    case OptionType::kSetMetaContext:
      return {.option = option, .payload = EncodePayload(MetaContextQuery{data.export_name, data.queries})};
    default:
      return {.option = option};
  }
}

}  // namespace nbdspec::engine
