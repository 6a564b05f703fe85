// SPDX-License-Identifier: BSD-3-Clause
// The planted bugs of the target libnbd_client: ways for libnbd to seem wrong. What passes between it and the Recorder
// is changed, or what it reports.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/script/script_bytes.h"
#include "engine/wire/payloads.h"
#include "fuzz/canary/canary.h"
#include "fuzz/canary/registry.h"
#include "fuzz/libnbd/libnbd_client_differential.h"

namespace nbdspec::fuzz {
namespace {

using engine::Chunk;
using engine::ChunkType;
using engine::CommandFlag;
using engine::NbdError;
using engine::OptionReply;
using engine::OptionReplyType;
using engine::Request;
using engine::ServerMessage;
using engine::SimpleReply;

// Stands between the Recorder and libnbd.
class Liar : public engine::Interposer {
 public:
  Liar(Bug bug, engine::Interposer& recorder) : bug_(bug), recorder_(recorder) {}

  bool BeforeServer(engine::ClientMessage& heard, const engine::Negotiated& state) override {
    if (auto* request = std::get_if<Request>(&heard)) {
      Spoil(*request);
    }
    return recorder_.BeforeServer(heard, state);
  }

  void AfterServer(const engine::ClientMessage* heard, const engine::Negotiated& state,
                   std::vector<ServerMessage>& said) override {
    recorder_.AfterServer(heard, state, said);
    for (ServerMessage& message : said) {
      if (auto* chunk = std::get_if<Chunk>(&message)) {
        Spoil(*chunk, state);
      } else if (auto* simple = std::get_if<SimpleReply>(&message)) {
        simple->error = Spoiled(simple->error);
      } else if (auto* reply = std::get_if<OptionReply>(&message)) {
        Spoil(*reply);
      }
    }
    if (state.transmission && !said.empty()) {
      SpoilReplies(said);
    }
  }

 private:
  void Spoil(Request& request) const {
    if (bug_ == "OffsetIsCutTo32Bits"_bug) {
      request.offset &= 0xffff'ffff;
    } else if (bug_ == "FuaIsNotSent"_bug) {
      request.flags &= static_cast<std::uint16_t>(~CommandFlag::kFua);
    } else if (bug_ == "WriteHasAWrongLastByte"_bug && !request.payload.empty()) {
      request.payload.back() ^= 1;
    }
  }

  [[nodiscard]] std::uint32_t Spoiled(std::uint32_t error) const {
    if (bug_ == "ErrorIsAnotherOne"_bug && error == NbdError::kEnospc) {
      return NbdError::kEinval;
    }
    return bug_ == "ErrorIsNotSeen"_bug && error == NbdError::kEnospc ? NbdError::kOk : error;
  }

  void Spoil(Chunk& chunk, const engine::Negotiated& state) const {
    if (chunk.is_error()) {
      SpoilError(chunk);
    } else if (chunk.type == ChunkType::kBlockStatus) {
      SpoilStatus(chunk, state);
    } else if (chunk.type == ChunkType::kOffsetHole) {
      SpoilHole(chunk);
    } else if (bug_ == "DataHasAWrongByte"_bug && chunk.type == ChunkType::kOffsetData) {
      chunk.payload.back() ^= 1;
    }
  }

  void SpoilError(Chunk& chunk) const {
    auto error = engine::DecodeErrorPayload(chunk.type, chunk.payload);
    if (!error) {
      return;
    }
    if (Spoiled(error->error) == NbdError::kOk) {
      chunk.type = ChunkType::kNone;
      chunk.payload.clear();
      return;
    }
    error->error = Spoiled(error->error);
    if (error->offset && bug_ == "ErrorOffsetIsOneTooHigh"_bug) {
      ++*error->offset;
    }
    chunk.payload = EncodePayload(*error);
  }

  void SpoilHole(Chunk& chunk) const {
    auto hole = engine::DecodePayload<engine::OffsetHole>(chunk.payload);
    if (hole && bug_ == "HoleIsShort"_bug && hole->length > 1) {
      --hole->length;
      chunk.payload = EncodePayload(*hole);
    } else if (hole && bug_ == "HoleIsTakenForData"_bug) {
      chunk.type = ChunkType::kOffsetData;
      chunk.payload = EncodePayload(engine::OffsetData{.offset = hole->offset, .data = engine::Bytes(hole->length)});
    }
  }

  void SpoilStatus(Chunk& chunk, const engine::Negotiated& state) const {
    auto status = engine::DecodePayload<engine::BlockStatus>(chunk.payload);
    if (!status || status->descriptors.empty()) {
      return;
    }
    engine::Descriptor& last = status->descriptors.back();
    if (bug_ == "EntryIsOneTooLong"_bug) {
      ++last.length;
    } else if (bug_ == "EntryFlagsAreSwapped"_bug && (last.status == 1 || last.status == 2)) {
      last.status ^= 3;
    } else if (bug_ == "LastEntryIsLost"_bug && status->descriptors.size() > 1) {
      status->descriptors.pop_back();
    } else if (bug_ == "ContextsAreSwapped"_bug && state.contexts.size() == 2) {
      // UnusualAnswers gives ids that differ in the same bits.
      status->context_id ^= state.contexts[0].id ^ state.contexts[1].id;
    }
    chunk.payload = EncodePayload(*status);
  }

