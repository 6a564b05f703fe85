// SPDX-License-Identifier: BSD-3-Clause
// LiveServer: a running server, its connections, and what is known of its bytes: what scripts are run on, one after
// the other.
//
//   Target --Start--> Peer <--> LiveConnection, one or several <--> LiveServer --> ReplyJudge, ConcurrentModel

#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <expected>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "conformance/peer/target.h"
#include "engine/base/error.h"
#include "engine/script/script.h"
#include "engine/storage/volatile_disk.h"
#include "fuzz/findings/finding.h"
#include "fuzz/live/connection/live_connection.h"
#include "fuzz/live/judge/reply_judge.h"
#include "fuzz/live/model/concurrent_model.h"
#include "fuzz/live/model/power_history.h"

namespace nbdspec::fuzz {

inline constexpr int kInFlightMax = 64;

struct LiveOptions {
  int in_flight = 16;  // Of each connection; at most kInFlightMax.
  std::chrono::milliseconds reply_timeout{5000};
  std::chrono::milliseconds start_timeout{10000};
  const std::atomic<bool>* cancelled = nullptr;  // When it becomes true, a run ends early and finds nothing.
  // After it no wait for answers begins: the run ends early. One that has begun goes on: it may show that a server
  // hangs.
  std::optional<std::chrono::steady_clock::time_point> deadline = {};
  bool keep_answers = false;               // RunResult::answers.
  bool power_cut = false;                  // Its disk is ours, so that CutSteps cut the power.
  std::uint64_t window_bytes = 4 << 20;    // At the beginning and at the end of the export: what is known of it.
  std::set<std::string> absent_bugs = {};  // Public names of bugs that the server does not have.
};

bool IsCancelled(const LiveOptions& options);

// How a connection haggles where no script says it: structured replies, then base:allocation.
std::vector<engine::OptionStep> DefaultHaggling();

// The same with extended headers.
std::vector<engine::OptionStep> ExtendedHaggling();

// Advice of the specification that answers did not follow: no finding.
struct Warning {
  std::uint64_t count = 0;
  std::string step = {};  // Of the first, as a line of a script; so the next.
  std::uint64_t script_number = 0;
  std::string expected = {};
  std::string saw = {};
  FindingPicture picture = {};  // Of the first of a server.
};
using Warnings = std::map<std::string, Warning, std::less<>>;  // By requirement.

// Adds `more`, which came of the script `script_number`.
void AddWarnings(const Warnings& more, std::uint64_t script_number, Warnings& all);

struct RunResult {
  std::optional<Finding> finding = {};        // The first that has no public name.
  std::map<std::string, Finding> known = {};  // By public name, with counts; only the server's first is complete.
  Warnings warnings = {};
  std::uint64_t command_count = 0;           // Requests answered.
  std::uint64_t cut_count = 0;               // Power cuts.
  std::vector<engine::Answer> answers = {};  // One for each step, when options.keep_answers.
  // What base:allocation said, until the script changed bytes; at most kExtentsMax.
  std::vector<engine::ByteRange> extents = {};
  static constexpr std::size_t kExtentsMax = 64;
};

class LiveServer {
 public:
  // Starts the server, or connects to it, and reads what is to be known of its bytes. `target` outlives it.
  // Errors: it cannot be started, entered or read; but not where that is because it broke a MUST: see broken.
  static std::expected<std::unique_ptr<LiveServer>, engine::Trouble> Start(conformance::Target& target,
                                                                           const LiveOptions& options);
  ~LiveServer();
  LiveServer(const LiveServer&) = delete;
  LiveServer& operator=(const LiveServer&) = delete;

  // Sends the requests of the script and judges the answers; those of connections that the server turns away, on its
  // last one. OptionSteps, wherever they stand, say how connections
  // haggle; without any, they request structured replies and base:allocation. Steps on extent maps are skipped, and
  // requests that the form of headers cannot carry, and power cuts of a disk that is not ours.
  // One more READ on each connection ends it, before which whatever is left of the answers comes; so does DISC, where
  // connections `leave`: what comes until they end is judged, too.
  // After a finding a server that nbdspec started has to be started again.
  // Errors: the server cannot be reached although it did not end; the checker of its disk cannot be run.
  std::expected<RunResult, engine::Trouble> Run(const engine::Script& script, bool leave = false);

  // What the server has asked of its disk since the last call, the first of it, where that is ours.
  std::vector<engine::DiskOperation> TakeDiskOperations();

