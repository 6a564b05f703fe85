// SPDX-License-Identifier: BSD-3-Clause
// SessionJudge: what a client may demand of every answer in a session, from what it sent and what it received.
//
// A second opinion: it knows the specification and what the exports offer, keeps the bytes it wrote itself, and shares
// with the server only the codec, which has a target of its own. It demands a relation, not a text: any permitted
// error, any order of a list, any division of a READ into chunks. Stricter than the specification in one thing, which
// makes it simple: the reference server answers one message after the other.

#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/server/export.h"
#include "engine/wire/client_decoder.h"
#include "engine/wire/messages.h"
#include "engine/wire/payloads.h"
#include "engine/wire/server_decoder.h"
#include "fuzz/comparisons/disagreement.h"
#include "fuzz/inputs/server_session_input.h"

namespace nbdspec::fuzz {

// What a server said in answer to SessionInput::said, and what it left behind.
struct SessionTranscript {
  engine::Bytes heard;  // By the client.
  bool closed = false;  // By the server.
};

class SessionJudge {
 public:
  // `input` outlives the judge.
  explicit SessionJudge(const SessionInput& input);

  // The first thing wrong with `transcript`, or with what the exports hold after it. Call it once.
  std::optional<Disagreement> Judge(const SessionTranscript& transcript, const std::vector<engine::Export>& after);

 private:
  // What the client knows of one export's contents.
  struct Shadow {
    engine::Bytes bytes;
    engine::Bytes provisioned;  // 1 where the last change was a write, or zeroes without permission for a hole.
  };
  struct Answer {
    std::uint32_t error = engine::NbdError::kOk;
    std::optional<engine::SimpleReply> simple = {};
    std::vector<engine::Chunk> chunks = {};
  };
  // How a request may end.
  struct Permitted {
    bool success = true;
    std::set<std::uint32_t> errors = {};
  };

  void JudgeMessage(const engine::ClientMessage& message);
  void JudgeEnd(const SessionTranscript& transcript, const std::vector<engine::Export>& after);

  // Reads the server. All record what they miss with Fail; what they return is then empty.
  std::optional<engine::ServerMessage> TakeMessage(std::string_view wanted);
  std::vector<engine::OptionReply> TakeReplies(std::uint32_t option);  // Up to the final one.
  std::optional<Answer> TakeAnswer(const engine::Request& request);
  void TakeChunks(const engine::Request& request, engine::Chunk first, Answer& answer);

  // server_session_judge.cc: option haggling.
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
  void Enter(const engine::Export& entered);
  [[nodiscard]] const engine::Export* FindExport(std::string_view name) const;
  [[nodiscard]] std::uint16_t TransmissionFlagsOf(const engine::ExportOptions& offered) const;

  // server_session_judge_requests.cc: transmission.
  void JudgeRequest(const engine::Request& request);
  [[nodiscard]] Permitted PermittedFor(const engine::Request& request) const;
  [[nodiscard]] bool IsOffered(std::uint16_t command) const;
  [[nodiscard]] std::uint16_t FlagsFor(std::uint16_t command) const;
  void JudgeChunk(const engine::Request& request, const engine::Chunk& chunk);
  void JudgeRead(const engine::Request& request, const Answer& answer);
  void JudgeBlockStatus(const engine::Request& request, const Answer& answer);
  void JudgeClaims(const engine::Request& request, const engine::Chunk& chunk);
  void Apply(const engine::Request& request);

  void Fail(std::string expected, std::string saw);

  const SessionInput& input_;
  std::vector<engine::Export> exports_;  // As they were before the session.
  engine::ClientDecoder client_;
  engine::ServerDecoder server_;

  std::uint32_t client_flags_ = 0;
  bool is_structured_ = false;
  std::string context_export_;
  std::vector<engine::MetaContext> contexts_;
  const engine::Export* entered_ = nullptr;
  Shadow shadow_;  // Of entered_.
  bool is_over_ = false;

  std::string where_;
  std::optional<Disagreement> found_;
};

}  // namespace nbdspec::fuzz
