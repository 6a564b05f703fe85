// SPDX-License-Identifier: BSD-3-Clause
// Replays what a client met: a finding's case, or one that a person wrote.

#pragma once

#include <atomic>
#include <chrono>

#include "conformance/clients/client_way.h"
#include "fuzz/clients/client_case.h"
#include "fuzz/findings/finding.h"
#include "fuzz/replay/replay.h"

namespace nbdspec::fuzz {

struct ClientReplayOptions {
  int tries = 3;  // Of a finding.
  std::chrono::milliseconds client_time{10'000};
  const std::atomic<bool>* cancelled = nullptr;
};

// By the command among `ways` that the case names; if it is not there, by those of the same tasks, or by all.
// `finding` may be null: then the verdict is kPass or kFail.
Replayed ReplayCase(const conformance::ClientWays& ways, const ClientCase& met, const Finding* finding,
                    const ClientReplayOptions& options);

}  // namespace nbdspec::fuzz
