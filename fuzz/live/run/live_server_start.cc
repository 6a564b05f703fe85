// SPDX-License-Identifier: BSD-3-Clause
// How LiveServer begins: it starts a server and learns what its export holds; and how it begins again after a power
// cut.

#include <algorithm>
#include <array>
#include <bit>
#include <utility>

#include "conformance/peer/down.h"
#include "engine/base/check.h"
#include "engine/base/or_return.h"
#include "engine/base/quoted.h"
#include "engine/spec/ids.h"
#include "fuzz/live/run/live_server.h"

namespace nbdspec::fuzz {

using engine::ByteRange;
using engine::Trouble;

namespace {

constexpr std::uint32_t kLearnBytes = 1 << 20;
constexpr std::uint64_t kLearnReadsMax = 4096;  // Of each window: where requests are to be short, it is.
constexpr std::size_t kShownDamageBytesMax = 200;

std::vector<ByteRange> WindowsOf(std::uint64_t size, std::uint64_t window_bytes) {
  if (size <= 2 * window_bytes) {
    return {{.begin = 0, .end = size}};
  }
  return {{.begin = 0, .end = window_bytes}, {.begin = size - window_bytes, .end = size}};
}

Sharing SharingOf(const Offer& offer) {
  return !offer.Has(engine::TransmissionFlag::kCanMultiConn) ? Sharing::kNever
         : offer.Has(engine::TransmissionFlag::kSendFlush)   ? Sharing::kAtFlush
                                                             : Sharing::kAtOnce;
}

// The rule that these sizes break so that no request can keep to them; empty where one can.
std::string_view BrokenRuleOf(const engine::InfoBlockSize& sizes) {
  constexpr std::uint32_t kMinimumMax = 65536;
  return !std::has_single_bit(sizes.minimum)                        ? spec::kBlockSizeMinPowerOf2
         : sizes.minimum > kMinimumMax                              ? spec::kBlockSizeMinCap65536
         : sizes.maximum < std::max(sizes.minimum, sizes.preferred) ? spec::kBlockSizeMaxFloorPreferred
                                                                    : std::string_view();
}

std::uint32_t PieceMax(const engine::InfoBlockSize& sizes) {
  const std::uint32_t block = std::max(1U, sizes.minimum);
  return std::max(block, std::min(kLearnBytes, sizes.maximum) / block * block);
}

// The READs of all whole blocks in `window`.
void AddReads(ByteRange window, const engine::InfoBlockSize& sizes, engine::Script& script) {
  const std::uint32_t block = std::max(1U, sizes.minimum);
  const std::uint32_t piece_max = PieceMax(sizes);
  window.end = window.end / block * block;
  for (std::uint64_t at = (window.begin + block - 1) / block * block; at < window.end; at += piece_max) {
    script.steps.emplace_back(engine::RequestStep{
        .offset = at, .length = static_cast<std::uint32_t>(std::min<std::uint64_t>(piece_max, window.end - at))});
  }
}

// Whether `ended` is the server's own doing. (One that takes a single client ends well after it.)
bool IsCrash(std::string_view ended) {
  constexpr auto kOwn =
      std::to_array<std::string_view>({"SIGABRT", "SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP"});
  return std::ranges::any_of(kOwn,
                             [&](std::string_view signal) { return ended == "killed by " + std::string(signal); });
}

}  // namespace

std::vector<engine::OptionStep> DefaultHaggling() {
  return {{.option = engine::OptionType::kStructuredReply},
          {.option = engine::OptionType::kSetMetaContext, .names = {std::string(engine::kBaseAllocation)}}};
}

std::vector<engine::OptionStep> ExtendedHaggling() {
  std::vector<engine::OptionStep> all = DefaultHaggling();
  all.insert(all.begin() + 1, engine::OptionStep{.option = engine::OptionType::kExtendedHeaders});
  return all;
}

std::expected<std::unique_ptr<LiveServer>, Trouble> LiveServer::Start(conformance::Target& target,
                                                                      const LiveOptions& options) {
  NBDSPEC_CHECK(options.in_flight >= 1 && options.in_flight <= kInFlightMax);
  std::unique_ptr<LiveServer> server(new LiveServer(target, options));
  const auto setup = options.power_cut ? conformance::Setup::kOnStorage : conformance::Setup::kWritable;
  NBDSPEC_ASSIGN_OR_RETURN(peer, target.Start(setup, Clock::now() + options.start_timeout));
  server->peer_ = std::move(peer);
  NBDSPEC_RETURN_IF_ERROR(server->Learn());
  return server;
}

LiveServer::~LiveServer() {
  ends_connections_ = false;  // Nobody comes after it.
  LeaveLanes();
}

std::expected<void, Trouble> LiveServer::Restart() {
  lanes_.clear();
  if (target_.IsOurs()) {
    NBDSPEC_RETURN_IF_ERROR(peer_->Restart());
  }
  return Learn();
}

// Notes what broke a MUST, so that the server is of no use.
void LiveServer::Break(const Stop& stop, Trouble trouble) {
  broken_.emplace(Broken{.finding = FindingFrom(stop), .trouble = std::move(trouble)});
  broken_->finding.known = NameOf(broken_->finding);
}

// Enters one connection and asks for everything; a server that ends it at an option is asked for less.
std::expected<void, Trouble> LiveServer::EnterToLearn() {
  std::vector<engine::OptionStep> all = DefaultHaggling();
  all.push_back({.option = engine::OptionType::kListMetaContext});
  const std::expected<void, Trouble> first = EnterLanes(all, 1);
  bool has_entered = first.has_value();
  while (!has_entered && !all.empty() && !IsCancelled(options_)) {
    all.pop_back();
    has_entered = EnterLanes(all.empty() ? std::vector{engine::OptionStep{}} : all, 1).has_value();
  }
  usual_haggling_ = haggling_;
  std::erase_if(usual_haggling_,
                [](const engine::OptionStep& step) { return step.option == engine::OptionType::kListMetaContext; });
  return has_entered ? std::expected<void, Trouble>() : first;
}

std::optional<Offer> LiveServer::LearnExtended() {
  std::vector<engine::OptionStep> all = ExtendedHaggling();
  all.push_back({.option = engine::OptionType::kListMetaContext});
  const bool may_ask = usual_haggling_ == DefaultHaggling();
  std::optional<Offer> offer;
  if (may_ask && (EnterLanes(std::move(all), 1) || EnterLanes(ExtendedHaggling(), 1))) {
    offer = lanes_.front().offer;
  }
  broken_.reset();  // With less asked for it is of use.
  LeaveLanes();
  return offer && offer->headers == engine::HeaderForm::kExtended ? offer : std::nullopt;
}

// Learns what the export holds, or what is wrong with the server.
std::expected<void, Trouble> LiveServer::Learn() {
  broken_.reset();
  script_ = &no_script_;
  model_.emplace(KnownBytes(WindowsOf(0, options_.window_bytes)), Sharing::kNever);
  if (auto entered = EnterToLearn(); !entered) {
    if (const auto ended = broken_ ? std::nullopt : Ended(); ended && IsCrash(*ended)) {
      Break({.failure = FailureOf(FindingKind::kCrash, spec::kTransmissionDisconnectOnlyAllowedServer,
                                  "a server that keeps running", "the server " + *ended)},
            entered.error());
    }
    return broken_ ? std::expected<void, Trouble>() : entered;
  }
  broken_.reset();  // Asked for less, it is of use.
  offer_ = lanes_.front().offer;
  const engine::InfoBlockSize& sizes = offer_.block_size;
  if (const std::string_view rule = BrokenRuleOf(sizes); !rule.empty()) {
    const std::string saw = "at least " + std::to_string(sizes.minimum) + " bytes, best " +
                            std::to_string(sizes.preferred) + ", at most " + std::to_string(sizes.maximum);
    Break({.failure = FailureOf(FindingKind::kBrokenRule, rule, "block sizes that a request can keep to", saw)},
          {"No request fits the block sizes that the server announces: " + saw +
           ". `nbdspec check` says which clauses that breaks."});
    LeaveLanes();
    return {};
  }
  return ReadWindows();
}

// Before anything is written; what cannot be read is not known.
std::expected<void, Trouble> LiveServer::ReadWindows() {
  const std::uint64_t window_bytes = std::min(options_.window_bytes, kLearnReadsMax * PieceMax(offer_.block_size));
  model_.emplace(KnownBytes(WindowsOf(offer_.info.size, window_bytes)), SharingOf(offer_));
  engine::Script script;
  for (const ByteRange window : windows()) {
    AddReads(window, offer_.block_size, script);
  }
  Begin(script);
  model_->SetLearning(true);
  const OrStop read = RunSteps();
  if (!read && read.error().failure) {
    const engine::Violation& violation = read.error().failure->violation;
    Break(read.error(),
          {"The export cannot be read: " + std::string(violation.requirement) + ": expected " + violation.expected +
           "; saw " + violation.saw + ". Try `nbdspec check`, which says more about reading."});
  }
  script_ = &no_script_;
  LeaveLanes();
  model_->SetLearning(false);
  power_.reset();
  if (!read && read.error().trouble) {
    return std::unexpected(*read.error().trouble);
  }
  if (options_.power_cut) {
    power_.emplace(model_->bytes(), offer_.info.flags);
  }
  return {};
}

std::vector<engine::DiskOperation> LiveServer::TakeDiskOperations() {
  std::vector<engine::DiskOperation> operations;
  if (conformance::Storage* const storage = peer_->storage()) {
    storage->With([&](engine::VolatileDisk& disk) { operations = disk.TakeOperations(); });
  }
  return operations;
}

// The power goes, with whatever is in flight. What stands there afterwards is judged, and the script goes on with it.
LiveServer::OrStop LiveServer::CutPower(const engine::PowerCut& cut, std::size_t step) {
  conformance::Storage* const storage = peer_->storage();
  if (storage == nullptr || !power_) {
    return {};
  }
  NBDSPEC_RETURN_IF_ERROR(FlushLanes());
  const std::vector<engine::OptionStep> haggling = haggling_;
  const std::size_t count = lanes_.size();
  storage->CutPower(cut);
  ++result_.cut_count;
  LeaveLanes();
  const auto damage = storage->FindDamage(Clock::now() + options_.start_timeout);
  const auto up = storage->PowerUp(Clock::now() + options_.start_timeout);
  if (!damage) {
    return std::unexpected(Stop{.trouble = damage.error()});
  }
  Stop stop{.failure = Failure{.kind = FindingKind::kWrongData,
                               .violation = {.requirement = spec::kTransmissionFlushCoversCompleted}},
            .step = step,
            .request_kind = "cut"};
  const auto fail = [&stop](std::string expected, std::string saw) {
    stop.failure->violation.expected = std::move(expected);
    stop.failure->violation.saw = std::move(saw);
    return std::unexpected(std::move(stop));
  };
  if (*damage) {
    stop.failure->kind = FindingKind::kDamage;
    return fail("a disk that is whole after a power cut",
                "its checker says " + engine::Quoted(**damage, kShownDamageBytesMax));
  }
  if (!up && conformance::IsDown(*peer_)) {  // That is no fault of what the cut left.
    return std::unexpected(Stop{.trouble = up.error()});
  }
  const PowerHistory history = *std::exchange(power_, {});
  if (const auto learned = up ? LearnAgain() : up; !learned) {
    return fail("a server that starts on what a power cut left", learned.error().sentence);
  }
  if (IsLate()) {
    return std::unexpected(Stop{});  // Not all of it was read.
  }
  if (const auto lost = history.Judge(model_->bytes())) {
    if (lost->is_by_fua) {
      stop.failure->violation.requirement = spec::kTransmissionFuaNoEarlyReply;
    }
    return fail("at offset " + engine::PrintNumber(lost->offset) + ", after the power cut, a byte of " + lost->expected,
                "byte " + std::to_string(lost->saw));
  }
  power_.emplace(model_->bytes(), offer_.info.flags);
  if (const auto entered = EnterLanes(haggling, count); !entered) {
    return fail("a server that serves what a power cut left", entered.error().sentence);
  }
  return {};
}

// Learn, which is a script as well, within one.
std::expected<void, Trouble> LiveServer::LearnAgain() {
  const engine::Script* const script = script_;
  RunResult result = std::exchange(result_, {});
  auto learned = Learn();
  script_ = script;
  result_ = std::move(result);
  if (const auto broken = std::exchange(broken_, {}); learned && broken) {
    return std::unexpected(broken->trouble);
  }
  return learned;
}

}  // namespace nbdspec::fuzz
