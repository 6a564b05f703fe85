// SPDX-License-Identifier: BSD-3-Clause
// The self-test of the checks of clients: each on the reference client with faults that it must catch.

#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "conformance/checks/check.h"
#include "conformance/clients/client_check.h"
#include "engine/client/client_fault.h"

namespace nbdspec::conformance {

struct ClientSelfTestRow {
  std::string_view check;
  std::vector<std::string_view> caught = {};  // The faults that it catches, of those that were tried.
};

// Tries each of `checks` on the faults that break its clause, and on those that end wrongly whatever happens, until it
// has caught `enough` of them.
std::vector<ClientSelfTestRow> RunClientSelfTest(std::span<const ClientCheck> checks, std::size_t enough = 1);

// Whether one of `checks` catches `fault`.
bool IsCaughtByOneOf(std::span<const ClientCheck> checks, const engine::ClientFault& fault);

// What `check` says of a client with `conduct`: in its own scenario, or, of a rule of the wire, in `scenario`.
Judgement JudgeConduct(const ClientCheck& check, const engine::ClientConduct& conduct, const Scenario& scenario);

}  // namespace nbdspec::conformance
