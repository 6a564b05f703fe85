// SPDX-License-Identifier: BSD-3-Clause
// Worker: runs one check at a time on servers of its own, and makes a verdict of what it finds.
//
// What does not apply is never run, the level comes from the catalogue, whatever did not hold is run again on a fresh
// server before it is believed; a server that died or fell silent is seen, and the check that did it is looked for
// among those before.

#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <semaphore>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "conformance/checks/check.h"
#include "conformance/peer/one_client_peer.h"
#include "conformance/peer/target.h"
#include "conformance/session/probe.h"
#include "conformance/session/session.h"
#include "engine/spec/catalogue.h"
#include "reports/model/run.h"

namespace nbdspec::conformance {

struct RunOptions {
  std::uint64_t seed = 0;
  int worker_count = 1;  // In [1, 64]. Each has a server of its own; more than 1 only where Target::CanRunTwice.
  Session::Limits limits = {};
  std::chrono::milliseconds case_timeout{10'000};
  std::chrono::milliseconds deadline{0};  // For the whole run; 0 for none.
  bool allow_write = false;               // To a server that nbdspec did not start.
  bool extended = false;  // Extended headers where structured replies are wanted, if the server has them.
  std::string version = {};
  std::string replay_flags = {};  // Added to each replay line: " --reply-timeout 500".
  const std::atomic<bool>* cancelled = nullptr;
  // Called with each outcome as soon as it is known, from one thread at a time; again when it changes later.
  std::function<void(const reports::Outcome&)> on_outcome = {};
  // Whether the run is to end with this outcome; the checks that are under way are brought to their end. Called
  // likewise.
  std::function<bool(const reports::Outcome&)> ends_with = {};
};

// What a run knows of its target, for all its workers.
class Knowledge {
 public:
  // --- How the server treats its clients. To be written before the second worker begins ---

  bool one_client = false;        // It serves one at a time.
  bool ends_with_client = false;  // It ends when its client has left.

  // --- From any thread ---

  // What a server set up so offers, as the last conversation that went well showed it.
  [[nodiscard]] std::optional<Profile> ProfileOf(Setup setup) const;
  void Learn(Setup setup, const Profile& profile);

  // Why a server set up so cannot be asked: the first reason of each setup.
  using Unfit = std::map<Setup, ProbeError>;
  void LearnUnfit(Setup setup, const ProbeError& why);
  [[nodiscard]] Unfit unfit() const;

  // Of a server that serves no ordinary client: whether checks that need none go on to be asked of it, after so many of
  // them met its death or silence only.
  void LearnVainCheck() { ++vain_checks_; }
  [[nodiscard]] bool is_vain() const { return vain_checks_ >= kVainChecksMax; }

  // The server `ended` so in the check `id`, after a message of that name. Returns the checks in which it did before,
  // where they are enough to show what the cause is.
  std::optional<std::string> LearnDeath(std::string_view id, const std::string& ended, const std::string& message);

  // To be held while a server starts: many at once only take each other's time.
  class TurnToStart {
   public:
    // Waits for it, until `is_cancelled`.
    TurnToStart(Knowledge& knowledge, const std::function<bool()>& is_cancelled) : starts_(knowledge.starts_) {
      constexpr std::chrono::milliseconds kLook{20};
      while (!(is_held_ = starts_.try_acquire_for(kLook)) && !is_cancelled()) {
      }
    }
    ~TurnToStart() { starts_.release(is_held_ ? 1 : 0); }
    TurnToStart(const TurnToStart&) = delete;
    TurnToStart& operator=(const TurnToStart&) = delete;

   private:
    std::counting_semaphore<>& starts_;
    bool is_held_ = false;
  };

  // The longest that an ordinary client waited for one answer.
  [[nodiscard]] std::chrono::milliseconds longest_wait() const { return longest_wait_; }
  // Returns whether it is much longer than was known.
  bool LearnWait(Transport::Clock::duration wait);

 private:
  static constexpr int kVainChecksMax = 4;
  std::counting_semaphore<> starts_{std::max(4, 2 * static_cast<int>(std::thread::hardware_concurrency()))};
  std::atomic<int> vain_checks_ = 0;
  mutable std::mutex mutex_;  // Guards the three below.
  std::map<Setup, Profile> profiles_;
  Unfit unfit_;
  std::map<std::pair<std::string, std::string>, std::vector<std::string_view>> deaths_;  // By how, and after what.
  std::atomic<std::chrono::milliseconds> longest_wait_ = std::chrono::milliseconds(0);
};

// The error of a server that was not started because the run's time was up.
inline constexpr std::string_view kNoTimeToStart = "the run's deadline passed before the server was started";

class Worker {
 public:
  // All of them outlive the worker. `deadline` is the run's.
  Worker(Target& target, const RunOptions& options, Transport::Clock::time_point deadline, Knowledge& knowledge)
      : target_(target), options_(options), deadline_(deadline), knowledge_(knowledge) {}

  // Finds out how the server treats its clients, for `knowledge`: an ordinary client, one beside it, and one after
  // them.
  void LearnHabits();

  // Starts a server set up so and holds the sanity conversation, if there is none yet; Run does so by itself.
  // Returns what it offers, or why it cannot be talked to.
  const std::expected<Profile, ProbeError>& Open(Setup setup) { return ServerFor(setup).profile; }

