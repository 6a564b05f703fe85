// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/libnbd/mutant_libnbd.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "engine/wire/payloads.h"

namespace nbdspec::fuzz {

using engine::Chunk;
using engine::ChunkType;
using engine::CommandFlag;
using engine::NbdError;
using engine::OptionReply;
using engine::OptionReplyType;
using engine::Request;
using engine::ServerMessage;
using engine::SimpleReply;

namespace {

// Stands between the Recorder and libnbd.
class Liar : public engine::Interposer {
 public:
  Liar(LibnbdBug bug, engine::Interposer& recorder) : bug_(bug), recorder_(recorder) {}

  bool BeforeServer(engine::ClientMessage& heard, const engine::ConnectionState& state) override {
    if (auto* request = std::get_if<Request>(&heard)) {
      Spoil(*request);
    }
    return recorder_.BeforeServer(heard, state);
  }

  void AfterServer(const engine::ClientMessage* heard, const engine::ConnectionState& state,
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
    if (bug_ == LibnbdBug::kOffsetIsCutTo32Bits) {
      request.offset &= 0xffff'ffff;
    } else if (bug_ == LibnbdBug::kFuaIsNotSent) {
      request.flags &= static_cast<std::uint16_t>(~CommandFlag::kFua);
    } else if (bug_ == LibnbdBug::kWriteHasAWrongLastByte && !request.payload.empty()) {
      request.payload.back() ^= 1;
    }
  }

  [[nodiscard]] std::uint32_t Spoiled(std::uint32_t error) const {
    if (bug_ == LibnbdBug::kErrorIsAnotherOne && error == NbdError::kEnospc) {
      return NbdError::kEinval;
    }
    return bug_ == LibnbdBug::kErrorIsNotSeen && error == NbdError::kEnospc ? NbdError::kOk : error;
  }

  void Spoil(Chunk& chunk, const engine::ConnectionState& state) const {
    if (chunk.is_error()) {
      SpoilError(chunk);
    } else if (chunk.type == ChunkType::kBlockStatus) {
      SpoilStatus(chunk, state);
    } else if (chunk.type == ChunkType::kOffsetHole) {
      SpoilHole(chunk);
    } else if (bug_ == LibnbdBug::kDataHasAWrongByte && chunk.type == ChunkType::kOffsetData) {
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
    if (error->offset && bug_ == LibnbdBug::kErrorOffsetIsOneTooHigh) {
      ++*error->offset;
    }
    chunk.payload = EncodePayload(*error);
  }

  void SpoilHole(Chunk& chunk) const {
    auto hole = engine::DecodeOffsetHole(chunk.payload);
    if (hole && bug_ == LibnbdBug::kHoleIsShort && hole->length > 1) {
      --hole->length;
      chunk.payload = EncodePayload(*hole);
    } else if (hole && bug_ == LibnbdBug::kHoleIsTakenForData) {
      chunk.type = ChunkType::kOffsetData;
      chunk.payload = EncodePayload(engine::OffsetData{.offset = hole->offset, .data = engine::Bytes(hole->length)});
    }
  }

  void SpoilStatus(Chunk& chunk, const engine::ConnectionState& state) const {
    auto status = engine::DecodeBlockStatus(chunk.payload);
    if (!status || status->descriptors.empty()) {
      return;
    }
    engine::Descriptor& last = status->descriptors.back();
    if (bug_ == LibnbdBug::kEntryIsOneTooLong) {
      ++last.length;
    } else if (bug_ == LibnbdBug::kEntryFlagsAreSwapped && (last.status == 1 || last.status == 2)) {
      last.status ^= 3;
    } else if (bug_ == LibnbdBug::kLastEntryIsLost && status->descriptors.size() > 1) {
      status->descriptors.pop_back();
    } else if (bug_ == LibnbdBug::kContextsAreSwapped && state.contexts.size() == 2) {
      // UnusualAnswers gives ids that differ in the same bits.
      status->context_id ^= state.contexts[0].id ^ state.contexts[1].id;
    }
    chunk.payload = EncodePayload(*status);
  }

  void Spoil(OptionReply& reply) const {
    auto info = reply.type == OptionReplyType::kInfo ? engine::DecodeInfoExport(reply.payload) : std::nullopt;
    if (!info) {
      return;
    }
    if (bug_ == LibnbdBug::kSizeIsCutTo32Bits) {
      info->size &= 0xffff'ffff;
    } else if (bug_ == LibnbdBug::kDfIsNotSeen) {
      info->flags &= static_cast<std::uint16_t>(~engine::TransmissionFlag::kSendDf);
    }
    reply.payload = EncodePayload(*info);
  }

  void SpoilReplies(std::vector<ServerMessage>& said) const {
    const auto* last = std::get_if<Chunk>(&said.back());
    if (bug_ == LibnbdBug::kReplyIsNeverSeen && said.size() > 1) {
      said.pop_back();
    } else if (bug_ == LibnbdBug::kRepliesAreSwapped && last != nullptr && last->type == ChunkType::kNone) {
      for (ServerMessage& message : said) {
        auto* chunk = std::get_if<Chunk>(&message);
        if (chunk != nullptr && chunk->is_error() && chunk->cookie != last->cookie) {
          std::swap(chunk->cookie, std::get<Chunk>(said.back()).cookie);
          return;
        }
      }
    }
  }

  LibnbdBug bug_;
  engine::Interposer& recorder_;
};

void SpoilReport(LibnbdBug bug, LibnbdReport& report) {
  switch (bug) {
    case LibnbdBug::kCallbacksAreInReverse:
      std::ranges::reverse(report.chunks);
      std::ranges::reverse(report.extents);
      return;
    case LibnbdBug::kEntriesAreSwapped:
      if (!report.extents.empty() && report.extents[0].entries.size() > 2) {
        std::swap(report.extents[0].entries[0], report.extents[0].entries[2]);
      }
      return;
    case LibnbdBug::kEntriesAreOfTheWrongOffset:
      if (!report.extents.empty()) {
        report.extents.back().offset &= ~511ULL;
      }
      return;
    case LibnbdBug::kChunkIsElsewhere:
      if (report.chunks.size() > 2) {
        report.chunks.back().is_in_place = false;
      }
      return;
    case LibnbdBug::kCompletesTwice:
      report.completion_count += report.error != 0 ? 1 : 0;
      return;
    case LibnbdBug::kFirstErrorIsForgotten:
      report.error = report.chunks.empty() ? report.error : 0;
      return;
    case LibnbdBug::kCallbackIsToldNoError:
      report.completion_error = 0;
      return;
    case LibnbdBug::kDataIsStale:
      if (report.data.size() > 1 && report.data.back() == 0) {
        report.data.back() = 0xa5;
      }
      return;
    default:
      return;
  }
}

}  // namespace

LibnbdSpoilers SpoilersFor(LibnbdBug bug) {
  return {.make_liar = [bug](engine::Interposer& recorder) { return std::make_unique<Liar>(bug, recorder); },
          .spoil = [bug](LibnbdReport& report) { SpoilReport(bug, report); }};
}

}  // namespace nbdspec::fuzz
