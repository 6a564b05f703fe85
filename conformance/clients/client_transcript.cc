// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/clients/client_transcript.h"

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <variant>

#include "engine/conduct/record.h"

namespace nbdspec::conformance {

namespace {

using reports::Message;

Transcript::Line LineFor(const engine::Seen& seen, int connection) {
  Transcript::Line line{.connection = connection};
  const auto note = [&line](std::string text) { line.what.text = std::move(text); };
  if (std::holds_alternative<engine::ClientMessage>(seen.what) ||
      std::holds_alternative<engine::ServerMessage>(seen.what)) {
    line.from =
        std::holds_alternative<engine::ClientMessage>(seen.what) ? Message::From::kClient : Message::From::kServer;
    line.what = seen.words;
  } else if (std::holds_alternative<engine::NoMessage>(seen.what)) {
    note("the client sent bytes that are no message");
  } else if (std::holds_alternative<engine::TlsBegins>(seen.what)) {
    note("TLS is due");
  } else {
    switch (std::get<engine::Departure>(seen.what).how) {
      case engine::Departure::How::kClosed:
        note("the client closed the connection");
        break;
      case engine::Departure::How::kReset:
        note("the client reset the connection");
        break;
      case engine::Departure::How::kServerEnd:
        note("the server had ended the connection");
        break;
      case engine::Departure::How::kStayed:
        note("the connection was still there when the client had ended");
        break;
    }
  }
  return line;
}

}  // namespace

Transcript TranscriptOf(const ClientRun& run) {
  Transcript transcript;
  for (std::size_t c = 0; c < run.records.size(); ++c) {
    std::array<std::uint64_t, 2> sent_bytes = {};  // Until now, in the order of From.
    for (const engine::Seen& seen : run.records[c].seen) {
      if (transcript.lines().size() == Transcript::kKeptMax) {
        return transcript;
      }
      Transcript::Line line = LineFor(seen, static_cast<int>(c) + 1);
      if (line.from != Transcript::From::kNobody) {
        line.length = seen.wire_bytes;
        std::uint64_t& sent = sent_bytes.at(static_cast<std::size_t>(line.from));
        line.offset = sent;
        sent += line.length;
      }
      transcript.Add(std::move(line));
    }
  }
  return transcript;
}

}  // namespace nbdspec::conformance
