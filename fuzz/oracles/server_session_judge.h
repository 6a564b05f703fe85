// SPDX-License-Identifier: BSD-3-Clause
// What a client may demand of every answer in a session, from what it sent and what it received.
//
// The judges know what the exports offer, and share with the server only the codec, which has a target of its own;
// answers to requests are ReferenceJudge's. They demand a relation, not a text: any permitted error, any order of a
// list. Stricter than the specification in one thing, which makes it simple: the reference server answers one message
// after the other.

#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/negotiation/negotiated.h"
#include "engine/server/server.h"
#include "engine/wire/messages.h"
#include "fuzz/inputs/server_session_input.h"
#include "fuzz/oracles/disagreement.h"

namespace nbdspec::fuzz {

// Judges the replies to options, in the order in which these are sent, and keeps what they negotiate.
class HagglingJudge {
 public:
  // The exports outlive the judge. Is `is_plain` false, information of unknown types is right.
  HagglingJudge(const engine::ServerOptions& server, std::vector<engine::Export*> exports, bool is_plain = true)
      : server_(server), exports_(std::move(exports)), is_plain_(is_plain) {}

  void SetFlags(std::uint32_t client_flags) { negotiated_.client_flags = client_flags; }

  // The first thing wrong with `replies`, all that answered `option`: any but EXPORT_NAME. The place is left to the
  // caller.
  Found Judge(const engine::Option& option, const engine::OptionReplies& replies);

  // EXPORT_NAME enters the export of that name, or ends the connection where there is none: then the answer is nothing.
  bool EnterByName(const engine::Option& option);
  [[nodiscard]] engine::ExportNameReply ExportNameReply() const;

  [[nodiscard]] const engine::Negotiated& negotiated() const { return negotiated_; }
  // What was entered, if anything.
  [[nodiscard]] engine::Export* entered() const { return entered_; }
  // Whether the connection ends by what was sent last.
  [[nodiscard]] bool is_over() const { return is_over_; }
  [[nodiscard]] bool has_ended() const { return is_over_ || entered_ != nullptr; }

 private:
  using Replies = engine::OptionReplies;

  Found JudgeList(const engine::Option& option, const Replies& replies) const;
  Found JudgeInfoOrGo(const engine::Option& option, const Replies& replies);
  [[nodiscard]] Found JudgeInformation(const engine::Export& of, const engine::InfoQuery& query,
                                       const Replies& replies) const;
  Found JudgeStructuredReply(const engine::Option& option, const Replies& replies);
  Found JudgeExtendedHeaders(const engine::Option& option, const Replies& replies);
  Found JudgeMetaContext(const engine::Option& option, const Replies& replies);
  Found JudgeContexts(const engine::Export& of, const engine::MetaContextQuery& query, bool listing,
                      const Replies& replies);
  void Enter(engine::Export& entered);
  [[nodiscard]] std::vector<std::string_view> ContextsOf(const engine::Export& of) const;
  [[nodiscard]] engine::Export* FindExport(std::string_view name) const;
  [[nodiscard]] std::uint16_t TransmissionFlagsOf(const engine::ExportOptions& offered) const;

  engine::ServerOptions server_;
  std::vector<engine::Export*> exports_;
  bool is_plain_;
  engine::Negotiated negotiated_;
  engine::Export* entered_ = nullptr;
  bool is_over_ = false;
};

std::vector<engine::Export*> PointersTo(std::vector<engine::Export>& exports);

// What a server said in answer to SessionInput::said, and what it left behind.
struct SessionTranscript {
  engine::Bytes received;           // By the client.
  bool closed = false;              // By the server.
  std::size_t taken_bytes_max = 0;  // The most that the server gave out at once.
};

// The first thing wrong with `transcript`, or with what the exports hold after it. `before` are what the server served,
// as they were before the session. Not for several threads at once: buffers are used again.
Found FindInSession(const SessionInput& input, const SessionTranscript& transcript, std::vector<engine::Export>& before,
                    const std::vector<engine::Export>& after);

}  // namespace nbdspec::fuzz
