// SPDX-License-Identifier: BSD-3-Clause
// Worker: runs one check at a time on servers of its own, one for each setup, and judges its result.

#pragma once

#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "conformance/checks/check.h"
#include "conformance/runner/runner.h"
#include "engine/spec/catalogue.h"

namespace nbdspec::conformance {

class Worker {
 public:
  // Both outlive the worker. `deadline` is the run's.
  Worker(Target& target, const RunOptions& options, Transport::Clock::time_point deadline)
      : target_(target), options_(options), deadline_(deadline) {}

  // Starts a server set up so and holds the sanity conversation, if there is none yet; Run does so by itself.
  // Returns what it offers, or why it cannot be talked to.
  const std::expected<Profile, ProbeError>& Open(Setup setup) { return ServerFor(setup).profile; }

  // Runs `check`, if it applies, and again if it does not hold.
  reports::Outcome Run(const Check& check);

  // The sanity conversation once more, with every server in use: why one failed, empty when none did.
  // Returns nothing when it was not held: no server ever was sane, or the run's time is over.
  std::optional<std::string> Close();

 private:
  // A server and what it offers.
  struct Server {
    std::unique_ptr<Peer> peer;
    std::expected<Profile, ProbeError> profile;
  };

  // One run of a check and all that was seen.
  struct Trial {
    Judgement judgement;
    reports::Evidence evidence;
    bool died = false;
    bool out_of_time = false;  // Some wait may have been cut short.
  };

  Server& ServerFor(Setup setup);
  Server StartServer(Setup setup);
  Trial Try(const Check& check, Server& server);
  void AddAftermath(Trial& trial, Server& server, Setup setup);
  [[nodiscard]] bool Cancelled() const { return options_.cancelled != nullptr && options_.cancelled->load(); }
  [[nodiscard]] Session::Limits LimitsFor(std::chrono::milliseconds wait) const;
  [[nodiscard]] ProbeOptions ProbeOptionsNow() const;
  void Conclude(const Check& check, Server& server, reports::Outcome& outcome);

  Target& target_;
  const RunOptions& options_;
  Transport::Clock::time_point deadline_;
  std::map<Setup, Server> servers_;
};

// An outcome of `check` with what is known before it runs.
reports::Outcome BlankOutcome(const Check& check);

// The verdict for a judgement on `requirement`: its level and whether its reading is open decide how bad a violation
// is.
reports::Verdict VerdictFor(Judgement::Kind kind, const spec::Requirement& requirement);

}  // namespace nbdspec::conformance
