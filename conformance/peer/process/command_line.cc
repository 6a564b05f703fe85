// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/process/command_line.h"

#include <algorithm>

#include "engine/base/or_return.h"
#include "engine/base/quoted.h"

namespace nbdspec::conformance {

namespace {

using engine::Trouble;

constexpr std::string_view kBlanks = " \t\n";
constexpr std::string_view kShellOnly = "$`|&;<>()";

class Splitter {
 public:
  explicit Splitter(std::string_view command) : command_(command) {}

  std::expected<std::vector<std::string>, Trouble> Split();

 private:
  [[nodiscard]] Trouble Wrong(const std::string& what) const {
    return Trouble{"The command " + engine::Quoted(command_, 200) + " cannot be run: " + what + "."};
  }
  [[nodiscard]] Trouble NeedsShell(char c) const {
    return Wrong(std::string("no shell runs it, so ") + c + " has no meaning; put it in single quotes, or write " +
                 "sh -c '...' around it all");
  }
  std::expected<void, Trouble> TakeUnquoted();
  std::expected<void, Trouble> TakeSingleQuoted();
  std::expected<void, Trouble> TakeDoubleQuoted();
  void EndWord();

  std::string_view command_;
  std::size_t at_ = 0;
  std::string word_;
  bool in_word_ = false;  // '' is a word too.
  std::vector<std::string> words_;
};

void Splitter::EndWord() {
  if (in_word_) {
    words_.push_back(std::move(word_));
  }
  word_.clear();
  in_word_ = false;
}

std::expected<void, Trouble> Splitter::TakeUnquoted() {
  const char c = command_[at_++];
  if (kBlanks.contains(c)) {
    EndWord();
    return {};
  }
  if (kShellOnly.contains(c)) {
    return std::unexpected(NeedsShell(c));
  }
  if (c != '\\') {
    word_ += c;
    in_word_ = true;
    return {};
  }
  if (at_ == command_.size()) {
    return std::unexpected(Wrong("nothing follows its last backslash"));
  }
  if (const char next = command_[at_++]; next != '\n') {
    word_ += next;
    in_word_ = true;
  }
  return {};
}

std::expected<void, Trouble> Splitter::TakeSingleQuoted() {
  const std::size_t close = command_.find('\'', at_ + 1);
  if (close == std::string_view::npos) {
    return std::unexpected(Wrong("a single quote is not closed"));
  }
  word_ += command_.substr(at_ + 1, close - at_ - 1);
  in_word_ = true;
  at_ = close + 1;
  return {};
}

std::expected<void, Trouble> Splitter::TakeDoubleQuoted() {
  in_word_ = true;
  for (++at_; at_ < command_.size(); ++at_) {
    char c = command_[at_];
    if (c == '"') {
      ++at_;
      return {};
    }
    if (c == '$' || c == '`') {
      return std::unexpected(NeedsShell(c));
    }
    // Inside double quotes a backslash is itself, except before these.
    if (c == '\\' && at_ + 1 < command_.size() && std::string_view("\\\"$`\n").contains(command_[at_ + 1])) {
      c = command_[++at_];
      if (c == '\n') {
        continue;
      }
    }
    word_ += c;
  }
  return std::unexpected(Wrong("a double quote is not closed"));
}

std::expected<std::vector<std::string>, Trouble> Splitter::Split() {
  if (command_.contains('\0')) {
    return std::unexpected(Wrong("it has a NUL character"));
  }
  while (at_ < command_.size()) {
    const char c = command_[at_];
    NBDSPEC_RETURN_IF_ERROR(c == '\'' ? TakeSingleQuoted() : c == '"' ? TakeDoubleQuoted() : TakeUnquoted());
  }
  EndWord();
  if (words_.empty()) {
    return std::unexpected(Wrong("it has no words"));
  }
  return std::move(words_);
}

bool NeedsNoQuotes(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
         std::string_view("-_./:,+@%=").contains(c);
}

}  // namespace

std::expected<std::vector<std::string>, Trouble> SplitCommand(std::string_view command) {
  return Splitter(command).Split();
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
