// SPDX-License-Identifier: BSD-3-Clause
// Printable: text that may hold anything, made harmless to show on a terminal, in a log or in XML.
//
// A peer chooses export names, error messages and more. What it sends must not move the cursor, change colours, turn
// the direction of writing, or make one line of a report look like another.

#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace nbdspec::reports {

// Valid UTF-8 of one line. Control characters become \n, \r, \t or \x1b, bytes that are no UTF-8 \xff, invisible and
// direction-changing characters \u{202e}. Backslashes stay, so that text which was escaped before is left as it is.
std::string Printable(std::string_view text);

// The same, but line feeds stay.
std::string PrintableLines(std::string_view text);

// The first, or the last, `bytes_max` bytes of `text`, or less: half a character would look like the peer's fault.
std::string_view FirstOf(std::string_view text, std::size_t bytes_max);
std::string_view LastOf(std::string_view text, std::size_t bytes_max);

// `text`, or as many of its characters as fit into `bytes_max` bytes, and "...". `text` is printable.
std::string Shortened(std::string_view text, std::size_t bytes_max);

// Splits at line feeds and wraps each line at `columns`, at a space where there is one. Words that are longer are cut.
// `text` is printable; each character counts as one column. Never empty: no text is one empty line.
std::vector<std::string> Wrap(std::string_view text, std::size_t columns);

}  // namespace nbdspec::reports