  // Whether connections can be entered so: those that are there are left, and one is entered. Also where the server
  // breaks a MUST or ends over it: the next Run shows that. A server that often cannot is not asked again.
  bool CanEnter(const std::vector<engine::OptionStep>& haggling);

  // From now on what looks like the public bug of this name is another one.
  void SayAbsent(const std::string& public_name) { options_.absent_bugs.insert(public_name); }

  // Starts it again with fresh contents; a server that is not ours is only read again. Errors: as of Start.
  std::expected<void, engine::Trouble> Restart();

  // What was wrong where the server broke a MUST while it was entered and read. Then no script runs on it: each run has
  // that finding.
  struct Broken {
    Finding finding;
    engine::Trouble trouble;  // The same as a reason why the server is of no use.
  };
  [[nodiscard]] const std::optional<Broken>& broken() const { return broken_; }

  // What the server offers where all of it is asked for.
  [[nodiscard]] const Offer& offer() const { return offer_; }
  // DefaultHaggling, without the options on which the server ends the connection.
  [[nodiscard]] const std::vector<engine::OptionStep>& usual_haggling() const { return usual_haggling_; }
  // What it offers with extended headers, as ExtendedHaggling and all listed contexts get it; nothing where they are
  // not offered. Enters a connection.
  std::optional<Offer> LearnExtended();
  // The parts of the export whose bytes are known: where scripts should look and write.
  [[nodiscard]] std::vector<engine::ByteRange> windows() const { return model_->bytes().windows(); }

 private:
  static constexpr std::chrono::milliseconds kDrainTimeout{500};

  using Clock = conformance::Transport::Clock;

  struct Slot {
    bool in_use = false;
    std::uint64_t cookie = 0;
    std::size_t step = 0;
    Ticket ticket = 0;
    ReplyJudge judge = {};
  };
  struct Lane {  // A connection and what is in flight on it.
    std::unique_ptr<LiveConnection> connection = nullptr;
    Offer offer = {};
    std::vector<Slot> slots = {};
    int in_flight = 0;
    Ticket last_illegal = 0;  // What no client may send, until the server goes on with what was sent after it.
    bool has_left = false;

    // Null when no request in flight has that cookie.
    Slot* Find(std::uint64_t cookie);
    [[nodiscard]] bool has_illegal_in_flight() const;
    [[nodiscard]] bool has_change_in_flight() const;
  };
  // What ends the run of a script: a failure, or only that it cannot go on; `trouble` around us.
  struct Stop {
    std::optional<Failure> failure = {};
    std::size_t step = 0;
    std::string request_kind = {};
    std::optional<std::uint64_t> cookie = {};  // Of what it is about.
    std::optional<engine::Trouble> trouble = {};
  };
  using OrStop = std::expected<void, Stop>;

  LiveServer(conformance::Target& target, const LiveOptions& options) : target_(target), options_(options) {}

  // live_server_start.cc
  std::expected<void, engine::Trouble> Learn();
  std::expected<void, engine::Trouble> EnterToLearn();
  std::expected<void, engine::Trouble> ReadWindows();
  void Break(const Stop& stop, engine::Trouble trouble);
  [[nodiscard]] RunResult FromBroken();
  OrStop CutPower(const engine::PowerCut& cut, std::size_t step);
  std::expected<void, engine::Trouble> LearnAgain();

  // live_server_lanes.cc
  std::expected<void, engine::Trouble> EnterLanes(std::vector<engine::OptionStep> haggling, std::size_t count);
  std::expected<void, engine::Trouble> EnterLane();
  std::expected<void, engine::Trouble> TryLane();
  void GiveUpAnswers();
  void LeaveLanes();
  void AwaitEnds(Clock::time_point deadline);
  OrStop LeaveUnread(std::size_t step);
  OrStop ReceiveVisitors(const engine::VisitStep& visitors, std::size_t step);
  [[nodiscard]] std::expected<void, std::string> ReceiveVisitor(engine::Visit visit, Clock::time_point deadline);
  [[nodiscard]] Stop NotEntered(engine::Trouble trouble);