  void Spoil(OptionReply& reply) const {
    auto info =
        reply.type == OptionReplyType::kInfo ? engine::DecodePayload<engine::InfoExport>(reply.payload) : std::nullopt;
    if (!info) {
      return;
    }
    if (bug_ == "SizeIsCutTo32Bits"_bug) {
      info->size &= 0xffff'ffff;
    } else if (bug_ == "DfIsNotSeen"_bug) {
      info->flags &= static_cast<std::uint16_t>(~engine::TransmissionFlag::kSendDf);
    }
    reply.payload = EncodePayload(*info);
  }

  void SpoilReplies(std::vector<ServerMessage>& said) const {
    const auto* last = std::get_if<Chunk>(&said.back());
    if (bug_ == "ReplyIsNeverSeen"_bug && said.size() > 1) {
      said.pop_back();
    } else if (bug_ == "RepliesAreSwapped"_bug && last != nullptr && last->type == ChunkType::kNone) {
      for (ServerMessage& message : said) {
        auto* chunk = std::get_if<Chunk>(&message);
        if (chunk != nullptr && chunk->is_error() && chunk->cookie != last->cookie) {
          std::swap(chunk->cookie, std::get<Chunk>(said.back()).cookie);
          return;
        }
      }
    }
  }

  Bug bug_;
  engine::Interposer& recorder_;
};

void SpoilReport(Bug bug, LibnbdReport& report) {
  switch (bug) {
    case "CallbacksAreInReverse"_bug:
      std::ranges::reverse(report.chunks);
      std::ranges::reverse(report.extents);
      return;
    case "EntriesAreSwapped"_bug:
      if (!report.extents.empty() && report.extents[0].entries.size() > 2) {
        std::swap(report.extents[0].entries[0], report.extents[0].entries[2]);
      }
      return;
    case "EntriesAreOfTheWrongOffset"_bug:
      if (!report.extents.empty()) {
        report.extents.back().offset &= ~511ULL;
      }
      return;
    case "ChunkIsElsewhere"_bug:
      if (report.chunks.size() > 2) {
        report.chunks.back().is_in_place = false;
      }
      return;
    case "CompletesTwice"_bug:
      report.completion_count += report.error != 0 ? 1 : 0;
      return;
    case "FirstErrorIsForgotten"_bug:
      report.error = report.chunks.empty() ? report.error : 0;
      return;
    case "CallbackIsToldNoError"_bug:
      report.completion_error = 0;
      return;
    case "DataIsStale"_bug:
      if (report.data.size() > 1 && report.data.back() == 0) {
        report.data.back() = 0xa5;
      }
      return;
    default:
      return;
  }
}

LibnbdSpoilers SpoilersFor(Bug bug) {
  return {.make_liar = [bug](engine::Interposer& recorder) { return std::make_unique<Liar>(bug, recorder); },
          .spoil = [bug](LibnbdReport& report) { SpoilReport(bug, report); }};
}

constexpr NamedBug kPlantedBugs[] = {
    {"DataHasAWrongByte", Family::kRule, 100},
    {"HoleIsTakenForData", Family::kBits, 150},
    {"HoleIsShort", Family::kBits, 150},
    {"EntryIsOneTooLong", Family::kEdge, 150},
    {"EntryFlagsAreSwapped", Family::kOrder, 150},
    {"LastEntryIsLost", Family::kLost, 300},
    {"ContextsAreSwapped", Family::kOrder, 150},
    {"ErrorIsAnotherOne", Family::kError, 100},
    {"ErrorIsNotSeen", Family::kError, 100},
    {"ErrorOffsetIsOneTooHigh", Family::kEdge, 550},
    {"ReplyIsNeverSeen", Family::kLost, 100},
    {"RepliesAreSwapped", Family::kOrder, 100},
    {"SizeIsCutTo32Bits", Family::kWidth, 100},
    {"DfIsNotSeen", Family::kLost, 100},
    {"OffsetIsCutTo32Bits", Family::kWidth, 100},
    {"FuaIsNotSent", Family::kLost, 100},
    {"WriteHasAWrongLastByte", Family::kEdge, 100},
    {"CallbacksAreInReverse", Family::kOrder, 150},
    {"EntriesAreSwapped", Family::kOrder, 550},
    {"EntriesAreOfTheWrongOffset", Family::kRule, 150},
    {"ChunkIsElsewhere", Family::kRule, 200},
    {"CompletesTwice", Family::kRule, 100},
    {"FirstErrorIsForgotten", Family::kError, 550},
    {"CallbackIsToldNoError", Family::kError, 100},
    {"DataIsStale", Family::kStale, 100},
};

FindBytesDisagreement WithBug(Bug bug) {
  return [bug](engine::ByteView input) {
    return FindLibnbdClientDisagreement(engine::ReadScript(input, kLibnbdLimits), SpoilersFor(bug));
  };
}

}  // namespace

CanaryTarget LibnbdClientCanaries() {
  CanaryTarget target = CanariesFor(LibnbdClientTarget(), CanariesOf(kPlantedBugs, WithBug));
  target.right.push_back(WithBug(kNoBug));
  target.right_runs = 3000;
  return target;
}

}  // namespace nbdspec::fuzz
