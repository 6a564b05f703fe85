// SPDX-License-Identifier: BSD-3-Clause
// Judges one run of a client on a server that keeps the rules: what is wrong with it is a Finding.

#pragma once

#include <vector>

#include "conformance/clients/client_check.h"
#include "fuzz/clients/client_case.h"
#include "fuzz/findings/finding.h"

namespace nbdspec::fuzz {

// The worst that the run shows: a crash, a hang, success with wrong bytes or a false map, failure without a reason. If
// there is none of these: each MUST that it broke on the wire. kind, rule, request_kind (its task: "copy-out"; empty of
// a rule), expected and saw are set. "Cannot do this" (exit status 89) is nothing wrong.
std::vector<Finding> JudgePlay(const conformance::Scenario& scenario, const conformance::ClientPlay& play);

// Whether both are of one kind, rule and task. What request_kind says of the server may differ.
bool IsSameOfClient(const Finding& a, const Finding& b);

// `finding` with all that a reader, and a replay, needs of the run that shows it.
Finding WithRun(Finding finding, const ClientCase& met, const conformance::ClientPlay& play);

}  // namespace nbdspec::fuzz
