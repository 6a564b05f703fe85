// SPDX-License-Identifier: BSD-3-Clause
// The planted bugs of the target libnbd_client: ways for libnbd to seem wrong. What passes between it and the Recorder
// is changed, or what it reports.

#include <algorithm>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/script/script_bytes.h"
#include "engine/wire/payloads.h"
#include "fuzz/canary/canary.h"
#include "fuzz/libnbd/libnbd_client_differential.h"

namespace nbdspec::fuzz {
namespace {

using engine::BlockStatus;
using engine::Chunk;
using engine::ChunkType;
using engine::CommandFlag;
using engine::InfoExport;
using engine::NbdError;
using engine::Negotiated;
using engine::Request;
using engine::ServerMessage;

using Messages = std::vector<ServerMessage>;

// What changes on the way; each may be null.
struct LibnbdBug {
  void (*request)(Request& request) = nullptr;
  void (*chunk)(Chunk& chunk, const Negotiated& state) = nullptr;
  std::uint32_t (*error)(std::uint32_t error) = nullptr;  // Of a simple reply or an error chunk.
  void (*info)(InfoExport& info) = nullptr;
  void (*replies)(Messages& replies) = nullptr;    // All that the server sends at once.
  void (*report)(LibnbdReport& report) = nullptr;  // Of libnbd to its caller.
};

LibnbdBug Requests(decltype(LibnbdBug::request) spoil) { return {.request = spoil}; }
LibnbdBug Chunks(decltype(LibnbdBug::chunk) spoil) { return {.chunk = spoil}; }
LibnbdBug Errors(decltype(LibnbdBug::error) spoil) { return {.error = spoil}; }
LibnbdBug Infos(decltype(LibnbdBug::info) spoil) { return {.info = spoil}; }
LibnbdBug Replies(decltype(LibnbdBug::replies) spoil) { return {.replies = spoil}; }
LibnbdBug Reports(decltype(LibnbdBug::report) spoil) { return {.report = spoil}; }

// `kSpoil`(status, state) changes each status that has descriptors.
template <auto kSpoil>
LibnbdBug Statuses() {
  return Chunks([](Chunk& chunk, const Negotiated& state) {
    auto status = engine::DecodePayload<engine::BlockStatus>(chunk.payload);
    if (chunk.type == ChunkType::kBlockStatus && status && !status->descriptors.empty()) {
      kSpoil(*status, state);
      chunk.payload = EncodePayload(*status);
    }
  });
}

// Stands between the Recorder and libnbd.
class Liar : public engine::Interposer {
 public:
  Liar(const LibnbdBug& bug, engine::Interposer& recorder) : bug_(bug), recorder_(recorder) {}

  bool BeforeServer(engine::ClientMessage& received, const Negotiated& state) override {
    if (auto* request = std::get_if<Request>(&received); request != nullptr && bug_.request != nullptr) {
      bug_.request(*request);
    }
    return recorder_.BeforeServer(received, state);
  }

  void AfterServer(const engine::ClientMessage* received, const Negotiated& state, Messages& sent) override {
    recorder_.AfterServer(received, state, sent);
    for (ServerMessage& message : sent) {
      auto* const chunk = std::get_if<Chunk>(&message);
      auto* const simple = std::get_if<engine::SimpleReply>(&message);
      auto* const reply = std::get_if<engine::OptionReply>(&message);
      if (chunk != nullptr && bug_.chunk != nullptr) {
        bug_.chunk(*chunk, state);
      } else if (chunk != nullptr && bug_.error != nullptr) {
        SpoilError(*chunk);
      } else if (simple != nullptr && bug_.error != nullptr) {
        simple->error = bug_.error(simple->error);
      } else if (reply != nullptr && bug_.info != nullptr && reply->type == engine::OptionReplyType::kInfo) {
        if (auto info = engine::DecodePayload<engine::InfoExport>(reply->payload)) {
          bug_.info(*info);
          reply->payload = EncodePayload(*info);
        }
      }
    }
    if (state.transmission && !sent.empty() && bug_.replies != nullptr) {
      bug_.replies(sent);
    }
  }

