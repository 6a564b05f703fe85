// SPDX-License-Identifier: BSD-3-Clause
// Command lines as text: taken apart into words, and quoted. No shell ever runs one.

#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/error.h"

namespace nbdspec::conformance {

// Splits `command` into words as a POSIX shell does with blanks, '...', "..." and backslashes; at least one word.
// Errors: no word, an open quote, a last backslash, NUL, or an unquoted character that only a shell gives a meaning
// to ($ ` | & ; < > and parentheses): it would silently not have it here.
// Example: a 'b c' "d\"e" f\ g -> a, b c, d"e, f g
std::expected<std::vector<std::string>, engine::Trouble> SplitCommand(std::string_view command);

// `word` as a shell, and SplitCommand, read it back: quoted only when it has to be.
std::string QuoteWord(std::string_view word);

}  // namespace nbdspec::conformance
