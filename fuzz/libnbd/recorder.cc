// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/libnbd/recorder.h"

namespace nbdspec::fuzz {

using engine::OptionReplyType;
using engine::OptionType;

bool Recorder::BeforeServer(engine::ClientMessage& heard, const engine::Negotiated& state) {
  if (const auto* request = std::get_if<engine::Request>(&heard)) {
    recorded_[Index(request->cookie)].heard = *request;
  }
  return inner_ == nullptr || inner_->BeforeServer(heard, state);
}

void Recorder::AfterServer(const engine::ClientMessage* heard, const engine::Negotiated& state,
                           std::vector<engine::ServerMessage>& said) {
  if (inner_ != nullptr) {
    inner_->AfterServer(heard, state, said);
  }
  for (const engine::ServerMessage& message : said) {
    if (const auto* chunk = std::get_if<engine::Chunk>(&message)) {
      recorded_[Index(chunk->cookie)].said.push_back(message);
    } else if (const auto* simple = std::get_if<engine::SimpleReply>(&message)) {
      recorded_[Index(simple->cookie)].said.push_back(message);
    } else if (const auto* reply = std::get_if<engine::OptionReply>(&message)) {
      RecordOptionReply(*reply);
    }
  }
}

void Recorder::RecordOptionReply(const engine::OptionReply& reply) {
  if (reply.type == OptionReplyType::kAck && reply.option == OptionType::kStructuredReply) {
    is_structured_ = true;
  } else if (reply.type == OptionReplyType::kMetaContext && reply.option == OptionType::kSetMetaContext) {
    if (auto context = engine::DecodePayload<engine::MetaContext>(reply.payload)) {
      contexts_.push_back(*std::move(context));
    }
  } else if (reply.type == OptionReplyType::kInfo) {
    if (const auto info = engine::DecodePayload<engine::InfoExport>(reply.payload)) {
      info_ = info;
    }
  }
}

}  // namespace nbdspec::fuzz
