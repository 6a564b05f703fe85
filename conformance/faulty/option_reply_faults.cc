// SPDX-License-Identifier: BSD-3-Clause
// Faults for option_reply_checks.cc.
#include <algorithm>
#include <iterator>

#include "conformance/faulty/fault.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::ListedExport;
using engine::Option;
using engine::OptionReply;
using engine::OptionReplyType;
using engine::OptionType;

namespace {

// Every error reply has `text`.
Fault RefusesSaying(std::string_view name, std::string_view check, std::string text) {
  return RepliesWrong(name, check, 0, [text = std::move(text)](const Option&, OptionReply& reply) {
    if (reply.is_error()) {
      reply.payload.assign(text.begin(), text.end());
    }
  });
}

// Every listed export is `listed`.
Fault Lists(std::string_view name, std::string_view check, ListedExport listed) {
  return RepliesWrong(name, check, OptionType::kList, [listed = std::move(listed)](const Option&, OptionReply& reply) {
    if (reply.type == OptionReplyType::kServer) {
      reply.payload = EncodePayload(listed);
    }
  });
}

// Every information of `type` is `text`.
Fault Informs(std::string_view name, std::string_view check, std::uint16_t type, std::string text) {
  return RepliesWrong(name, check, OptionType::kInfo,
                      [type, text = std::move(text)](const Option&, OptionReply& reply) {
                        if (reply.type == OptionReplyType::kInfo && engine::DecodeInfoType(reply.payload) == type) {
                          reply.payload = EncodePayload(engine::InfoText{.type = type, .text = text});
                        }
                      });
}

// Every context listed has the name `name_of_context`.
Fault ListsContext(std::string_view name, std::string_view check, std::string name_of_context) {
  return RepliesWrong(name, check, OptionType::kListMetaContext,
                      [text = std::move(name_of_context)](const Option&, OptionReply& reply) {
                        if (reply.type == OptionReplyType::kMetaContext) {
                          reply.payload = EncodePayload(engine::MetaContext{.name = text});
                        }
                      });
}

// Every error chunk has `text`.
Fault FailsSaying(std::string_view name, std::string_view check, std::string text) {
  return AnswersWrong(name, check, engine::CommandType::kRead,
                      [text = std::move(text)](const engine::Request&, std::vector<engine::ServerMessage>& said) {
                        auto* chunk = std::get_if<engine::Chunk>(&said.front());
                        if (chunk != nullptr && chunk->is_error()) {
                          chunk->payload =
                              EncodePayload(engine::ErrorPayload{.error = engine::NbdError::kEinval, .message = text});
                        }
                      });
}

Fault RepliesBy(std::string_view name, std::string_view check, std::uint32_t option, std::uint32_t type) {
  return AnswersOptionWrong(name, check, option, [type](const Option& to, std::vector<engine::ServerMessage>& said) {
    said = {OptionReply{.option = to.option, .type = type}};
  });
}

std::vector<Fault> StringFaults() {
  const std::string nul(1, '\0');
  const std::string latin1 = "na\xefve";
  return {
      Lists("server_lists_latin1_name", spec::kGeneralStringUtf8Server, {.name = latin1}),
      Lists("server_lists_latin1_description", spec::kGeneralStringUtf8Server, {.name = "", .description = latin1}),
      Informs("server_describes_in_latin1", spec::kGeneralStringUtf8Server, engine::InfoType::kDescription, latin1),
      RefusesSaying("server_refuses_in_latin1", spec::kGeneralStringUtf8Server, latin1),
      ListsContext("server_lists_latin1_context", spec::kGeneralStringUtf8Server, "x-nbdspec:" + latin1),
      FailsSaying("server_fails_in_latin1", spec::kGeneralStringUtf8Server, latin1),
      Lists("server_ends_name_with_nul", spec::kGeneralStringNoNulServer, {.name = "d" + nul}),
      RefusesSaying("server_ends_error_with_nul", spec::kGeneralStringNoNulServer, "no" + nul),
      FailsSaying("server_ends_text_of_error_chunk_with_nul", spec::kGeneralStringNoNulServer, "no" + nul),
      Lists("server_lists_endless_name", spec::kGeneralStringMax4096Server, {.name = std::string(4097, 'x')}),
      RefusesSaying("server_refuses_endlessly", spec::kGeneralStringMax4096Server, std::string(5000, 'x')),
      Informs("server_describes_at_length", spec::kGeneralStringSoft256Server, engine::InfoType::kDescription,
              std::string(257, 'x')),
      RefusesSaying("server_sends_garbage_with_error", spec::kRepErrTextString, "\x01\x02\xff\xfe"),
      RefusesSaying("server_ends_text_of_error_with_nul", spec::kRepErrTextString, "no" + nul),
      Lists("server_sends_number_after_name", spec::kRepServerTrailingText, {.name = "d", .description = nul + "\x40"}),
  };
}

// INFO is unknown from the second time on.
Saying ForgetsInfo() {
  return [count = 0](const engine::ClientMessage* heard, const engine::ConnectionState&,
                     std::vector<engine::ServerMessage>& said) mutable {
    const auto* asked = heard != nullptr ? std::get_if<Option>(heard) : nullptr;
    if (asked != nullptr && asked->option == OptionType::kInfo && ++count > 1) {
      said = {OptionReply{.option = asked->option, .type = OptionReplyType::kErrUnsup}};
    }
  };
}

}  // namespace

std::vector<Fault> OptionReplyFaults() {
  std::vector<Fault> faults = StringFaults();
  faults.push_back(RepliesWrong("server_sends_data_with_ack", spec::kRepAckNoData, OptionType::kStructuredReply,
                                [](const Option&, OptionReply& reply) { reply.payload = {0}; }));
  faults.push_back(RepliesWrong("server_sends_data_with_ack_of_go", spec::kRepAckNoData, OptionType::kGo,
                                [](const Option&, OptionReply& reply) {
                                  if (reply.type == OptionReplyType::kAck) {
                                    reply.payload.resize(12);
                                  }
                                }));
  faults.push_back(RepliesBy("server_refuses_by_type_5", spec::kRepErrBit31, OptionType::kStructuredReply, 5));
  faults.push_back(RepliesBy("server_lists_by_type_0", spec::kRepErrBit31, OptionType::kList, 0));
  faults.push_back(SaysWrong("server_forgets_info", spec::kRepErrUnsup, ForgetsInfo()));
  faults.push_back(
      RepliesBy("server_calls_list_invalid", spec::kRepErrInvalid, OptionType::kList, OptionReplyType::kErrInvalid));
  faults.push_back(RepliesBy("server_calls_set_meta_context_invalid", spec::kRepErrInvalid, OptionType::kSetMetaContext,
                             OptionReplyType::kErrInvalid));
  faults.push_back(RepliesBy("server_finds_no_export_to_list", spec::kRepErrUnknown, OptionType::kList,
                             OptionReplyType::kErrUnknown));
  return faults;
}

}  // namespace nbdspec::conformance
