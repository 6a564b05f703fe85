// SPDX-License-Identifier: BSD-3-Clause
// ClientFault: one named way for a client to be wrong, and the clauses whose checks must catch it.
//
// A fault is the reference client with a conduct that is not right. It shows that a check of clients can fail.

#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "engine/client/client_conduct.h"
#include "engine/client/client_stage.h"

namespace nbdspec::engine {

struct ClientFault {
  // Where it shows, on its stage; the right client is right there.
  enum class Shows : std::uint8_t {
    kOnWire,   // In what it sends: a rule of engine/conduct says so.
    kLeaving,  // In what it sends: no rule can know, for it depends on what the server did.
    kFails,    // It fails, where there is no reason to.
    kTrusts,   // It succeeds, where it was lied to or refused. What it has is wrong, mostly.
    kWrong,    // It succeeds, and what it has or wrote is wrong.
    kInTls,    // In ClientTlsConduct, which is its links'.
  };

  std::string_view name;                 // Who and how: "client_reads_past_the_end".
  std::vector<std::string_view> checks;  // The ids of the clauses that it breaks.
  ClientConduct conduct;
  ClientStage stage = {};
  Shows shows = Shows::kOnWire;
};

// Every fault, made once.
std::span<const ClientFault> AllClientFaults();

}  // namespace nbdspec::engine
