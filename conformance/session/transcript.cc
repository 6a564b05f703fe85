// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/session/transcript.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace nbdspec::conformance {

void Transcript::Add(Line line) {
  if (lines_.size() == kKeptMax) {  // The start and the end say most: of the middle much goes, but seldom.
    const auto begin = lines_.begin() + kLinesMax / 2;
    lines_.erase(begin, begin + kKeptMax / 2);
    dropped_ += kKeptMax / 2;
  }
  lines_.push_back(std::move(line));
}

// Without its fields.
reports::Message Transcript::WordsAt(std::size_t index) const {
  const Line& line = lines_[index];
  const bool past_the_gap = dropped_ > 0 && index >= kLinesMax / 2;
  return {.line = index + 1 + (past_the_gap ? dropped_ : 0),
          .from = line.from,
          .connection = line.connection,
          .offset = line.offset,
          .length = line.length,
          .text = line.what.text,
          .name = line.what.text.substr(0, line.what.name_bytes),
          .fields = {}};
}

reports::Message Transcript::MessageAt(std::size_t index) const {
  const engine::Description& what = lines_[index].what;
  reports::Message message = WordsAt(index);
  for (const auto& [name, begin, end] : what.fields) {
    message.fields.push_back({.name = std::string(name), .value = what.text.substr(begin, end - begin)});
  }
  return message;
}

std::vector<std::string> Transcript::Text(std::span<const std::size_t> also) const {
  constexpr std::size_t kHalf = kLinesMax / 2;
  std::vector<std::string> text;
  std::uint64_t left_out = 0;
  for (std::size_t i = 0; i < lines_.size(); ++i) {
    left_out += i == kHalf ? dropped_ : 0;
    if (i >= kHalf && i + kHalf < lines_.size() && !std::ranges::binary_search(also, i)) {
      ++left_out;
      continue;
    }
    if (left_out > 0) {
      text.push_back(fmt::format("     -- {} lines left out", left_out));
      left_out = 0;
    }
    text.push_back(LineOf(WordsAt(i)));
  }
  return text;
}

}  // namespace nbdspec::conformance
