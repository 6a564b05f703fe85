// SPDX-License-Identifier: BSD-3-Clause
#include "engine/client/client_fault.h"

#include "engine/client/client_fault_tables.h"

namespace nbdspec::engine {

std::span<const ClientFault> AllClientFaults() {
  static const std::vector<ClientFault> faults = [] {
    std::vector<ClientFault> all;
    for (const auto& part : {HagglingFaults(), RequestFaults(), FramingFaults(), CopingFaults(), NoticingFaults()}) {
      all.insert(all.end(), part.begin(), part.end());
    }
    return all;
  }();
  return faults;
}

}  // namespace nbdspec::engine
