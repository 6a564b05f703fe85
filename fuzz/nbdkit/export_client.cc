// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/nbdkit/export_client.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/base/or_return.h"
#include "engine/script/script.h"
#include "engine/wire/protocol.h"

namespace nbdspec::fuzz {
namespace {

// A loaded machine is no finding.
const conformance::Session::Limits kLimits = {.reply_timeout = std::chrono::seconds(20)};

// Why the handshake failed, if it did.
std::expected<void, std::string> Haggle(conformance::Session& session, const std::string& export_name,
                                        const std::vector<std::string>& contexts) {
  NBDSPEC_RETURN_IF_ERROR(session.Greet());
  NBDSPEC_RETURN_IF_ERROR(session.Require(engine::MakeOption(engine::OptionType::kStructuredReply)));
  NBDSPEC_RETURN_IF_ERROR(session.Require(
      engine::MakeOption(engine::OptionType::kSetMetaContext, {.export_name = export_name, .queries = contexts})));
  NBDSPEC_RETURN_IF_ERROR(session.EnterByGo(export_name, /*requests=*/{}));
  return {};
}

}  // namespace

std::vector<engine::Extent> ExtentsFrom(std::uint64_t begin, const engine::BlockStatus& status) {
  std::vector<engine::Extent> extents;
  for (const engine::Descriptor& descriptor : status.descriptors) {
    extents.push_back({.range = {.begin = begin, .end = begin + descriptor.length},
                       .type = static_cast<engine::ExtentType>(descriptor.status)});
    begin += descriptor.length;
  }
  return extents;
}

std::string PrintQuestion(engine::ByteRange asked, bool req_one) {
  return "block status of [" + engine::PrintNumber(asked.begin) + ", " + engine::PrintNumber(asked.end) + ")" +
         (req_one ? " with REQ_ONE" : "");
}

ExportClient::ExportClient(std::unique_ptr<conformance::Peer> peer, std::unique_ptr<conformance::Transport> transport)
    : peer_(std::move(peer)), session_(std::move(transport), kLimits, transcript_) {}

ExportClient::Served<std::unique_ptr<ExportClient>> ExportClient::Enter(
    conformance::PeerOrTrouble peer, conformance::Transport::Clock::time_point deadline, const std::string& export_name,
    const std::vector<std::string>& contexts) {
  auto transport = peer ? (*peer)->Connect(deadline) : std::unexpected(peer.error());
  if (!transport) {
    return std::unexpected(Disagreement{
        .where = peer ? "connect" : "start", .expected = "the server serves", .saw = transport.error().sentence});
  }
  std::unique_ptr<ExportClient> client(new ExportClient(*std::move(peer), *std::move(transport)));
  if (const auto haggled = Haggle(client->session_, export_name, contexts); !haggled) {
    return std::unexpected(client->Lost("handshake", haggled.error()));
  }
  return client;
}

Disagreement ExportClient::Lost(std::string where, const std::string& saw) {
  const auto ended = peer_->Ended();
  return {.where = std::move(where),
          .expected = "the server serves",
          .saw = saw + (ended ? "; it " + *ended + ": " + peer_->StandardError() : "")};
}

ExportClient::Served<conformance::Answer> ExportClient::Ask(const engine::Request& request, const std::string& where) {
  auto answer = session_.Ask(request);
  if (!answer) {
    return std::unexpected(Lost(where, answer.error().text));
  }
  return *std::move(answer);
}

ExportClient::Served<engine::Exchange> ExportClient::Status(engine::ByteRange asked, bool req_one) {
  const engine::Request request = {.flags = req_one ? engine::CommandFlag::kReqOne : std::uint16_t{0},
                                   .type = engine::CommandType::kBlockStatus,
                                   .offset = asked.begin,
                                   .length = static_cast<std::uint32_t>(asked.length())};
  NBDSPEC_ASSIGN_OR_RETURN(answer, Ask(request, PrintQuestion(asked, req_one)));
  engine::Exchange exchange;
  exchange.Start({.flags = request.flags, .type = request.type, .offset = request.offset, .length = request.length},
                 negotiated());
  for (const engine::Chunk& chunk : answer.chunks) {
    exchange.answer.Add(chunk);
  }
  if (answer.simple) {
    exchange.answer.Add(*answer.simple);
  }
  return exchange;
}

ExportClient::Served<engine::Bytes> ExportClient::Read(engine::ByteRange range) {
  const auto length = static_cast<std::uint32_t>(range.length());
  NBDSPEC_ASSIGN_OR_RETURN(answer,
                           Command({.type = engine::CommandType::kRead, .offset = range.begin, .length = length},
                                   "READ at " + engine::PrintNumber(range.begin)));
  engine::Bytes bytes(range.length());
  for (const engine::Chunk& chunk : answer.chunks) {
    const auto data = chunk.type == engine::ChunkType::kOffsetData
                          ? engine::DecodePayload<engine::OffsetData>(chunk.payload)
                          : std::nullopt;
    if (data && data->offset >= range.begin && data->data.size() <= range.end - std::min(range.end, data->offset)) {
      std::ranges::copy(data->data, bytes.begin() + static_cast<std::ptrdiff_t>(data->offset - range.begin));
    }
  }
  return bytes;
}

ExportClient::Served<conformance::Answer> ExportClient::Command(const engine::Request& request,
                                                                const std::string& where) {
  auto answer = Ask(request, where);
  return answer && answer->error() != 0 ? std::unexpected(Lost(where, "error " + std::to_string(answer->error())))
                                        : std::move(answer);
}

}  // namespace nbdspec::fuzz
