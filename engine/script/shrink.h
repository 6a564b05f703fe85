// SPDX-License-Identifier: BSD-3-Clause
// Makes a failing script small enough to read.

#pragma once

#include <functional>

#include "engine/script/script.h"

namespace nbdspec::engine {

// The smallest script found by leaving out steps and lowering numbers for which `fails` still holds.
// `fails` must hold for `script`, and is asked at most `tries_max` times.
[[nodiscard]] Script Shrink(Script script, const std::function<bool(const Script&)>& fails, int tries_max = 5000);

}  // namespace nbdspec::engine
