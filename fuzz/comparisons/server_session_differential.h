// SPDX-License-Identifier: BSD-3-Clause
// A conversation with the reference server, judged message by message, and the same however its bytes come.

#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "engine/base/bytes.h"
#include "engine/server/server.h"
#include "fuzz/comparisons/fuzz_target.h"

namespace nbdspec::fuzz {

// Makes what sits between a server and its wire, anew for each session. Canary tests plant bugs with it.
using MakeInterposer = std::function<std::unique_ptr<engine::Interposer>()>;

// The first thing wrong with what the server makes of `input`, read as server_session_input.h says.
std::optional<Disagreement> FindServerSessionDisagreement(engine::ByteView input,
                                                          const MakeInterposer& make_interposer = {});

FuzzTarget ServerSessionTarget();

}  // namespace nbdspec::fuzz
