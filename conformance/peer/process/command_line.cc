// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/process/command_line.h"

#include <algorithm>
#include <utility>

#include "engine/base/quoted.h"

namespace nbdspec::conformance {

namespace {

using engine::Trouble;

constexpr std::string_view kBlanks = " \t\n";
constexpr std::string_view kShellOnly = "$`|&;<>()";
constexpr std::string_view kShellOnlyInQuotes = "$`";      // Double ones; so the next.
constexpr std::string_view kEscapedInQuotes = "\\\"$`\n";  // Before others a backslash is itself.

bool NeedsNoQuotes(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("-_./:,+@%=").contains(c);
}

}  // namespace

std::expected<std::vector<std::string>, Trouble> SplitCommand(std::string_view command) {
  const auto wrong = [&](const std::string& what) {
    return std::unexpected(Trouble{"The command " + engine::Quoted(command, 200) + " cannot be run: " + what + "."});
  };
  if (command.contains('\0')) {
    return wrong("it has a NUL character");
  }
  std::vector<std::string> words;
  bool in_word = false;
  const auto add = [&](std::string_view text) {
    if (!std::exchange(in_word, true)) {
      words.emplace_back();
    }
    words.back() += text;
  };
  char quote = '\0';  // The one that is open.
  for (std::size_t i = 0; i < command.size(); ++i) {
    const char c = command[i];
    if (c == quote) {
      quote = '\0';
    } else if (quote == '\'') {
      add({&c, 1});
    } else if (c == '"' || (c == '\'' && quote == '\0')) {
      quote = c;
      add("");  // '' is a word too.
    } else if (quote == '\0' && kBlanks.contains(c)) {
      in_word = false;
    } else if ((quote == '\0' ? kShellOnly : kShellOnlyInQuotes).contains(c)) {
      return wrong(std::string("no shell runs it, so ") + c + " has no meaning; put it in single quotes, or write " +
                   "sh -c '...' around it all");
    } else if (c == '\\') {
      const bool escapes = quote == '\0' || (i + 1 < command.size() && kEscapedInQuotes.contains(command[i + 1]));
      if (escapes && ++i == command.size()) {
        return wrong("nothing follows its last backslash");
      }
      if (command[i] != '\n') {  // A shell joins the lines.
        add(command.substr(i, 1));
      }
    } else {
      add({&c, 1});
    }
  }
  if (quote != '\0') {
    return wrong(quote == '"' ? "a double quote is not closed" : "a single quote is not closed");
  }
  if (words.empty()) {
    return wrong("it has no words");
  }
  return words;
}

std::string QuoteWord(std::string_view word) {
  if (!word.empty() && std::ranges::all_of(word, NeedsNoQuotes)) {
    return std::string(word);
  }
  std::string quoted = "'";
  for (const char c : word) {
    // A quote ends the quotes, stands for itself behind a backslash, and begins them again.
    quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  }
  return quoted + "'";
}

}  // namespace nbdspec::conformance
