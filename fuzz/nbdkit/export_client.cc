// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/nbdkit/export_client.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/wire/payloads.h"
#include "engine/wire/protocol.h"

namespace nbdspec::fuzz {

using engine::OptionReplyType;
using engine::OptionType;

namespace {

// A loaded machine is no finding.
constexpr conformance::Session::Limits kLimits = {.reply_timeout = std::chrono::seconds(20)};

std::string ErrorText(std::string_view what, std::uint32_t error) {
  return std::string(what) + " was answered with the error " + std::to_string(error);
}

}  // namespace

ExportClient::ExportClient(std::unique_ptr<conformance::Transport> transport)
    : session_(std::move(transport), kLimits, transcript_) {}

std::expected<std::unique_ptr<ExportClient>, std::string> ExportClient::Enter(
    std::unique_ptr<conformance::Transport> transport, const std::string& export_name,
    std::vector<std::string> contexts) {
  std::unique_ptr<ExportClient> client(new ExportClient(std::move(transport)));
  if (const auto trouble = client->Haggle(export_name, std::move(contexts))) {
    return std::unexpected("handshake: " + *trouble);
  }
  return client;
}

std::optional<std::string> ExportClient::Haggle(const std::string& export_name, std::vector<std::string> contexts) {
  const auto greeting = session_.NextGreeting();
  if (!greeting) {
    return greeting.error().text;
  }
  session_.Send(engine::ClientFlags{});
  const engine::Option options[] = {
      {.option = OptionType::kStructuredReply},
      {.option = OptionType::kSetMetaContext,
       .payload = EncodePayload(engine::MetaContextQuery{.export_name = export_name, .queries = std::move(contexts)})},
      {.option = OptionType::kGo, .payload = EncodePayload(engine::InfoQuery{.name = export_name})},
  };
  for (const engine::Option& option : options) {
    const auto replies = session_.Ask(option);
    if (!replies) {
      return replies.error().text;
    }
    if (replies->back().type != OptionReplyType::kAck) {
      return engine::OptionName(option.option) + " was answered " + engine::OptionReplyName(replies->back().type);
    }
    for (const engine::OptionReply& reply : *replies) {
      if (const auto context = engine::DecodePayload<engine::MetaContext>(reply.payload);
          context && reply.type == OptionReplyType::kMetaContext) {
        contexts_.push_back(*context);
      }
      if (const auto info = engine::DecodePayload<engine::InfoExport>(reply.payload);
          info && reply.type == OptionReplyType::kInfo) {
        info_ = *info;
      }
    }
  }
  session_.EnterTransmission();
  return {};
}

std::expected<engine::StatusExchange, std::string> ExportClient::Status(engine::ByteRange asked, bool req_one) {
  auto answer = session_.Ask(engine::Request{
      .flags = req_one ? engine::CommandFlag::kReqOne : std::uint16_t{0},
      .type = engine::CommandType::kBlockStatus,
      .offset = asked.begin,
      .length = static_cast<std::uint32_t>(asked.length()),
  });
  if (!answer) {
    return std::unexpected(answer.error().text);
  }
  return engine::StatusExchange{.asked = asked,
                                .req_one = req_one,
                                .agreed = {.structured_replies = true, .contexts = contexts_, .info = info_},
                                .chunks = std::move(answer->chunks),
                                .simple_reply = std::move(answer->simple)};
}

std::expected<engine::Bytes, std::string> ExportClient::Read(engine::ByteRange range) {
  const auto answer = session_.Ask(engine::Request{
      .type = engine::CommandType::kRead, .offset = range.begin, .length = static_cast<std::uint32_t>(range.length())});
  if (!answer) {
    return std::unexpected(answer.error().text);
  }
  if (answer->error() != 0) {
    return std::unexpected(ErrorText("READ", answer->error()));
  }
  engine::Bytes bytes(range.length());
  for (const engine::Chunk& chunk : answer->chunks) {
    const auto data = chunk.type == engine::ChunkType::kOffsetData
                          ? engine::DecodePayload<engine::OffsetData>(chunk.payload)
                          : std::nullopt;
    if (data && data->offset >= range.begin && data->data.size() <= range.end - std::min(range.end, data->offset)) {
      std::ranges::copy(data->data, bytes.begin() + static_cast<std::ptrdiff_t>(data->offset - range.begin));
    }
  }
  return bytes;
}

std::expected<void, std::string> ExportClient::Command(engine::Request request) {
  const auto answer = session_.Ask(request);
  if (!answer) {
    return std::unexpected(answer.error().text);
  }
  if (answer->error() != 0) {
    return std::unexpected(ErrorText(engine::CommandName(request.type), answer->error()));
  }
  return {};
}

}  // namespace nbdspec::fuzz
