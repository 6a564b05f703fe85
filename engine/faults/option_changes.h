// SPDX-License-Identifier: BSD-3-Clause
// Changes of options and of what answers them. `option` selects one option, or several as below.

#pragma once

#include "engine/faults/change.h"

namespace nbdspec::engine::faults {

inline constexpr std::uint32_t kExportName = OptionType::kExportName;
inline constexpr std::uint32_t kAbort = OptionType::kAbort;
inline constexpr std::uint32_t kList = OptionType::kList;
inline constexpr std::uint32_t kStarttls = OptionType::kStarttls;
inline constexpr std::uint32_t kInfo = OptionType::kInfo;
inline constexpr std::uint32_t kGo = OptionType::kGo;
inline constexpr std::uint32_t kStructuredReply = OptionType::kStructuredReply;
inline constexpr std::uint32_t kListContexts = OptionType::kListMetaContext;
inline constexpr std::uint32_t kSetContexts = OptionType::kSetMetaContext;
inline constexpr std::uint32_t kAnyOption = 0;
inline constexpr std::uint32_t kUnknownOptions = ~std::uint32_t{0};         // All that nobody knows.
inline constexpr std::uint32_t kEitherMetaContext = ~std::uint32_t{0} - 1;  // LIST_ and SET_META_CONTEXT.

inline constexpr std::uint32_t kAck = OptionReplyType::kAck;
inline constexpr std::uint32_t kErrUnsup = OptionReplyType::kErrUnsup;
inline constexpr std::uint32_t kErrPolicy = OptionReplyType::kErrPolicy;
inline constexpr std::uint32_t kErrInvalid = OptionReplyType::kErrInvalid;
inline constexpr std::uint32_t kErrTlsReqd = OptionReplyType::kErrTlsReqd;
inline constexpr std::uint32_t kErrUnknown = OptionReplyType::kErrUnknown;
inline constexpr std::uint32_t kErrTooBig = OptionReplyType::kErrTooBig;

inline bool IsOneOf(const Option& option, std::uint32_t selected) {
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

// The type of the last message if it is an option reply; 0 otherwise.
inline std::uint32_t LastReplyType(const Messages& sent) {
  const auto* reply = sent.empty() ? nullptr : std::get_if<OptionReply>(&sent.back());
  return reply == nullptr ? 0 : reply->type;
}

inline bool IsRefused(const Messages& sent) { return (LastReplyType(sent) & OptionReplyType::kErrorBit) != 0; }

inline std::vector<MetaContext> ContextsIn(const Messages& sent) {
  std::vector<MetaContext> contexts;
  for (const ServerMessage& message : sent) {
    const auto* reply = std::get_if<OptionReply>(&message);
    if (reply != nullptr && reply->type == OptionReplyType::kMetaContext) {
      contexts.push_back(*DecodePayload<MetaContext>(reply->payload));
    }
  }
  return contexts;
}

inline OptionReply ReplyOf(const Option& to, const MetaContext& context) {
  return {.option = to.option, .type = OptionReplyType::kMetaContext, .payload = EncodePayload(context)};
}

inline bool IsInfo(const OptionReply& reply, std::uint16_t info_type) {
  return reply.type == OptionReplyType::kInfo && DecodeInfoType(reply.payload) == info_type;
}

// --- On its way to the server ---

inline Change ChangesOption(std::uint32_t option, Changing<Connection, Option> change) {
  return {.received = [=](ClientMessage& received, const Connection& on) {
    auto* each = std::get_if<Option>(&received);
    if (each != nullptr && IsOneOf(*each, option)) {
      change(on, *each, on);
    }
    return true;
  }};
}

// The server takes the option for one without data.
inline Change IgnoresDataOf(std::uint32_t option) {
  return ChangesOption(option, [](Option& received) { received.payload.clear(); });
}

// Queries that can be decoded, of LIST_ and SET_META_CONTEXT.
inline Change ChangesQueries(std::uint32_t option, std::function<void(MetaContextQuery& query)> change) {
  return ChangesOption(option, [=](Option& received) {
    if (!received.too_long) {
      ChangePayload<MetaContextQuery>(received.payload, change);
    }
  });
}

// --- All that answers the option ---

inline Change ChangesOptionAnswer(std::uint32_t option, Changing<Option, Messages> change) {
  return {.sent = [=](const ClientMessage* to, const Connection& on, Messages& sent) {
    const auto* asked = std::get_if<Option>(to);
    if (asked != nullptr && IsOneOf(*asked, option)) {
      change(*asked, sent, on);
    }
  }};
}

// Each reply to it: any, or those of `type`.
inline Change ChangesOptionReplies(std::uint32_t option, Changing<Option, OptionReply> change) {
  return ChangesOptionAnswer(option, [=](const Option& to, Messages& sent, const Connection& on) {
    ForEach<OptionReply>(sent, [&](OptionReply& reply) { change(to, reply, on); });
  });
}

inline Change ChangesOptionReplies(std::uint32_t option, std::uint32_t type, Changing<Option, OptionReply> change) {
  return ChangesOptionReplies(option, [=](const Option& to, OptionReply& reply, const Connection& on) {
    if (reply.type == type) {
      change(to, reply, on);
    }
  });
}

// `answer` in place of the true one; its replies are for the option that was sent.
inline Change AnswersOption(std::uint32_t option, Messages answer) {
  return ChangesOptionAnswer(option, [=](const Option& to, Messages& sent) {
    sent = answer;
    ForEach<OptionReply>(sent, [&](OptionReply& reply) { reply.option = to.option; });
  });
}

inline Change RepliesWith(std::uint32_t option, std::uint32_t type) {
  return AnswersOption(option, {OptionReply{.type = type}});
}

// From the second time on that the option is sent.
inline Change RepliesLaterWith(std::uint32_t option, std::uint32_t type) {
  return ChangesOptionAnswer(option, [type, count = 0](const Option& to, Messages& sent) mutable {
    if (++count > 1) {
      sent = {OptionReply{.option = to.option, .type = type}};
    }
  });
}

// Replies of the type `from` become replies of the type `to`, without data.
inline Change ReplacesReply(std::uint32_t option, std::uint32_t from, std::uint32_t to) {
  return ChangesOptionReplies(option, from, [to](OptionReply& reply) {
    reply.type = to;
    reply.payload.clear();
  });
}

// Drops the last reply.
inline Change NeverEnds(std::uint32_t option) {
  return ChangesOptionAnswer(option, [](Messages& sent) { sent.pop_back(); });
}

// Sends the first of several replies twice.
inline Change RepeatsFirst(std::uint32_t option) {
  return ChangesOptionAnswer(option, [](Messages& sent) {
    if (sent.size() > 1) {
      sent.insert(sent.begin(), ServerMessage(sent.front()));
    }
  });
}

inline Change Withholds(std::uint32_t option, std::function<bool(const OptionReply& reply)> withheld) {
  return ChangesOptionAnswer(option, [=](Messages& sent) {
    std::erase_if(sent, [&](const ServerMessage& message) {
      const auto* reply = std::get_if<OptionReply>(&message);
      return reply != nullptr && withheld(*reply);
    });
  });
}

// --- NBD_REP_INFO in answers to INFO and GO: the whole payload of a type, and what it holds ---

inline Change ChangesInfoBytes(std::uint32_t option, std::uint16_t info_type,
                               std::function<void(Bytes& payload)> change) {
  return ChangesOptionReplies(option, [=](OptionReply& reply) {
    if (IsInfo(reply, info_type)) {
      change(reply.payload);
    }
  });
}

template <typename Info>
Change ChangesInfo(std::function<void(Info& info)> change) {
  return ChangesOptionReplies(kAnyOption, OptionReplyType::kInfo,
                              [=](OptionReply& reply) { ChangePayload<Info>(reply.payload, change); });
}

// Transmission flags, in whatever tells them.
inline Change ChangesFlags(std::uint16_t set, std::uint16_t clear = 0) {
  const auto change = [set, clear](auto& told) {
    using Flags = decltype(told.flags);
    told.flags = static_cast<Flags>((told.flags | set) & ~Flags{clear});
  };
  return {.sent = [change](const ClientMessage*, const Connection&, Messages& sent) {
    ForEach<OptionReply>(sent, [&](OptionReply& reply) {
      if (reply.type == OptionReplyType::kInfo) {
        ChangePayload<InfoExport>(reply.payload, change);
      }
    });
    ForEach<ExportNameReply>(sent, change);
    ForEach<OldstyleGreeting>(sent, change);
  }};
}

inline Change WithholdsInfo(std::uint32_t option, std::uint16_t info_type) {
  return Withholds(option, [info_type](const OptionReply& reply) { return IsInfo(reply, info_type); });
}

// --- Contexts that are listed or selected ---

inline Change ChangesContexts(std::uint32_t option, Changing<Option, MetaContext> change) {
  return ChangesOptionReplies(
      option, OptionReplyType::kMetaContext, [=](const Option& to, OptionReply& reply, const Connection& on) {
        ChangePayload<MetaContext>(reply.payload, [&](MetaContext& context) { change(to, context, on); });
      });
}

inline Change AddsContext(std::uint32_t option, MetaContext more) {
  return ChangesOptionAnswer(option,
                             [=](const Option& to, Messages& sent) { sent.insert(sent.begin(), ReplyOf(to, more)); });
}

inline Change DropsContexts(std::uint32_t option) {
  return Withholds(option, [](const OptionReply& reply) { return reply.type == OptionReplyType::kMetaContext; });
}

}  // namespace nbdspec::engine::faults
