// SPDX-License-Identifier: BSD-3-Clause
// Faults for handshake_checks.cc.
#include <algorithm>
#include <bit>
#include <iterator>
#include <utility>

#include "conformance/faulty/fault.h"

namespace nbdspec::conformance {

using engine::ClientMessage;
using engine::ConnectionState;
using engine::Greeting;
using engine::HardDisconnect;
using engine::OptionReplyType;
using engine::OptionType;
using engine::ServerMessage;

constexpr std::string_view kByteOrderOfReplies = "general.byte-order.server/option-reply";

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
      GreetsWrong("server_swaps_first_magic", "general.byte-order.server",
                  [](Greeting& greeting) { greeting.magic = std::byteswap(greeting.magic); }),
      GreetsWrong("server_swaps_second_magic", "general.byte-order.server",
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
      AnswersWrong("server_swaps_error_of_simple_reply", "general.byte-order.server/error", engine::CommandType::kRead,
                   [](const engine::Request&, std::vector<ServerMessage>& said) {
                     if (auto* reply = std::get_if<engine::SimpleReply>(&said.front())) {
                       reply->error = std::byteswap(reply->error);
                     }
                   }),
      AnswersWrong("server_swaps_text_length_in_error_chunk", "general.byte-order.server/error-chunk",
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
      GreetsWrong("server_greets_with_swapped_magic", "handshake.magic",
                  [](Greeting& greeting) { greeting.magic = 0x434947414d44424e; }),
      SaysWrong("server_talks_before_client_flags", "handshake.flags.width",
                [](const ClientMessage* heard, const ConnectionState&, std::vector<engine::ServerMessage>& said) {
                  if (heard == nullptr) {
                    said.emplace_back(engine::OptionReply{});
                  }
                }),
      GreetsWrong("server_sets_unknown_handshake_flag", "handshake.flags.no-other",
                  [](Greeting& greeting) { greeting.flags |= 1 << 7; }),
      HearsWrong("server_ignores_unknown_client_flag", "handshake.client-flags.drop-unknown", Ignores(1U << 2)),
      HearsWrong("server_ignores_high_client_flag", "handshake.client-flags.drop-unknown/high", Ignores(1U << 31)),
      GreetsWrong("server_accepts_unoffered_no_zeroes", "handshake.client-flags.drop-unoffered",
                  [](Greeting& greeting) { greeting.flags &= ~engine::HandshakeFlag::kNoZeroes; }),
      GreetsWrong("server_greets_with_wrong_option_magic", "handshake.magic.ihaveopt",
                  [](Greeting& greeting) { greeting.option_magic += 1; }),
      GreetsWrong("server_haggles_without_fixed_newstyle", "handshake.flags.fixed-newstyle",
                  [](Greeting& greeting) { greeting.flags &= ~engine::HandshakeFlag::kFixedNewstyle; }),
      GreetsWrong("server_answers_info_without_fixed_newstyle", "option.export-name.others-need-fixed",
                  [](Greeting& greeting) { greeting.flags &= ~engine::HandshakeFlag::kFixedNewstyle; }),
      GreetsWrong("server_is_not_fixed", "baseline.fixed-newstyle.server",
                  [](Greeting& greeting) { greeting.flags &= ~engine::HandshakeFlag::kFixedNewstyle; }),
      AnswersOptionWrong("server_closes_on_list", "baseline.fixed-newstyle.server", OptionType::kList,
                         [](const engine::Option&, std::vector<ServerMessage>& said) { said = {HardDisconnect{}}; }),
      AnswersOptionWrong("server_closes_on_structured_reply", "session.hard.only-when-allowed.server",
                         OptionType::kStructuredReply,
                         [](const engine::Option&, std::vector<ServerMessage>& said) { said = {HardDisconnect{}}; }),
      AnswersOptionWrong("server_closes_after_an_error", "session.hard.only-when-allowed.server", 0,
                         [](const engine::Option&, std::vector<ServerMessage>& said) {
                           if (const auto* reply = std::get_if<engine::OptionReply>(&said.front());
                               reply != nullptr && reply->is_error()) {
                             said = {HardDisconnect{}};
                           }
                         }),
      SaysWrong("server_closes_after_three_errors", "session.server.error-unwelcome", LosesPatience()),
  };
}

}  // namespace

std::vector<Fault> HandshakeFaults() {
  std::vector<Fault> faults = ByteOrderFaults();
  std::ranges::move(GreetingFaults(), std::back_inserter(faults));
  return faults;
}

}  // namespace nbdspec::conformance
