// SPDX-License-Identifier: BSD-3-Clause
// Disagreement: what a comparison of subject and reference found, and how a fuzz target reports it.
//
// A target's comparison is a function that returns std::optional<Disagreement>, so that canary tests can ask it about
// planted bugs without dying. Only LLVMFuzzerTestOneInput aborts, for libFuzzer ignores what it returns.

#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

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

// Returns if `find` finds nothing in the script or input. Otherwise prints the disagreement, the script (shrunk) or
// the input, and the lines that keep and replay it, and aborts. `target` is the folder's name in corpus/regressions.
void AbortOnDisagreement(std::string_view target, const engine::Script& script, const FindScriptDisagreement& find);
void AbortOnDisagreement(std::string_view target, engine::ByteView input, const FindBytesDisagreement& find);

}  // namespace nbdspec::fuzz
