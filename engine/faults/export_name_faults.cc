// SPDX-License-Identifier: BSD-3-Clause
// Faults of EXPORT_NAME.
#include "engine/faults/fault_tables.h"
#include "engine/faults/option_changes.h"
#include "engine/spec/ids.h"

namespace nbdspec::engine::faults {

namespace {

// The answer to EXPORT_NAME for an export that exists.
Change ChangesReply(std::function<void(ExportNameReply& reply)> change) {
  return ChangesOptionAnswer(OptionType::kExportName,
                             [change = std::move(change)](Messages& sent) { ForEach<ExportNameReply>(sent, change); });
}

Change Answers(Messages answer) { return AnswersOption(OptionType::kExportName, std::move(answer)); }

}  // namespace

std::vector<Fault> ExportNameFaults() {
  return {
      {"server_pads_though_no_zeroes_is_agreed", By(spec::kHandshakeFlagsNoZeroes, Session(Family::kBits, 100)),
       ChangesReply([](ExportNameReply& reply) { reply.pad.resize(kExportNamePadBytes); })},
      {"server_omits_pad_unasked", spec::kHandshakeFlagsNoUnilateralChange,
       ChangesReply([](ExportNameReply& reply) { reply.pad.clear(); })},
      {"server_puts_option_reply_before_export", spec::kOptionExportNameReplyLayout,
       ChangesOptionAnswer(
           OptionType::kExportName,
           [](const Option& to, Messages& sent) { sent.insert(sent.begin(), OptionReply{.option = to.option}); })},
      {"server_sends_size_without_flags", spec::kOptionExportNameReplyLayout,
       Answers({RawBytes{.bytes = {0, 0, 0, 0, 0, 64, 0, 0}}})},
      {"server_pads_too_little", spec::kOptionExportNameZeroPad,
       ChangesReply([](ExportNameReply& reply) { reply.pad.pop_back(); })},
      {"server_pads_too_much", spec::kOptionExportNameZeroPad,
       ChangesReply([](ExportNameReply& reply) { reply.pad.resize(reply.pad.size() + 4); })},
      {"server_pads_with_garbage", spec::kOptionExportNameZeroPad,
       ChangesReply([](ExportNameReply& reply) { reply.pad.back() = 1; })},
      {"server_serves_default_for_unknown_name", spec::kOptionExportNameUnknownTerminates,
       IgnoresDataOf(OptionType::kExportName)},
      {"server_is_silent_after_unknown_name",
       By(spec::kOptionExportNameUnknownTerminates, spec::kSessionMandatedHardIfNoSoftServer), Answers({})},
      {"server_answers_unknown_name_by_option_reply", spec::kSessionMandatedHardIfNoSoftServer,
       Answers({OptionReply{.type = OptionReplyType::kErrUnknown}})},
      {"server_closes_on_export_name", spec::kInteropExportNameServer, Answers({HardDisconnect{}})},
      {"server_gives_other_size_by_name", spec::kRepInfoExportSameAsExportName,
       ChangesReply([](ExportNameReply& reply) { reply.size /= 2; })},
      {"server_gives_other_flags_by_name", spec::kRepInfoExportSameAsExportName,
       ChangesReply([](ExportNameReply& reply) { reply.flags ^= TransmissionFlag::kSendTrim; })},
  };
}

}  // namespace nbdspec::engine::faults
