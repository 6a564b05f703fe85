// SPDX-License-Identifier: BSD-3-Clause
// The colours of text reports.

#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

#include "reports/model/run.h"

namespace nbdspec::reports {

// The escape sequences of terminals, of which a report uses these.
enum class Paint { kBad, kWarning, kGood, kFaint, kBold };

inline Paint PaintOf(Verdict verdict) {
  using enum Paint;
  constexpr std::array<Paint, kVerdictCount> kPaints = {kGood,  kBad, kWarning, kFaint,  // In the order of Verdict.
                                                        kFaint, kBad, kBad};
  return kPaints.at(static_cast<std::size_t>(verdict));
}

// `text` in that colour, or as it is.
inline std::string Painted(Paint paint, std::string_view text, bool color) {
  constexpr std::array<std::string_view, 5> kCodes = {"1;31", "33", "32", "2", "1"};  // In the order of Paint.
  const std::string code(kCodes.at(static_cast<std::size_t>(paint)));
  return color ? "\x1b[" + code + "m" + std::string(text) + "\x1b[0m" : std::string(text);
}

// "1 failure", "2 failures".
inline std::string Counted(int count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

}  // namespace nbdspec::reports
