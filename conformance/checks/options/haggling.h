// SPDX-License-Identifier: BSD-3-Clause
// Haggling: conversations before transmission that several files of checks share, and words for their results.

#pragma once

#include "conformance/checks/check.h"

namespace nbdspec::conformance {

// Options that the specification does not define and is not likely to.
inline constexpr std::uint32_t kUnknownOption = 0x7ffffff0;
inline constexpr std::uint32_t kHighUnknownOption = 0xfffffffe;

// --- One option ---

// All that INFO and GO may be asked for.
inline const std::vector<std::uint16_t> kEveryRequest = {InfoType::kName, InfoType::kDescription, InfoType::kBlockSize};

// INFO or GO with a request for block sizes, or for others.
inline Option InfoOption(std::uint32_t option, const std::string& name,
                         std::vector<std::uint16_t> requests = {InfoType::kBlockSize}) {
  return MakeOption(option, {.export_name = name, .requests = std::move(requests)});
}

inline const Option kStarttls{.option = OptionType::kStarttls};

// "NBD_REP_INFO, NBD_REP_ACK"; many are counted.
std::string TypesOf(std::span<const OptionReply> replies);

inline bool EndsIn(const Replies& replies, std::uint32_t type) { return replies.back().type == type; }
inline bool IsAcknowledged(const Replies& replies) { return EndsIn(replies, OptionReplyType::kAck); }
inline bool IsTlsReqd(const Replies& replies) { return EndsIn(replies, OptionReplyType::kErrTlsReqd); }

// What any option may be answered for reasons of the server's own.
inline bool IsRefusal(std::uint32_t type) {
  return type == OptionReplyType::kErrPolicy || type == OptionReplyType::kErrPlatform ||
         type == OptionReplyType::kErrTlsReqd || type == OptionReplyType::kErrShutdown;
}

// The first INFO reply of `type` among `replies`; nullptr when there is none.
const OptionReply* FindInfo(std::span<const OptionReply> replies, std::uint16_t type);

// The exports that `replies` to LIST name.
inline std::vector<ListedExport> ListedIn(const Replies& replies) {
  return PayloadsOf<ListedExport>(replies, OptionReplyType::kServer);
}

// The payload as text.
inline std::string TextOf(const OptionReply& reply) { return {reply.payload.begin(), reply.payload.end()}; }

// NUL bytes, which UTF-8 may have, are general.string.no-nul.server's.
inline bool IsUtf8(std::string text) {
  std::ranges::replace(text, '\0', ' ');
  return IsValidString(text);
}

inline bool IsAllZeroes(ByteView bytes) {
  return std::ranges::all_of(bytes, [](auto byte) { return byte == 0; });
}

// Whether no pad comes on a session that has just entered transmission, after `what`.
Judgement GetsNoPad(Session& session, std::string_view what);

// Whether the server has no export of the name it is asked for by INFO: nothing when it does not say so or otherwise
// (it has no INFO, or hides what it has).
std::optional<bool> LacksExport(CheckContext& context, const std::string& name);

// --- Every option ---

// An option and its replies.
struct Asked {
  Option option = {};
  Replies replies = {};                    // With the final one; none when that did not come.
  std::optional<ReceiveError> ended = {};  // Why it did not.
  Bytes pending = {};                      // What came then and is no whole message.
  bool at_first_reply = false;             // It ended before there was any reply on its connection.
};

// Asks a legal client's options, GO the last, on one connection, or on more where the server ends it. Options for
// metadata contexts are asked only once structured replies are agreed. `flags` are the client's, FIXED_NEWSTYLE among
// them.
std::expected<std::vector<Asked>, Judgement> AskEveryOption(CheckContext& context,
                                                            std::uint32_t flags = Session::kClientFlags);

// Judges each reply that AskEveryOption gets by a rule that says what is wrong with it: empty when nothing.
using ReplyRule = std::string (*)(const Option& to, const OptionReply& reply);
CheckRun OnEveryReply(ReplyRule rule, std::string_view allowed);

// Broken when AskEveryOption ends for an option as `is_wrong` says.
using EndRule = bool (*)(const Asked& asked, const ReceiveError& ended);
CheckRun OnEveryEnd(EndRule is_wrong, std::string_view allowed, std::uint32_t flags = Session::kClientFlags);

// --- Into transmission ---

struct GoAnswer {
  Session session;  // In transmission if `replies` acknowledge that.
  Replies replies = {};
  InfoExport info = {};
  std::optional<InfoBlockSize> block_size = {};
};

// Asks GO on a new connection. Errors: no reply.
std::expected<GoAnswer, Judgement> AskGo(CheckContext& context, std::vector<std::uint16_t> requests,
                                         std::uint32_t flags = Session::kClientFlags);

// The same where only a session in transmission can be judged. Errors: GO is refused; not applicable when for want of a
// request for block sizes, as a server may.
std::expected<GoAnswer, Judgement> EnterByGo(CheckContext& context, std::vector<std::uint16_t> requests,
                                             std::uint32_t flags = Session::kClientFlags);

struct ExportNameAnswer {
  Session session;
  Received<ExportNameReply> reply;
};

// Asks EXPORT_NAME on a new connection. Errors: it cannot be asked.
std::expected<ExportNameAnswer, Judgement> AskByName(CheckContext& context, const std::string& name,
                                                     std::uint32_t flags = Session::kClientFlags);

// The same where only a session in transmission can be judged. Errors: not applicable when the server closes the
// connection, as it may where block sizes or TLS are required.
std::expected<ExportNameAnswer, Judgement> EnterByName(CheckContext& context,
                                                       std::uint32_t flags = Session::kClientFlags);

}  // namespace nbdspec::conformance
