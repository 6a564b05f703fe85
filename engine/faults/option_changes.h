// SPDX-License-Identifier: BSD-3-Clause
// Changes of options and of what answers them. `option` selects one option, or several as below.

#pragma once

#include <cstdint>
#include <functional>

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

// On its way to the server.
Change ChangesOption(std::uint32_t option, Changing<Connection, Option> change);
// The server takes the option for one without data.
Change IgnoresDataOf(std::uint32_t option);
// Queries that can be decoded, of LIST_ and SET_META_CONTEXT.
Change ChangesQueries(std::uint32_t option, std::function<void(MetaContextQuery& query)> change);

// All that answers the option.
Change ChangesOptionAnswer(std::uint32_t option, Changing<Option, Messages> change);
// Each reply to it: any, or those of `type`.
Change ChangesOptionReplies(std::uint32_t option, Changing<Option, OptionReply> change);
Change ChangesOptionReplies(std::uint32_t option, std::uint32_t type, Changing<Option, OptionReply> change);
// `answer` in place of the true one; its replies are for the option that was sent.
Change AnswersOption(std::uint32_t option, Messages answer);
Change RepliesWith(std::uint32_t option, std::uint32_t type);
// From the second time on that the option is sent.
Change RepliesLaterWith(std::uint32_t option, std::uint32_t type);
// Replies of the type `from` become replies of the type `to`, without data.
Change ReplacesReply(std::uint32_t option, std::uint32_t from, std::uint32_t to);
// Drops the last reply.
Change NeverEnds(std::uint32_t option);
// Sends the first of several replies twice.
Change RepeatsFirst(std::uint32_t option);

// NBD_REP_INFO, in answers to INFO and GO: the whole payload of a type, and what two types hold.
Change ChangesInfoBytes(std::uint32_t option, std::uint16_t info_type, std::function<void(Bytes& payload)> change);
Change ChangesInfoExport(std::function<void(InfoExport& info)> change);
Change ChangesFlags(std::uint16_t set, std::uint16_t clear = 0);  // Transmission flags.
Change ChangesBlockSize(std::function<void(InfoBlockSize& info)> change);
Change WithholdsInfo(std::uint32_t option, std::uint16_t info_type);

// Contexts that are listed or selected.
Change ChangesContexts(std::uint32_t option, Changing<Option, MetaContext> change);
Change AddsContext(std::uint32_t option, MetaContext more);
Change DropsContexts(std::uint32_t option);

// The type of the last message if it is an option reply; 0 otherwise.
std::uint32_t LastReplyType(const Messages& sent);
bool IsRefused(const Messages& sent);
std::vector<MetaContext> ContextsIn(const Messages& sent);
OptionReply ReplyOf(const Option& to, const MetaContext& context);
bool IsOneOf(const Option& option, std::uint32_t selected);

}  // namespace nbdspec::engine::faults
