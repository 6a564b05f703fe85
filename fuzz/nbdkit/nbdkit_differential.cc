// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/nbdkit/nbdkit_differential.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "conformance/peer/peer.h"
#include "conformance/peer/targets/started_peer.h"
#include "engine/base/byte_range.h"
#include "engine/spec/ids.h"
#include "engine/wire/payloads.h"
#include "engine/wire/protocol.h"
#include "fuzz/nbdkit/export_client.h"
#include "fuzz/nbdkit/nbdinfo.h"

namespace nbdspec::fuzz {
namespace {

using engine::ByteRange;
using engine::CommandType;
using engine::Extent;
using engine::ExtentType;
using Found = std::optional<Disagreement>;
using Flag = engine::TransmissionFlag;
using Kind = Layer::Kind;

constexpr std::chrono::seconds kStartWait{30};
// A request of more than this makes nbdkit's blocksize filter round its length up to 2^32, and abort (CVE-2025-47712);
// one of 2^32-1 makes its server abort (CVE-2025-47711). Only cases that deviate ask so much.
constexpr std::uint64_t kAskedBytesMax = 0xffff0000;
constexpr std::uint64_t kAskedBytesLimit = 0xffffffff;
constexpr std::uint64_t kBlockBytes = 65536;  // A multiple of every block size that a layer has.
constexpr std::string_view kSumBeforeLast = spec::kBlockStatusSumBeforeLast;
constexpr std::string_view kMultipleOf512 = spec::kBlockStatusLengthMultipleOf512;

bool Has(const NbdkitCase& test_case, Kind kind) {
  return std::ranges::find(test_case.stack, kind, &Layer::kind) != test_case.stack.end();
}

std::string Print(const std::vector<Extent>& extents) {
  constexpr std::size_t kShownMax = 20;
  std::string text;
  for (std::size_t i = 0; i < std::min(kShownMax, extents.size()); ++i) {
    text += (i == 0 ? "" : " ") + Print(extents[i]);
  }
  return text + (extents.size() > kShownMax ? " ..." : "");
}

// Whether all descriptors but the last cover the request exactly.
bool HasTheKnownOneTooMany(ByteRange asked, const engine::BlockStatus& status) {
  std::uint64_t before_last = 0;
  for (std::size_t i = 0; i + 1 < status.descriptors.size(); ++i) {
    before_last += status.descriptors[i].length;
  }
  return before_last == asked.length();
}

// nbdkit with the case, and a connection to it.
class Conversation {
 public:
  Conversation(const NbdkitCase& test_case, Truth truth) : case_(test_case), truth_(std::move(truth)) {}

  Found Run() {
    if (auto found = Start()) {
      return found;
    }
    auto found = case_.deviates.empty() ? AskEverything() : AskTheScriptsQuestions();
    client_.reset();  // Before nbdkit is stopped: it waits for its clients.
    return found;
  }

 private:
  static Disagreement Broken(std::string where, std::string saw) {
    return {.where = std::move(where), .expected = "nbdkit serves", .saw = std::move(saw)};
  }

  Found Start();
  Found AskEverything();
  Found AskTheScriptsQuestions();
  Found Walk(const std::string& where);
  Found AskNbdinfo();
  Found CheckClaimsByReading();
  Found Change();
  Found ChangeOnce(ByteRange range, std::uint64_t choice);

  // Asks, judges the reply and compares it with the truth; adds its extents to `answer` where that is given.
  Found Ask(ByteRange asked, bool req_one, std::vector<Extent>* answer = nullptr);
  Found Compare(const std::string& where, const std::vector<Extent>& saw, ByteRange bounds) const;
  // Why a connection broke: the server's end is more telling than the connection's.
  Found Lost(const std::string& where, const std::string& saw) {
    const auto ended = peer_->Ended();
    return Broken(where, ended ? "nbdkit " + *ended + " (" + saw + ")" : saw);
  }

