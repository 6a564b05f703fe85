// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/session/transcript.h"

#include <fmt/format.h>

#include <utility>

namespace nbdspec::conformance {

void Transcript::Add(Line line) {
  if (lines_.size() == kLinesMax) {
    lines_.erase(lines_.begin() + kLinesMax / 2);  // The start and the end say most; the middle goes.
    ++dropped_;
  }
  lines_.push_back(std::move(line));
}

std::string Transcript::LastSent() const {
  for (auto line = lines_.rbegin(); line != lines_.rend(); ++line) {
    if (line->direction == Direction::kSent) {
      return line->text;
    }
  }
  return {};
}

std::string Transcript::Place() const {
  for (auto line = lines_.rbegin(); line != lines_.rend(); ++line) {
    if (line->direction == Direction::kReceived) {
      const auto number = static_cast<std::uint64_t>(lines_.rend() - line) + dropped_;
      return fmt::format("line {}, byte {} from the server", number, line->offset);
    }
  }
  return lines_.empty() ? "" : "no message from the server yet";
}

std::vector<std::string> Transcript::Text() const {
  std::vector<std::string> text;
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    const bool past_the_gap = dropped_ > 0 && i >= kLinesMax / 2;
    if (past_the_gap && i == kLinesMax / 2) {
      text.push_back(fmt::format("     -- {} lines left out", dropped_));
    }
    const Line& line = lines_[i];
    const std::string connection = line.connection == 1 ? "" : std::to_string(line.connection);
    const std::string number = fmt::format("{:>4}", i + 1 + (past_the_gap ? dropped_ : 0));
    switch (line.direction) {
      case Direction::kSent:
        text.push_back(fmt::format("{} C{}> @{} +{}  {}", number, connection, line.offset, line.length, line.text));
        break;
      case Direction::kReceived:
        text.push_back(fmt::format("{} S{}< @{} +{}  {}", number, connection, line.offset, line.length, line.text));
        break;
      case Direction::kNote:
        text.push_back(fmt::format("{} -- {}", number, line.text));
        break;
    }
  }
  return text;
}

}  // namespace nbdspec::conformance
