// SPDX-License-Identifier: BSD-3-Clause
// Check: code that asks one requirement of a server, and what it may use for that.
//
// A check talks to the server through its CheckContext and returns a Judgement. It never says how bad a violation is:
// the level stands in the requirement catalogue. docs/howto/add_a_check.md shows how to write one.

#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "conformance/checks/subject.h"
#include "conformance/checks/witness.h"
#include "conformance/peer/target.h"
#include "conformance/session/probe.h"
#include "conformance/session/session.h"
#include "engine/base/quoted.h"
#include "engine/exchange/rules.h"
#include "engine/negotiation/negotiated.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using namespace spec;  // The ids of requirements.

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
  std::string_view requirement = {};  // That is broken, where that is another one than the check's.
  Subject about = {};

  [[nodiscard]] bool holds() const { return kind == Kind::kHolds; }
  [[nodiscard]] bool is_broken() const { return kind == Kind::kBroken; }
};

inline Judgement Holds() { return {}; }

inline Judgement Broken(std::string saw, std::string_view allowed) {
  return {.kind = Judgement::Kind::kBroken, .saw = std::move(saw), .allowed = std::string(allowed)};
}

inline Judgement Inconclusive(std::string why) {
  return {.kind = Judgement::Kind::kInconclusive, .saw = std::move(why)};
}

// `judgement`, which is about `subject`.
inline Judgement About(Subject subject, Judgement judgement) {
  judgement.about = std::move(subject);
  return judgement;
}

inline Judgement NotApplicable(std::string why) {
  return {.kind = Judgement::Kind::kNotApplicable, .saw = std::move(why)};
}

// Holds, or else Broken.
inline Judgement Require(bool holds, std::string saw, std::string_view allowed) {
  return holds ? Holds() : Broken(std::move(saw), allowed);
}

// For NBDSPEC_TRY: a conversation that ended where the check needed it to go on is inconclusive. A check whose
// requirement is that it goes on says Broken itself.
inline Judgement AsJudgement(const ReceiveError& ended) { return Inconclusive(ended.text); }
inline Judgement AsJudgement(std::string why) { return Inconclusive(std::move(why)); }
inline Judgement AsJudgement(Judgement judgement) { return judgement; }
inline Judgement AsJudgement(Ruling ruling) {
  if (ruling.kind == Ruling::Kind::kInapplicable) {
    return NotApplicable(std::string(ruling.missing));
  }
  return Require(!ruling.is_violated(), std::move(ruling.saw), ruling.expected);
}

// What it means that no reply came: a server may end the connection with a client that breaks a rule, and with no
// other. `what` comes before the words of the end.
inline Judgement MayDisconnect(const ReceiveError& ended, std::string_view allowed) {
  return Require(ended.is_disconnect(), ended.text, allowed);
}

inline Judgement MayNotDisconnect(const ReceiveError& ended, std::string_view what, std::string_view allowed) {
  return ended.is_disconnect() ? Broken(std::string(what) + ended.text, allowed) : AsJudgement(ended);
}

// A judgement that ends the function that returns it.
struct Stop {
  Judgement judgement;
  operator Judgement() && { return std::move(judgement); }  // Implicit on purpose.
  template <typename T>
  operator std::expected<T, Judgement>() && {
    return std::unexpected(std::move(judgement));
  }
};

