// SPDX-License-Identifier: BSD-3-Clause
// Faults for handshake_checks.cc.
#include <algorithm>
#include <bit>
#include <iterator>
#include <utility>

#include "conformance/faulty/fault.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::ClientMessage;
using engine::ConnectionState;
using engine::Greeting;
using engine::HardDisconnect;
using engine::OptionReplyType;
using engine::OptionType;
using engine::ServerMessage;

constexpr std::string_view kByteOrderOfReplies = spec::kSub<spec::kGeneralByteOrderServer, "option-reply">;

namespace {

// A server that ignores client flags with the bit `ignored`.
Hearing Ignores(std::uint32_t ignored) {
  return [ignored](ClientMessage& heard, const ConnectionState&) {
    if (auto* flags = std::get_if<engine::ClientFlags>(&heard)) {
      flags->flags &= ~ignored;
    }
    return true;
  };
}

// A server that disconnects when it has refused three times.
Saying LosesPatience() {
  return [refused = 0](const ClientMessage*, const ConnectionState&, std::vector<ServerMessage>& said) mutable {
    const auto* reply = said.empty() ? nullptr : std::get_if<engine::OptionReply>(&said.back());
    if (reply != nullptr && reply->is_error() && ++refused > 3) {
      said = {HardDisconnect{}};
    }
  };
}

std::vector<Fault> ByteOrderFaults() {
  return {
      GreetsWrong("server_swaps_first_magic", spec::kGeneralByteOrderServer,
                  [](Greeting& greeting) { greeting.magic = std::byteswap(greeting.magic); }),
      GreetsWrong("server_swaps_second_magic", spec::kGeneralByteOrderServer,
                  [](Greeting& greeting) { greeting.option_magic = std::byteswap(greeting.option_magic); }),
      RepliesWrong("server_swaps_option_reply_magic", kByteOrderOfReplies, 0,
                   [](const engine::Option&, engine::OptionReply& reply) { reply.magic = std::byteswap(reply.magic); }),
      RepliesWrong(
          "server_swaps_option_number", kByteOrderOfReplies, OptionType::kInfo,
          [](const engine::Option&, engine::OptionReply& reply) { reply.option = std::byteswap(reply.option); }),
      RepliesWrong("server_swaps_option_reply_type", kByteOrderOfReplies, OptionType::kList,
                   [](const engine::Option&, engine::OptionReply& reply) { reply.type = std::byteswap(reply.type); }),
      RepliesWrong("server_swaps_information_type", kByteOrderOfReplies, OptionType::kGo,
                   [](const engine::Option&, engine::OptionReply& reply) {
                     if (reply.type == OptionReplyType::kInfo) {
                       std::swap(reply.payload[0], reply.payload[1]);
                     }
                   }),
      AnswersWrong("server_swaps_error_of_simple_reply", spec::kSub<spec::kGeneralByteOrderServer, "error">,
                   engine::CommandType::kRead,
                   [](const engine::Request&, std::vector<ServerMessage>& said) {
                     if (auto* reply = std::get_if<engine::SimpleReply>(&said.front())) {
                       reply->error = std::byteswap(reply->error);
                     }
                   }),
      AnswersWrong("server_swaps_text_length_in_error_chunk", spec::kSub<spec::kGeneralByteOrderServer, "error-chunk">,
                   engine::CommandType::kRead,
                   [](const engine::Request&, std::vector<ServerMessage>& said) {
                     auto* chunk = std::get_if<engine::Chunk>(&said.front());
                     if (chunk != nullptr && chunk->is_error()) {
                       std::swap(chunk->payload[4], chunk->payload[5]);
                     }
                   }),
  };
}

std::vector<Fault> GreetingFaults() {
  return {
      GreetsWrong("server_greets_with_swapped_magic", spec::kHandshakeMagic,
                  [](Greeting& greeting) { greeting.magic = 0x434947414d44424e; }),
      SaysWrong("server_talks_before_client_flags", spec::kHandshakeFlagsWidth,
                [](const ClientMessage* heard, const ConnectionState&, std::vector<engine::ServerMessage>& said) {
                  if (heard == nullptr) {
                    said.emplace_back(engine::OptionReply{});
                  }
                }),
      GreetsWrong("server_sets_unknown_handshake_flag", spec::kHandshakeFlagsNoOther,
                  [](Greeting& greeting) { greeting.flags |= 1 << 7; }),
      HearsWrong("server_ignores_unknown_client_flag", spec::kHandshakeClientFlagsDropUnknown, Ignores(1U << 2)),
      HearsWrong("server_ignores_high_client_flag", spec::kSub<spec::kHandshakeClientFlagsDropUnknown, "high">,
                 Ignores(1U << 31)),
      GreetsWrong("server_accepts_unoffered_no_zeroes", spec::kHandshakeClientFlagsDropUnoffered,
                  [](Greeting& greeting) { greeting.flags &= ~engine::HandshakeFlag::kNoZeroes; }),
      GreetsWrong("server_greets_with_wrong_option_magic", spec::kHandshakeMagicIhaveopt,
                  [](Greeting& greeting) { greeting.option_magic += 1; }),
      GreetsWrong("server_haggles_without_fixed_newstyle", spec::kHandshakeFlagsFixedNewstyle,
                  [](Greeting& greeting) { greeting.flags &= ~engine::HandshakeFlag::kFixedNewstyle; }),
      GreetsWrong("server_answers_info_without_fixed_newstyle", spec::kOptionExportNameOthersNeedFixed,
                  [](Greeting& greeting) { greeting.flags &= ~engine::HandshakeFlag::kFixedNewstyle; }),
      GreetsWrong("server_is_not_fixed", spec::kBaselineFixedNewstyleServer,
                  [](Greeting& greeting) { greeting.flags &= ~engine::HandshakeFlag::kFixedNewstyle; }),
      AnswersOptionWrong("server_closes_on_list", spec::kBaselineFixedNewstyleServer, OptionType::kList,
                         [](const engine::Option&, std::vector<ServerMessage>& said) { said = {HardDisconnect{}}; }),
      AnswersOptionWrong("server_closes_on_structured_reply", spec::kSessionHardOnlyWhenAllowedServer,
                         OptionType::kStructuredReply,
                         [](const engine::Option&, std::vector<ServerMessage>& said) { said = {HardDisconnect{}}; }),
      AnswersOptionWrong("server_closes_after_an_error", spec::kSessionHardOnlyWhenAllowedServer, 0,
                         [](const engine::Option&, std::vector<ServerMessage>& said) {
                           if (const auto* reply = std::get_if<engine::OptionReply>(&said.front());
                               reply != nullptr && reply->is_error()) {
                             said = {HardDisconnect{}};
                           }
                         }),
      SaysWrong("server_closes_after_three_errors", spec::kSessionServerErrorUnwelcome, LosesPatience()),
  };
}

}  // namespace

std::vector<Fault> HandshakeFaults() {
  std::vector<Fault> faults = ByteOrderFaults();
  std::ranges::move(GreetingFaults(), std::back_inserter(faults));
  return faults;
}

}  // namespace nbdspec::conformance
