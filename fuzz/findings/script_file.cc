// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/findings/script_file.h"

#include <string>

#include "engine/base/or_return.h"
#include "engine/base/quoted.h"

namespace nbdspec::fuzz {

using engine::Trouble;

std::expected<engine::Script, Trouble> ParseScriptToSend(std::string_view text) {
  NBDSPEC_ASSIGN_OR_RETURN(script, engine::ParseScript(text));
  std::uint64_t all = 0;
  for (std::size_t i = 0; i < script.steps.size(); ++i) {
    const auto* const request = std::get_if<engine::RequestStep>(&script.steps[i]);
    const std::uint64_t bytes = request != nullptr && request->command == engine::Command::kWrite ? request->length : 0;
    if (bytes > kWriteBytesMax || all > kWritesBytesMax - bytes) {
      return std::unexpected(Trouble{"step " + std::to_string(i + 1) + ", " + engine::Quoted(Print(script.steps[i])) +
                                     ": one write has at most " + engine::PrintNumber(kWriteBytesMax) +
                                     " bytes, and all of a script " + engine::PrintNumber(kWritesBytesMax)});
    }
    all += bytes;
  }
  return std::move(script);
}

}  // namespace nbdspec::fuzz