  const NbdkitCase& case_;
  Truth truth_;
  std::string socket_path_;
  std::unique_ptr<conformance::Peer> peer_;
  std::unique_ptr<ExportClient> client_;
};

Found Conversation::Start() {
  auto words = NbdkitWords(case_);
  if (!words) {
    return Broken("start", words.error().sentence);
  }
  const auto deadline = conformance::Transport::Clock::now() + kStartWait;
  auto peer = conformance::StartPeer(
      {.name = "nbdkit",
       .command = [&](const conformance::PrivateDirectory& directory,
                      const std::string& /*image*/) -> std::expected<std::vector<std::string>, engine::Trouble> {
         socket_path_ = directory.socket_path();
         words->insert(words->begin() + 1, {"-U", socket_path_});
         return *words;
       },
       .must_greet = false},
      deadline);
  if (!peer) {
    return Broken("start", peer.error().sentence);
  }
  peer_ = *std::move(peer);
  auto transport = peer_->Connect(deadline);
  if (!transport) {
    return Broken("connect", transport.error().sentence);
  }
  auto client = ExportClient::Enter(*std::move(transport));
  if (!client) {
    return Lost("connect", client.error());
  }
  client_ = *std::move(client);
  if (client_->size() != truth_.size()) {
    return Disagreement{.where = "size of the export",
                        .expected = engine::PrintNumber(truth_.size()),
                        .saw = engine::PrintNumber(client_->size())};
  }
  return {};
}

Found Conversation::AskEverything() {
  if (auto found = AskTheScriptsQuestions()) {
    return found;
  }
  if (truth_.size() <= kWalkedBytesMax) {
    if (auto found = Walk("walk")) {
      return found;
    }
    if (auto found = AskNbdinfo()) {
      return found;
    }
  }
  if (auto found = CheckClaimsByReading()) {
    return found;
  }
  return Change();
}

Found Conversation::AskTheScriptsQuestions() {
  std::vector<std::pair<ByteRange, bool>> questions;
  for (const engine::Step& step : case_.script.steps) {
    if (const auto* const all = std::get_if<engine::ForEachStep>(&step)) {
      questions.emplace_back(all->bounds, false);
    } else if (const auto* const one = std::get_if<engine::LookupStep>(&step)) {
      questions.emplace_back(ByteRange{.begin = one->offset, .end = engine::kExportBytesMax}, true);
    }
  }
  const std::uint64_t bytes_max = case_.deviates.empty() ? kAskedBytesMax : kAskedBytesLimit;
  for (auto [asked, req_one] : questions) {
    asked = Intersect(asked, {.begin = 0, .end = truth_.size()});
    asked.end = std::min(asked.end, asked.begin + bytes_max);
    if (asked.empty()) {
      continue;  // What answers an empty request is unspecified.
    }
    if (auto found = Ask(asked, req_one)) {
      return found;
    }
  }
  return {};
}

Found Conversation::Walk(const std::string& where) {
  std::vector<Extent> walked;
  for (std::uint64_t at = 0; at < truth_.size();) {
    if (auto found = Ask({.begin = at, .end = std::min(truth_.size(), at + kAskedBytesMax)}, false, &walked)) {
      found->where = where + ": " + found->where;
      return found;
    }
    at = walked.back().range.end;  // Ask made sure that there is one, and that it is not empty.
  }
  return Compare(where, walked, {.begin = 0, .end = truth_.size()});
}

Found Conversation::Ask(ByteRange asked, bool req_one, std::vector<Extent>* answer) {
  const std::string where = "block status of [" + engine::PrintNumber(asked.begin) + ", " +
                            engine::PrintNumber(asked.end) + ")" + (req_one ? " with REQ_ONE" : "");
  const auto exchange = client_->Status(asked, req_one);
  if (!exchange) {
    return Lost(where, exchange.error());
  }
  const auto status =
      exchange->chunks.empty() ? std::nullopt : engine::DecodePayload<engine::BlockStatus>(exchange->chunks[0].payload);
  const bool is_told = status && !status->descriptors.empty();
  for (const engine::Violation& violation : FindViolations(exchange->AsExchange(), engine::StatusRules())) {
    // Scripts have extents of single bytes; that is their choice.
    const bool is_known = case_.deviates.empty() && is_told && HasTheKnownOneTooMany(asked, *status);
    if (violation.requirement != kMultipleOf512 && !(violation.requirement == kSumBeforeLast && is_known)) {
      return Disagreement{.where = where, .expected = std::string(violation.requirement), .saw = violation.saw};
    }
  }
  if (!is_told || exchange->chunks[0].type != engine::ChunkType::kBlockStatus) {
    return Broken(where, "no descriptors");
  }
  std::vector<Extent> extents;
  std::uint64_t at = asked.begin;
  for (const engine::Descriptor& descriptor : status->descriptors) {
    extents.push_back(
        {.range = {.begin = at, .end = at + descriptor.length}, .type = static_cast<ExtentType>(descriptor.status)});
    at += descriptor.length;
  }
  if (answer != nullptr) {
    answer->insert(answer->end(), extents.begin(), extents.end());
  }
  return Compare(where, extents, {.begin = asked.begin, .end = at});
}

Found Conversation::Compare(const std::string& where, const std::vector<Extent>& saw, ByteRange bounds) const {
  const std::vector<Extent> expected = truth_.Extents(bounds);
  const std::vector<Extent> merged = Merged(saw);
  if (merged == expected) {
    return {};
  }
  return Disagreement{.where = where, .expected = Print(expected), .saw = Print(merged)};
}

Found Conversation::AskNbdinfo() {
  // It asks for 2^32-1 bytes where a filter advertises a minimum block size of 1: see kAskedBytesMax.
  const bool is_advertised = Has(case_, Kind::kBlockSize) || Has(case_, Kind::kCow);
  if (truth_.size() == 0 || (is_advertised && truth_.size() > kAskedBytesMax)) {
    return {};
  }
  const auto map = NbdinfoMap(socket_path_);
  if (!map) {
    return Lost("nbdinfo --map --json", map.error());
  }
  return Compare("nbdinfo --map --json", *map, {.begin = 0, .end = truth_.size()});
}

Found Conversation::CheckClaimsByReading() {
  const bool is_bare = case_.stack.empty();
  std::size_t left = 16;
  for (const Extent& extent : truth_.Extents({.begin = 0, .end = truth_.size()})) {
    if (left-- == 0) {
      return {};
    }
    for (const std::uint64_t at : {extent.range.begin, extent.range.end - 1}) {
      const auto byte = client_->Read({.begin = at, .end = at + 1});
      const std::string where = "READ at " + engine::PrintNumber(at);
      if (!byte) {
        return Lost(where, byte.error());
      }
      const bool is_zero = (*byte)[0] == 0;
      if (IsZero(extent.type) ? !is_zero : is_bare && is_zero) {
        return Disagreement{.where = where,
                            .expected = Print(extent) + " has bytes to fit",
                            .saw = is_zero ? "zero" : "a byte that is not zero"};
      }
    }
  }
  return {};
}

// --- Commands that change the export ---

Found Conversation::Change() {
  // A shift hides which blocks change the effect of a command, and what a grown disk takes.
  const bool has_blocks = Has(case_, Kind::kBlockSize) || Has(case_, Kind::kCow);
  const bool is_grown = Has(case_, Kind::kTruncate) || Has(case_, Kind::kRoundUp);
  if (truth_.size() == 0 || is_grown || (has_blocks && case_.stack.size() > 1)) {
    return {};
  }
  std::mt19937_64 random(truth_.size() + case_.script.steps.size());
  for (int changes = 0; changes < 6; ++changes) {
    const std::uint64_t begin = random() % truth_.size();
    ByteRange range = {.begin = begin,
                       .end = begin + random() % std::min<std::uint64_t>(truth_.size() - begin + 1, 200000)};
    if (has_blocks) {
      range.begin -= range.begin % kBlockBytes;
      range.end -= range.end % kBlockBytes;
    }
    const std::uint64_t choice = random() % 4;
    if (range.begin >= range.end) {
      continue;
    }
    if (auto found = ChangeOnce(range, choice)) {
      return found;
    }
  }
  return truth_.size() <= kWalkedBytesMax ? Walk("walk after the changes") : AskTheScriptsQuestions();
}

Found Conversation::ChangeOnce(ByteRange range, std::uint64_t choice) {
  struct Way {
    std::uint16_t command;
    std::uint16_t flags;
    std::uint16_t offered_by;
    ExtentType becomes;
  };
  constexpr Way kWays[] = {
      {CommandType::kWrite, 0, Flag::kHasFlags, ExtentType::kData},
      {CommandType::kTrim, 0, Flag::kSendTrim, ExtentType::kHoleZero},
      {CommandType::kWriteZeroes, 0, Flag::kSendWriteZeroes, ExtentType::kHoleZero},
      {CommandType::kWriteZeroes, engine::CommandFlag::kNoHole, Flag::kSendWriteZeroes, ExtentType::kZero},
  };
  const Way& way = kWays[choice];
  if (!client_->Offers(way.offered_by)) {
    return {};  // cow has no zeroes: it opens what is below it read-only, and passes on that it cannot zero.
  }
  const bool is_write = way.command == CommandType::kWrite;
  const auto done = client_->Command({.flags = way.flags,
                                      .type = way.command,
                                      .offset = range.begin,
                                      .length = static_cast<std::uint32_t>(range.length()),
                                      .payload = engine::Bytes(is_write ? range.length() : 0, 0x55)});
  const std::string where = engine::CommandName(way.command) + " of [" + engine::PrintNumber(range.begin) + ", " +
                            engine::PrintNumber(range.end) + ")";
  if (!done) {
    return Lost(where, done.error());
  }
  truth_ = truth_.With(range, Has(case_, Kind::kNoExtents) ? ExtentType::kData : way.becomes);
  // Asks again for what the command changed.
  if (auto found = Ask({.begin = range.begin, .end = std::min(truth_.size(), range.begin + kAskedBytesMax)}, false)) {
    found->where = where + ", then " + found->where;
    return found;
  }
  return {};
}

}  // namespace

Found FindNbdkitDisagreement(const NbdkitCase& test_case) {
  return FindNbdkitDisagreement(test_case, TruthOf(test_case));
}

Found FindNbdkitDisagreement(const NbdkitCase& test_case, const Truth& truth) {
  return Conversation(test_case, truth).Run();
}

Found FindNbdkitCaseDisagreement(engine::ByteView text) {
  const auto test_case = ParseNbdkitCase({reinterpret_cast<const char*>(text.data()), text.size()});
  if (!test_case) {
    return Disagreement{.where = "the text", .expected = "a case for nbdkit", .saw = test_case.error().sentence};
  }
  auto found = FindNbdkitDisagreement(*test_case);
  const std::string saw = found ? found->where + ": " + found->expected + ": " + found->saw : "no deviation";
  if (test_case->deviates.empty() || saw.contains(test_case->deviates)) {
    return test_case->deviates.empty() ? found : Found();
  }
  return Disagreement{.where = "how nbdkit deviates", .expected = test_case->deviates, .saw = saw};
}

}  // namespace nbdspec::fuzz
