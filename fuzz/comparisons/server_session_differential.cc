// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/comparisons/server_session_differential.h"

#include <algorithm>
#include <array>
#include <string>
#include <utility>
#include <vector>

#include "engine/server/server.h"
#include "fuzz/inputs/fresh_inputs.h"
#include "fuzz/inputs/server_session_input.h"
#include "fuzz/oracles/server_session_judge.h"

namespace nbdspec::fuzz {
namespace {

// The most that one message may add to the output: all bytes of the largest export, in chunks.
constexpr std::size_t kAnswerBytesMax = 1 << 17;

using PieceBytes = std::array<std::size_t, 2>;

struct Session {
  std::vector<engine::Export> exports;
  SessionTranscript transcript;
  std::size_t taken_bytes_max = 0;  // At once.
};

void TakeAll(engine::Server& server, Session& session) {
  for (engine::Bytes bytes = server.TakeOutput(); !bytes.empty(); bytes = server.TakeOutput()) {
    session.taken_bytes_max = std::max(session.taken_bytes_max, bytes.size());
    engine::Bytes& received = session.transcript.received;
    received.insert(received.end(), bytes.begin(), bytes.end());
  }
}

// Says what `input` says in pieces of these sizes by turns.
Session Converse(const SessionInput& input, PieceBytes piece_bytes, bool is_read_slowly,
                 const MakeInterposer& make_interposer) {
  Session session = {.exports = MakeSessionExports(input)};
  std::vector<engine::Export*> exports;
  for (engine::Export& each : session.exports) {
    exports.push_back(&each);
  }
  const std::unique_ptr<engine::Interposer> interposer = make_interposer ? make_interposer() : nullptr;
  engine::Server server(input.server, exports, interposer.get());
  engine::ByteView rest = input.said;
  for (std::size_t i = 0; !rest.empty(); ++i) {
    const std::size_t count = std::min(piece_bytes[i % 2], rest.size());
    server.Receive(rest.first(count));
    rest = rest.subspan(count);
    if (!is_read_slowly) {
      TakeAll(server, session);
    }
  }
  TakeAll(server, session);
  session.transcript.closed = server.closed();
  return session;
}

}  // namespace

std::optional<Disagreement> FindServerSessionDisagreement(engine::ByteView bytes,
                                                          const MakeInterposer& make_interposer) {
  const SessionInput input = ReadSessionInput(bytes);
  const PieceBytes whole = {input.said.size(), 1};
  const Session session = Converse(input, whole, /*is_read_slowly=*/true, make_interposer);
  std::vector<engine::Export> before = MakeSessionExports(input);
  if (auto found = SessionJudge(input, before).Judge(session.transcript, session.exports)) {
    return found;
  }
  const Session again = Converse(input, input.piece_bytes, input.is_read_slowly, make_interposer);
  const auto in_pieces = [&] {
    return "in pieces of " + std::to_string(input.piece_bytes[0]) + " and " + std::to_string(input.piece_bytes[1]) +
           " bytes";
  };
  if (again.transcript.received != session.transcript.received ||
      again.transcript.closed != session.transcript.closed) {
    const auto differ = std::ranges::mismatch(again.transcript.received, session.transcript.received);
    return Disagreement{.where = in_pieces(),
                        .expected = std::to_string(session.transcript.received.size()) + " bytes, as for the whole",
                        .saw = std::to_string(again.transcript.received.size()) + " bytes, other ones from " +
                               std::to_string(differ.in1 - again.transcript.received.begin()) + " on"};
  }
  const std::size_t taken_bytes_max = std::max(session.taken_bytes_max, again.taken_bytes_max);
  if (taken_bytes_max > engine::Server::kOutputBytesMax + kAnswerBytesMax) {
    return Disagreement{
        .where = "output",
        .expected = "at most " + std::to_string(engine::Server::kOutputBytesMax) + " bytes and an answer",
        .saw = std::to_string(taken_bytes_max)};
  }
  return std::nullopt;
}

FuzzTarget ServerSessionTarget() {
  return {.name = "server_session",
          .subject = "the reference server, by any bytes",
          .against = "a judge of each answer",
          .inputs = {.fresh = FreshSessionInput},
          .find_in_bytes = [](engine::ByteView input) { return FindServerSessionDisagreement(input); },
          .dictionary = "nbd.dict",
          .check_runs = 15'000};
}

}  // namespace nbdspec::fuzz
