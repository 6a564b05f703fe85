// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/faulty/context_faults.h"

#include <algorithm>
#include <utility>

#include "conformance/faulty/answer_changes.h"

namespace nbdspec::conformance {

using engine::ClientMessage;
using engine::ConnectionState;
using engine::OptionReply;
using engine::OptionReplyType;
using engine::OptionType;
using engine::ServerMessage;

namespace {

bool IsContext(const ServerMessage& message) {
  const auto* reply = std::get_if<OptionReply>(&message);
  return reply != nullptr && reply->type == OptionReplyType::kMetaContext;
}

// Changes a whole answer to the option.
Fault AnswersContextsWrong(std::string_view name, std::string_view check, std::uint32_t option,
                           std::function<void(const engine::Option& to, std::vector<ServerMessage>& said)> change) {
  return SaysWrong(name, check,
                   [option, change = std::move(change)](const ClientMessage* heard, const ConnectionState&,
                                                        std::vector<ServerMessage>& said) {
                     if (IsContextOption(heard, option)) {
                       change(std::get<engine::Option>(*heard), said);
                     }
                   });
}

}  // namespace

bool IsContextOption(const ClientMessage* heard, std::uint32_t option) {
  const auto* asked = heard != nullptr ? std::get_if<engine::Option>(heard) : nullptr;
  if (asked == nullptr) {
    return false;
  }
  return option != 0 ? asked->option == option
                     : asked->option == OptionType::kListMetaContext || asked->option == OptionType::kSetMetaContext;
}

Fault NamesWrong(std::string_view name, std::string_view check, std::uint32_t option,
                 std::function<void(engine::MetaContext&)> change) {
  return RepliesWrong(name, check, option, [change = std::move(change)](const engine::Option&, OptionReply& reply) {
    auto context = engine::DecodeMetaContext(reply.payload);
    if (context && reply.type == OptionReplyType::kMetaContext) {
      change(*context);
      reply.payload = EncodePayload(*context);
    }
  });
}

Fault GivesContext(std::string_view name, std::string_view check, std::uint32_t option, engine::MetaContext more) {
  return AnswersContextsWrong(
      name, check, option, [more = std::move(more)](const engine::Option& to, std::vector<ServerMessage>& said) {
        said.insert(
            said.begin(),
            OptionReply{.option = to.option, .type = OptionReplyType::kMetaContext, .payload = EncodePayload(more)});
      });
}

Fault ForgetsContexts(std::string_view name, std::string_view check, std::uint32_t option) {
  return AnswersContextsWrong(name, check, option, [](const engine::Option&, std::vector<ServerMessage>& said) {
    std::erase_if(said, IsContext);
  });
}

Fault EndsWrong(std::string_view name, std::string_view check, std::uint32_t option, std::uint32_t type) {
  return RepliesWrong(name, check, option, [type](const engine::Option&, OptionReply& reply) {
    if (reply.type == OptionReplyType::kAck) {
      reply.type = type;
    }
  });
}

Fault Acknowledges(std::string_view name, std::string_view check, std::uint32_t option) {
  return RepliesWrong(name, check, option, [](const engine::Option&, OptionReply& reply) {
    if (reply.type == OptionReplyType::kErrInvalid) {
      reply.type = OptionReplyType::kAck;
      reply.payload.clear();
    }
  });
}

Fault RepeatsForEachQuery(std::string_view name, std::string_view check, std::uint32_t option) {
  return AnswersContextsWrong(name, check, option, [](const engine::Option& to, std::vector<ServerMessage>& said) {
    const auto query = engine::DecodeMetaContextQuery(to.payload);
    const auto first = std::ranges::find_if(said, IsContext);
    if (query && query->queries.size() > 1 && first != said.end()) {
      ServerMessage again = *first;  // A copy: inserting moves what `first` points at.
      said.insert(said.begin(), std::move(again));
    }
  });
}

Fault KeepsSelection(std::string_view name, std::string_view check, std::uint32_t type) {
  return HearsAndSaysWrong(
      name, check,
      [](ClientMessage& heard, const ConnectionState& state) {
        return !IsContextOption(&heard, OptionType::kSetMetaContext) || state.contexts.empty();
      },
      [type](const ClientMessage* heard, const ConnectionState&, std::vector<ServerMessage>& said) {
        if (IsContextOption(heard, OptionType::kSetMetaContext) && said.empty()) {
          said.emplace_back(OptionReply{.option = OptionType::kSetMetaContext, .type = type});
        }
      });
}

Fault RefusesStatusAfter(std::string_view name, std::string_view check, std::uint32_t option) {
  return SaysWrong(name, check,
                   [option, refuses = false](const ClientMessage* heard, const ConnectionState&,
                                             std::vector<ServerMessage>& said) mutable {
                     const auto* asked = heard != nullptr ? std::get_if<engine::Option>(heard) : nullptr;
                     refuses = refuses || (asked != nullptr && asked->option == option);
                     const auto* request = heard != nullptr ? std::get_if<engine::Request>(heard) : nullptr;
                     if (refuses && request != nullptr && request->type == engine::CommandType::kBlockStatus) {
                       AnswerWith(*request, engine::NbdError::kEinval, said);
                     }
                   });
}

}  // namespace nbdspec::conformance
