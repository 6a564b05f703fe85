// SPDX-License-Identifier: BSD-3-Clause
// LiveSession: bytes of a fuzzer in, a script run on a real server, kinds of answers out (fuzz/live/learn). The
// server is started once, and again when it has ended.

#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <vector>

#include "conformance/peer/target.h"
#include "engine/base/bytes.h"
#include "engine/base/error.h"
#include "engine/script/script.h"
#include "engine/script/script_bytes.h"
#include "fuzz/findings/finding.h"
#include "fuzz/live/run/live_server.h"

namespace nbdspec::fuzz {

inline constexpr std::size_t kLiveStepsMax = 32;

class LiveSession {
 public:
  // `target` outlives it, and may be written to. Errors: as LiveServer::Start.
  static std::expected<std::unique_ptr<LiveSession>, engine::Trouble> Start(conformance::Target& target,
                                                                            LiveOptions options);

  // What scripts may be: requests inside of the server's export.
  [[nodiscard]] engine::ScriptLimits limits() const;

  // The script that `input` stands for on this server: text or bytes.
  [[nodiscard]] engine::Script ScriptOf(engine::ByteView input) const;

  // A random one, as `nbdspec fuzz` makes them.
  [[nodiscard]] engine::Script Fresh(std::uint64_t seed) const;

  struct Outcome {
    std::optional<Finding> finding = {};         // Without a public name.
    std::vector<std::uint32_t> signatures = {};  // Of the answers: sorted, each once.
    std::uint64_t command_count = 0;             // Requests answered.
  };
  // Leaves out requests for what the server does not offer. Errors: the server cannot be reached, nor started again.
  std::expected<Outcome, engine::Trouble> Run(const engine::Script& script);

 private:
  explicit LiveSession(std::unique_ptr<LiveServer> server) : server_(std::move(server)) {}

  std::unique_ptr<LiveServer> server_;
};

}  // namespace nbdspec::fuzz
