// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/exchange/exchange_client.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>
#include <variant>

#include "engine/wire/messages.h"
#include "engine/wire/payloads.h"

namespace nbdspec::fuzz {

using engine::Bytes;
using engine::Chunk;
using engine::ClientMessage;
using engine::MetaContext;
using engine::OptionReply;
using engine::OptionReplyType;
using engine::OptionStep;
using engine::OptionType;
using engine::Request;
using engine::ServerMessage;

namespace {

constexpr std::string_view kContexts[] = {engine::kBaseAllocation, engine::kBlockIndexContext};

const OptionStep kStructuredReply = {.option = OptionType::kStructuredReply};
const OptionStep kSetAll = {.option = OptionType::kSetMetaContext,
                            .names = {std::string(engine::kBaseAllocation), std::string(engine::kBlockIndexContext)}};
const OptionStep kGo = {.option = OptionType::kGo};

bool IsGoodString(const std::string& text) {
  return text.size() <= engine::kStringBytesMax && engine::IsValidString(text);
}

Disagreement Object(std::string expected, const std::optional<ServerMessage>& saw) {
  return {.expected = std::move(expected), .saw = saw ? engine::Describe(*saw) : "nothing that can be read"};
}

}  // namespace

ExchangeClient::ExchangeClient(engine::Export& served, engine::Export& other, std::uint8_t connection,
                               std::unique_ptr<engine::Interposer> wrong)
    : ClientNegotiation(Limits{}),
      served_(served),
      other_(other),
      is_plain_(connection == 1),
      connection_(connection),
      wrong_(std::move(wrong)),
      unusual_(is_plain_ ? std::nullopt : std::optional<UnusualAnswers>(std::in_place, connection, wrong_.get())),
      server_({}, {&served, &other}, unusual_ ? &*unusual_ : wrong_.get()) {
  Deliver({});  // The server sends its greeting unasked.
}

// --- Haggling -------------------------------------------------------------------------------------------------

ExchangeClient::Found ExchangeClient::Haggle(std::span<const OptionStep* const> options) {
  const auto greeting = Greet();
  if (!greeting || *greeting != engine::Greeting{}) {
    return Disagreement{.expected = "a greeting",
                        .saw = greeting ? engine::Describe(ServerMessage(*greeting)) : greeting.error()};
  }
  const OptionStep* const usual[] = {&kStructuredReply, &kSetAll};
  for (const OptionStep* option : options.empty() ? std::span<const OptionStep* const>(usual) : options) {
    if (is_over_ || entered_ != nullptr) {
      break;
    }
    if (auto found = Do(*option)) {
      return found;
    }
  }
  return is_over_ || entered_ != nullptr ? std::nullopt : Do(kGo);
}

ExchangeClient::Found ExchangeClient::Do(const OptionStep& step) {
  engine::Export* const named = Find(step.export_name);
  const engine::Option option =
      engine::MakeOption(step.option, {.export_name = step.export_name, .queries = step.names});
  if (step.option == OptionType::kExportName && named == nullptr) {
    Send(option);
    is_over_ = true;  // option.export-name.unknown-terminates
    return std::nullopt;
  }
  if (step.option == OptionType::kExportName) {
    const auto entered = EnterByName(step.export_name);
    return entered ? EnterNamed(*named) : Found({.expected = "the size of the export", .saw = entered.error()});
  }
  const auto replies = Ask(option);
  if (!replies) {
    return Disagreement{.expected = "replies to " + engine::OptionName(step.option), .saw = replies.error().text};
  }
  for (const OptionReply& reply : *replies) {
    if (reply.option != step.option) {
      return Object("a reply to " + engine::OptionName(step.option), reply);
    }
    if (reply.type == OptionReplyType::kMetaContext && !engine::DecodePayload<engine::MetaContext>(reply.payload)) {
      return Object("a context", reply);
    }
    const auto info = engine::DecodePayload<engine::InfoExport>(reply.payload);
    if (reply.type == OptionReplyType::kInfo && info && (named == nullptr || info->size != named->layer().size())) {
      return Object("the size of the export", reply);
    }
  }
  const OptionReply& last = replies->back();
  const bool is_acknowledged = last.type == OptionReplyType::kAck;
  if (IsAcceptable(step, named) ? !is_acknowledged : !last.is_error()) {
    return Object(IsAcceptable(step, named) ? "an ACK" : "an error", last);
  }
  if (!is_acknowledged) {
    return std::nullopt;
  }
  is_over_ = step.option == OptionType::kAbort;
  if (step.option == OptionType::kGo) {
    return EnterNamed(*named);
  }
  return step.option == OptionType::kSetMetaContext ? JudgeSelection(step) : std::nullopt;
}

ExchangeClient::Found ExchangeClient::EnterNamed(engine::Export& named) {
  entered_ = &named;
  agreed_ = negotiated();
  agreed_.block_size = named.options.block_size;
  const std::uint64_t size = negotiated().info.size;
  return size == named.layer().size()
             ? std::nullopt
             : Found({.expected = "the size of the export", .saw = std::to_string(size) + " bytes"});
}

// Whether the option is to be acknowledged.
bool ExchangeClient::IsAcceptable(const OptionStep& step, const engine::Export* named) const {
  switch (step.option) {
    case OptionType::kAbort:
    case OptionType::kList:
    case OptionType::kStructuredReply:
      return true;
    case OptionType::kInfo:
    case OptionType::kGo:
      return named != nullptr;
    case OptionType::kSetMetaContext:
    case OptionType::kListMetaContext:
      return named != nullptr && negotiated().structured_replies && std::ranges::all_of(step.names, IsGoodString);
    default:
      return false;
  }
}

// Each known context that was asked for must be selected once, and nothing else.
ExchangeClient::Found ExchangeClient::JudgeSelection(const OptionStep& step) const {
  const std::vector<MetaContext>& given = negotiated().contexts;
  std::size_t expected = 0;
  for (const std::string_view name : kContexts) {
    expected += std::ranges::count(step.names, name) > 0 ? 1 : 0;
    const auto same_name = std::ranges::count(given, name, &MetaContext::name);
    if (same_name != (std::ranges::count(step.names, name) > 0 ? 1 : 0)) {
      return Disagreement{.expected = "each context that was asked for once",
                          .saw = std::to_string(same_name) + " " + std::string(name)};
    }
  }
  const bool share_an_id = given.size() == 2 && given[0].id == given[1].id;
  if (given.size() != expected || share_an_id) {
    return Disagreement{.expected = std::to_string(expected) + " contexts with ids of their own",
                        .saw = std::to_string(given.size()) + (share_an_id ? " with one id" : "")};
  }
  return std::nullopt;
}

engine::Export* ExchangeClient::Find(const std::string& name) {
  return name == served_.options.name ? &served_ : name == other_.options.name ? &other_ : nullptr;
}

// --- Transmission ---------------------------------------------------------------------------------------------

ExchangeClient::Found ExchangeClient::Exchange(std::span<const Request> requests, std::uint64_t cookie,
                                               std::vector<ReceivedAnswer>& answers) {
  to_send_.clear();
  for (const Request& request : requests) {
    Encode(ClientMessage(request), to_send_);
    if (!negotiated().structured_replies && request.type == engine::CommandType::kRead) {
      decoder_.ExpectData(request.cookie, request.length);
    }
  }
  answers.resize(requests.size());
  for (ReceivedAnswer& answer : answers) {
    answer.simple.reset();
    answer.chunks.clear();
    answer.is_whole = false;
  }
  if (unusual_) {
    unusual_->HoldAnswers(requests.size());
  }
  Deliver(to_send_);
  while (auto message = Next()) {
    const auto* simple = std::get_if<engine::SimpleReply>(&*message);
    auto* chunk = std::get_if<Chunk>(&*message);
    const std::uint64_t index = (simple != nullptr ? simple->cookie : chunk != nullptr ? chunk->cookie : 0) - cookie;
    if ((simple == nullptr && chunk == nullptr) || index >= answers.size() || answers[index].is_whole) {
      return Object("an answer to a request that waits for one", message);
    }
    ReceivedAnswer& answer = answers[index];
    if (simple != nullptr) {
      answer.simple = std::move(*std::get_if<engine::SimpleReply>(&*message));
      answer.is_whole = true;
    } else {
      answer.is_whole = chunk->is_done();
      answer.chunks.push_back(std::move(*chunk));
    }
  }
  if (!decoder_.Pending().empty() || server_.closed()) {
    return Disagreement{.expected = "whole messages, and an open connection",
                        .saw = std::to_string(decoder_.Pending().size()) + " bytes more" +
                               (server_.closed() ? ", and the end of the connection" : "")};
  }
  return std::nullopt;
}

void ExchangeClient::SendMessage(const ClientMessage& message) {
  to_send_.clear();
  Encode(message, to_send_);
  Deliver(to_send_);
}

engine::Received<ServerMessage> ExchangeClient::ReceiveMessage() {
  auto message = Next();
  return message ? engine::Received<ServerMessage>(*std::move(message))
                 : std::unexpected(engine::ReceiveError{.text = "nothing that can be read"});
}

// Sends all at once, or in pieces of sizes that depend on what is sent; then receives what answers it.
void ExchangeClient::Deliver(engine::ByteView bytes) {
  std::size_t piece = bytes.size();
  while (!bytes.empty()) {
    if (!is_plain_) {
      piece = std::min<std::size_t>(1 + (piece * 7 + bytes[0] + connection_) % 61, bytes.size());
    }
    server_.Receive(bytes.first(piece));
    bytes = bytes.subspan(piece);
  }
  for (Bytes output = server_.TakeOutput(); !output.empty(); output = server_.TakeOutput()) {
    decoder_.Feed(output);
  }
}

// The next message; none if there is none that can be read.
std::optional<ServerMessage> ExchangeClient::Next() {
  auto next = decoder_.Next();
  auto* placed = next ? std::get_if<engine::PlacedServerMessage>(&*next) : nullptr;
  return placed != nullptr ? std::optional(std::move(placed->message)) : std::nullopt;
}

}  // namespace nbdspec::fuzz
