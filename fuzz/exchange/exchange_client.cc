// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/exchange/exchange_client.h"

#include <algorithm>
#include <set>
#include <string_view>
#include <utility>
#include <variant>

#include "engine/wire/encode.h"
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

bool NamesContexts(std::uint32_t option) {
  return option == OptionType::kSetMetaContext || option == OptionType::kListMetaContext;
}

Bytes PayloadOf(const OptionStep& step) {
  if (NamesContexts(step.option)) {
    return EncodePayload(engine::MetaContextQuery{.export_name = step.export_name, .queries = step.names});
  }
  if (step.option == OptionType::kInfo || step.option == OptionType::kGo) {
    return EncodePayload(engine::InfoQuery{.name = step.export_name});
  }
  return step.option == OptionType::kExportName ? Bytes(step.export_name.begin(), step.export_name.end()) : Bytes();
}

bool IsGoodString(const std::string& text) {
  return text.size() <= engine::kStringBytesMax && engine::IsValidString(text);
}

Objection Object(std::string expected, const std::optional<ServerMessage>& saw) {
  return {.expected = std::move(expected), .saw = saw ? engine::Describe(*saw) : "nothing that can be read"};
}

}  // namespace

ExchangeClient::ExchangeClient(engine::Export& served, engine::Export& other, std::uint8_t connection,
                               std::unique_ptr<engine::Interposer> wrong)
    : served_(served),
      other_(other),
      is_plain_(connection == 1),
      connection_(connection),
      wrong_(std::move(wrong)),
      unusual_(is_plain_ ? std::nullopt : std::optional<UnusualAnswers>(std::in_place, connection, wrong_.get())),
      server_({}, {&served, &other}, unusual_ ? &*unusual_ : wrong_.get()) {}

// --- Haggling -------------------------------------------------------------------------------------------------

