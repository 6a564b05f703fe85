// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "conformance/peer/process/process.h"
#include "conformance/peer/targets/started_peer.h"
#include "engine/base/byte_range.h"
#include "engine/base/or_return.h"
#include "engine/exchange/rules.h"
#include "engine/spec/ids.h"
#include "engine/wire/payloads.h"
#include "engine/wire/protocol.h"
#include "fuzz/nbdkit/export_client.h"
#include "fuzz/nbdkit/nbdkit_case.h"

namespace nbdspec::fuzz {
namespace {

using engine::ByteRange;
using engine::CommandType;
using engine::Extent;
using engine::ExtentType;
using Flag = engine::TransmissionFlag;
using Kind = Layer::Kind;

constexpr std::chrono::seconds kWait{30};
// A request of more than this makes nbdkit's blocksize filter round its length up to 2^32, and abort (CVE-2025-47712);
// one of 2^32-1 makes its server abort (CVE-2025-47711). Only cases that deviate ask so much.
constexpr std::uint64_t kAskedBytesMax = 0xffff0000;
constexpr std::uint64_t kAskedBytesLimit = 0xffffffff;
constexpr std::uint64_t kBlockBytes = 65536;  // A multiple of every block size that a layer has.

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

// What nbdinfo says of the default export: a client that shares no code with ours. Errors: a sentence.
std::expected<std::vector<Extent>, std::string> NbdinfoMap(const std::string& socket_path) {
  constexpr std::size_t kOutputBytesMax = std::size_t{16} << 20;
  auto directory = conformance::PrivateDirectory::Choose();
  if (!directory) {
    return std::unexpected(directory.error().sentence);
  }
  const auto process = conformance::ServerProcess::Start(
      {"nbdinfo", "--map", "--json", "nbd+unix:///?socket=" + socket_path}, *std::move(directory));
  if (!process) {
    return std::unexpected(process.error().sentence);
  }
  const auto ended = (*process)->EndedBy(conformance::Transport::Clock::now() + kWait);
  const std::string output = (*process)->LastWords(kOutputBytesMax);
  if (ended != "exited with status 0") {
    return std::unexpected("nbdinfo " + ended.value_or("does not end") + ": " + output.substr(0, 400));
  }
  try {
    std::vector<Extent> extents;
    for (const auto& entry : nlohmann::json::parse(output)) {
      const auto type = entry.at("type").get<std::uint32_t>();
      const auto range = ByteRange::From({.offset = entry.at("offset"), .length = entry.at("length")});
      if (!range || !engine::IsExtentType(type)) {
        return std::unexpected("nbdinfo reports what is no extent: " + entry.dump());
      }
      extents.push_back({.range = *range, .type = static_cast<ExtentType>(type)});
    }
    return extents;
  } catch (const nlohmann::json::exception& wrong) {
    return std::unexpected(std::string("nbdinfo does not write a list of extents: ") + wrong.what());
  }
}

// nbdkit with the case, and a connection to it.
class Conversation {
 public:
  Conversation(const NbdkitCase& test_case, Truth truth) : case_(test_case), truth_(std::move(truth)) {}

  Found Run() {
    if (auto found = Start()) {
      return found;
    }
    return case_.deviates.empty() ? AskEverything() : AskTheScriptsQuestions();
  }

 private:
  Found Start() {
    const auto deadline = conformance::Transport::Clock::now() + kWait;
    auto entered = ExportClient::Enter(
        conformance::StartPeer({.name = "nbdkit",
                                .command =
                                    [this](conformance::Setup, const conformance::PrivateDirectory& directory,
                                           const conformance::ServerPlace& /*place*/) {
                                      socket_path_ = directory.socket_path();
                                      return NbdkitWords(case_, socket_path_);
                                    },
                                .must_greet = false},
                               conformance::Setup::kWritable, deadline),
        deadline);
    if (!entered) {
      return entered.error();
    }
    client_ = *std::move(entered);
    if (client_->size() != truth_.size()) {
      return Disagreement{.where = "size of the export",
                          .expected = engine::PrintNumber(truth_.size()),
                          .saw = engine::PrintNumber(client_->size())};
    }
    return {};
  }

  Found AskEverything() {
    auto found = AskTheScriptsQuestions();
    if (!found && truth_.size() <= kWalkedBytesMax) {
      found = Walk("walk");
      found = found ? found : AskNbdinfo();
    }
    found = found ? found : CheckClaimsByReading();
    return found ? found : Change();
  }

