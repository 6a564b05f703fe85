// SPDX-License-Identifier: BSD-3-Clause
// Faults for starttls_checks.cc.
#include "conformance/faulty/fault.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::ClientMessage;
using engine::ConnectionState;
using engine::Option;
using engine::OptionReply;
using engine::OptionReplyType;
using engine::OptionType;
using engine::ServerMessage;

namespace {

Fault AnswersBy(std::string_view name, std::string_view check, std::uint32_t option, std::uint32_t type) {
  return AnswersOptionWrong(name, check, option, [type](const Option& to, std::vector<ServerMessage>& said) {
    said = {OptionReply{.option = to.option, .type = type}};
  });
}

// Answers `option` by `type`, but the first time on a connection.
Saying AnswersLaterBy(std::uint32_t option, std::uint32_t type) {
  return [option, type, count = 0](const ClientMessage* heard, const ConnectionState&,
                                   std::vector<ServerMessage>& said) mutable {
    const auto* asked = heard != nullptr ? std::get_if<Option>(heard) : nullptr;
    if (asked != nullptr && asked->option == option && ++count > 1) {
      said = {OptionReply{.option = option, .type = type}};
    }
  };
}

// LIST wants TLS, which there is, and INFO does not.
void WantsTlsForListOnly(const ClientMessage* heard, const ConnectionState&, std::vector<ServerMessage>& said) {
  const auto* asked = heard != nullptr ? std::get_if<Option>(heard) : nullptr;
  if (asked != nullptr && asked->option == OptionType::kStarttls) {
    said = {OptionReply{.option = asked->option}};
  } else if (asked != nullptr && asked->option == OptionType::kList) {
    said = {OptionReply{.option = asked->option, .type = OptionReplyType::kErrTlsReqd}};
  }
}

}  // namespace

std::vector<Fault> StarttlsFaults() {
  return {
      AnswersBy("server_starts_tls_without_fixed_newstyle", spec::kTlsNeedsFixedServer, OptionType::kStarttls,
                OptionReplyType::kAck),
      AnswersBy("server_wants_tls_for_info_but_has_none", spec::kTlsModeOneOfThree, OptionType::kInfo,
                OptionReplyType::kErrTlsReqd),
      SaysWrong("server_wants_tls_for_list_only", spec::kTlsModeOneOfThree, WantsTlsForListOnly),
      SaysWrong("server_wants_tls_later", spec::kTlsModeConsistent,
                AnswersLaterBy(OptionType::kInfo, OptionReplyType::kErrTlsReqd)),
      SaysWrong("server_has_tls_later", spec::kTlsModeConsistent,
                AnswersLaterBy(OptionType::kStarttls, OptionReplyType::kAck)),
      AnswersBy("server_wants_tls_without_fixed_newstyle", spec::kTlsModeNotlsWithoutFixed, OptionType::kList,
                OptionReplyType::kErrTlsReqd),
      AnswersBy("server_has_tls_without_fixed_newstyle", spec::kTlsModeNotlsWithoutFixed, OptionType::kStarttls,
                OptionReplyType::kAck),
      AnswersBy("server_knows_no_export_starttls", spec::kTlsNotlsStarttlsError, OptionType::kStarttls,
                OptionReplyType::kErrUnknown),
      AnswersBy("server_lists_for_starttls", spec::kTlsNotlsStarttlsError, OptionType::kStarttls,
                OptionReplyType::kServer),
      AnswersOptionWrong("server_is_silent_about_starttls", spec::kTlsNotlsStarttlsError, OptionType::kStarttls,
                         [](const Option&, std::vector<ServerMessage>& said) { said.clear(); }),
      AnswersBy("server_without_tls_wants_it_for_list", spec::kTlsNotlsNoTlsReqd, OptionType::kList,
                OptionReplyType::kErrTlsReqd),
      AnswersBy("server_informs_about_starttls", spec::kOptionStarttlsReply, OptionType::kStarttls,
                OptionReplyType::kInfo),
      AnswersBy("server_answers_starttls_by_type_99", spec::kOptionStarttlsReply, OptionType::kStarttls, 99),
  };
}

}  // namespace nbdspec::conformance
