// SPDX-License-Identifier: BSD-3-Clause
// Faults for option_checks.cc.
#include <algorithm>
#include <iterator>
#include <memory>

#include "conformance/faulty/fault.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::ClientMessage;
using engine::ConnectionState;
using engine::HardDisconnect;
using engine::Option;
using engine::OptionReply;
using engine::OptionReplyType;
using engine::OptionType;
using engine::ServerMessage;

namespace {

bool IsUnknown(const Option& option) { return option.option > OptionType::kExtendedHeaders; }

// Answers options that nobody knows with `answer`, given the option's number.
Fault AnswersUnknown(std::string_view name, std::string_view check, std::vector<ServerMessage> answer) {
  return AnswersOptionWrong(name, check, 0,
                            [answer = std::move(answer)](const Option& to, std::vector<ServerMessage>& said) {
                              if (!IsUnknown(to)) {
                                return;
                              }
                              said = answer;
                              for (ServerMessage& each : said) {
                                if (auto* reply = std::get_if<OptionReply>(&each)) {
                                  reply->option = to.option;
                                }
                              }
                            });
}

Fault AnswersAlways(std::string_view name, std::string_view check, std::uint32_t option,
                    std::vector<ServerMessage> answer) {
  return AnswersOptionWrong(
      name, check, option,
      [answer = std::move(answer)](const Option&, std::vector<ServerMessage>& said) { said = answer; });
}

OptionReply Refusal(std::uint32_t option, std::uint32_t type) { return {.option = option, .type = type}; }

// A server that reads the data of an unknown option as the next one, and gives up.
Saying LosesItsPlace() {
  return [lost = false](const ClientMessage* heard, const ConnectionState&, std::vector<ServerMessage>& said) mutable {
    const auto* option = heard != nullptr ? std::get_if<Option>(heard) : nullptr;
    if (lost) {
      said = {HardDisconnect{}};
    }
    lost = lost || (option != nullptr && IsUnknown(*option) && !option->payload.empty());
  };
}

// A server that is down, for one client, after another one said ABORT.
Saying FallsOverAbort() {
  return [down = std::make_shared<bool>(false)](const ClientMessage* heard, const ConnectionState&,
                                                std::vector<ServerMessage>& said) {
    const auto* option = heard != nullptr ? std::get_if<Option>(heard) : nullptr;
    if (heard == nullptr && *down) {
      said = {HardDisconnect{}};
      *down = false;
    } else if (option != nullptr && option->option == OptionType::kAbort) {
      *down = true;
    }
  };
}

bool ListsDespiteData(ClientMessage& heard, const ConnectionState&) {
  auto* option = std::get_if<Option>(&heard);
  if (option != nullptr && option->option == OptionType::kList) {
    option->payload.clear();
  }
  return true;
}

// Changes the reply for the first export in a list.
Fault ListsWrong(std::string_view name, std::string_view check, std::function<void(OptionReply&)> change) {
  return AnswersOptionWrong(name, check, OptionType::kList,
                            [change = std::move(change)](const Option&, std::vector<ServerMessage>& said) {
                              auto* reply = std::get_if<OptionReply>(&said.front());
                              if (reply != nullptr && reply->type == OptionReplyType::kServer) {
                                change(*reply);
                              }
                            });
}

std::vector<Fault> ReplyFaults() {
  return {
      AnswersUnknown("server_ignores_unknown_option", spec::kOptionReplyForEveryOption, {}),
      RepliesWrong("server_sends_wrong_option_reply_magic", spec::kOptionReplyMagic, 0,
                   [](const Option&, OptionReply& reply) { reply.magic += 1; }),
      RepliesWrong("server_replies_for_option_0", spec::kOptionReplyEchoOption, OptionType::kStructuredReply,
                   [](const Option&, OptionReply& reply) { reply.option = 0; }),
      RepliesWrong("server_cuts_high_option_number", spec::kOptionReplyEchoOption, 0,
                   [](const Option&, OptionReply& reply) { reply.option &= 0x7fffffff; }),
      ListsWrong("server_announces_longer_reply", spec::kOptionReplyLengthAccurate,
                 [](OptionReply& reply) { reply.length_field = static_cast<std::uint32_t>(reply.payload.size() + 4); }),
      ListsWrong("server_announces_shorter_reply", spec::kOptionReplyLengthAccurate,
                 [](OptionReply& reply) { reply.length_field = static_cast<std::uint32_t>(reply.payload.size() - 1); }),
      RepliesWrong("server_announces_data_after_ack", spec::kOptionReplyLengthAccurate, OptionType::kGo,
                   [](const Option&, OptionReply& reply) {
                     if (reply.type == OptionReplyType::kAck) {
                       reply.length_field = 8;
                     }
                   }),
      AnswersUnknown("server_refuses_unknown_option_by_policy", spec::kBaselineUnsup,
                     {Refusal(0, OptionReplyType::kErrPolicy)}),
      AnswersUnknown("server_acknowledges_unknown_option", spec::kBaselineUnsup, {OptionReply{}}),
      AnswersUnknown("server_closes_on_unknown_option", spec::kBaselineUnsup, {HardDisconnect{}}),
      SaysWrong("server_does_not_skip_unknown_data", spec::kBaselineUnsupResync, LosesItsPlace()),
  };
}

std::vector<Fault> AbortFaults() {
  return {
      AnswersAlways("server_closes_on_abort", spec::kOptionAbortAck, OptionType::kAbort, {HardDisconnect{}}),
      AnswersAlways("server_refuses_abort", spec::kOptionAbortAck, OptionType::kAbort,
                    {Refusal(OptionType::kAbort, OptionReplyType::kErrPolicy)}),
      AnswersAlways("server_does_not_know_abort", spec::kBaselineAbortServer, OptionType::kAbort,
                    {Refusal(OptionType::kAbort, OptionReplyType::kErrUnsup)}),
      AnswersAlways("server_ignores_abort", spec::kBaselineAbortServer, OptionType::kAbort, {}),
      AnswersOptionWrong("server_refuses_abort_with_data", spec::kOptionAbortIgnoreData, OptionType::kAbort,
                         [](const Option& to, std::vector<ServerMessage>& said) {
                           if (!to.payload.empty()) {
                             said = {Refusal(to.option, OptionReplyType::kErrInvalid)};
                           }
                         }),
      SaysWrong("server_falls_over_abort", spec::kOptionAbortServerToleratesClose, FallsOverAbort()),
  };
}

std::vector<Fault> ListFaults() {
  return {
      ListsWrong("server_lists_by_info", spec::kOptionListReplyShape,
                 [](OptionReply& reply) { reply.type = OptionReplyType::kInfo; }),
      AnswersOptionWrong("server_does_not_end_its_list", spec::kOptionListReplyShape, OptionType::kList,
                         [](const Option&, std::vector<ServerMessage>& said) { said.pop_back(); }),
      AnswersOptionWrong(
          "server_lists_an_export_twice", spec::kOptionListOnePerExport, OptionType::kList,
          [](const Option&, std::vector<ServerMessage>& said) { said.insert(said.begin(), ServerMessage(said[0])); }),
      HearsWrong("server_lists_despite_data", spec::kOptionListDataInvalid, ListsDespiteData),
      AnswersAlways("server_forbids_list_with_data", spec::kOptionListDataInvalid, OptionType::kList,
                    {Refusal(OptionType::kList, OptionReplyType::kErrPolicy)}),
      AnswersAlways("server_does_not_know_list", spec::kBaselineListServer, OptionType::kList,
                    {Refusal(OptionType::kList, OptionReplyType::kErrUnsup)}),
      ListsWrong("server_announces_longer_name", spec::kRepServerNameLength,
                 [](OptionReply& reply) { reply.payload[3] += 1; }),
      ListsWrong("server_lists_without_name_length", spec::kRepServerNameLength,
                 [](OptionReply& reply) { reply.payload.resize(3); }),
      ListsWrong(
          "server_lists_a_name_it_does_not_know", spec::kRepServerNameUsable,
          [](OptionReply& reply) { reply.payload = EncodePayload(engine::ListedExport{.name = "no longer there"}); }),
  };
}

}  // namespace

std::vector<Fault> OptionFaults() {
  std::vector<Fault> faults = ReplyFaults();
  std::ranges::move(AbortFaults(), std::back_inserter(faults));
  std::ranges::move(ListFaults(), std::back_inserter(faults));
  return faults;
}

}  // namespace nbdspec::conformance
