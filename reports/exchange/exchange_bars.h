// SPDX-License-Identifier: BSD-3-Clause
// What a request and its answer say of the bytes of an export, as bars: asked, said by each context, answered, true.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/exchange/exchange.h"
#include "engine/exchange/rules.h"
#include "reports/model/evidence.h"

namespace nbdspec::reports {

// What base:allocation says of an extent: "data", "hole", "zero", "hole, zero"; of unknown flags a number.
std::string AllocationWords(std::uint64_t status);

// Empty where nothing is said but what was asked for. A bar has a bounded number of stretches.
std::vector<Bar> BarsOf(const engine::Exchange& exchange);

// Marks in them the descriptor of `judged`, if it names one.
void MarkJudged(const engine::Exchange& exchange, const engine::AnswerPlace& judged, std::vector<Bar>& bars);

// Of bytes that are said to be zero: the first that is not, as `who` knows. Range: not_zero is in `claimed`.
Bar NotZeroBar(std::string who, engine::ByteRange claimed, std::uint64_t not_zero);

}  // namespace nbdspec::reports
