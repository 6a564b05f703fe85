// SPDX-License-Identifier: BSD-3-Clause
// Faults of the greeting, of what follows client flags, and of byte order.
#include <bit>

#include "engine/faults/answer_changes.h"
#include "engine/faults/fault_tables.h"
#include "engine/faults/option_changes.h"
#include "engine/spec/ids.h"

namespace nbdspec::engine::faults {

namespace {

constexpr std::string_view kByteOrderOfReplies = spec::kSub<spec::kGeneralByteOrderServer, "option-reply">;

// Disconnects where it would refuse the client more than `count` times.
Change LosesPatienceAfter(int count) {
  return {.sent = [count, refused = 0](const ClientMessage*, const Connection&, Messages& sent) mutable {
    if (IsRefused(sent) && ++refused > count) {
      sent = {HardDisconnect{}};
    }
  }};
}

}  // namespace

std::vector<Fault> HandshakeFaults() {
  return {
      {"server_swaps_first_magic", By(spec::kGeneralByteOrderServer, spec::kHandshakeMagic),
       ChangesGreeting([](Greeting& greeting) { greeting.magic = std::byteswap(greeting.magic); })},
      {"server_swaps_second_magic", spec::kGeneralByteOrderServer,
       ChangesGreeting([](Greeting& greeting) { greeting.option_magic = std::byteswap(greeting.option_magic); })},
      {"server_swaps_option_reply_magic", kByteOrderOfReplies,
       ChangesOptionReplies(kAnyOption, [](OptionReply& reply) { reply.magic = std::byteswap(reply.magic); })},
      {"server_swaps_option_number", kByteOrderOfReplies,
       ChangesOptionReplies(OptionType::kInfo, [](OptionReply& reply) { reply.option = std::byteswap(reply.option); })},
      {"server_swaps_option_reply_type", kByteOrderOfReplies,
       ChangesOptionReplies(OptionType::kList, [](OptionReply& reply) { reply.type = std::byteswap(reply.type); })},
      {"server_swaps_information_type", kByteOrderOfReplies,
       ChangesOptionReplies(OptionType::kGo, OptionReplyType::kInfo,
                            [](OptionReply& reply) { std::swap(reply.payload[0], reply.payload[1]); })},
      {"server_swaps_error_of_simple_reply", spec::kSub<spec::kGeneralByteOrderServer, "error">,
       ChangesAnswer(kRead,
                     [](Messages& sent) {
                       ForEach<SimpleReply>(sent, [](SimpleReply& reply) { reply.error = std::byteswap(reply.error); });
                     })},
      {"server_swaps_text_length_in_error_chunk",
       By(spec::kSub<spec::kGeneralByteOrderServer, "error-chunk">, spec::kStructuredErrorMessageFits),
       ChangesErrorChunks([](Chunk& chunk) { std::swap(chunk.payload[4], chunk.payload[5]); })},
      {"server_replies_before_client_flags", spec::kHandshakeFlagsWidth,
       Change{.sent =
                  [](const ClientMessage* to, const Connection&, Messages& sent) {
                    if (to == nullptr) {
                      sent.emplace_back(OptionReply{});
                    }
                  }}},
      {"server_sets_unknown_handshake_flag", spec::kHandshakeFlagsNoOther,
       ChangesGreeting([](Greeting& greeting) { greeting.flags |= 1 << 7; })},
      {"server_ignores_unknown_client_flag", spec::kHandshakeClientFlagsDropUnknown, IgnoresClientFlags(1U << 2)},
      {"server_ignores_high_client_flag", spec::kSub<spec::kHandshakeClientFlagsDropUnknown, "high">,
       IgnoresClientFlags(1U << 31)},
      {"server_accepts_unoffered_no_zeroes", spec::kHandshakeClientFlagsDropUnoffered,
       ChangesGreeting([](Greeting& greeting) { greeting.flags &= ~HandshakeFlag::kNoZeroes; })},
      {"server_greets_with_wrong_option_magic", spec::kHandshakeMagicIhaveopt,
       ChangesGreeting([](Greeting& greeting) { greeting.option_magic += 1; })},
      {"server_haggles_without_fixed_newstyle",
       By(spec::kHandshakeFlagsFixedNewstyle, spec::kOptionExportNameOthersNeedFixed,
          spec::kBaselineFixedNewstyleServer),
       ChangesGreeting([](Greeting& greeting) { greeting.flags &= ~HandshakeFlag::kFixedNewstyle; })},
      {"server_closes_on_list", spec::kBaselineFixedNewstyleServer,
       AnswersOption(OptionType::kList, {HardDisconnect{}})},
      {"server_closes_on_structured_reply", spec::kSessionHardOnlyWhenAllowedServer,
       AnswersOption(OptionType::kStructuredReply, {HardDisconnect{}})},
      {"server_closes_after_an_error", spec::kSessionHardOnlyWhenAllowedServer, LosesPatienceAfter(0)},
      {"server_closes_after_three_errors", spec::kSessionServerErrorUnwelcome, LosesPatienceAfter(3)},
  };
}

}  // namespace nbdspec::engine::faults
