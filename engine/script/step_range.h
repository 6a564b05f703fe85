// SPDX-License-Identifier: BSD-3-Clause
// The ranges of a script's steps, whatever their kind: what mutators and shrinkers move.

#pragma once

#include <cstdint>
#include <optional>

#include "engine/base/byte_range.h"
#include "engine/script/script.h"

namespace nbdspec::engine {

// What the step is about, which may pass 2^64; none of a step that has no range. A lookup's length is 0.
[[nodiscard]] std::optional<ByteRange::OffsetAndLength> RangeOf(const Step& step);

// Gives the step that range as far as its kind can hold it: lengths are cut, and no bounds pass 2^64-1.
void SetRange(Step& step, ByteRange::OffsetAndLength range);

// Moves every edge at or after `from`, the end of the export included, `by` bytes up; down if `by` is negative. What
// lies there keeps its shape. No edge passes 0 or 2^64-1, and the export keeps to kExportBytesMax.
void ShiftEdges(Script& script, std::uint64_t from, __int128 by);

}  // namespace nbdspec::engine
