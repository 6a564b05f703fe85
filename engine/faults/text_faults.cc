// SPDX-License-Identifier: BSD-3-Clause
// Faults of the strings that a server sends.
#include <string>

#include "engine/faults/answer_changes.h"
#include "engine/faults/fault_tables.h"
#include "engine/faults/option_changes.h"
#include "engine/spec/ids.h"

namespace nbdspec::engine::faults {

namespace {

// Every error reply to an option has `text`.
Change Refuses(std::string text) {
  return ChangesOptionReplies(kAnyOption, [text = std::move(text)](OptionReply& reply) {
    if (reply.is_error()) {
      reply.payload.assign(text.begin(), text.end());
    }
  });
}

Change Lists(ListedExport listed) {
  return ChangesOptionReplies(
      OptionType::kList, OptionReplyType::kServer,
      [listed = std::move(listed)](OptionReply& reply) { reply.payload = EncodePayload(listed); });
}

Change Describes(std::string text) {
  return ChangesInfoBytes(OptionType::kInfo, InfoType::kDescription, [text = std::move(text)](Bytes& payload) {
    payload = EncodePayload(InfoText{.type = InfoType::kDescription, .text = text});
  });
}

// Every error chunk in answer to READ has `text`.
Change Fails(std::string text) {
  return ChangesErrorChunks([text = std::move(text)](Chunk& chunk) {
    chunk.payload = EncodePayload(ErrorPayload{.error = kEinval, .message = text});
  });
}

}  // namespace

std::vector<Fault> TextFaults() {
  const std::string nul(1, '\0');
  const std::string latin1 = "na\xefve";
  return {
      {"server_lists_latin1_name", spec::kGeneralStringUtf8Server, Lists({.name = latin1})},
      {"server_lists_latin1_description", spec::kGeneralStringUtf8Server, Lists({.name = "", .description = latin1})},
      {"server_describes_in_latin1", spec::kGeneralStringUtf8Server, Describes(latin1)},
      {"server_refuses_in_latin1", spec::kGeneralStringUtf8Server, Refuses(latin1)},
      {"server_lists_latin1_context", spec::kGeneralStringUtf8Server,
       ChangesContexts(OptionType::kListMetaContext,
                       [=](MetaContext& context) { context = {.name = "x-nbdspec:" + latin1}; })},
      {"server_fails_in_latin1", By(spec::kGeneralStringUtf8Server, spec::kStructuredErrorMessageDisplayable),
       Fails(latin1)},
      {"server_ends_name_with_nul", spec::kGeneralStringNoNulServer, Lists({.name = "d" + nul})},
      {"server_ends_text_of_error_with_nul", By(spec::kGeneralStringNoNulServer, spec::kRepErrTextString),
       Refuses("no" + nul)},
      {"server_ends_text_of_error_chunk_with_nul",
       By(spec::kGeneralStringNoNulServer, spec::kStructuredErrorMessageDisplayable), Fails("no" + nul)},
      {"server_lists_endless_name", spec::kGeneralStringMax4096Server, Lists({.name = std::string(4097, 'x')})},
      {"server_refuses_endlessly", spec::kGeneralStringMax4096Server, Refuses(std::string(5000, 'x'))},
      {"server_sends_endless_error_message", spec::kStructuredErrorMessageCap, Fails(std::string(4097, 'e'))},
      {"server_describes_at_length", spec::kGeneralStringSoft256Server, Describes(std::string(257, 'x'))},
      {"server_sends_garbage_with_error", spec::kRepErrTextString, Refuses("\x01\x02\xff\xfe")},
      {"server_sends_number_after_name", spec::kRepServerTrailingText,
       Lists({.name = "d", .description = nul + "\x40"})},
  };
}

}  // namespace nbdspec::engine::faults
