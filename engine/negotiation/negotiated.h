// SPDX-License-Identifier: BSD-3-Clause
// What one connection has negotiated so far, and the one transition function of haggling: what each message means for
// it. Both ends apply the same messages, one as it sends them and the other as it receives them, so both know the same.
//
// Extended headers and TLS change what follows on the connection, not this module: `headers` tells codecs which form of
// request and chunk is due, and `tls` tells whoever owns the connection's bytes to put a filter around its transport
// (encrypted bytes below, plain ones above) once the acknowledgement of STARTTLS has passed.

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/wire/messages.h"
#include "engine/wire/payloads.h"
#include "engine/wire/protocol.h"

namespace nbdspec::engine {

using OptionReplies = std::vector<OptionReply>;

struct Negotiated {
  bool oldstyle = false;  // The greeting was the whole of the handshake.
  std::uint16_t handshake_flags = 0;
  std::uint32_t client_flags = 0;
  bool tls = false;
  bool structured_replies = false;  // Replies come in chunks: after STRUCTURED_REPLY or EXTENDED_HEADERS.
  HeaderForm headers = HeaderForm::kCompact;
  bool transmission = false;               // GO or EXPORT_NAME has entered an export.
  std::string export_name = {};            // The one entered.
  std::string context_export = {};         // Named in the last successful SET_META_CONTEXT.
  std::vector<MetaContext> contexts = {};  // Selected by it.
  InfoExport info = {};                    // Size and transmission flags of the export entered.
  InfoBlockSize block_size = {};           // The specification's defaults where the server sent none.
  bool has_info = false;                   // Whether the server sent `info`, and
  bool has_block_size = false;             // the same of `block_size`.
  bool operator==(const Negotiated&) const = default;

  [[nodiscard]] bool Has(std::uint16_t transmission_flag) const { return (info.flags & transmission_flag) != 0; }
  [[nodiscard]] bool is_fixed_newstyle() const { return (handshake_flags & HandshakeFlag::kFixedNewstyle) != 0; }

  // Whether 124 bytes follow the reply to EXPORT_NAME: unless both sides set NO_ZEROES.
  [[nodiscard]] bool pads_export_name_reply() const {
    return (handshake_flags & HandshakeFlag::kNoZeroes) == 0 || (client_flags & ClientFlag::kNoZeroes) == 0;
  }

  // --- The transition function ---

  void Apply(const Greeting& greeting) { handshake_flags = greeting.flags; }
  void Apply(const OldstyleGreeting& greeting);
  void Apply(const ClientFlags& flags) { client_flags = flags.flags; }

  // `replies` are all replies to `option`, the final one last. A refused option changes nothing, but for
  // SET_META_CONTEXT, which drops what was selected before.
  // Spec: option.set-meta-context.replaces-on-failure, .other-export, option.starttls.drop-structured, .drop-meta.
  void Apply(const Option& option, std::span<const OptionReply> replies);

  // `reply` answers the EXPORT_NAME in `option`.
  void Apply(const Option& option, const ExportNameReply& reply);

 private:
  void Enter(std::string name);
};

// What the replies of `type` hold, as far as it can be taken apart.
template <typename Payload>
std::vector<Payload> PayloadsOf(std::span<const OptionReply> replies, std::uint32_t type) {
  std::vector<Payload> payloads;
  payloads.reserve(replies.size());
  for (const OptionReply& reply : replies) {
    if (auto payload = reply.type == type ? DecodePayload<Payload>(reply.payload) : std::nullopt) {
      payloads.push_back(*std::move(payload));
    }
  }
  return payloads;
}

// `request` as a client that keeps to the rules sends it in that form: a payload is announced as one, also that of an
// empty WRITE.
Request InForm(HeaderForm form, Request request);

// Whether `reply` is the last one to its option: all are but NBD_REP_SERVER, NBD_REP_INFO and NBD_REP_META_CONTEXT.
inline bool IsFinal(const OptionReply& reply) {
  return reply.type != OptionReplyType::kServer && reply.type != OptionReplyType::kInfo &&
         reply.type != OptionReplyType::kMetaContext;
}

// What the data of an option is made from; each option takes from it what belongs into its data.
struct OptionData {
  std::string export_name = {};
  std::vector<std::uint16_t> requests = {};  // INFO and GO: InfoType.
  std::vector<std::string> queries = {};     // LIST_META_CONTEXT and SET_META_CONTEXT.
};

// The option with its data; an option that takes none, or is unknown, has none.
Option MakeOption(std::uint32_t option, OptionData data = {});

}  // namespace nbdspec::engine
