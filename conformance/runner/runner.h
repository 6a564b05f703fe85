// SPDX-License-Identifier: BSD-3-Clause
// Runs checks against a target, in several workers at once, and makes one report of their outcomes.

#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "conformance/checks/check.h"
#include "conformance/peer/target.h"
#include "conformance/runner/worker.h"
#include "reports/model/run.h"

namespace nbdspec::conformance {

// Runs `checks` in order and returns everything there is to report, with `exit` set. Run::exit is kTargetUnusable,
// with Run::trouble, when the server could never be reached, or let nobody into the export.
reports::Run RunChecks(Target& target, std::span<const Check> checks, const RunOptions& options);

// A run that begins now, on this machine: of nothing yet.
reports::Run BegunRun(const std::string& version, std::uint64_t seed);

// An outcome of `check` with what is known before it runs.
reports::Outcome BlankOutcome(const Check& check);

}  // namespace nbdspec::conformance