  Found AskTheScriptsQuestions() {
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

  Found Walk(const std::string& where) {
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

  // Asks, judges the reply and compares it with the truth; adds its extents to `answer` where that is given.
  Found Ask(ByteRange asked, bool req_one, std::vector<Extent>* answer = nullptr) {
    const std::string where = PrintQuestion(asked, req_one);
    const auto exchange = client_->Status(asked, req_one);
    if (!exchange) {
      return exchange.error();
    }
    const auto chunks = exchange->answer.chunks();
    const bool is_status = !chunks.empty() && chunks[0].type == engine::ChunkType::kBlockStatus;
    const auto status = is_status ? engine::DecodePayload<engine::BlockStatus>(chunks[0].payload) : std::nullopt;
    const bool has_descriptors = status && !status->descriptors.empty();
    for (const engine::Violation& violation : FindViolations(*exchange, engine::StatusRules())) {
      // Scripts have extents of single bytes; that is their choice.
      const bool is_known = case_.deviates.empty() && has_descriptors && HasTheKnownOneTooMany(asked, *status);
      if (violation.requirement != spec::kBlockStatusLengthMultipleOf512 &&
          !(violation.requirement == spec::kBlockStatusSumBeforeLast && is_known)) {
        return Disagreement{.where = where, .expected = std::string(violation.requirement), .saw = violation.saw};
      }
    }
    if (!has_descriptors) {
      return client_->Lost(where, "no descriptors");
    }
    const std::vector<Extent> extents = ExtentsFrom(asked.begin, *status);
    if (answer != nullptr) {
      answer->insert(answer->end(), extents.begin(), extents.end());
    }
    return Compare(where, extents, {.begin = asked.begin, .end = extents.back().range.end});
  }

  Found Compare(const std::string& where, const std::vector<Extent>& saw, ByteRange bounds) const {
    const std::vector<Extent> expected = truth_.Extents(bounds);
    const std::vector<Extent> merged = Merged(saw);
    if (merged == expected) {
      return {};
    }
    return Disagreement{.where = where, .expected = Print(expected), .saw = Print(merged)};
  }

  Found AskNbdinfo() {
    // It asks for 2^32-1 bytes where a filter advertises a minimum block size of 1: see kAskedBytesMax.
    const bool is_advertised = Has(case_, Kind::kBlockSize) || Has(case_, Kind::kCow);
    if (truth_.size() == 0 || (is_advertised && truth_.size() > kAskedBytesMax)) {
      return {};
    }
    const auto map = NbdinfoMap(socket_path_);
    if (!map) {
      return client_->Lost("nbdinfo --map --json", map.error());
    }
    return Compare("nbdinfo --map --json", *map, {.begin = 0, .end = truth_.size()});
  }

  Found CheckClaimsByReading() {
    const bool is_bare = case_.stack.empty();
    std::size_t left = 16;
    for (const Extent& extent : truth_.Extents({.begin = 0, .end = truth_.size()})) {
      if (left-- == 0) {
        return {};
      }
      for (const std::uint64_t at : {extent.range.begin, extent.range.end - 1}) {
        const auto byte = client_->Read({.begin = at, .end = at + 1});
        if (!byte) {
          return byte.error();
        }
        const bool is_zero = (*byte)[0] == 0;
        if (IsZero(extent.type) ? !is_zero : is_bare && is_zero) {
          return Disagreement{.where = "READ at " + engine::PrintNumber(at),
                              .expected = Print(extent) + " has bytes to fit",
                              .saw = is_zero ? "zero" : "a byte that is not zero"};
        }
      }
    }
    return {};
  }

  // --- Commands that change the export ---

  Found Change() {
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

  Found ChangeOnce(ByteRange range, std::uint64_t choice) {
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
    if (!client_->negotiated().Has(way.offered_by)) {
      return {};  // cow has no zeroes: it opens what is below it read-only, and passes on that it cannot zero.
    }
    const bool is_write = way.command == CommandType::kWrite;
    const std::string where = engine::CommandName(way.command) + " of [" + engine::PrintNumber(range.begin) + ", " +
                              engine::PrintNumber(range.end) + ")";
    const auto done = client_->Command({.flags = way.flags,
                                        .type = way.command,
                                        .offset = range.begin,
                                        .length = static_cast<std::uint32_t>(range.length()),
                                        .payload = engine::Bytes(is_write ? range.length() : 0, 0x55)},
                                       where);
    if (!done) {
      return done.error();
    }
    truth_ = truth_.With(range, Has(case_, Kind::kNoExtents) ? ExtentType::kData : way.becomes);
    // Asks again for what the command changed.
    if (auto found = Ask({.begin = range.begin, .end = std::min(truth_.size(), range.begin + kAskedBytesMax)}, false)) {
      found->where = where + ", then " + found->where;
      return found;
    }
    return {};
  }

  const NbdkitCase& case_;
  Truth truth_;
  std::string socket_path_;
  std::unique_ptr<ExportClient> client_;
};

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
