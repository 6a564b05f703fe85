// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/faulty/info_lies.h"

#include <utility>

namespace nbdspec::conformance {

using engine::OptionReply;
using engine::OptionReplyType;
using engine::ServerMessage;

void ChangeInfo(std::vector<ServerMessage>& said, const std::function<void(engine::InfoExport&)>& change_export,
                const std::function<void(engine::InfoBlockSize&)>& change_block_size) {
  for (ServerMessage& each : said) {
    auto* reply = std::get_if<OptionReply>(&each);
    if (reply == nullptr || reply->type != OptionReplyType::kInfo) {
      continue;
    }
    if (auto info = engine::DecodeInfoExport(reply->payload); info && change_export) {
      change_export(*info);
      reply->payload = EncodePayload(*info);
    } else if (auto block_size = engine::DecodeInfoBlockSize(reply->payload); block_size && change_block_size) {
      change_block_size(*block_size);
      reply->payload = EncodePayload(*block_size);
    }
  }
}

void WithholdBlockSize(std::vector<ServerMessage>& said) {
  std::erase_if(said, [](const ServerMessage& message) {
    const auto* reply = std::get_if<OptionReply>(&message);
    return reply != nullptr && reply->type == OptionReplyType::kInfo &&
           engine::DecodeInfoType(reply->payload) == engine::InfoType::kBlockSize;
  });
}

Saying LiesAndMisbehaves(std::function<void(std::vector<ServerMessage>& said)> lies,
                         std::function<void(const engine::Request& to, std::vector<ServerMessage>& said)> misbehaves) {
  return [lies = std::move(lies), misbehaves = std::move(misbehaves)](
             const engine::ClientMessage* heard, const engine::ConnectionState&, std::vector<ServerMessage>& said) {
    lies(said);
    const auto* request = heard != nullptr ? std::get_if<engine::Request>(heard) : nullptr;
    if (request != nullptr) {
      misbehaves(*request, said);
    }
  };
}

}  // namespace nbdspec::conformance
