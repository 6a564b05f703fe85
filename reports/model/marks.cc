// SPDX-License-Identifier: BSD-3-Clause
#include "reports/model/marks.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace nbdspec::reports {

namespace {

// Whether `words` stand in `text`, and are no part of longer ones.
bool Quotes(std::string_view text, std::string_view words) {
  const auto is_part = [&](std::size_t at) {
    return at < text.size() && (std::isalnum(static_cast<unsigned char>(text[at])) != 0 || text[at] == '_');
  };
  for (std::size_t at = text.find(words); at != std::string_view::npos; at = text.find(words, at + 1)) {
    if ((at == 0 || !is_part(at - 1)) && !is_part(at + words.size())) {
      return true;
    }
  }
  return false;
}

}  // namespace

void MarkFields(Message& message, std::string_view asked, std::string_view saw, bool is_about_descriptors) {
  // Words of many sentences.
  constexpr std::array<std::string_view, 6> kWords = {"data", "length", "name", "offset", "option", "text"};
  if (message.from != Message::From::kServer) {
    return;
  }
  for (MessageField& field : message.fields) {
    const bool is_quoted = Quotes(saw, field.value) && !Quotes(asked, field.value);
    const bool is_named = Quotes(saw, field.name) && std::ranges::count(kWords, field.name) == 0;
    field.is_judged = is_about_descriptors ? field.name == "descriptors" : is_quoted || is_named;
  }
}

void MarkNamedFields(Message& message, std::string_view allowed) {
  for (MessageField& field : message.fields) {
    field.is_judged = Quotes(allowed, field.name);
  }
}

}  // namespace nbdspec::reports
