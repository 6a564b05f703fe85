// SPDX-License-Identifier: BSD-3-Clause
#include "engine/faults/option_changes.h"

#include <utility>

namespace nbdspec::engine::faults {

namespace {

bool IsInfo(const OptionReply& reply, std::uint16_t info_type) {
  return reply.type == OptionReplyType::kInfo && DecodeInfoType(reply.payload) == info_type;
}

Change Withholds(std::uint32_t option, std::function<bool(const OptionReply& reply)> withheld) {
  return ChangesOptionAnswer(option, [withheld = std::move(withheld)](Messages& sent) {
    std::erase_if(sent, [&](const ServerMessage& message) {
      const auto* reply = std::get_if<OptionReply>(&message);
      return reply != nullptr && withheld(*reply);
    });
  });
}

}  // namespace

bool IsOneOf(const Option& option, std::uint32_t selected) {
  switch (selected) {
    case kAnyOption:
      return true;
    case kUnknownOptions:
      return option.option > OptionType::kExtendedHeaders;
    case kEitherMetaContext:
      return option.option == OptionType::kListMetaContext || option.option == OptionType::kSetMetaContext;
    default:
      return option.option == selected;
  }
}

std::uint32_t LastReplyType(const Messages& sent) {
  const auto* reply = sent.empty() ? nullptr : std::get_if<OptionReply>(&sent.back());
  return reply == nullptr ? 0 : reply->type;
}

bool IsRefused(const Messages& sent) { return (LastReplyType(sent) & OptionReplyType::kErrorBit) != 0; }

std::vector<MetaContext> ContextsIn(const Messages& sent) {
  std::vector<MetaContext> contexts;
  for (const ServerMessage& message : sent) {
    const auto* reply = std::get_if<OptionReply>(&message);
    if (reply != nullptr && reply->type == OptionReplyType::kMetaContext) {
      contexts.push_back(*DecodePayload<MetaContext>(reply->payload));
    }
  }
  return contexts;
}

OptionReply ReplyOf(const Option& to, const MetaContext& context) {
  return {.option = to.option, .type = OptionReplyType::kMetaContext, .payload = EncodePayload(context)};
}

Change ChangesOption(std::uint32_t option, Changing<Connection, Option> change) {
  return {.received = [option, change = std::move(change)](ClientMessage& received, const Connection& on) {
    auto* each = std::get_if<Option>(&received);
    if (each != nullptr && IsOneOf(*each, option)) {
      change(on, *each, on);
    }
    return true;
  }};
}

Change IgnoresDataOf(std::uint32_t option) {
  return ChangesOption(option, [](Option& received) { received.payload.clear(); });
}

Change ChangesQueries(std::uint32_t option, std::function<void(MetaContextQuery& query)> change) {
  return ChangesOption(option, [change = std::move(change)](Option& received) {
    if (!received.too_long) {
      ChangePayload<MetaContextQuery>(received.payload, change);
    }
  });
}

Change ChangesOptionAnswer(std::uint32_t option, Changing<Option, Messages> change) {
  return {.sent = [option, change = std::move(change)](const ClientMessage* to, const Connection& on, Messages& sent) {
    const auto* asked = std::get_if<Option>(to);
    if (asked != nullptr && IsOneOf(*asked, option)) {
      change(*asked, sent, on);
    }
  }};
}

Change ChangesOptionReplies(std::uint32_t option, Changing<Option, OptionReply> change) {
  return ChangesOptionAnswer(option,
                             [change = std::move(change)](const Option& to, Messages& sent, const Connection& on) {
                               ForEach<OptionReply>(sent, [&](OptionReply& reply) { change(to, reply, on); });
                             });
}

Change ChangesOptionReplies(std::uint32_t option, std::uint32_t type, Changing<Option, OptionReply> change) {
  return ChangesOptionReplies(
      option, [type, change = std::move(change)](const Option& to, OptionReply& reply, const Connection& on) {
        if (reply.type == type) {
          change(to, reply, on);
        }
      });
}

Change AnswersOption(std::uint32_t option, Messages answer) {
  return ChangesOptionAnswer(option, [answer = std::move(answer)](const Option& to, Messages& sent) {
    sent = answer;
    ForEach<OptionReply>(sent, [&](OptionReply& reply) { reply.option = to.option; });
  });
}

Change RepliesWith(std::uint32_t option, std::uint32_t type) {
  return AnswersOption(option, {OptionReply{.type = type}});
}

Change RepliesLaterWith(std::uint32_t option, std::uint32_t type) {
  return ChangesOptionAnswer(option, [type, count = 0](const Option& to, Messages& sent) mutable {
    if (++count > 1) {
      sent = {OptionReply{.option = to.option, .type = type}};
    }
  });
}

Change ReplacesReply(std::uint32_t option, std::uint32_t from, std::uint32_t to) {
  return ChangesOptionReplies(option, from, [to](OptionReply& reply) {
    reply.type = to;
    reply.payload.clear();
  });
}

Change NeverEnds(std::uint32_t option) {
  return ChangesOptionAnswer(option, [](Messages& sent) { sent.pop_back(); });
}

Change RepeatsFirst(std::uint32_t option) {
  return ChangesOptionAnswer(option, [](Messages& sent) {
    if (sent.size() > 1) {
      sent.insert(sent.begin(), ServerMessage(sent.front()));
    }
  });
}

Change ChangesInfoBytes(std::uint32_t option, std::uint16_t info_type, std::function<void(Bytes& payload)> change) {
  return ChangesOptionReplies(option, [info_type, change = std::move(change)](OptionReply& reply) {
    if (IsInfo(reply, info_type)) {
      change(reply.payload);
    }
  });
}

Change ChangesInfoExport(std::function<void(InfoExport& info)> change) {
  return ChangesInfoBytes(kAnyOption, InfoType::kExport,
                          [change = std::move(change)](Bytes& payload) { ChangePayload<InfoExport>(payload, change); });
}

Change ChangesFlags(std::uint16_t set, std::uint16_t clear) {
  return ChangesInfoExport(
      [set, clear](InfoExport& info) { info.flags = static_cast<std::uint16_t>((info.flags | set) & ~clear); });
}

Change ChangesBlockSize(std::function<void(InfoBlockSize& info)> change) {
  return ChangesInfoBytes(kAnyOption, InfoType::kBlockSize, [change = std::move(change)](Bytes& payload) {
    ChangePayload<InfoBlockSize>(payload, change);
  });
}

Change WithholdsInfo(std::uint32_t option, std::uint16_t info_type) {
  return Withholds(option, [info_type](const OptionReply& reply) { return IsInfo(reply, info_type); });
}

Change ChangesContexts(std::uint32_t option, Changing<Option, MetaContext> change) {
  return ChangesOptionReplies(option, OptionReplyType::kMetaContext,
                              [change = std::move(change)](const Option& to, OptionReply& reply, const Connection& on) {
                                ChangePayload<MetaContext>(reply.payload,
                                                           [&](MetaContext& context) { change(to, context, on); });
                              });
}

Change AddsContext(std::uint32_t option, MetaContext more) {
  return ChangesOptionAnswer(option, [more = std::move(more)](const Option& to, Messages& sent) {
    sent.insert(sent.begin(), ReplyOf(to, more));
  });
}

Change DropsContexts(std::uint32_t option) {
  return Withholds(option, [](const OptionReply& reply) { return reply.type == OptionReplyType::kMetaContext; });
}

}  // namespace nbdspec::engine::faults
