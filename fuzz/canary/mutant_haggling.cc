// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/canary/mutant_haggling.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "engine/wire/payloads.h"

namespace nbdspec::fuzz {

using engine::Chunk;
using engine::ChunkFlag;
using engine::ChunkType;
using engine::ConnectionState;
using engine::MetaContext;
using engine::NbdError;
using engine::Option;
using engine::OptionReply;
using engine::OptionReplyType;
using engine::OptionType;
using engine::Request;
using engine::ServerMessage;

namespace {

constexpr std::string_view kBase = "base:allocation";
constexpr std::string_view kIndex = "x-nbdspec:block-index";

std::vector<MetaContext> ContextsIn(const std::vector<ServerMessage>& said) {
  std::vector<MetaContext> contexts;
  for (const ServerMessage& message : said) {
    const auto* reply = std::get_if<OptionReply>(&message);
    if (reply != nullptr && reply->type == OptionReplyType::kMetaContext) {
      contexts.push_back(*engine::DecodeMetaContext(reply->payload));
    }
  }
  return contexts;
}

OptionReply ReplyOf(const Option& option, const MetaContext& context) {
  return {.option = option.option, .type = OptionReplyType::kMetaContext, .payload = EncodePayload(context)};
}

std::uint32_t LastType(const std::vector<ServerMessage>& said) {
  const auto* reply = said.empty() ? nullptr : std::get_if<OptionReply>(&said.back());
  return reply == nullptr ? 0 : reply->type;
}

void SetLastType(std::vector<ServerMessage>& said, std::uint32_t type) {
  auto& reply = std::get<OptionReply>(said.back());
  reply.type = type;
  reply.payload.clear();
}

std::vector<ServerMessage> StatusOf(const Request& request, const std::vector<MetaContext>& contexts) {
  std::vector<ServerMessage> said;
  for (const MetaContext& context : contexts) {
    const engine::BlockStatus status = {.context_id = context.id, .descriptors = {{.length = 1, .status = 0}}};
    said.emplace_back(
        Chunk{.type = ChunkType::kBlockStatus, .cookie = request.cookie, .payload = EncodePayload(status)});
  }
  return said;
}

bool IsSet(const Option& option) { return option.option == OptionType::kSetMetaContext; }

}  // namespace

bool MutantHaggling::BeforeServer(engine::ClientMessage& heard, const ConnectionState& /*state*/) {
  auto* option = std::get_if<Option>(&heard);
  if (option == nullptr) {
    return true;
  }
  const bool is_meta = IsSet(*option) || option->option == OptionType::kListMetaContext;
  if (is_meta && !option->too_long) {
    RewriteQueries(*option);
  }
  if (bug_ == HagglingBug::kStructuredReplyWithDataIsAccepted && option->option == OptionType::kStructuredReply) {
    option->payload.clear();
  }
  return true;
}

void MutantHaggling::RewriteQueries(Option& option) const {
  auto query = engine::DecodeMetaContextQuery(option.payload);
  if (!query) {
    return;
  }
  auto& queries = query->queries;
  const bool is_set = IsSet(option);
  if (bug_ == HagglingBug::kWildcardSelects && is_set) {
    std::ranges::replace(queries, std::string("base:"), std::string(kBase));
  } else if (bug_ == HagglingBug::kWildcardListsNothing && !is_set) {
    std::ranges::replace(queries, std::string("base:"), std::string("base:nothing"));
  } else if (bug_ == HagglingBug::kEmptyListListsNothing && !is_set && queries.empty()) {
    queries.emplace_back("x-nowhere:");
  } else if (bug_ == HagglingBug::kEmptySetSelectsAll && is_set && queries.empty()) {
    queries = {std::string(kBase), std::string(kIndex)};
  } else if (bug_ == HagglingBug::kOnlyTheFirstQueryCounts && queries.size() > 1) {
    queries.resize(1);
  } else if (bug_ == HagglingBug::kExportWithoutContextsHasThem && query->export_name == "bare") {
    query->export_name = "a";
  } else if (bug_ == HagglingBug::kNamesMayBeCutShort) {
    std::ranges::for_each(queries, [](std::string& each) {
      each = each.size() > 6 && (kBase.starts_with(each)) ? std::string(kBase) : each;
    });
  } else if (bug_ == HagglingBug::kNamesMayBeInUpperCase) {
    for (std::string& each : queries) {
      std::ranges::transform(each, each.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    }
  } else {
    return;
  }
  option.payload = EncodePayload(*query);
}

void MutantHaggling::AfterServer(const engine::ClientMessage* heard, const ConnectionState& state, Said& said) {
  if (heard == nullptr) {
    return;
  }
  if (const auto* option = std::get_if<Option>(heard)) {
    RememberState(*option, said);
    if (IsSet(*option)) {
      SpoilSet(*option, said);
    }
    SpoilContexts(*option, said);
    SpoilOption(*option, said);
  } else if (const auto* request = std::get_if<Request>(heard)) {
    SpoilStatus(*request, state, said);
  }
}

// What stale_ and is_forgotten_ are after `option`.
void MutantHaggling::RememberState(const Option& option, const Said& said) {
  const std::vector<MetaContext> contexts = ContextsIn(said);
  const std::uint32_t type = LastType(said);
  const auto happens = [&](HagglingBug bug, std::uint32_t wanted, std::uint32_t wanted_type) {
    return bug_ == bug && option.option == wanted && type == wanted_type;
  };
  if (IsSet(option)) {
    is_forgotten_ = false;
    const bool keeps =
        happens(HagglingBug::kMalformedSetKeepsTheOldOnes, option.option, OptionReplyType::kErrInvalid) ||
        happens(HagglingBug::kSetOfUnknownExportKeepsTheOldOnes, option.option, OptionReplyType::kErrUnknown) ||
        happens(HagglingBug::kTooLongSetKeepsTheOldOnes, option.option, OptionReplyType::kErrTooBig) ||
        (happens(HagglingBug::kEmptySetKeepsTheOldOnes, option.option, OptionReplyType::kAck) && contexts.empty());
    stale_ = keeps || bug_ == HagglingBug::kSecondSetIsAdded ? latest_ : std::vector<MetaContext>();
    if (!contexts.empty()) {
      latest_ = contexts;
      first_ = first_.empty() ? contexts : first_;
    }
  }
  if (happens(HagglingBug::kListSelects, OptionType::kListMetaContext, OptionReplyType::kAck) && !contexts.empty()) {
    stale_ = contexts;
  }
  if (happens(HagglingBug::kGoOfAnotherExportKeepsThem, OptionType::kGo, OptionReplyType::kAck) ||
      (bug_ == HagglingBug::kExportNameOfAnotherExportKeepsThem && option.option == OptionType::kExportName)) {
    stale_ = latest_;
  }
  if (happens(HagglingBug::kListForgetsThem, OptionType::kListMetaContext, OptionReplyType::kAck) ||
      happens(HagglingBug::kInfoForgetsThem, OptionType::kInfo, OptionReplyType::kAck) ||
      happens(HagglingBug::kRefusedGoForgetsThem, OptionType::kGo, OptionReplyType::kErrUnknown) ||
      happens(HagglingBug::kStructuredReplyForgetsThem, OptionType::kStructuredReply, OptionReplyType::kAck) ||
      (bug_ == HagglingBug::kExportNameForgetsThem && option.option == OptionType::kExportName)) {
    is_forgotten_ = true;
  }
}

void MutantHaggling::SpoilSet(const Option& option, Said& said) const {
  const bool is_invalid = LastType(said) == OptionReplyType::kErrInvalid;
  const auto query = engine::DecodeMetaContextQuery(option.payload);
  if (bug_ == HagglingBug::kSetWithoutStructuredRepliesIsAccepted && is_invalid && query) {
    SetLastType(said, OptionReplyType::kAck);
  } else if (bug_ == HagglingBug::kSetWithoutStructuredRepliesIsUnsupported && is_invalid && query) {
    SetLastType(said, OptionReplyType::kErrUnsup);
  } else if (bug_ == HagglingBug::kUnknownNamespaceIsRefused && query && LastType(said) == OptionReplyType::kAck &&
             std::ranges::count(query->queries, "x-nowhere:") > 0) {
    SetLastType(said, OptionReplyType::kErrInvalid);
  } else if (bug_ == HagglingBug::kDuplicateQueriesAreAnsweredTwice && query && said.size() > 1) {
    for (const MetaContext& context : ContextsIn(said)) {
      if (std::ranges::count(query->queries, context.name) > 1) {
        said.insert(said.begin(), ReplyOf(option, context));
      }
    }
  }
}

void MutantHaggling::SpoilContexts(const Option& option, Said& said) const {
  std::vector<MetaContext> contexts = ContextsIn(said);
  if (contexts.empty()) {
    return;
  }
  const bool is_set = IsSet(option);
  if (bug_ == HagglingBug::kIdsAreSwapped && is_set) {
    std::swap(contexts.front().id, contexts.back().id);
  } else if (bug_ == HagglingBug::kIdsAreShared && is_set) {
    contexts.back().id = contexts.front().id;
  } else if (bug_ == HagglingBug::kListedContextsHaveIds && !is_set) {
    contexts.back().id = 1;
  } else if (bug_ == HagglingBug::kAckComesFirst) {
    std::ranges::rotate(said, said.end() - 1);
    return;
  } else {
    return;
  }
  for (std::size_t i = 0; i < contexts.size(); ++i) {
    said[i] = ReplyOf(option, contexts[i]);
  }
}

void MutantHaggling::SpoilOption(const Option& option, Said& said) const {
  const std::uint32_t type = LastType(said);
  const bool is_meta = IsSet(option) || option.option == OptionType::kListMetaContext;
  if (bug_ == HagglingBug::kListIsAnsweredAsSet && option.option == OptionType::kListMetaContext) {
    std::ranges::for_each(
        said, [](ServerMessage& message) { std::get<OptionReply>(message).option = OptionType::kSetMetaContext; });
  } else if (bug_ == HagglingBug::kUnknownExportIsInvalid && is_meta && type == OptionReplyType::kErrUnknown) {
    SetLastType(said, OptionReplyType::kErrInvalid);
  } else if (bug_ == HagglingBug::kMalformedIsUnknown && is_meta && type == OptionReplyType::kErrInvalid) {
    SetLastType(said, OptionReplyType::kErrUnknown);
  } else if (bug_ == HagglingBug::kMalformedIsAcknowledged && is_meta && type == OptionReplyType::kErrInvalid &&
             !engine::DecodeMetaContextQuery(option.payload)) {
    SetLastType(said, OptionReplyType::kAck);
  } else if (bug_ == HagglingBug::kExtendedHeadersAreAcknowledged && option.option == OptionType::kExtendedHeaders &&
             type == OptionReplyType::kErrUnsup) {
    SetLastType(said, OptionReplyType::kAck);
  }
}

void MutantHaggling::SpoilStatus(const Request& request, const ConnectionState& state, Said& said) const {
  auto* last = said.empty() ? nullptr : std::get_if<Chunk>(&said.back());
  if (last == nullptr) {
    return;  // A simple reply: there are no contexts to be wrong about.
  }
  const bool is_refused = last->is_error();
  if (!stale_.empty() && (is_refused || bug_ == HagglingBug::kSecondSetIsAdded)) {
    const Said stale = StatusOf(request, stale_);
    said.erase(is_refused ? said.begin() : said.end(), said.end());
    said.insert(said.begin(), stale.begin(), stale.end());
    std::get<Chunk>(said.back()).flags = ChunkFlag::kDone;
  } else if (is_forgotten_ || (is_refused && bug_ == HagglingBug::kStatusWithoutContextsIsEnotsup)) {
    const std::uint32_t error = is_forgotten_ ? NbdError::kEinval : NbdError::kEnotsup;
    said = {Chunk{.flags = ChunkFlag::kDone,
                  .type = ChunkType::kError,
                  .cookie = request.cookie,
                  .payload = EncodePayload(engine::ErrorPayload{.error = error})}};
  } else if (is_refused && bug_ == HagglingBug::kStatusWithoutContextsIsEmpty) {
    said = {Chunk{.flags = ChunkFlag::kDone, .cookie = request.cookie}};
  } else if (bug_ == HagglingBug::kStatusLeavesOutTheLastContext && said.size() > 1) {
    said.pop_back();
    std::get<Chunk>(said.back()).flags = ChunkFlag::kDone;
  } else if (bug_ == HagglingBug::kStatusHasAContextTwice && !is_refused) {
    Chunk again = *last;
    again.flags = 0;
    said.insert(said.begin(), again);
  } else if (!is_refused &&
             (bug_ == HagglingBug::kReqOneHasTwoDescriptors || bug_ == HagglingBug::kIdsAreThoseOfTheFirstSet)) {
    auto status = engine::DecodeBlockStatus(last->payload);
    const auto at = std::ranges::find(state.contexts, status->context_id, &MetaContext::id) - state.contexts.begin();
    if (bug_ == HagglingBug::kIdsAreThoseOfTheFirstSet && static_cast<std::size_t>(at) < first_.size()) {
      status->context_id = first_[static_cast<std::size_t>(at)].id;
    } else if (bug_ == HagglingBug::kReqOneHasTwoDescriptors && (request.flags & engine::CommandFlag::kReqOne) != 0 &&
               status->descriptors[0].length > 1) {
      status->descriptors[0].length -= 1;
      status->descriptors.push_back({.length = 1, .status = status->descriptors[0].status});
    }
    last->payload = EncodePayload(*status);
  }
}

}  // namespace nbdspec::fuzz
