// SPDX-License-Identifier: BSD-3-Clause
// Oddity: one named way for a server to be right that few servers choose, and the clause that permits it.
//
// A fault shows that a check can fail; an oddity shows what no check may fail. Most clauses that say MAY have one:
// there is nothing in them to break, and so no check asks them, but a harness that forbids them accuses the innocent.
// The self-test runs every check on each oddity. An oddity is made as a fault is (engine/faults/change.h), or by what
// the reference server is set up to offer.

#pragma once

#include <functional>
#include <span>
#include <string_view>

#include "engine/faults/change.h"
#include "engine/server/server.h"

namespace nbdspec::engine::oddities {

struct Oddity {
  std::string_view name;          // "server_splits_reads_into_sectors"
  std::string_view permitted_by;  // The id of a requirement.
  faults::Change change = {};
  // What the server offers in place of everything, and what its default export does; may be null.
  std::function<void(ServerOptions& server)> server = {};
  std::function<void(ExportOptions& of)> offers = {};
};

// Every oddity, made once.
std::span<const Oddity> AllOddities();

}  // namespace nbdspec::engine::oddities
