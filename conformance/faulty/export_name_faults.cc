// SPDX-License-Identifier: BSD-3-Clause
// Faults for export_name_checks.cc.
#include "conformance/faulty/fault.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::ClientMessage;
using engine::ConnectionState;
using engine::ExportNameReply;
using engine::HardDisconnect;
using engine::Option;
using engine::OptionType;
using engine::ServerMessage;

namespace {

// Changes the answer to EXPORT_NAME for an export that is there.
Fault ServesByNameWrong(std::string_view name, std::string_view check, std::function<void(ExportNameReply&)> change) {
  return AnswersOptionWrong(name, check, OptionType::kExportName,
                            [change = std::move(change)](const Option&, std::vector<ServerMessage>& said) {
                              if (auto* reply = std::get_if<ExportNameReply>(&said.front())) {
                                change(*reply);
                              }
                            });
}

Fault AnswersByName(std::string_view name, std::string_view check, std::vector<ServerMessage> answer) {
  return AnswersOptionWrong(
      name, check, OptionType::kExportName,
      [answer = std::move(answer)](const Option&, std::vector<ServerMessage>& said) { said = answer; });
}

// A server that takes an unknown name for the default export's.
bool ServesTheDefault(ClientMessage& heard, const ConnectionState&) {
  auto* option = std::get_if<Option>(&heard);
  if (option != nullptr && option->option == OptionType::kExportName) {
    option->payload.clear();
  }
  return true;
}

}  // namespace

std::vector<Fault> ExportNameFaults() {
  const ServerMessage refusal =
      engine::OptionReply{.option = OptionType::kExportName, .type = engine::OptionReplyType::kErrUnknown};
  return {
      ServesByNameWrong("server_pads_though_no_zeroes_is_agreed", spec::kHandshakeFlagsNoZeroes,
                        [](ExportNameReply& reply) { reply.pad.resize(engine::kExportNamePadBytes); }),
      ServesByNameWrong("server_omits_pad_unasked", spec::kHandshakeFlagsNoUnilateralChange,
                        [](ExportNameReply& reply) { reply.pad.clear(); }),
      AnswersOptionWrong("server_puts_option_reply_before_export", spec::kOptionExportNameReplyLayout,
                         OptionType::kExportName,
                         [](const Option& to, std::vector<ServerMessage>& said) {
                           said.insert(said.begin(), engine::OptionReply{.option = to.option});
                         }),
      AnswersByName("server_sends_size_without_flags", spec::kOptionExportNameReplyLayout,
                    {engine::RawBytes{.bytes = {0, 0, 0, 0, 0, 64, 0, 0}}}),
      ServesByNameWrong("server_pads_too_little", spec::kOptionExportNameZeroPad,
                        [](ExportNameReply& reply) { reply.pad.pop_back(); }),
      ServesByNameWrong("server_pads_too_much", spec::kOptionExportNameZeroPad,
                        [](ExportNameReply& reply) { reply.pad.resize(reply.pad.size() + 4); }),
      ServesByNameWrong("server_pads_with_garbage", spec::kOptionExportNameZeroPad,
                        [](ExportNameReply& reply) { reply.pad.back() = 1; }),
      HearsWrong("server_serves_default_for_unknown_name", spec::kOptionExportNameUnknownTerminates, ServesTheDefault),
      AnswersByName("server_waits_after_unknown_name", spec::kOptionExportNameUnknownTerminates, {}),
      AnswersByName("server_is_silent_after_unknown_name", spec::kSessionMandatedHardIfNoSoftServer, {}),
      AnswersByName("server_answers_unknown_name_by_option_reply", spec::kSessionMandatedHardIfNoSoftServer, {refusal}),
      AnswersByName("server_closes_on_export_name", spec::kInteropExportNameServer, {HardDisconnect{}}),
      ServesByNameWrong("server_gives_other_size_by_name", spec::kRepInfoExportSameAsExportName,
                        [](ExportNameReply& reply) { reply.size /= 2; }),
      ServesByNameWrong("server_gives_other_flags_by_name", spec::kRepInfoExportSameAsExportName,
                        [](ExportNameReply& reply) { reply.flags ^= engine::TransmissionFlag::kSendTrim; }),
  };
}

}  // namespace nbdspec::conformance
