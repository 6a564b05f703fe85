// SPDX-License-Identifier: BSD-3-Clause
// The lines of a list of expected failures, and what is in them: shared by its reader and by what brings it up to date.

#pragma once

#include <expected>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "conformance/expected/expected.h"

namespace nbdspec::conformance {

enum class LineKind { kBlank, kComment, kSection, kEntry, kText };

std::vector<std::string> SplitLines(std::string_view text);
LineKind KindOf(std::string_view line);

// As ParseExpected; where `may_say_why`, a reason may be kSayWhy.
std::expected<ExpectedList, engine::Trouble> ParseLines(std::string_view name, std::span<const std::string> lines,
                                                        std::span<const std::string_view> ids, bool may_say_why);

// Whether `entry` of the list `name` is of the target of `run`. Of a server whose program nobody knows the user says
// with the name of a list which it is.
bool IsOfTarget(const ExpectedEntry& entry, std::string_view name, const reports::Run& run);

// Whether `entry` is of the check `id`.
bool IsOfCheck(const ExpectedEntry& entry, std::string_view id);

// `outcome` in the words of lists: its verdict, or crash.
std::string_view WordFor(const reports::Outcome& outcome);

// Whether the outcomes of `run` show that `entry`, which is of its target, holds no longer: why, or empty.
std::string WhyStale(const ExpectedEntry& entry, const reports::Run& run);

}  // namespace nbdspec::conformance