  // Runs `check`, if it applies, and again if it does not hold.
  reports::Outcome Run(const Check& check);

  // The same; nothing where its server cannot be started, or was not when the check started it again, and one like it
  // could be before: another worker, or this one later, may have more luck.
  std::optional<reports::Outcome> RunIfStarted(const Check& check);

  // The sanity conversation once more, with every server in use: why one failed that no check fails for, empty when
  // none did.
  // Returns nothing when it was not held: no server ever was sane, or the run's time is over.
  std::optional<std::string> Close();

  // The outcomes that turned out to be others since Run returned them, each with its check.
  using Revised = std::vector<std::pair<const Check*, reports::Outcome>>;
  Revised TakeRevised() { return std::exchange(revised_, {}); }

 private:
  using Checks = std::span<const Check* const>;

  // A server and what it offers.
  struct Server {
    std::unique_ptr<Peer> peer;
    OneClientPeer* one_client = nullptr;  // The same, where the server serves one client at a time.
    std::expected<Profile, ProbeError> profile;
    std::vector<const Check*> ran = {};  // Since its last start.
    int start_count = 1;
  };

  // One run of a check and all that was seen.
  struct Trial {
    Judgement judgement;
    Transcript transcript = {};
    reports::Evidence evidence = {};
    bool was_down = false;     // The server could not be started again: then nothing is judged.
    bool died = false;         // The server did.
    bool fell_silent = false;  // It is up, and no longer serves an ordinary client.
    bool was_silent = false;   // Some answer was awaited in vain.
    bool was_slow = false;     // The server was, so that the silence proves nothing.
    bool out_of_time = false;  // Some wait may have been cut short.

    [[nodiscard]] bool did_harm() const { return died || fell_silent; }
    // It broke the server by what it sent last.
    void Accuse(std::string saw, std::string_view allowed);
  };

  Server& ServerFor(Setup setup);
  Server StartServer(Setup setup);
  [[nodiscard]] PeerOrTrouble StartPeer(Setup setup);
  std::expected<Profile, ProbeError> ProbeFresh(Peer& peer, Setup setup);
  [[nodiscard]] std::expected<Profile, ProbeError> ProbeNow(Peer& peer) const;
  [[nodiscard]] ProbeOptions OrdinaryClient(const Session::Limits& limits) const;
  [[nodiscard]] bool MayWrite() const { return target_.IsOurs() || options_.allow_write; }
  [[nodiscard]] Setup Possible(Setup setup) const { return target_.CanSetUp(setup) ? setup : Setup::kWritable; }
  [[nodiscard]] bool Cancelled() const { return options_.cancelled != nullptr && options_.cancelled->load(); }
  // The run's time is over.
  [[nodiscard]] bool IsLate() const { return Transport::Clock::now() >= deadline_; }
  // For a check that takes so many starts of its server.
  [[nodiscard]] Session::Limits LimitsNow(int starts = 1) const;

  [[nodiscard]] reports::Outcome Blank(const Check& check) const;
  // Why `check` is not run; nothing where it is.
  [[nodiscard]] std::optional<std::pair<reports::Verdict, std::string>> WhyNot(const Check& check,
                                                                               const Server& server) const;
  // Skips `check`: its server cannot be asked.
  std::pair<reports::Verdict, std::string> SkipUnfit(const Check& check, const Server& server) const;
  Trial Try(const Check& check, Server& server);
  void AddAftermath(Trial& trial, Server& server, Setup setup);
  static void NoteDeath(Trial& trial, const std::optional<std::string>& ended);
  static reports::Verdict VerdictOf(const Check& check, const Trial& trial);
  // The clause that is broken, if not that of the check; see Judgement::requirement.
  static const spec::Requirement& ClauseOf(const Check& check, const Trial& trial);
  static void Report(const Check& check, Trial trial, reports::Outcome& outcome);
  void Restart(Server& server, Setup setup);
  bool Conclude(const Check& check, reports::Outcome& outcome);
  std::optional<Trial> TryWhileUp(const Check& check);
  std::optional<reports::Outcome> RunOnce(const Check& check);
  void Reconcile(const Check& check, Checks before, Trial first, Trial second, reports::Outcome& outcome);

  // culprit.cc: who broke the server.
  bool DoesHarmAlone(const Check& check, Setup setup);
  std::optional<Trial> HarmOf(Checks suspects, const Check* victim, Setup setup);
  std::optional<std::string> FindCulprit(Checks before, const Check* victim, Setup setup);
  void LookAfter(const Check& check, reports::Outcome& outcome);

  Target& target_;
  const RunOptions& options_;
  Transport::Clock::time_point deadline_;
  Knowledge& knowledge_;
  std::map<Setup, Server> servers_;
  bool one_server_ = false;  // There is room for only one.
  Revised revised_;
  std::string gone_;  // The check after which a server of others took no more clients.
};

// How a server is set up, in words that follow "the server": "" for kWritable, " set up as read-only".
std::string_view WordsFor(Setup setup);

// The verdict for a judgement on `requirement`: its level and whether its reading is open decide how bad a violation
// is.
reports::Verdict VerdictFor(Judgement::Kind kind, const spec::Requirement& requirement);

}  // namespace nbdspec::conformance
