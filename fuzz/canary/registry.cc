// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/canary/canary.h"

namespace nbdspec::fuzz {

std::vector<CanaryTarget> CanaryRows();  // Of a file that is made of FUZZ_TARGETS (fuzz/targets.bzl).

const std::vector<CanaryTarget>& CanaryTargets() {
  static const std::vector<CanaryTarget> kTargets = CanaryRows();
  return kTargets;
}

std::vector<Planted> AllPlanted() {
  std::vector<Planted> all;
  for (const CanaryTarget& target : CanaryTargets()) {
    for (const Canary& canary : target.canaries) {
      all.push_back({.target = &target, .canary = &canary});
    }
  }
  return all;
}

}  // namespace nbdspec::fuzz
