// SPDX-License-Identifier: BSD-3-Clause
// Faults for status_cost_checks.cc.
#include "conformance/faulty/fault.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

std::vector<Fault> StatusCostFaults() {
  return {HearsWrong("server_looks_at_each_byte_to_tell_status", spec::kExtentsProposalAnswerQuickly,
                     [](engine::ClientMessage& heard, const engine::ConnectionState&) {
                       const auto* request = std::get_if<engine::Request>(&heard);
                       if (request != nullptr && request->type == engine::CommandType::kBlockStatus) {
                         // So often that it shows on a busy machine and under sanitizers, too.
                         for (volatile std::uint64_t looked = 0; looked < std::uint64_t{64} * request->length;) {
                           looked = looked + 1;
                         }
                       }
                       return true;
                     })};
}

}  // namespace nbdspec::conformance
