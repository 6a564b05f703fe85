// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/canary/canary.h"

#include <utility>

namespace nbdspec::fuzz {

std::string_view NameOf(Family family) {
  switch (family) {
    case Family::kBits:
      return "bits";
    case Family::kClip:
      return "clip";
    case Family::kCoalesce:
      return "coalesce";
    case Family::kEdge:
      return "edge";
    case Family::kError:
      return "error";
    case Family::kLost:
      return "lost";
    case Family::kMemory:
      return "memory";
    case Family::kOrder:
      return "order";
    case Family::kReqOne:
      return "REQ_ONE";
    case Family::kRule:
      return "rule";
    case Family::kShape:
      return "shape";
    case Family::kStale:
      return "stale";
    case Family::kWidth:
      return "width";
    case Family::kEquivalent:
      return "equivalent";
  }
  std::unreachable();
}

}  // namespace nbdspec::fuzz
