// SPDX-License-Identifier: BSD-3-Clause
#include "engine/layers/scripted_disk.h"

#include <string>
#include <utility>
#include <variant>

namespace nbdspec::engine {

std::expected<Disk, Trouble> MakeScriptedDisk(const Script& script) {
  if (script.size > Disk::kDiskBytesMax) {
    return std::unexpected(Trouble{"size " + PrintNumber(script.size) +
                                   " is too large to serve from memory; use at most " +
                                   PrintNumber(Disk::kDiskBytesMax)});
  }
  ExtentMap extents(script.size, script.initial);
  for (const Step& step : script.steps) {
    if (const auto* add = std::get_if<AddStep>(&step)) {
      const auto added = extents.Add(add->offset, add->length, add->type);
      if (!added && added.error() == ErrorCode::kOutOfMemory) {
        return std::unexpected(Trouble{"not enough memory for the extents of the script; use fewer steps"});
      }
    } else if (std::holds_alternative<ClearStep>(step)) {
      extents.Clear();
    }
  }
  return Disk(std::move(extents));
}

}  // namespace nbdspec::engine
