// SPDX-License-Identifier: BSD-3-Clause
// A case inside real nbdkit, against what is true of it: asked by our own raw session and by nbdinfo.

#pragma once

#include <optional>

#include "engine/base/bytes.h"
#include "fuzz/nbdkit/nbdkit_case.h"
#include "fuzz/oracles/disagreement.h"

namespace nbdspec::fuzz {

// The first thing wrong: an extent that is not the truth's, a rule of the specification broken, a ZERO claim that
// reading refutes, a server that dies. A case that deviates is asked only what its script asks.
//
// Not counted where nothing else is asked: the descriptor too many after one that ends where the request does, which
// nbdkit is known for (CVE-2025-47711).
std::optional<Disagreement> FindNbdkitDisagreement(const NbdkitCase& test_case);

// The same against another truth than the case's: how a test shows that a difference is found.
std::optional<Disagreement> FindNbdkitDisagreement(const NbdkitCase& test_case, const Truth& truth);

// Of a case as text, as in corpus/regressions/nbdkit_extents. One that says how nbdkit deviates agrees when nbdkit
// does.
std::optional<Disagreement> FindNbdkitCaseDisagreement(engine::ByteView text);

}  // namespace nbdspec::fuzz
