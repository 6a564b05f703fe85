// SPDX-License-Identifier: BSD-3-Clause
// Conversations with the reference server, judged message by message (server_session_judge.h): any bytes, which must be
// answered the same however they come; and haggling about metadata contexts, where each BLOCK_STATUS then shows which
// of them were selected, with which ids.

#pragma once

#include <functional>
#include <memory>

#include "engine/base/bytes.h"
#include "engine/server/server.h"
#include "fuzz/comparisons/fuzz_target.h"

namespace nbdspec::fuzz {

// Makes what sits between a server and its wire, anew for each session. Canary tests plant bugs with it.
using MakeInterposer = std::function<std::unique_ptr<engine::Interposer>()>;

// The first thing wrong with what the server makes of `input`, read as server_session_input.h says.
Found FindServerSessionDisagreement(engine::ByteView input, const MakeInterposer& make_interposer = {});

// The same of an input read by ReadMetaContextInput.
Found FindMetaContextDisagreement(engine::ByteView input, const MakeInterposer& make_interposer = {});

FuzzTarget ServerSessionTarget();
FuzzTarget MetaContextTarget();

}  // namespace nbdspec::fuzz
