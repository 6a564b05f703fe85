// SPDX-License-Identifier: BSD-3-Clause
// SessionJudge: what a client may demand of every answer in a session, from what it sent and what it received.
//
// It knows what the exports offer, and shares with the server only the codec, which has a target of its own; answers to
// requests are ReferenceJudge's. It demands a relation, not a text: any permitted error, any order of a list. Stricter
// than the specification in one thing, which makes it simple: the reference server answers one message after the other.

#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/negotiation/negotiated.h"
#include "engine/server/server.h"
#include "engine/wire/client_decoder.h"
#include "engine/wire/messages.h"
#include "engine/wire/payloads.h"
#include "engine/wire/server_decoder.h"
#include "fuzz/comparisons/disagreement.h"
#include "fuzz/inputs/server_session_input.h"
#include "fuzz/oracles/export_model.h"
#include "fuzz/oracles/reference_judge.h"

namespace nbdspec::fuzz {

// What a server said in answer to SessionInput::said, and what it left behind.
struct SessionTranscript {
  engine::Bytes received;  // By the client.
  bool closed = false;     // By the server.
};

class SessionJudge {
 public:
  // Both outlive the judge; `exports` are what the server serves, as they were before the session.
  SessionJudge(const SessionInput& input, std::vector<engine::Export>& exports)
      : input_(input), exports_(exports), client_(input.server.limits) {}

  // The first thing wrong with `transcript`, or with what the exports hold after it. Call it once.
  std::optional<Disagreement> Judge(const SessionTranscript& transcript, const std::vector<engine::Export>& after);

 private:
  void JudgeMessage(const engine::ClientMessage& message);
  void JudgeEnd(const SessionTranscript& transcript, const std::vector<engine::Export>& after);

  // Reads the server. All record what they miss with Fail; what they return is then empty.
  std::optional<engine::ServerMessage> TakeMessage(std::string_view wanted);
  std::vector<engine::OptionReply> TakeReplies(std::uint32_t option);  // Up to the final one.
  std::optional<ReceivedAnswer> TakeAnswer(const engine::Request& request);

  void JudgeOption(const engine::Option& option);
  void JudgeExportName(const engine::Option& option);
  void JudgeList(const engine::Option& option, const std::vector<engine::OptionReply>& replies);
  void JudgeInfoOrGo(const engine::Option& option, const std::vector<engine::OptionReply>& replies);
  void JudgeInformation(const engine::Export& of, const engine::InfoQuery& query,
                        const std::vector<engine::OptionReply>& replies);
  void JudgeStructuredReply(const engine::Option& option, const std::vector<engine::OptionReply>& replies);
  void JudgeMetaContext(const engine::Option& option, const std::vector<engine::OptionReply>& replies);
  void JudgeContexts(const engine::Export& of, const engine::MetaContextQuery& query, bool listing,
                     const std::vector<engine::OptionReply>& replies);
  void DemandError(const std::vector<engine::OptionReply>& replies, std::initializer_list<std::uint32_t> permitted);
  bool DemandAck(const std::vector<engine::OptionReply>& replies);
  void Enter(engine::Export& entered);
  [[nodiscard]] engine::Export* FindExport(std::string_view name);
  [[nodiscard]] std::uint16_t TransmissionFlagsOf(const engine::ExportOptions& offered) const;

  void JudgeRequest(const engine::Request& request);
  void Fail(std::string expected, std::string saw);

  const SessionInput& input_;
  std::vector<engine::Export>& exports_;
  engine::ClientDecoder client_;
  engine::ServerDecoder server_;

  engine::Negotiated negotiated_;
  const engine::Export* entered_ = nullptr;
  ExportModel model_;  // Of entered_.
  ReferenceJudge judge_{model_};
  bool is_over_ = false;

  std::string where_;
  std::optional<Disagreement> found_;
};

}  // namespace nbdspec::fuzz
