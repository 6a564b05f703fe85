// SPDX-License-Identifier: BSD-3-Clause
// The planted bugs of the targets whose subject is a server: the faults of engine/faults that they must detect.

#include <string>

#include "engine/base/bytes.h"
#include "engine/faults/fault.h"
#include "engine/script/script_bytes.h"
#include "fuzz/canary/canary.h"
#include "fuzz/comparisons/server_session_differential.h"
#include "fuzz/exchange/block_status_exchange.h"

namespace nbdspec::fuzz {
namespace {

using engine::faults::Change;
using engine::faults::Interpose;

// `with` gives the comparison for a changed server.
CanaryTarget Canaries(const FuzzTarget& row, FindBytesDisagreement (*with)(const Change& change)) {
  CanaryTarget target = CanariesFor(row, {});
  target.right.push_back(with({}));
  for (const auto& [fault, detector] :
       engine::faults::DetectionsBy(engine::faults::Detector::Kind::kTarget, row.name)) {
    target.canaries.push_back({.name = std::string(fault.name),
                               .family = detector.family,
                               .inputs_max = detector.inputs_max,
                               .find = with(fault.change)});
  }
  return target;
}

}  // namespace

CanaryTarget ServerSessionCanaries() {
  return Canaries(ServerSessionTarget(), [](const Change& change) -> FindBytesDisagreement {
    return [change](engine::ByteView input) {
      std::uint64_t number = 0;
      return FindServerSessionDisagreement(input, [&] { return Interpose(change, number++); });
    };
  });
}

CanaryTarget MetaContextCanaries() {
  return Canaries(MetaContextTarget(), [](const Change& change) -> FindBytesDisagreement {
    return [change](engine::ByteView input) {
      return FindMetaContextDisagreement(input, [&] { return Interpose(change); });
    };
  });
}

CanaryTarget BlockStatusExchangeCanaries() {
  return Canaries(BlockStatusExchangeTarget(), [](const Change& change) -> FindBytesDisagreement {
    return [change](engine::ByteView input) {
      return FindBlockStatusExchangeDisagreement(
          engine::ReadScript(input, kExchangeLimits),
          [&](engine::Export& served, std::uint8_t) { return Interpose(change, 0, &served.layer()); });
    };
  });
}

}  // namespace nbdspec::fuzz
