// SPDX-License-Identifier: BSD-3-Clause
// Faults for meta_context_checks.cc.
#include "conformance/faulty/context_faults.h"
#include "conformance/faulty/fault.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::MetaContext;
using engine::OptionReply;
using engine::OptionReplyType;
using engine::OptionType;

std::vector<Fault> MetaContextFaults() {
  return {
      HearsWrong("server_takes_structured_reply_with_data", spec::kOptionStructuredReplyDataInvalid,
                 [](engine::ClientMessage& heard, const engine::ConnectionState&) {
                   if (auto* option = std::get_if<engine::Option>(&heard);
                       option != nullptr && option->option == OptionType::kStructuredReply) {
                     option->payload.clear();
                   }
                   return true;
                 }),
      RepliesWrong("server_advertises_structured_feature_early", spec::kOptionStructuredReplyNoEarlyAdvertise,
                   OptionType::kGo,
                   [](const engine::Option&, OptionReply& reply) {
                     if (auto info = engine::DecodeInfoExport(reply.payload)) {
                       info->flags |= engine::TransmissionFlag::kSendDf;
                       reply.payload = EncodePayload(*info);
                     }
                   }),
      NamesWrong("server_names_context_without_colon", spec::kMetadataNameFormatServer, 0,
                 [](MetaContext& context) { context.name = "allocation"; }),
      NamesWrong("server_names_context_without_namespace", spec::kMetadataNameNamespaceNonempty, 0,
                 [](MetaContext& context) { context.name = ":allocation"; }),
      NamesWrong("server_puts_blank_into_namespace", spec::kMetadataNameNamespaceCharset, 0,
                 [](MetaContext& context) { context.name = "x-my disk:allocation"; }),
      NamesWrong("server_puts_bare_byte_into_namespace", spec::kMetadataNameNamespaceCharset, 0,
                 [](MetaContext& context) { context.name = "x-\xff:allocation"; }),
      NamesWrong("server_invents_namespace", spec::kMetadataNamespaceAllowed, 0,
                 [](MetaContext& context) { context.name = "acme:allocation"; }),
      GivesContext("server_selects_by_empty_leaf", spec::kMetadataEmptyLeafSet, OptionType::kSetMetaContext,
                   {.id = 9, .name = "x-nbdspec-none:depth"}),
      GivesContext("server_takes_base_as_wildcard_in_set", spec::kMetadataBaseSetWildcardIgnored,
                   OptionType::kSetMetaContext, {.id = 9, .name = std::string(engine::kBaseAllocation)}),
      EndsWrong("server_refuses_base_in_set", spec::kMetadataBaseSetWildcardIgnored, OptionType::kSetMetaContext,
                OptionReplyType::kErrInvalid),
      ForgetsContexts("server_ignores_base_in_list", spec::kMetadataBaseListWildcard, OptionType::kListMetaContext),
      EndsWrong("server_refuses_unknown_leaf_of_base", spec::kMetadataBaseUnknownLeafIgnored,
                OptionType::kSetMetaContext, OptionReplyType::kErrInvalid),
      ForgetsContexts("server_selects_nothing_beside_unknown_leaf", spec::kMetadataBaseUnknownLeafIgnored,
                      OptionType::kSetMetaContext),
      EndsWrong("server_knows_no_list_with_unknown_leaf", spec::kSub<spec::kMetadataBaseUnknownLeafIgnored, "list">,
                OptionType::kListMetaContext, OptionReplyType::kErrUnknown),
      ForgetsContexts("server_lists_nothing_beside_unknown_leaf",
                      spec::kSub<spec::kMetadataBaseUnknownLeafIgnored, "list">, OptionType::kListMetaContext),
      NamesWrong("server_invents_context_in_base", spec::kMetadataBaseOnlyAllocation, 0,
                 [](MetaContext& context) { context.name = "base:dirty"; }),
      RepliesWrong("server_sends_context_without_name", spec::kRepMetaContextLayout, 0,
                   [](const engine::Option&, OptionReply& reply) {
                     if (reply.type == OptionReplyType::kMetaContext) {
                       reply.payload.resize(4);
                     }
                   }),
      NamesWrong("server_names_context_in_latin_1", spec::kRepMetaContextUtf8, 0,
                 [](MetaContext& context) { context.name = "x-lat:caf\xe9"; }),
  };
}

}  // namespace nbdspec::conformance
