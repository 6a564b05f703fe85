// SPDX-License-Identifier: BSD-3-Clause
// Transcript: what was said on one connection, in both directions, decoded, with its place in the stream.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace nbdspec::conformance {

class Transcript {
 public:
  enum class Direction { kSent, kReceived, kNote };

  struct Line {
    int connection = 1;  // Counted from 1 within a check.
    Direction direction = Direction::kNote;
    std::uint64_t offset = 0;  // Of the first byte in its direction's stream.
    std::uint64_t length = 0;  // Bytes.
    std::string text;          // Decoded, escaped, for people.
  };

  // Keeps at most kLinesMax lines: the first half of what came first and then the newest.
  void Add(Line line);

  [[nodiscard]] const std::vector<Line>& lines() const { return lines_; }
  [[nodiscard]] std::uint64_t dropped_line_count() const { return dropped_; }

  // The last line sent, without its mark; empty when there is none.
  [[nodiscard]] std::string LastSent() const;

  // Where the conversation stands: "line 14, byte 1342 from the server".
  [[nodiscard]] std::string Place() const;

  // One line each, numbered: "   3 C> @16 +20  NBD_OPT_GO, 20 bytes", "   4 S< ...", "   5 -- connection closed"; a
  // second connection's lines have "C2>", "S2<".
  [[nodiscard]] std::vector<std::string> Text() const;

  static constexpr std::size_t kLinesMax = 400;

 private:
  std::vector<Line> lines_;
  std::uint64_t dropped_ = 0;
};

}  // namespace nbdspec::conformance
