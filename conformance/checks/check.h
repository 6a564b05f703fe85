// SPDX-License-Identifier: BSD-3-Clause
// Check: code that asks one requirement of a server, and what it may use for that.
//
// A check talks to the server through its CheckContext and returns a Judgement. It never says how bad a breach is:
// the level stands in the requirement catalogue. docs/howto/add_a_check.md shows how to write one.

#pragma once

#include <cstdint>
#include <expected>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "conformance/peer/peer.h"
#include "conformance/peer/target.h"
#include "conformance/session/probe.h"
#include "conformance/session/session.h"

namespace nbdspec::conformance {

// What a check found.
struct Judgement {
  enum class Kind {
    kHolds,          // The requirement is kept, as far as the check can tell.
    kBroken,         // It is broken; `saw` and `allowed` say how.
    kInconclusive,   // It could not be judged; `saw` says why.
    kNotApplicable,  // The server has nothing it could be judged on; `saw` shows that.
  };
  Kind kind = Kind::kHolds;
  std::string saw = {};
  std::string allowed = {};
};

Judgement Holds();
Judgement Broken(std::string saw, std::string allowed);
Judgement Inconclusive(std::string why);
Judgement NotApplicable(std::string why);

// For NBDSPEC_TRY: a conversation that ended where the check needed it to go on is inconclusive. A check whose
// requirement is that it goes on says Broken itself.
Judgement AsJudgement(const ReceiveError& ended);
Judgement AsJudgement(Judgement judgement);

// Declares `variable` as the value of `expression` (a std::expected), or returns its error as a Judgement.
#define NBDSPEC_TRY(variable, expression)                                         \
  auto variable##_or = (expression);                                              \
  if (!variable##_or) {                                                           \
    return ::nbdspec::conformance::AsJudgement(std::move(variable##_or).error()); \
  }                                                                               \
  [[maybe_unused]] auto& variable = *variable##_or

// How to enter the export under test.
struct EnterOptions {
  bool structured_replies = false;
  std::vector<std::string> contexts = {};  // Queries for SET_META_CONTEXT; needs structured_replies.
  bool by_name = false;                    // By EXPORT_NAME rather than GO.
};

// A session in the transmission phase.
struct Entered {
  Session session;
  engine::InfoExport info = {};
  engine::InfoBlockSize block_size = {};
  std::vector<engine::MetaContext> contexts = {};  // Selected, as the server said.
};

class CheckContext {
 public:
  CheckContext(Peer& peer, const Profile& profile, std::string export_name, Session::Limits limits, std::uint64_t seed,
               Transcript& transcript)
      : peer_(peer),
        profile_(profile),
        export_name_(std::move(export_name)),
        limits_(limits),
        random_(seed),
        transcript_(transcript) {}

  // A new connection on which nothing was said or heard.
  std::expected<Session, Judgement> Connect();

  // A new connection in option haggling: greeting heard, client flags sent (those the server offers).
  std::expected<Session, Judgement> Haggle();

  // The same with structured replies agreed.
  std::expected<Session, Judgement> HaggleStructured();

  // A new connection in transmission on the export under test.
  std::expected<Entered, Judgement> Enter(const EnterOptions& options = {});

  [[nodiscard]] const Profile& profile() const { return profile_; }
  [[nodiscard]] const std::string& export_name() const { return export_name_; }
  [[nodiscard]] std::mt19937_64& random() { return random_; }
  [[nodiscard]] const Session::Limits& limits() const { return limits_; }

  // An export name that no server has: long and random. Servers that take any name must be expected.
  std::string UnknownName();

 private:
  Peer& peer_;
  const Profile& profile_;
  std::string export_name_;
  Session::Limits limits_;
  std::mt19937_64 random_;
  Transcript& transcript_;
  int connection_count_ = 0;
};

struct Check {
  // The id of its requirement; "REQUIREMENT/suffix" where one requirement takes several checks.
  std::string_view id;
  // Without one of these it does not apply.
  Features needs = {};
  // The server must be set up so; without that it does not apply.
  Setup setup = Setup::kWritable;
  // One sentence: what is done and what must come of it.
  std::string_view claim;
  Judgement (*run)(CheckContext&);

  // `id` up to the slash.
  [[nodiscard]] std::string_view requirement() const { return id.substr(0, id.find('/')); }
};

// Every check, in the order of the specification. Built once.
std::span<const Check> AllChecks();

// One function for each file of checks.
std::vector<Check> HandshakeChecks();        // handshake_checks.cc
std::vector<Check> ExportNameChecks();       // export_name_checks.cc
std::vector<Check> OptionChecks();           // option_checks.cc: haggling in general, unknown options, ABORT, LIST
std::vector<Check> StarttlsChecks();         // starttls_checks.cc: what a server without TLS owes
std::vector<Check> OptionReplyChecks();      // option_reply_checks.cc: what replies carry, above all strings
std::vector<Check> InfoChecks();             // info_checks.cc: INFO, GO and their replies
std::vector<Check> BlockSizeChecks();        // block_size_checks.cc: how they are told
std::vector<Check> BlockLimitChecks();       // block_limit_checks.cc: how they are enforced
std::vector<Check> MetaContextChecks();      // meta_context_checks.cc: STRUCTURED_REPLY, names of contexts, base:
std::vector<Check> ListMetaContextChecks();  // list_meta_context_checks.cc
std::vector<Check> SetMetaContextChecks();   // set_meta_context_checks.cc
std::vector<Check> BlockStatusChecks();      // block_status_checks.cc
std::vector<Check> ZeroClaimChecks();        // zero_claim_checks.cc: whether base:allocation says what is so
std::vector<Check> StatusCostChecks();       // status_cost_checks.cc: whether block status is quick
std::vector<Check> TransmissionChecks();     // transmission_checks.cc: requests, simple replies, DISC
std::vector<Check> FlagChecks();             // flag_checks.cc: transmission flags and command flags
std::vector<Check> ErrorChecks();            // error_checks.cc: which errors come, and when
std::vector<Check> ChunkChecks();            // chunk_checks.cc: structured replies: chunks and content
std::vector<Check> ErrorChunkChecks();       // error_chunk_checks.cc: structured replies: errors
std::vector<Check> ReadChecks();             // read_checks.cc: READ
std::vector<Check> WriteChecks();            // write_checks.cc: WRITE, FLUSH, CACHE, several connections
std::vector<Check> ZeroingChecks();          // zeroing_checks.cc: TRIM and WRITE_ZEROES

}  // namespace nbdspec::conformance
