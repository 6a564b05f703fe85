// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/canary/registry.h"

namespace nbdspec::fuzz {

const std::vector<CanaryTarget>& CanaryTargets() {
  static const std::vector<CanaryTarget> kTargets = {
      ExtentMapCanaries(),   BoundaryTreeCanaries(),  CApiCanaries(),          BlockStatusReplyCanaries(),
      LayerStackCanaries(),  MetaContextCanaries(),   ServerSessionCanaries(), BlockStatusExchangeCanaries(),
      WireDecodeCanaries(),  SessionDecodeCanaries(), LibnbdClientCanaries(),  ScriptTextCanaries(),
      ReportInputCanaries(),
  };
  return kTargets;
}

}  // namespace nbdspec::fuzz
