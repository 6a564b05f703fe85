// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/targets/registry.h"

#include <fmt/format.h>

#include <algorithm>

#include "fuzz/comparisons/block_status_differential.h"
#include "fuzz/comparisons/c_api_differential.h"
#include "fuzz/comparisons/extent_map_differential.h"
#include "fuzz/comparisons/layer_stack_differential.h"
#include "fuzz/comparisons/report_input_differential.h"
#include "fuzz/comparisons/script_differential.h"
#include "fuzz/comparisons/server_session_differential.h"
#include "fuzz/comparisons/session_decode_differential.h"
#include "fuzz/comparisons/wire_decode_differential.h"
#include "fuzz/exchange/block_status_exchange.h"
#include "fuzz/libnbd/libnbd_client_differential.h"
#include "fuzz/nbdkit/nbdkit_case.h"

namespace nbdspec::fuzz {

const std::vector<FuzzTarget>& FuzzTargets() {
  static const std::vector<FuzzTarget> targets = {
      ExtentMapTarget(),   BoundaryTreeTarget(),     CApiTarget(),          LayerStackTarget(),
      WireDecodeTarget(),  BlockStatusReplyTarget(), ServerSessionTarget(), BlockStatusExchangeTarget(),
      MetaContextTarget(), LibnbdClientTarget(),     SessionDecodeTarget(), ScriptShrinkTarget(),
      ScriptTextTarget(),  ReportInputTarget(),
  };
  return targets;
}

const FuzzTarget& NbdkitExtents() {
  static const FuzzTarget cases = {.name = "nbdkit_extents", .find_in_bytes = FindNbdkitCaseDisagreement};
  return cases;
}

const FuzzTarget* TargetNamed(std::string_view name) {
  const auto& targets = FuzzTargets();
  const auto found = std::ranges::find(targets, name, &FuzzTarget::name);
  return found != targets.end() ? &*found : name == NbdkitExtents().name ? &NbdkitExtents() : nullptr;
}

std::string TableOfTargets() {
  std::string table = "| target | what is broken | against |\n|---|---|---|\n";
  for (const FuzzTarget& target : FuzzTargets()) {
    table += fmt::format("| `{}` | {} | {} |\n", target.name, target.subject, target.against);
  }
  return table;
}

}  // namespace nbdspec::fuzz
