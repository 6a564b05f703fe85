// SPDX-License-Identifier: BSD-3-Clause
#include "engine/faults/fault.h"

#include <algorithm>
#include <iterator>

#include "engine/base/check.h"
#include "engine/faults/fault_tables.h"

namespace nbdspec::engine::faults {

std::span<const Fault> AllFaults() {
  static const std::vector<Fault> kAll = [] {
    std::vector<Fault> all;
    for (const auto table :
         {HandshakeFaults, InfoFaults, ContextFaults, StatusFaults, ReplyFaults, ReadFaults, WriteFaults}) {
      std::ranges::move(table(), std::back_inserter(all));
    }
    return all;
  }();
  return kAll;
}

const Fault& FaultNamed(std::string_view name) {
  const auto found = std::ranges::find(AllFaults(), name, &Fault::name);
  NBDSPEC_CHECK(found != AllFaults().end());
  return *found;
}

std::vector<Detection> DetectionsBy(Detector::Kind kind, std::string_view id) {
  std::vector<Detection> detections;
  for (const Fault& fault : AllFaults()) {
    for (const Detector& detector : fault.detectors) {
      if (detector.kind == kind && (id.empty() || detector.id == id)) {
        detections.push_back({.fault = fault, .detector = detector});
      }
    }
  }
  return detections;
}

std::string_view NameOf(Family family) {
  constexpr std::string_view kNames[] = {"bits",  "clip",    "coalesce", "edge",  "error", "lost",  "memory",
                                         "order", "REQ_ONE", "rule",     "shape", "stale", "width", "equivalent"};
  return kNames[static_cast<std::size_t>(family)];
}

}  // namespace nbdspec::engine::faults
