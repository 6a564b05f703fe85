// SPDX-License-Identifier: BSD-3-Clause
// Disagreement: the first thing in which a subject and its reference differ. What a comparison returns, so that others
// can ask it about planted bugs without dying.

#pragma once

#include <functional>
#include <optional>
#include <string>

#include "engine/base/bytes.h"
#include "engine/script/script.h"

namespace nbdspec::fuzz {

struct Disagreement {
  std::string where;     // "after step 3, add 4K +8K hole: foreach 0 +64"
  std::string expected;  // What the reference says.
  std::string saw;       // What the subject says.
};

using FindScriptDisagreement = std::function<std::optional<Disagreement>(const engine::Script&)>;
using FindBytesDisagreement = std::function<std::optional<Disagreement>(engine::ByteView)>;

}  // namespace nbdspec::fuzz
