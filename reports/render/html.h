// SPDX-License-Identifier: BSD-3-Clause
// What HTML reports are made of: text that is harmless wherever it stands, the frame of a page, and drawn evidence.
// Private to this folder.
//
// A peer chose much of the text. It stands in elements and in quoted attributes, always through Html; never in a
// script, a style or, but for checked addresses, in a link. The page's own script and style are the only ones that its
// Content Security Policy lets run, and it loads nothing.

#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "reports/model/run.h"

namespace nbdspec::reports {

// --- Text ---

// `text`, which may hold anything, for an element or an attribute in double quotes. See Printable.
std::string Html(std::string_view text);
// The same of which line feeds stay, and of which at most `bytes_max` are kept, with a word on what is left out.
std::string HtmlLines(std::string_view text, std::size_t bytes_max = 4000);

// A link with that text, or the text where `address` is no address of the web. `text` is HTML.
std::string Link(std::string_view address, const std::string& text);

// The class of a verdict in page.css: "na" for n/a.
std::string_view ClassOf(Verdict verdict);
// "block-status": the part of the protocol that a check belongs to, by its id.
std::string_view AreaOf(std::string_view id);

// "fail": a word in the colour of the verdict.
std::string Tag(Verdict verdict);

// Names of places in a page, each given once. Range: ids of checks stay as they are; whatever else there is in one
// becomes '-'.
class Anchors {
 public:
  std::string For(std::string_view id);

 private:
  std::set<std::string> given_;
};

// --- The page ---

// The whole of it. `title` is text, `body` HTML.
std::string Page(std::string_view title, const std::string& body);

// The one word that stands for an exit code, and the class of its colour.
struct Result {
  std::string_view word;
  std::string_view css_class;
};
Result ResultOf(int exit);

// The beginning of a page, up to the end of the headline. The header is not closed.
std::string TopOf(int exit, std::string_view tool, std::string_view what, std::string_view headline);

// Of a section of so many outcomes. `title` is HTML.
std::string Heading(std::string_view title, std::size_t count);
// The same in a summary, which may hold no <h2> by older rules.
std::string FoldedHeading(std::string_view title, std::size_t count);

// How many outcomes have each verdict.
std::string Counts(const Run& run);

// The form that filters what has data-verdict, data-level, data-area and data-harm: hidden without the script, nothing
// without outcomes. Where there are several runs also by data-differs.
std::string Filter(const std::vector<const Outcome*>& outcomes, bool has_several_runs);

// --- An outcome ---

// The attributes that the filter reads, and the place.
std::string Attributes(const Outcome& outcome, std::string_view anchor);

enum class Detail {
  kAll,
  kShort,  // One of thousands: the message that was judged, what asked for it, and no whole conversation.
};
// What was judged, and what it rests on, to be unfolded.
std::string Whole(const Outcome& outcome, std::string_view anchor, bool is_open, Detail detail);

}  // namespace nbdspec::reports
