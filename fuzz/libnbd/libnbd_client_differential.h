// SPDX-License-Identifier: BSD-3-Clause
// What libnbd reports to its caller against what was sent to it, and what the server received against what was
// requested.
//
// A script is run by the real libnbd (fuzz/libnbd/libnbd_client.h) on the reference server, whose answers are
// legal and unusual. A Recorder writes down both directions; a function says what libnbd must make
// of it: the bytes of a read, each call of a callback, every error. That the server itself is right is the business of
// block_status_exchange.

#pragma once

#include <functional>
#include <memory>

#include "engine/script/script.h"
#include "engine/script/script_bytes.h"
#include "engine/server/server.h"
#include "fuzz/comparisons/fuzz_target.h"
#include "fuzz/libnbd/libnbd_client.h"

namespace nbdspec::fuzz {

inline constexpr engine::ScriptLimits kLibnbdLimits = {
    .export_bytes_max = 1ULL << 34,
    .steps_max = 48,
    .kinds = {.add = true, .request = true, .wait = true, .option = true},
    .payload_bytes_max = 1 << 14};

// What canaries change: what passes between Recorder and libnbd, and what libnbd reports.
struct LibnbdSpoilers {
  std::function<std::unique_ptr<engine::Interposer>(engine::Interposer& recorder)> make_liar = {};
  std::function<void(LibnbdReport&)> spoil = {};
};

// The options of a script, up to its first request, say what libnbd is to negotiate: structured replies, contexts and
// the export; everything if there are none. Connections are one.
Found FindLibnbdClientDisagreement(const engine::Script& script, const LibnbdSpoilers& spoilers = {});

FuzzTarget LibnbdClientTarget();

}  // namespace nbdspec::fuzz
