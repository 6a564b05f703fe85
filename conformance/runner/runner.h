// SPDX-License-Identifier: BSD-3-Clause
// Runs checks against a target and makes outcomes of what they find.
//
// Here a judgement becomes a verdict: what does not apply is never run, the level comes from the catalogue, whatever
// did not hold is run again on a fresh server before it is believed, and a server that died is seen.

#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "conformance/checks/check.h"
#include "conformance/peer/target.h"
#include "conformance/session/session.h"
#include "reports/model/run.h"

namespace nbdspec::conformance {

struct RunOptions {
  std::uint64_t seed = 0;
  int worker_count = 1;  // In [1, 64]. Each has a server of its own; more than 1 only where Target::IsOurs.
  Session::Limits limits = {};
  std::chrono::milliseconds case_timeout{10'000};
  std::chrono::milliseconds deadline{0};  // For the whole run; 0 for none.
  bool allow_write = false;               // To a server that nbdspec did not start.
  std::string version = {};
  std::string replay_flags = {};  // Added to each replay line: " --reply-timeout 500".
  const std::atomic<bool>* cancelled = nullptr;
  // Called with each outcome as soon as it is known, from one thread at a time.
  std::function<void(const reports::Outcome&)> on_outcome = {};
};

// Runs `checks` in order and returns everything there is to report, with `exit` set. Run::exit is kTargetUnusable,
// with Run::trouble, when the server could never be reached.
reports::Run RunChecks(Target& target, std::span<const Check> checks, const RunOptions& options);

// Runs one check at a time on servers of its own, one for each setup, and judges its result.
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

    // Whether it shows nothing but that there was too little time.
    [[nodiscard]] bool WasCutShort() const {
      return out_of_time && !died && judgement.kind == Judgement::Kind::kInconclusive;
    }
  };

  Server& ServerFor(Setup setup);
  Server StartServer(Setup setup);
  Trial Try(const Check& check, Server& server);
  Trial TryInTime(const Check& check);
  void AddAftermath(Trial& trial, Setup setup);
  [[nodiscard]] bool Cancelled() const { return options_.cancelled != nullptr && options_.cancelled->load(); }
  // For a check that takes as long as so many do.
  [[nodiscard]] Session::Limits LimitsNow(int checks = 1) const;
  [[nodiscard]] std::expected<Profile, ProbeError> ProbeNow(Peer& peer) const;
  void Conclude(const Check& check, reports::Outcome& outcome);

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
