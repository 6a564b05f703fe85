// SPDX-License-Identifier: BSD-3-Clause
// Habit: one named way for a client to be right that few clients have, and the clause that permits it.
//
// A fault of a client shows that a check can fail; a habit shows what no check may fail.

#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "engine/client/client_conduct.h"
#include "engine/client/client_stage.h"

namespace nbdspec::engine {

struct ClientHabit {
  std::string_view name;          // "client_reads_backwards"
  std::string_view permitted_by;  // The id of a requirement.
  ClientConduct conduct;
  ClientStage stage = {};                       // On which it shows.
  std::vector<std::string_view> warnings = {};  // The clauses that say SHOULD, and that it does not keep.
};

// Every habit, made once.
std::span<const ClientHabit> AllHabits();

}  // namespace nbdspec::engine