  // live_server_wait.cc
  OrStop LookAtTime();
  [[nodiscard]] std::uint64_t PassedBytes() const;
  [[nodiscard]] Clock::time_point LastWait() const;
  [[nodiscard]] std::uint64_t HeldBytes() const;
  [[nodiscard]] std::uint64_t HeldBytesMax() const;
  [[nodiscard]] std::uint64_t BytesFor(const engine::RequestStep& request) const;
  OrStop MakeRoomFor(const engine::RequestStep& request);
  void StartRecord();
  void NoteTaken(const ReplyJudge& judge, const ReplyView& reply);
  [[nodiscard]] OrStop TooMuch(const Lane& lane) const;
  OrStop WaitForAll();
  OrStop WaitFor(const Lane& lane, int in_flight_max);
  OrStop ReceiveSome();
  std::expected<bool, Stop> FlushLanes();
  std::expected<bool, Stop> FlushLane(Lane& lane, std::size_t bytes_max = SIZE_MAX);
  OrStop SendPiece(const engine::SendStep& piece);
  std::expected<bool, Stop> TakeWhatHasCome();
  OrStop TakeReplies(Lane& lane);
  static OrStop JudgeUnfinished(const Slot& slot);
  void Drain();

  void Begin(const engine::Script& script);
  OrStop RunSteps();
  OrStop AskOnceMore();
  OrStop LeaveAndListen();
  [[nodiscard]] std::uint8_t OnLane(std::uint8_t connection) const;
  OrStop Send(const engine::RequestStep& request, std::size_t step);
  OrStop TakeReply(Lane& lane, const ReplyView& reply);
  [[nodiscard]] OrStop Stray(const Lane& lane, std::uint64_t cookie) const;
  OrStop StopUnlessKnown(Stop stop);
  OrStop Disconnected(Lane& lane);
  std::optional<std::string> Ended();
  [[nodiscard]] bool Greets();
  [[nodiscard]] bool IsLate() const { return options_.deadline && Clock::now() >= *options_.deadline; }
  OrStop Hung();
  static OrStop StopAtFirst(std::span<const Lane> lanes, Failure failure);
  [[nodiscard]] OrStop JudgeRest() const;
  void Warn(const Slot& slot);
  void NoteExtents(const Lane& lane, const ReplyJudge& judge);
  [[nodiscard]] std::vector<reports::Message> Passed() const;
  [[nodiscard]] Finding FindingFrom(const Stop& stop) const;
  [[nodiscard]] std::string NameOf(const Finding& finding) const;

  conformance::Target& target_;
  LiveOptions options_;
  std::unique_ptr<conformance::Peer> peer_;
  Offer offer_;
  std::optional<ConcurrentModel> model_;
  std::optional<PowerHistory> power_;  // Since the last power cut, with options.power_cut.
  std::vector<engine::OptionStep> usual_haggling_ = DefaultHaggling();
  std::vector<engine::OptionStep> haggling_;  // Of the lanes.
  std::vector<Lane> lanes_;
  std::size_t lanes_max_ = engine::kConnectionsMax;   // Fewer where the server turned away one more,
  std::vector<engine::OptionStep> refused_haggling_;  // The last that CanEnter could not,
  int refused_count_ = 0;                             // and how many of them there were.
  bool was_turned_away_ = false;                      // as the last one was that could not enter: it was not greeted.
  bool has_entered_ = false;                          // Some lane, at some time.
  bool takes_visitors_ = true;                        // Beside the lanes.
  bool ends_connections_ = true;                      // The server ends those that were left.
  std::set<std::string> known_seen_;
  std::set<std::string> warned_of_;  // Requirements of warnings that were drawn.
  std::uint64_t clock_ = 0;          // Of transcripts.
  std::uint64_t request_count_ = 0;
  std::uint64_t disc_cookie_ = 0;  // Once DISC was sent.
  std::optional<Broken> broken_;

  // Since when no answer was complete, and what had passed by then.
  bool has_progress_ = true;  // It is from now on.
  Clock::time_point progress_at_;
  std::uint64_t progress_bytes_ = 0;

  // Since StartRecord.
  std::uint64_t expected_bytes_ = 0;  // Of the requests that were sent: BytesFor.
  std::uint64_t taken_bytes_ = 0;     // That judges keep.
  std::uint64_t status_bytes_ = 0;    // What a status may take, by the longest so far.

  engine::Script no_script_;
  const engine::Script* script_ = &no_script_;  // The one that runs,
  RunResult result_;                            // and what has come of it.
  bool has_changed_bytes_ = false;              // Or may have.
};

// Runs `script` on a server of its own. Errors: as LiveServer::Start and Run.
std::expected<RunResult, engine::Trouble> RunOnFreshServer(conformance::Target& target, const engine::Script& script,
                                                           const LiveOptions& options);

}  // namespace nbdspec::fuzz