ExchangeClient::Found ExchangeClient::Haggle(std::span<const OptionStep* const> options) {
  if (auto found = Greet()) {
    return found;
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

ExchangeClient::Found ExchangeClient::Greet() {
  said_.clear();
  Encode(ClientMessage(engine::ClientFlags{}), said_);
  Say(said_);
  const auto greeting = Next();
  if (!greeting || *greeting != ServerMessage(engine::Greeting{})) {
    return Object("a greeting", greeting);
  }
  return std::nullopt;
}

ExchangeClient::Found ExchangeClient::Do(const OptionStep& option) {
  said_.clear();
  Encode(ClientMessage(engine::Option{.option = option.option, .payload = PayloadOf(option)}), said_);
  engine::Export* const named = Find(option.export_name);
  if (option.option == OptionType::kExportName) {
    decoder_.ExpectExportNameReply(/*pad=*/false);
  }
  Say(said_);
  if (option.option == OptionType::kExportName) {
    return DoExportName(named);
  }
  return TakeOptionReplies(option, named);
}

ExchangeClient::Found ExchangeClient::DoExportName(engine::Export* named) {
  is_over_ = named == nullptr;  // option.export-name.unknown-terminates
  if (is_over_) {
    return std::nullopt;
  }
  const auto reply = Next();
  const auto* entered = reply ? std::get_if<engine::ExportNameReply>(&*reply) : nullptr;
  if (entered == nullptr || entered->size != named->layer().size()) {
    return Object("the size of the export", reply);
  }
  return Enter(*named);
}

ExchangeClient::Found ExchangeClient::TakeOptionReplies(const OptionStep& option, engine::Export* named) {
  std::vector<MetaContext> given;
  for (;;) {
    const auto message = Next();
    const auto* reply = message ? std::get_if<OptionReply>(&*message) : nullptr;
    if (reply == nullptr || reply->option != option.option) {
      return Object("a reply to " + engine::OptionName(option.option), message);
    }
    if (reply->type == OptionReplyType::kMetaContext) {
      const auto context = engine::DecodeMetaContext(reply->payload);
      if (!context) {
        return Object("a context", message);
      }
      given.push_back(*context);
    } else if (const auto info = engine::DecodeInfoExport(reply->payload);
               reply->type == OptionReplyType::kInfo && info) {
      if (named == nullptr || info->size != named->layer().size()) {
        return Object("the size of the export", message);
      }
    } else if (reply->type == OptionReplyType::kAck || reply->is_error()) {
      const bool is_acked = !reply->is_error();
      if (option.option == OptionType::kSetMetaContext) {
        negotiated_.contexts.clear();  // option.set-meta-context.replaces-on-failure
        context_export_.clear();
      }
      if (is_acked != IsAcceptable(option, named)) {
        return Object(is_acked ? "an error" : "an ACK", message);
      }
      return is_acked ? Conclude(option, named, std::move(given)) : std::nullopt;
    }
  }
}

// Whether the option is to be acknowledged.
bool ExchangeClient::IsAcceptable(const OptionStep& option, const engine::Export* named) const {
  switch (option.option) {
    case OptionType::kAbort:
    case OptionType::kList:
    case OptionType::kStructuredReply:
      return true;
    case OptionType::kInfo:
    case OptionType::kGo:
      return named != nullptr;
    case OptionType::kSetMetaContext:
    case OptionType::kListMetaContext:
      return named != nullptr && negotiated_.structured && std::ranges::all_of(option.names, IsGoodString);
    default:
      return false;
  }
}

// What an acknowledged option means from now on.
ExchangeClient::Found ExchangeClient::Conclude(const OptionStep& option, engine::Export* named,
                                               std::vector<MetaContext> given) {
  switch (option.option) {
    case OptionType::kAbort:
      is_over_ = true;
      return std::nullopt;
    case OptionType::kStructuredReply:
      negotiated_.structured = true;
      return std::nullopt;
    case OptionType::kGo:
      decoder_.EnterTransmission();
      return Enter(*named);
    case OptionType::kSetMetaContext:
      break;
    default:
      return std::nullopt;
  }
  std::size_t expected = 0;
  for (const std::string_view name : kContexts) {
    expected += std::ranges::count(option.names, name) > 0 ? 1 : 0;
    const auto same_name = std::ranges::count(given, name, &MetaContext::name);
    if (same_name != (std::ranges::count(option.names, name) > 0 ? 1 : 0)) {
      return Objection{.expected = "each context that was asked for once",
                       .saw = std::to_string(same_name) + " " + std::string(name)};
    }
  }
  const bool share_an_id = given.size() == 2 && given[0].id == given[1].id;
  if (given.size() != expected || share_an_id) {
    return Objection{.expected = std::to_string(expected) + " contexts with ids of their own",
                     .saw = std::to_string(given.size()) + (share_an_id ? " with one id" : "")};
  }
  negotiated_.contexts = std::move(given);
  context_export_ = option.export_name;
  return std::nullopt;
}

ExchangeClient::Found ExchangeClient::Enter(engine::Export& entered) {
  entered_ = &entered;
  if (context_export_ != entered.options.name) {
    negotiated_.contexts.clear();  // option.set-meta-context.other-export
  }
  return std::nullopt;
}

engine::Export* ExchangeClient::Find(const std::string& name) {
  return name == served_.options.name ? &served_ : name == other_.options.name ? &other_ : nullptr;
}

// --- Transmission ---------------------------------------------------------------------------------------------

ExchangeClient::Found ExchangeClient::Exchange(std::span<const Request> requests, std::uint64_t cookie,
                                               std::vector<ExchangeAnswer>& answers) {
  said_.clear();
  for (const Request& request : requests) {
    Encode(ClientMessage(request), said_);
    if (!negotiated_.structured && request.type == engine::CommandType::kRead) {
      decoder_.ExpectData(request.cookie, request.length);
    }
  }
  answers.resize(requests.size());
  for (ExchangeAnswer& answer : answers) {
    answer.simple.reset();
    answer.chunks.clear();
    answer.is_whole = false;
  }
  if (unusual_) {
    unusual_->HoldAnswers(requests.size());
  }
  Say(said_);
  while (auto message = Next()) {
    const auto* simple = std::get_if<engine::SimpleReply>(&*message);
    auto* chunk = std::get_if<Chunk>(&*message);
    const std::uint64_t index = (simple != nullptr ? simple->cookie : chunk != nullptr ? chunk->cookie : 0) - cookie;
    if ((simple == nullptr && chunk == nullptr) || index >= answers.size() || answers[index].is_whole) {
      return Object("an answer to a request that waits for one", message);
    }
    ExchangeAnswer& answer = answers[index];
    if (simple != nullptr) {
      answer.simple = std::move(*std::get_if<engine::SimpleReply>(&*message));
      answer.is_whole = true;
    } else {
      answer.is_whole = chunk->is_done();
      answer.chunks.push_back(std::move(*chunk));
    }
  }
  if (!decoder_.Pending().empty() || server_.closed()) {
    return Objection{.expected = "whole messages, and an open connection",
                     .saw = std::to_string(decoder_.Pending().size()) + " bytes more" +
                            (server_.closed() ? ", and the end of the connection" : "")};
  }
  return std::nullopt;
}

// All at once, or in pieces of sizes that depend on what is said.
void ExchangeClient::Say(engine::ByteView bytes) {
  std::size_t piece = bytes.size();
  while (!bytes.empty()) {
    if (!is_plain_) {
      piece = std::min<std::size_t>(1 + (piece * 7 + bytes[0] + connection_) % 61, bytes.size());
    }
    server_.Receive(bytes.first(piece));
    bytes = bytes.subspan(piece);
  }
  Hear();
}

void ExchangeClient::Hear() {
  for (Bytes bytes = server_.TakeOutput(); !bytes.empty(); bytes = server_.TakeOutput()) {
    decoder_.Feed(bytes);
  }
}

// The next message; none if there is none that can be read.
std::optional<ServerMessage> ExchangeClient::Next() {
  auto next = decoder_.Next();
  auto* placed = next ? std::get_if<engine::PlacedServerMessage>(&*next) : nullptr;
  return placed != nullptr ? std::optional(std::move(placed->message)) : std::nullopt;
}

}  // namespace nbdspec::fuzz