 private:
  void SpoilError(Chunk& chunk) const {
    auto error = chunk.is_error() ? engine::DecodeErrorPayload(chunk.type, chunk.payload) : std::nullopt;
    if (!error) {
      return;
    }
    error->error = bug_.error(error->error);
    const bool is_error = error->error != NbdError::kOk;
    chunk.type = is_error ? chunk.type : ChunkType::kNone;
    chunk.payload = is_error ? EncodePayload(*error) : engine::Bytes();
  }

  LibnbdBug bug_;
  engine::Interposer& recorder_;
};

const std::vector<WrongSubject<LibnbdBug>> kPlantedBugs = {
    {"DataHasAWrongByte", Family::kRule, 100, Chunks([](Chunk& chunk, const Negotiated&) {
       if (chunk.type == ChunkType::kOffsetData) {
         chunk.payload.back() ^= 1;
       }
     })},
    {"HoleIsTakenForData", Family::kBits, 150, Chunks([](Chunk& chunk, const Negotiated&) {
       const auto hole = engine::DecodePayload<engine::OffsetHole>(chunk.payload);
       if (hole && chunk.type == ChunkType::kOffsetHole) {
         chunk.type = ChunkType::kOffsetData;
         chunk.payload = EncodePayload(engine::OffsetData{.offset = hole->offset, .data = engine::Bytes(hole->length)});
       }
     })},
    {"HoleIsShort", Family::kBits, 150, Chunks([](Chunk& chunk, const Negotiated&) {
       auto hole = engine::DecodePayload<engine::OffsetHole>(chunk.payload);
       if (hole && chunk.type == ChunkType::kOffsetHole && hole->length > 1) {
         --hole->length;
         chunk.payload = EncodePayload(*hole);
       }
     })},
    {"EntryIsOneTooLong", Family::kEdge, 150,
     Statuses<[](BlockStatus& status, const Negotiated&) { ++status.descriptors.back().length; }>()},
    {"EntryFlagsAreSwapped", Family::kOrder, 150, Statuses<[](BlockStatus& status, const Negotiated&) {
       engine::Descriptor& last = status.descriptors.back();
       last.status ^= last.status == 1 || last.status == 2 ? 3 : 0;
     }>()},
    {"LastEntryIsLost", Family::kLost, 300, Statuses<[](BlockStatus& status, const Negotiated&) {
       status.descriptors.resize(std::max<std::size_t>(1, status.descriptors.size() - 1));
     }>()},
    // UnusualAnswers gives ids that differ in the same bits.
    {"ContextsAreSwapped", Family::kOrder, 150, Statuses<[](BlockStatus& status, const Negotiated& state) {
       status.context_id ^= state.contexts.size() == 2 ? state.contexts[0].id ^ state.contexts[1].id : 0;
     }>()},
    {"ErrorIsAnotherOne", Family::kError, 100,
     Errors([](std::uint32_t error) { return error == NbdError::kEnospc ? +NbdError::kEinval : error; })},
    {"ErrorIsNotSeen", Family::kError, 100,
     Errors([](std::uint32_t error) { return error == NbdError::kEnospc ? +NbdError::kOk : error; })},
    {"ErrorOffsetIsOneTooHigh", Family::kEdge, 550, Chunks([](Chunk& chunk, const Negotiated&) {
       auto error = chunk.is_error() ? engine::DecodeErrorPayload(chunk.type, chunk.payload) : std::nullopt;
       if (error && error->offset) {
         ++*error->offset;
         chunk.payload = EncodePayload(*error);
       }
     })},
    {"ReplyIsNeverSeen", Family::kLost, 100,
     Replies([](Messages& replies) { replies.resize(std::max<std::size_t>(1, replies.size() - 1)); })},
    // The last reply, if it is a success, and an error get the cookie of each other.
    {"RepliesAreSwapped", Family::kOrder, 100, Replies([](Messages& replies) {
       auto* const last = std::get_if<Chunk>(&replies.back());
       for (ServerMessage& message : replies) {
         auto* const chunk = std::get_if<Chunk>(&message);
         if (last != nullptr && last->type == ChunkType::kNone && chunk != nullptr && chunk->is_error() &&
             chunk->cookie != last->cookie) {
           std::swap(chunk->cookie, last->cookie);
           return;
         }
       }
     })},
    {"SizeIsCutTo32Bits", Family::kWidth, 100, Infos([](InfoExport& info) { info.size &= 0xffff'ffff; })},
    {"DfIsNotSeen", Family::kLost, 100,
     Infos([](InfoExport& info) { info.flags &= static_cast<std::uint16_t>(~engine::TransmissionFlag::kSendDf); })},
    {"OffsetIsCutTo32Bits", Family::kWidth, 100, Requests([](Request& request) { request.offset &= 0xffff'ffff; })},
    {"FuaIsNotSent", Family::kLost, 100,
     Requests([](Request& request) { request.flags &= static_cast<std::uint16_t>(~CommandFlag::kFua); })},
    {"WriteHasAWrongLastByte", Family::kEdge, 100, Requests([](Request& request) {
       if (!request.payload.empty()) {
         request.payload.back() ^= 1;
       }
     })},
    {"CallbacksAreInReverse", Family::kOrder, 150, Reports([](LibnbdReport& report) {
       std::ranges::reverse(report.chunks);
       std::ranges::reverse(report.extents);
     })},
    {"EntriesAreSwapped", Family::kOrder, 550, Reports([](LibnbdReport& report) {
       if (!report.extents.empty() && report.extents[0].entries.size() > 2) {
         std::swap(report.extents[0].entries[0], report.extents[0].entries[2]);
       }
     })},
    {"EntriesAreOfTheWrongOffset", Family::kRule, 150, Reports([](LibnbdReport& report) {
       if (!report.extents.empty()) {
         report.extents.back().offset &= ~511ULL;
       }
     })},
    {"ChunkIsElsewhere", Family::kRule, 200, Reports([](LibnbdReport& report) {
       if (report.chunks.size() > 2) {
         report.chunks.back().is_in_place = false;
       }
     })},
    {"CompletesTwice", Family::kRule, 100,
     Reports([](LibnbdReport& report) { report.completion_count += report.error != 0 ? 1 : 0; })},
    {"FirstErrorIsForgotten", Family::kError, 550,
     Reports([](LibnbdReport& report) { report.error = report.chunks.empty() ? report.error : 0; })},
    {"CallbackIsToldNoError", Family::kError, 100, Reports([](LibnbdReport& report) { report.completion_error = 0; })},
    {"DataIsStale", Family::kStale, 100, Reports([](LibnbdReport& report) {
       if (report.data.size() > 1 && report.data.back() == 0) {
         report.data.back() = 0xa5;
       }
     })},
};

std::optional<Disagreement> FindWith(engine::ByteView input, const LibnbdBug& bug) {
  return FindLibnbdClientDisagreement(
      engine::ReadScript(input, kLibnbdLimits),
      {.make_liar = [&](engine::Interposer& recorder) { return std::make_unique<Liar>(bug, recorder); },
       .spoil = bug.report});
}

}  // namespace

CanaryTarget LibnbdClientCanaries() {
  CanaryTarget target = CanariesFor(LibnbdClientTarget(), CanariesOf(kPlantedBugs, FindWith));
  target.right.push_back([](engine::ByteView input) { return FindWith(input, {}); });
  target.right_runs = 3000;
  return target;
}

}  // namespace nbdspec::fuzz
