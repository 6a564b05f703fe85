// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/exchange/mutant_exchange.h"

#include <algorithm>
#include <utility>

#include "engine/wire/payloads.h"

namespace nbdspec::fuzz {

using engine::AllocationFlag;
using engine::BlockStatus;
using engine::Chunk;
using engine::ChunkFlag;
using engine::ChunkType;
using engine::CommandFlag;
using engine::CommandType;
using engine::Descriptor;
using engine::Request;
using engine::ServerMessage;
using engine::SimpleReply;

namespace {

constexpr std::uint64_t kSectorBytes = 512;
constexpr std::uint32_t kBothFlags = AllocationFlag::kHole | AllocationFlag::kZero;

bool IsSet(const Request& request, std::uint16_t flag) { return (request.flags & flag) != 0; }

std::uint32_t Swapped(std::uint32_t status) { return status == 1 ? 2 : status == 2 ? 1 : status; }

// Calls `change` for each chunk of `type`.
template <typename Change>
void ForEach(std::vector<ServerMessage>& said, std::uint16_t type, Change change) {
  for (ServerMessage& each : said) {
    if (auto* chunk = std::get_if<Chunk>(&each); chunk != nullptr && chunk->type == type) {
      change(*chunk);
    }
  }
}

void SetCookie(std::vector<ServerMessage>& said, std::uint64_t cookie) {
  for (ServerMessage& each : said) {
    if (auto* chunk = std::get_if<Chunk>(&each)) {
      chunk->cookie = cookie;
    } else if (auto* simple = std::get_if<SimpleReply>(&each)) {
      simple->cookie = cookie;
    }
  }
}

}  // namespace

bool MutantExchange::BeforeServer(engine::ClientMessage& heard, const engine::ConnectionState& /*state*/) {
  auto* request = std::get_if<Request>(&heard);
  if (request != nullptr) {
    ++request_count_;
    SpoilRequest(*request);
  }
  return true;
}

void MutantExchange::SpoilRequest(Request& request) {
  const bool is_write = request.type == CommandType::kWrite;
  const bool is_trim = request.type == CommandType::kTrim;
  const bool is_zero = request.type == CommandType::kWriteZeroes;
  const std::uint64_t size = served_.layer().size();
  if (is_write && request.offset < size && request.length <= size - request.offset) {
    old_.resize(request.length);
    (void)served_.layer().Read(request.offset, old_);
  }
  switch (bug_) {
    case ExchangeBug::kOffsetIsCutTo32Bits:
      request.offset = request.type == CommandType::kBlockStatus ? request.offset & 0xffff'ffff : request.offset;
      return;
    case ExchangeBug::kWriteIsAppliedLate:
      if (is_write && request.offset + request.length <= std::min<std::uint64_t>(size, 1 << 16)) {
        late_ = request;
        request.type = CommandType::kCache;
      }
      return;
    case ExchangeBug::kWriteLosesItsLastByte:
      if (is_write && !request.payload.empty() && request.offset % kSectorBytes != 0) {
        request.payload.back() ^= 0x55;
      }
      return;
    case ExchangeBug::kTrimEndsOneByteLate:
      request.length += is_trim && request.offset + request.length < size ? 1 : 0;
      return;
    case ExchangeBug::kTrimIsForgotten:
      request.type = is_trim ? std::uint16_t{CommandType::kCache} : request.type;
      return;
    case ExchangeBug::kTrimKeepsTheFirstByte:
      if (is_trim && request.length > 1) {
        ++request.offset;
        --request.length;
      }
      return;
    case ExchangeBug::kNoHoleIsForgotten:
      request.flags &= static_cast<std::uint16_t>(is_zero ? ~CommandFlag::kNoHole : 0xffff);
      return;
    case ExchangeBug::kZeroIsCutTo16Bits:
      request.length = is_zero ? request.length & 0xffff : request.length;
      return;
    case ExchangeBug::kFuaWriteIsForgotten:
      if (is_write && request.flags == CommandFlag::kFua) {
        request.type = CommandType::kCache;
      }
      return;
    case ExchangeBug::kOutOfBoundsIsAnswered:
      if (request.type == CommandType::kBlockStatus && request.offset < size) {
        request.length = static_cast<std::uint32_t>(std::min<std::uint64_t>(request.length, size - request.offset));
      }
      return;
    default:
      return;
  }
}

void MutantExchange::AfterServer(const engine::ClientMessage* heard, const engine::ConnectionState& state, Said& said) {
  if (!state.contexts.empty()) {
    selected_ = state.contexts;
  }
  const auto* request = heard != nullptr ? std::get_if<Request>(heard) : nullptr;
  if (request == nullptr) {
    return;
  }
  if (request->type == CommandType::kBlockStatus) {
    SpoilStatus(*request, state, said);
  } else if (request->type == CommandType::kRead) {
    SpoilRead(*request, said);
  }
  SpoilReply(*request, said);
  if (late_ && late_->cookie != request->cookie) {
    (void)served_.layer().Write(late_->offset, late_->payload);
    late_.reset();
  }
  before_ = *request;
  before_->payload.clear();
}

void MutantExchange::SpoilStatus(const Request& request, const engine::ConnectionState& state, Said& said) {
  if (bug_ == ExchangeBug::kContextsSurviveAFailedSet && state.contexts.empty() && !selected_.empty()) {
    said = {Chunk{.flags = ChunkFlag::kDone,
                  .type = ChunkType::kBlockStatus,
                  .cookie = request.cookie,
                  .payload = EncodePayload(
                      BlockStatus{.context_id = selected_[0].id, .descriptors = {{.length = request.length}}})}};
  }
  if (bug_ == ExchangeBug::kSecondContextIsMissing && said.size() == 2) {
    said.erase(said.begin() + 1);
    std::get<Chunk>(said[0]).flags = ChunkFlag::kDone;
  }
  ForEach(said, ChunkType::kBlockStatus, [&](Chunk& chunk) {
    auto status = engine::DecodeBlockStatus(chunk.payload);
    if (!status || status->descriptors.empty()) {
      return;
    }
    const auto of = [&](std::size_t index) {
      return state.contexts.size() > index && state.contexts[index].id == status->context_id;
    };
    if (of(0) && state.contexts[0].name == engine::kBaseAllocation) {
      SpoilDescriptors(request, status->descriptors);
    }
    if (bug_ == ExchangeBug::kContextIdIsWrong) {
      status->context_id += request.length == 1 ? 1 : 0;
    } else if (bug_ == ExchangeBug::kContextsAreSwapped && state.contexts.size() == 2) {
      status->context_id = state.contexts[of(0) ? 1 : 0].id;
    }
    chunk.payload = EncodePayload(*status);
  });
}

// The descriptors of base:allocation.
void MutantExchange::SpoilDescriptors(const Request& request, std::vector<Descriptor>& all) const {
  const bool req_one = IsSet(request, CommandFlag::kReqOne);
  const std::uint64_t end = request.offset + request.length;
  switch (bug_) {
    case ExchangeBug::kReqOneIsTooLong:
      all[0].length += req_one && end < served_.layer().size() ? 1 : 0;
      return;
    case ExchangeBug::kReqOneHasTwoDescriptors:
      if (req_one) {
        all.push_back({.length = kSectorBytes, .status = all[0].status ^ AllocationFlag::kHole});
      }
      return;
    case ExchangeBug::kDescriptorsAreSwapped:
      if (all.size() > 2) {
        std::swap(all[0], all[1]);
      }
      return;
    case ExchangeBug::kLastDescriptorIsLost:
      all.resize(all.size() > 1 ? all.size() - 1 : 1);
      return;
    case ExchangeBug::kMiddleDescriptorIsLost:
      if (all.size() > 3) {
        all.erase(all.begin() + 2);
      }
      return;
    case ExchangeBug::kFlagsAreSwapped:
      std::ranges::for_each(all, [](Descriptor& each) { each.status = Swapped(each.status); });
      return;
    case ExchangeBug::kHoleIsClaimedOfZeroes:
      std::ranges::for_each(all, [](Descriptor& each) { each.status |= each.status >> 1; });
      return;
    case ExchangeBug::kZeroIsClaimedOfHoles:
      std::ranges::for_each(all, [](Descriptor& each) { each.status |= each.status << 1 & kBothFlags; });
      return;
    case ExchangeBug::kLengthIsCutTo31Bits:
      std::ranges::for_each(all, [](Descriptor& each) { each.length &= 0x7fff'ffff; });
      return;
    case ExchangeBug::kUnalignedBeginIsRoundedDown:
      all[0].length += static_cast<std::uint32_t>(request.offset % kSectorBytes);
      return;
    case ExchangeBug::kUnalignedTailIsRoundedDown:
      if (all.size() > 1 && end == served_.layer().size()) {
        all.back().length -= static_cast<std::uint32_t>(end % kSectorBytes);
      }
      return;
    case ExchangeBug::kUnalignedTailIsRoundedUp:
      if (end == served_.layer().size() && end % kSectorBytes != 0 && !req_one) {
        all.back().length += static_cast<std::uint32_t>(kSectorBytes - end % kSectorBytes);
      }
      return;
    case ExchangeBug::kLastDescriptorIsEmpty:
      all.back().length = all.size() > 1 ? 0 : all.back().length;
      return;
    case ExchangeBug::kEveryFifthDescriptorIsMerged:
      if (all.size() > 5) {
        all[4].length += all[5].length;
        all.erase(all.begin() + 5);
      }
      return;
    case ExchangeBug::kStatusIsStaleAfterTrim:
    case ExchangeBug::kStatusIsStaleAfterWrite:
      if (before_ && before_->length > 0 &&
          before_->type == (bug_ == ExchangeBug::kStatusIsStaleAfterTrim ? CommandType::kTrim : CommandType::kWrite) &&
          before_->offset == request.offset) {
        all[0].status ^= kBothFlags;
      }
      return;
    case ExchangeBug::kStatusOfTheTailIsOfTheBlockBefore:
      if (all.size() > 1 && end == served_.layer().size() && end % kSectorBytes != 0 && !req_one) {
        all.back().status = all[all.size() - 2].status;
      }
      return;
    default:
      return;
  }
}

void MutantExchange::SpoilRead(const Request& request, Said& said) const {
  const bool covers_the_last_write = before_ && before_->type == CommandType::kWrite && before_->length > 0 &&
                                     before_->length == old_.size() && before_->offset == request.offset &&
                                     before_->length <= request.length;
  if (bug_ == ExchangeBug::kReadLeavesOutTheHoles && said.size() > 1) {
    std::erase_if(said, [](const ServerMessage& message) {
      const auto* chunk = std::get_if<Chunk>(&message);
      return chunk != nullptr && chunk->type == ChunkType::kOffsetHole && !chunk->is_done();
    });
  }
  if (bug_ == ExchangeBug::kDoneIsOnTheFirstChunk && said.size() > 1) {
    std::get<Chunk>(said[0]).flags = ChunkFlag::kDone;
  }
  ForEach(said, ChunkType::kOffsetData, [&](Chunk& chunk) {
    auto data = engine::DecodeOffsetData(chunk.payload);
    if (!data || data->data.empty()) {
      return;
    }
    if (bug_ == ExchangeBug::kReadHasAWrongLastByte && data->data.size() % kSectorBytes == 1) {
      data->data.back() ^= 1;
    } else if (bug_ == ExchangeBug::kReadIsOfBeforeTheLastWrite && covers_the_last_write &&
               data->offset == request.offset && data->data.size() >= old_.size()) {
      std::ranges::copy(old_, data->data.begin());
    } else if (bug_ == ExchangeBug::kReadCallsDataAHole && chunk.is_done() && said.size() > 1) {
      chunk.type = ChunkType::kOffsetHole;
      chunk.payload = EncodePayload(
          engine::OffsetHole{.offset = data->offset, .length = static_cast<std::uint32_t>(data->data.size())});
      return;
    }
    chunk.payload = EncodePayload(*data);
  });
}

void MutantExchange::SpoilReply(const Request& request, Said& said) {
  if (bug_ == ExchangeBug::kReplyComesTwice && request.type == CommandType::kFlush) {
    said.push_back(said[0]);
  } else if (bug_ == ExchangeBug::kEighthReplyIsMissing && request_count_ == 8) {
    said.clear();
  } else if (bug_ == ExchangeBug::kCookiesAreSwapped && request_count_ % 4 == 2) {
    SetCookie(said, request.cookie + 1);
    kept_ = std::exchange(said, {});
  } else if (bug_ == ExchangeBug::kCookiesAreSwapped && !kept_.empty()) {
    SetCookie(said, request.cookie - 1);
    said.insert(said.end(), kept_.begin(), kept_.end());
    kept_.clear();
  }
}

}  // namespace nbdspec::fuzz
