// SPDX-License-Identifier: BSD-3-Clause
// Haggling about metadata contexts with the reference server against a small model of what is negotiated.
//
// The model knows from the steps, not from bytes, what each reply must be and which contexts with which ids are
// selected once transmission begins; each BLOCK_STATUS is then answered with exactly those, or refused. Where the
// specification leaves the server a choice, the model holds the reference server to the one it made.

#pragma once

#include <optional>

#include "engine/base/bytes.h"
#include "engine/server/interposer.h"
#include "fuzz/comparisons/disagreement.h"

namespace nbdspec::fuzz {

// The first thing wrong with how the server answers `input`, read as meta_context_input.h says. `interposer` may be
// null; canary tests plant bugs with it.
std::optional<Disagreement> FindMetaContextDisagreement(engine::ByteView input,
                                                        engine::Interposer* interposer = nullptr);

}  // namespace nbdspec::fuzz
