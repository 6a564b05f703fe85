// SPDX-License-Identifier: BSD-3-Clause
// Haggling about metadata contexts with the reference server: each reply, and which contexts with which ids each
// BLOCK_STATUS is then answered with, as SessionJudge demands of every conversation.

#pragma once

#include <optional>

#include "engine/base/bytes.h"
#include "engine/server/server.h"
#include "fuzz/comparisons/fuzz_target.h"

namespace nbdspec::fuzz {

// The first thing wrong with how the server answers `input`, read by ReadMetaContextInput. `interposer` may be
// null; canary tests plant bugs with it.
std::optional<Disagreement> FindMetaContextDisagreement(engine::ByteView input,
                                                        engine::Interposer* interposer = nullptr);

FuzzTarget MetaContextTarget();

}  // namespace nbdspec::fuzz
