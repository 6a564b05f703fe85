// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/comparisons/server_session_differential.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "engine/server/server.h"
#include "fuzz/inputs/fresh_inputs.h"
#include "fuzz/inputs/server_session_input.h"
#include "fuzz/oracles/server_session_judge.h"

namespace nbdspec::fuzz {
namespace {

using Exports = std::vector<engine::Export>;

// The most that one message may add to the output: all bytes of the largest export, in chunks.
constexpr std::size_t kAnswerBytesMax = 1 << 17;
constexpr std::size_t kTakenBytesMax = engine::Server::kOutputBytesMax + kAnswerBytesMax;

// Sends what `input` says, in its pieces.
SessionTranscript Converse(const SessionInput& input, Exports& exports, const MakeInterposer& make_interposer) {
  SessionTranscript transcript;
  const std::unique_ptr<engine::Interposer> interposer = make_interposer ? make_interposer() : nullptr;
  engine::Server server(input.server, PointersTo(exports), interposer.get());
  engine::ByteView rest = input.said;
  for (std::size_t i = 0; i == 0 || !rest.empty(); ++i) {
    const std::size_t count = std::min(input.piece_bytes[i % 2], rest.size());
    server.Receive(rest.first(count));
    rest = rest.subspan(count);
    if (rest.empty() || !input.is_read_slowly) {
      for (engine::Bytes bytes = server.TakeOutput(); !bytes.empty(); bytes = server.TakeOutput()) {
        transcript.taken_bytes_max = std::max(transcript.taken_bytes_max, bytes.size());
        transcript.received.insert(transcript.received.end(), bytes.begin(), bytes.end());
      }
    }
  }
  transcript.closed = server.closed();
  return transcript;
}

SessionInput InOnePiece(SessionInput input) {
  input.piece_bytes = {input.said.size(), 1};
  input.is_read_slowly = true;
  return input;
}

// --- Haggling about metadata contexts ---

// Shared by all runs: nothing here writes.
Exports& MetaExports() {
  static Exports exports = [] {
    Exports made;
    const auto make = [&made](std::string_view name) {
      engine::ExtentMap extents(std::uint64_t{kMetaBlockCount} * kMetaBlockBytes, engine::ExtentType::kHoleZero);
      for (std::uint32_t block = 1; block < kMetaBlockCount; block += 2) {
        (void)extents.Add(std::uint64_t{block} * kMetaBlockBytes, kMetaBlockBytes, engine::ExtentType::kData);
      }
      made.push_back({.options = {.name = std::string(name), .base_allocation = name != kBareExport},
                      .disk = engine::Disk(std::move(extents))});
    };
    std::ranges::for_each(kMetaExports, make);
    make(kBareExport);
    return made;
  }();
  return exports;
}

}  // namespace

Found FindServerSessionDisagreement(engine::ByteView bytes, const MakeInterposer& make_interposer) {
  const SessionInput input = ReadSessionInput(bytes);
  Exports exports = MakeSessionExports(input);
  const SessionTranscript whole = Converse(InOnePiece(input), exports, make_interposer);
  Exports before = MakeSessionExports(input);
  if (auto found = FindInSession(input, whole, before, exports)) {
    return found;
  }
  exports = MakeSessionExports(input);
  const SessionTranscript again = Converse(input, exports, make_interposer);
  if (again.received != whole.received || again.closed != whole.closed) {
    const auto differ = std::ranges::mismatch(again.received, whole.received);
    return Compare(
        fmt::format("in pieces of {} bytes", fmt::join(input.piece_bytes, " and ")),
        fmt::format("{} bytes, as for the whole", whole.received.size()),
        fmt::format("{} bytes, other ones from {} on", again.received.size(), differ.in1 - again.received.begin()));
  }
  const std::size_t taken = std::max(whole.taken_bytes_max, again.taken_bytes_max);
  return Compare("bytes of output beyond what it may hold and one answer", std::size_t{0},
                 std::max(taken, kTakenBytesMax) - kTakenBytesMax);
}

Found FindMetaContextDisagreement(engine::ByteView bytes, const MakeInterposer& make_interposer) {
  const SessionInput input = InOnePiece(ReadMetaContextInput(bytes));
  const SessionTranscript transcript = Converse(input, MetaExports(), make_interposer);
  return FindInSession(input, transcript, MetaExports(), MetaExports());
}

FuzzTarget ServerSessionTarget() {
  return {.name = "server_session",
          .subject = "the reference server, by any bytes",
          .against = "the same judge",
          .inputs = {.fresh = FreshSessionInput},
          .find_in_bytes = [](engine::ByteView input) { return FindServerSessionDisagreement(input); },
          .dictionary = "nbd.dict",
          .check_runs = 15'000};
}

FuzzTarget MetaContextTarget() {
  return {.name = "meta_context",
          .subject = "option haggling with it, in any order",
          .against = "a judge of each answer",
          .inputs = {.bytes_max = 64},
          .find_in_bytes = [](engine::ByteView input) { return FindMetaContextDisagreement(input); }};
}

}  // namespace nbdspec::fuzz
