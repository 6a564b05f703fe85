// SPDX-License-Identifier: BSD-3-Clause
// Transcript: what both sides sent on the connections of a check, decoded, with its place in the stream.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/wire/messages.h"
#include "reports/model/evidence.h"

namespace nbdspec::conformance {

class Transcript {
 public:
  using From = reports::Message::From;

  struct Line {
    int connection = 1;  // Counted from 1 within a check.
    From from = From::kNobody;
    std::uint64_t offset = 0;                  // Of the first byte in its direction's stream.
    std::uint64_t length = 0;                  // Bytes.
    engine::Description what = {};             // Decoded, escaped, for people. Of a note: its words.
    std::optional<std::uint64_t> cookie = {};  // Of a request or reply.
    bool is_farewell = false;                  // See MarkFarewell.
  };

  // Keeps at most kKeptMax lines: what came first, and the newest.
  void Add(Line line);

  // The last line was sent only to leave: it asks nothing.
  void MarkFarewell() { lines_.back().is_farewell = true; }

  [[nodiscard]] const std::vector<Line>& lines() const { return lines_; }
  // The line with that index, as a message of no part.
  [[nodiscard]] reports::Message MessageAt(std::size_t index) const;

  // See reports::LineOf. At most kLinesMax lines, of either end one half, and those with indices in `also`, which
  // ascends; and how many are left out where some are.
  [[nodiscard]] std::vector<std::string> Text(std::span<const std::size_t> also = {}) const;

  // Whether some wait for a message was in vain.
  [[nodiscard]] bool has_silence() const { return has_silence_; }
  void NoteSilence() { has_silence_ = true; }

  static constexpr std::size_t kLinesMax = 400;
  static constexpr std::size_t kKeptMax = 1 << 14;  // One of thousands may be judged.

 private:
  [[nodiscard]] reports::Message WordsAt(std::size_t index) const;

  bool has_silence_ = false;
  std::vector<Line> lines_;
  std::uint64_t dropped_ = 0;  // Behind the first kLinesMax / 2.
};

}  // namespace nbdspec::conformance
