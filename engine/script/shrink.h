// SPDX-License-Identifier: BSD-3-Clause
// Makes a failing script small enough to read.

#pragma once

#include <functional>

#include "engine/script/script.h"

namespace nbdspec::engine {

// The smallest script found for which `fails` still holds: fewer steps, then edges closer together and smaller numbers,
// then fewer flags and simpler types, and of what is left, large numbers rounded up, but for those beside a round one.
// The same script and answers give the same result.
// `fails` must hold for `script`, and is asked at most `tries_max` times, about none again for which it did not hold.
[[nodiscard]] Script Shrink(Script script, const std::function<bool(const Script&)>& fails, int tries_max = 5000);

}  // namespace nbdspec::engine
