// SPDX-License-Identifier: BSD-3-Clause
// Whole exchanges with the reference server: haggling, then statuses, reads, writes, trims and zeroes, pipelined.
//
// A script says what. Its Adds make the export (ExportModel); its options, up to the first request, are the haggling,
// and what is missing for transmission is added: all of it, with every context, where the script has no option, and
// with extended headers where its first request is one that they alone can carry, or its one option asks for them. The
// requests between two waits are sent before any reply is taken. Connection 1 is served plainly, and its answers must
// be the model's exactly; the others have UnusualAnswers and come in pieces, and must be right. Between two waits,
// what a lower connection sends is done first.

#pragma once

#include <functional>
#include <memory>

#include "engine/script/script.h"
#include "engine/script/script_bytes.h"
#include "engine/server/server.h"
#include "fuzz/comparisons/fuzz_target.h"

namespace nbdspec::fuzz {

// What an input becomes: enough to go wrong, small enough to be fast.
inline constexpr engine::ScriptLimits kExchangeLimits = {
    .export_bytes_max = 1ULL << 34,
    .steps_max = 48,
    .kinds = {.add = true, .request = true, .wait = true, .option = true, .extended = true},
    .connections_max = 2,
    .payload_bytes_max = 1 << 14};

// Makes what is wrong with the server of `connection`; null for nothing. It may change `served`.
using MakeExchangeInterposer =
    std::function<std::unique_ptr<engine::Interposer>(engine::Export& served, std::uint8_t connection)>;

// The first answer that is not permitted. Not for several threads at once: buffers are used again.
Found FindBlockStatusExchangeDisagreement(const engine::Script& script,
                                          const MakeExchangeInterposer& make_interposer = {});

FuzzTarget BlockStatusExchangeTarget();

}  // namespace nbdspec::fuzz
