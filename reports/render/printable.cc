// SPDX-License-Identifier: BSD-3-Clause
#include "reports/render/printable.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "engine/base/quoted.h"
#include "engine/base/utf8.h"

namespace nbdspec::reports {
namespace {

struct CodePointRange {
  std::uint32_t first;
  std::uint32_t last;
};

// Controls, and what is invisible, changes direction, breaks lines, or is not a character.
constexpr std::array kHarmful = {
    CodePointRange{0x0000, 0x001f},    // C0 controls.
    CodePointRange{0x007f, 0x009f},    // DEL and C1 controls; 0x9b starts an escape sequence.
    CodePointRange{0x00ad, 0x00ad},    // Soft hyphen.
    CodePointRange{0x061c, 0x061c},    // Arabic letter mark.
    CodePointRange{0x180e, 0x180e},    // Mongolian vowel separator.
    CodePointRange{0x200b, 0x200f},    // Zero width, direction marks.
    CodePointRange{0x2028, 0x202e},    // Line and paragraph separators, embeddings, overrides.
    CodePointRange{0x2060, 0x206f},    // Invisible operators, isolates.
    CodePointRange{0xfdd0, 0xfdef},    // Noncharacters.
    CodePointRange{0xfeff, 0xfeff},    // Byte order mark.
    CodePointRange{0xfff0, 0xfffb},    // Annotations.
    CodePointRange{0xe0000, 0xe0fff},  // Tags.
};

bool IsHarmful(std::uint32_t code_point) {
  const bool is_noncharacter = (code_point & 0xfffe) == 0xfffe;
  return is_noncharacter || std::ranges::any_of(kHarmful, [&](CodePointRange range) {
           return range.first <= code_point && code_point <= range.last;
         });
}

std::string Escape(std::string_view text, bool keep_line_feeds) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const engine::CodePoint character = engine::FirstCodePoint(text);
    const std::size_t length = std::max<std::size_t>(character.length, 1);
    if (character.length == 0) {
      out += engine::Escaped(static_cast<std::uint8_t>(text.front()));
    } else if (IsHarmful(character.value) && !(keep_line_feeds && character.value == '\n')) {
      out += character.value < 0x80 ? engine::Escaped(static_cast<std::uint8_t>(character.value))
                                    : fmt::format("\\u{{{:x}}}", character.value);
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  return out;
}

// Whether a byte goes on with a character of UTF-8.
bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// The number of bytes that the first `columns` characters of `text` take, or all of them.
std::size_t BytesOf(std::string_view text, std::size_t columns) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!IsContinuation(text[i]) && columns-- == 0) {
      return i;
    }
  }
  return text.size();
}

void WrapLine(std::string_view line, std::size_t columns, std::vector<std::string>& out) {
  for (;;) {
    const std::size_t fitting = BytesOf(line, columns);
    if (fitting == line.size()) {
      out.emplace_back(line);
      return;
    }
    // A space just past the edge is as good as one before it. Indentation is no place to break. A list of flags that
    // fills more than half a line is broken after a '|'.
    const std::size_t space = line.rfind(' ', fitting);
    const std::size_t bar = fitting == 0 ? std::string_view::npos : line.rfind('|', fitting - 1);
    const bool at_space = space != std::string_view::npos && line.find_first_not_of(' ') < space;
    const bool at_bar = bar != std::string_view::npos && (!at_space || (bar > space && bar > fitting / 2));
    const std::size_t taken = at_bar ? bar + 1 : at_space ? space : fitting;
    out.emplace_back(line.substr(0, taken));
    line.remove_prefix(at_bar || !at_space ? taken : taken + 1);
    if (line.empty()) {
      return;  // It ended in that space.
    }
  }
}

}  // namespace

std::string Printable(std::string_view text) { return Escape(text, /*keep_line_feeds=*/false); }

std::string PrintableLines(std::string_view text) { return Escape(text, /*keep_line_feeds=*/true); }

std::string Shortened(std::string_view text, std::size_t bytes_max) {
  const std::string_view kept = FirstOf(text, bytes_max);
  return kept.size() == text.size() ? std::string(text) : std::string(kept) + "...";
}

std::string_view FirstOf(std::string_view text, std::size_t bytes_max) {
  std::size_t kept = std::min(text.size(), bytes_max);
  for (int i = 0; i < 3 && kept < text.size() && kept > 0 && IsContinuation(text[kept]); ++i) {
    --kept;
  }
  return text.substr(0, kept);
}

std::string_view LastOf(std::string_view text, std::size_t bytes_max) {
  const std::size_t cut = text.size() - std::min(text.size(), bytes_max);
  text.remove_prefix(cut);
  for (int i = 0; i < 3 && cut > 0 && !text.empty() && IsContinuation(text.front()); ++i) {
    text.remove_prefix(1);
  }
  return text;
}

std::vector<std::string> Wrap(std::string_view text, std::size_t columns) {
  std::vector<std::string> lines;
  columns = std::max<std::size_t>(columns, 1);
  for (;;) {
    const std::size_t end = text.find('\n');
    WrapLine(text.substr(0, end), columns, lines);
    if (end == std::string_view::npos) {
      return lines;
    }
    text.remove_prefix(end + 1);
  }
}

}  // namespace nbdspec::reports