// Declares `variable` as the value of `expression` (a std::expected), or returns its error as a Judgement, from a
// function that returns a Judgement or std::expected<T, Judgement>.
#define NBDSPEC_TRY(variable, expression)                                                                       \
  auto variable##_or = (expression);                                                                            \
  if (!variable##_or) {                                                                                         \
    return ::nbdspec::conformance::Stop(::nbdspec::conformance::AsJudgement(std::move(variable##_or).error())); \
  }                                                                                                             \
  [[maybe_unused]] auto& variable = *variable##_or

// Of a part of a check: nothing, or the judgement to stop with.
using Step = std::expected<std::monostate, Judgement>;

// How to enter the export under test.
struct EnterOptions {
  bool structured_replies = false;
  bool extended = false;                   // With extended headers, which take structured_replies' place.
  std::vector<std::string> contexts = {};  // Queries for SET_META_CONTEXT; needs one of the two.
  bool by_name = false;                    // By EXPORT_NAME rather than GO, which is not for `extended`.
};

// A session in the transmission phase.
struct Entered {
  Session session;
  std::shared_ptr<Negotiated> agreed = std::make_shared<Negotiated>();  // Exchanges point to it.

  [[nodiscard]] std::uint64_t size() const { return agreed->info.size; }
  [[nodiscard]] const InfoBlockSize& block_size() const { return agreed->block_size; }
  [[nodiscard]] bool Has(std::uint16_t transmission_flag) const { return agreed->Has(transmission_flag); }
};

using Replies = std::vector<OptionReply>;

inline constexpr std::string_view kMayRefuseExportName =
    "the server has block sizes of its own, and may refuse EXPORT_NAME";

// What a check has of the server that it asks.
struct CheckContext {
  Peer& peer;
  const Profile& profile;
  std::string export_name;
  Session::Limits limits;
  std::string_view requirement;  // Of the check.
  std::mt19937_64 random;
  Transcript& transcript;
  Witnesses witnesses = {};  // One for each connection.
  int connection_count = 0;
  // Of all connections where structured replies are wanted; extended ones take their place.
  HeaderForm headers = HeaderForm::kCompact;
  bool simple = false;  // Replies are simple wherever the check would take chunks or not.

  // A new connection on which nothing was sent or received. Session::Greet begins TLS on it where that is wanted.
  std::expected<Session, Judgement> Connect(bool may_begin_tls = true);

  // A new connection in whatever handshake the server speaks: greeting received, client flags sent (those of `flags`
  // that the server offers). An oldstyle one is in transmission then.
  std::expected<Session, Judgement> Greet(std::uint32_t flags = Session::kClientFlags, bool may_begin_tls = true);

  // The same in option haggling. Errors: not applicable where the server has none, for want of fixed newstyle.
  std::expected<Session, Judgement> Haggle(std::uint32_t flags = Session::kClientFlags);

  // The same without TLS, where conversations are held inside of it.
  std::expected<Session, Judgement> HagglePlain(std::uint32_t flags = Session::kClientFlags);

  // The same with structured replies agreed, or extended `headers`.
  std::expected<Session, Judgement> HaggleStructured(std::uint32_t flags = Session::kClientFlags) {
    const bool is_extended = headers == HeaderForm::kExtended;
    return HaggleWith(is_extended ? OptionType::kExtendedHeaders : OptionType::kStructuredReply, flags);
  }

  // The same with extended headers agreed.
  std::expected<Session, Judgement> HaggleExtended() { return HaggleWith(OptionType::kExtendedHeaders); }

  // The same with `option`, which takes no data, acknowledged.
  std::expected<Session, Judgement> HaggleWith(std::uint32_t option, std::uint32_t flags = Session::kClientFlags);

  // Asks one option on a connection of its own.
  std::expected<Replies, Judgement> AskOption(const Option& option);

  // A new connection in transmission on the export under test.
  std::expected<Entered, Judgement> Enter(const EnterOptions& options = {});

  // The same on a session in option haggling.
  std::expected<Entered, Judgement> EnterExport(Session session, bool by_name = false);

  // The same with structured replies where the server has them.
  std::expected<Entered, Judgement> EnterWithChunks() { return Enter({.structured_replies = HasChunks()}); }

  // The same, and with base:allocation where the server has that; or with neither.
  std::expected<Entered, Judgement> EnterWithAll(bool structured = true);

  [[nodiscard]] bool Offers(Features feature) const { return profile.Offers(feature); }
  // Whether replies can come in chunks of the wanted form.
  [[nodiscard]] bool HasChunks() const {
    return !simple && (Offers(Feature::kStructuredReplies) ||
                       (headers == HeaderForm::kExtended && Offers(Feature::kExtendedHeaders)));
  }

  // Whether the server has block sizes of its own, of which EXPORT_NAME does not inform a client.
  // Spec: block-size.server.refuse-export-name.
  [[nodiscard]] bool MayRefuseExportName() const {
    return profile.block_size.minimum > 1 || profile.block_size.maximum < kPayloadBytesDefaultMax;
  }
  // The rule about answers that judges the requirement of the check.
  [[nodiscard]] const Rule& rule() const { return RuleOf(requirement); }

  // An export name that no server has: long and random. Servers that take any name must be expected.
  std::string UnknownName() { return fmt::format("nbdspec-no-such-export-{:016x}{:016x}", random(), random()); }
};

using CheckRun = std::function<Judgement(CheckContext&)>;

// `run` with headers of that form, whatever form the other checks have.
inline CheckRun WithHeaders(HeaderForm headers, CheckRun run) {
  return [headers, run = std::move(run)](CheckContext& context) {
    context.headers = headers;
    return run(context);
  };
}
inline CheckRun WithCompact(CheckRun run) { return WithHeaders(HeaderForm::kCompact, std::move(run)); }
inline CheckRun WithExtended(CheckRun run) { return WithHeaders(HeaderForm::kExtended, std::move(run)); }

// `run` without structured replies, wherever it would take them or not.
inline CheckRun Simply(CheckRun run) {
  return [run = std::move(run)](CheckContext& context) {
    context.simple = true;
    return run(context);
  };
}

struct Check {
  // The id of its requirement; "REQUIREMENT/suffix" where one requirement takes several checks.
  std::string_view id;
  // One sentence: what is done and what must come of it.
  std::string_view claim;
  CheckRun run;
  // Without one of these it does not apply.
  Features needs = 0;
  // The server must be set up so; without that it does not apply.
  Setup setup = Setup::kWritable;

  // `id` up to the slash.
  [[nodiscard]] std::string_view requirement() const { return id.substr(0, id.find('/')); }
};

// What many checks need.
inline constexpr Features kFixed = Feature::kFixedNewstyle;
inline constexpr Features kChunks = Feature::kStructuredReplies;
inline constexpr Features kContexts = kChunks | Feature::kMetaContexts;
inline constexpr Features kBase = kChunks | Feature::kBaseAllocation;
inline constexpr Features kExtended = Feature::kExtendedHeaders;
inline constexpr Features kWritable = Feature::kWritable;
inline constexpr Features kZeroing = kWritable | Feature::kWriteZeroes;

// Every check, in the order of the specification. Built once.
std::span<const Check> AllChecks();

// The files of checks, in that order: XChecks() is in x_checks.cc.
#define NBDSPEC_CHECK_FILES(Each)                                                                                  \
  Each(Handshake) Each(Oldstyle) Each(Option) Each(OptionReply) Each(OptionDelivery) Each(Tls) Each(Info)          \
      Each(BlockSize) Each(EntryOrder) Each(MetaContext) Each(SetMetaContext) Each(BlockStatus) Each(ZeroClaim)    \
          Each(Transmission) Each(Shutdown) Each(Departure) Each(RequestDelivery) Each(Flag) Each(EveryFlag)       \
              Each(Read) Each(Write) Each(DataWrite) Each(DataRead) Each(InFlight) Each(Boundary) Each(Repetition) \
                  Each(SeveralExports) Each(Large) Each(PowerCut) Each(FailingDisk) Each(FailingRead)              \
                      Each(ExtendedHandshake) Each(ExtendedContext) Each(ExtendedTransmission)
#define NBDSPEC_DECLARE(Name) std::vector<Check> Name##Checks();
NBDSPEC_CHECK_FILES(NBDSPEC_DECLARE)
#undef NBDSPEC_DECLARE

}  // namespace nbdspec::conformance
