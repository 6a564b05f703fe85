// SPDX-License-Identifier: BSD-3-Clause
// Every planted bug there is, by target: what canaries_test, the program `canaries` and docs/canaries.md share.

#pragma once

#include <string>
#include <vector>

#include "fuzz/canary/canary.h"

namespace nbdspec::fuzz {

// Each is in the file of its name; those of servers are in faulty_server_canaries.cc.
CanaryTarget BlockStatusExchangeCanaries();
CanaryTarget BlockStatusReplyCanaries();
CanaryTarget BoundaryTreeCanaries();
CanaryTarget CApiCanaries();
CanaryTarget ExtentMapCanaries();
CanaryTarget LayerStackCanaries();
CanaryTarget LibnbdClientCanaries();
CanaryTarget MetaContextCanaries();
CanaryTarget ReportInputCanaries();
CanaryTarget ScriptTextCanaries();
CanaryTarget ServerSessionCanaries();
CanaryTarget SessionDecodeCanaries();
CanaryTarget WireDecodeCanaries();

// All of them, made once.
const std::vector<CanaryTarget>& CanaryTargets();

struct Planted {
  const CanaryTarget* target;
  const Canary* canary;

  [[nodiscard]] std::string name() const { return target->name + "/" + canary->name; }
};
std::vector<Planted> AllPlanted();

}  // namespace nbdspec::fuzz
