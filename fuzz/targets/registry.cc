// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/targets/registry.h"

#include <fmt/format.h>

#include <algorithm>

#include "fuzz/nbdkit/nbdkit_case.h"

namespace nbdspec::fuzz {

std::vector<FuzzTarget> FuzzTargetRows();  // Of a file that is made of FUZZ_TARGETS (fuzz/targets.bzl).

const std::vector<FuzzTarget>& FuzzTargets() {
  static const std::vector<FuzzTarget> targets = FuzzTargetRows();
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
