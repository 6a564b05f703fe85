// SPDX-License-Identifier: BSD-3-Clause
// A run, read from its JSON report: the way back from RenderJson.

#pragma once

#include <expected>
#include <string_view>

#include "engine/base/error.h"
#include "reports/model/run.h"

namespace nbdspec::reports {

// The longest report that is worth reading, in bytes: forty times the longest that was seen.
inline constexpr std::size_t kJsonBytesMax = std::size_t{1} << 28;

// The run in `text`, which anybody may have written or cut off. What it holds beside the members that we know is
// ignored; a member that it lacks is empty, as in a report of an older nbdspec. `name` is what the sentence of an error
// calls the text: its file.
//
// Errors: it is no JSON (line and column); it is no report of `nbdspec check`, or one of a newer format; a member that
// has another type or a word that we do not know (its path, as outcomes[3].verdict). Cost: memory and time in
// proportion to the text, whatever it holds. Example: RenderJson(*ReadJson(x, "")) == x, where x is a report of this
// version.
std::expected<Run, engine::Trouble> ReadJson(std::string_view text, std::string_view name);

}  // namespace nbdspec::reports
