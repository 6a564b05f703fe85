// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/exchange/unusual_answers.h"

#include <algorithm>
#include <utility>

#include "engine/wire/fields.h"
#include "engine/wire/payloads.h"

namespace nbdspec::fuzz {

using engine::Bytes;
using engine::ByteView;
using engine::Chunk;
using engine::ChunkFlag;
using engine::ChunkType;
using engine::CommandFlag;
using engine::CommandType;
using engine::Descriptor;
using engine::HeaderForm;
using engine::NbdError;
using engine::Option;
using engine::OptionReply;
using engine::OptionReplyType;
using engine::OptionType;
using engine::Request;
using engine::ServerMessage;

namespace {

constexpr std::size_t kPiecesMax = 6;
constexpr std::uint16_t kUnknownInfo = 0x7777;
constexpr std::size_t kOffsetBytes = 8;

std::uint64_t Mix(std::uint64_t number) { return Random(number - 0x9e3779b97f4a7c15)(); }

bool IsZeroes(ByteView bytes) {
  return std::ranges::all_of(bytes, [](std::uint8_t byte) { return byte == 0; });
}

bool HasFailed(const std::vector<ServerMessage>& sent) {
  return std::ranges::any_of(sent, [](const ServerMessage& message) {
    const auto* chunk = std::get_if<Chunk>(&message);
    return chunk == nullptr || chunk->is_error();
  });
}

}  // namespace

bool UnusualAnswers::BeforeServer(engine::ClientMessage& received, const engine::Negotiated& state) {
  auto* request = std::get_if<Request>(&received);
  const bool has_query =
      request != nullptr && request->type == CommandType::kBlockStatus && request->announces_payload();
  // The ids that the client was given are not the server's.
  if (auto query = has_query ? engine::DecodePayload<engine::StatusQuery>(request->payload) : std::nullopt) {
    std::ranges::transform(query->context_ids, query->context_ids.begin(), [&](std::uint32_t id) { return IdFor(id); });
    request->payload = EncodePayload(*query);
  }
  return inner_ == nullptr || inner_->BeforeServer(received, state);
}

void UnusualAnswers::AfterServer(const engine::ClientMessage* received, const engine::Negotiated& state, Sent& sent) {
  if (inner_ != nullptr) {
    inner_->AfterServer(received, state, sent);
  }
  if (received == nullptr) {
    return;
  }
  if (const auto* option = std::get_if<Option>(received)) {
    ChangeOption(*option, sent);
  }
  const auto* request = std::get_if<Request>(received);
  if (request == nullptr || !state.transmission || request->type == CommandType::kDisc) {
    return;
  }
  random_ = Random(Mix(seed_ ^ Mix(request->cookie ^ Mix(request->offset ^ std::uint64_t{request->length} << 32))));
  if (state.structured_replies && !sent.empty()) {
    if (request->type == CommandType::kRead || request->type == CommandType::kBlockStatus) {
      ChangeContent(*request, state, sent);
    } else {
      ChangeOther(*request, sent);
    }
  }
  if (to_hold_ > 0) {
    held_.push_back(std::exchange(sent, {}));
    if (--to_hold_ == 0) {
      Release(sent);
    }
  }
}

// --- Haggling -------------------------------------------------------------------------------------------------

std::uint32_t UnusualAnswers::IdFor(std::uint32_t id) const {
  constexpr std::uint32_t kMasks[] = {0, 1, 0xffffffff, 0x80000000};  // The first id of the server is 1: 0 is an id.
  return id ^ kMasks[seed_ % std::size(kMasks)];
}

// Ids of its own for the contexts, which come in another order; and information that nobody knows.
void UnusualAnswers::ChangeOption(const Option& option, Sent& sent) {
  for (ServerMessage& message : sent) {
    auto* reply = std::get_if<OptionReply>(&message);
    auto context = reply != nullptr && reply->type == OptionReplyType::kMetaContext
                       ? engine::DecodePayload<engine::MetaContext>(reply->payload)
                       : std::nullopt;
    if (context && option.option == OptionType::kSetMetaContext) {
      context->id = IdFor(context->id);
      reply->payload = EncodePayload(*context);
    }
  }
  const bool is_acked = sent.size() > 1 && std::holds_alternative<OptionReply>(sent.back());
  if (is_acked && (option.option == OptionType::kSetMetaContext || option.option == OptionType::kListMetaContext)) {
    std::reverse(sent.begin(), sent.end() - 1);
  }
  if (is_acked && (option.option == OptionType::kInfo || option.option == OptionType::kGo)) {
    Bytes payload;
    engine::PutBigEndian<std::uint16_t>(kUnknownInfo, payload);
    payload.insert(payload.end(), {1, 2, 3});
    sent.insert(sent.begin(),
                OptionReply{.option = option.option, .type = OptionReplyType::kInfo, .payload = std::move(payload)});
  }
}

// --- Answers --------------------------------------------------------------------------------------------------

// The order of content is free, but DF asks for one piece (structured.read.df); so is that of statuses.
void UnusualAnswers::ChangeContent(const Request& request, const engine::Negotiated& state, Sent& sent) {
  if (HasFailed(sent) || (request.type == CommandType::kRead && request.length == 0)) {
    return;
  }
  const bool is_whole = (request.flags & CommandFlag::kDf) != 0;
  Sent changed;
  for (ServerMessage& message : sent) {
    Chunk& chunk = std::get<Chunk>(message);
    chunk.flags = 0;
    if (chunk.type == engine::BlockStatus::ChunkTypeOf(request.form)) {
      ChangeDescriptors(request, state, chunk);
    }
    if (chunk.type == ChunkType::kOffsetData && chunk.payload.size() > kOffsetBytes + 1 && !is_whole) {
      CutIntoPieces(chunk, changed);
    } else {
      changed.push_back(std::move(message));
    }
  }
  sent = std::move(changed);
  if (!is_whole) {
    Shuffle(sent);
  }
  Finish(request, sent);
}

void UnusualAnswers::CutIntoPieces(const Chunk& data, Sent& pieces) {
  std::uint64_t offset = engine::GetBigEndian<std::uint64_t>(data.payload);
  ByteView rest = ByteView(data.payload).subspan(kOffsetBytes);
  for (std::size_t left = 1 + Choose(kPiecesMax); !rest.empty(); --left) {
    const std::size_t count = left == 1 ? rest.size() : 1 + Choose(rest.size());
    const ByteView bytes = rest.first(count);
    Chunk piece = {.form = data.form, .type = ChunkType::kOffsetData, .cookie = data.cookie, .offset = data.offset};
    if (random_.OneIn(2) && IsZeroes(bytes)) {
      piece.type = ChunkType::kOffsetHole;
      piece.payload =
          EncodePayload(engine::OffsetHole{.offset = offset, .length = static_cast<std::uint32_t>(bytes.size())});
    } else {
      engine::PutBigEndian<std::uint64_t>(offset, piece.payload);
      piece.payload.insert(piece.payload.end(), bytes.begin(), bytes.end());
    }
    pieces.push_back(std::move(piece));
    rest = rest.subspan(count);
    offset += count;
  }
}

// Whatever is claimed stays true: of what the server did not describe, nothing is claimed.
void UnusualAnswers::ChangeDescriptors(const Request& request, const engine::Negotiated& state, Chunk& chunk) {
  auto status = engine::DecodeBlockStatus(chunk.type, chunk.payload);
  if (!status || status->descriptors.empty()) {
    return;
  }
  const bool has_flags = std::ranges::any_of(state.contexts, [&](const engine::MetaContext& context) {
    return context.id == status->context_id && context.name == engine::kBaseAllocation;
  });
  status->context_id = IdFor(status->context_id);
  std::vector<Descriptor>& all = status->descriptors;
  const bool req_one = (request.flags & CommandFlag::kReqOne) != 0;
  const std::uint64_t lengths = std::uint64_t{1} << (request.form == HeaderForm::kExtended ? 40 : 32);
  const std::size_t index = Choose(all.size());
  switch (Choose(6)) {
    case 0:  // A short answer.
      all.resize(index + 1);
      all.back().length = 1 + Choose(all.back().length);
      break;
    case 1:  // One that could be two.
      if (!req_one && all[index].length > 1) {
        const std::uint64_t first = 1 + Choose(all[index].length - 1);
        all.insert(all.begin() + static_cast<std::ptrdiff_t>(index), {.length = first, .status = all[index].status});
        all[index + 1].length -= first;
      }
      break;
    case 2:  // A claim that is not made.
      if (has_flags) {
        all[index].status &= Choose(3);
      }
      break;
    case 3:  // Longer than asked for, by any amount.
      if (!req_one && has_flags) {
        all.back().status = 0;
        all.back().length += Choose(lengths - all.back().length);
      }
      break;
    case 4:  // As if REQ_ONE had been set.
      all.resize(1);
      break;
    default:
      break;
  }
  chunk.payload = EncodePayload(*status);
}

// To a request without data, a simple reply will do in the compact form.
void UnusualAnswers::ChangeOther(const Request& request, Sent& sent) {
  const auto* chunk = sent.size() == 1 ? std::get_if<Chunk>(&sent[0]) : nullptr;
  if (chunk == nullptr || chunk->form == HeaderForm::kExtended || random_.OneIn(2)) {
    return;
  }
  const auto error = engine::DecodeErrorPayload(chunk->type, chunk->payload);
  sent[0] =
      engine::SimpleReply{.error = chunk->is_error() && error ? error->error : NbdError::kOk, .cookie = request.cookie};
}

// At times leaves some of the answer away, and reports an error. DONE on the last chunk, or on one that has nothing
// else.
void UnusualAnswers::Finish(const Request& request, Sent& sent) {
  if (random_.OneIn(24)) {
    sent.resize(Choose(sent.size() + 1));
    engine::ErrorPayload error = {.error = NbdError::kEio, .message = "as it were"};
    const bool has_offset = request.type == CommandType::kRead && random_.OneIn(2);
    if (has_offset) {
      error.offset = request.offset + Choose(request.length);
    }
    sent.emplace_back(
        ChunkFor(request, has_offset ? ChunkType::kErrorOffset : ChunkType::kError, EncodePayload(error)));
  }
  if (random_.OneIn(3)) {
    sent.emplace_back(ChunkFor(request));
  }
  std::get<Chunk>(sent.back()).flags = ChunkFlag::kDone;
}

// Lets go what is held: each answer in its own order, but they interrupt each other.
void UnusualAnswers::Release(Sent& sent) {
  std::vector<std::size_t> taken(held_.size());
  std::size_t left = 0;
  for (const Sent& each : held_) {
    left += each.size();
  }
  for (; left > 0; --left) {
    std::size_t index = Choose(held_.size());
    while (taken[index] == held_[index].size()) {
      index = (index + 1) % held_.size();
    }
    sent.push_back(std::move(held_[index][taken[index]++]));
  }
  held_.clear();
}

void UnusualAnswers::Shuffle(Sent& sent) {
  for (std::size_t i = sent.size(); i > 1; --i) {
    std::swap(sent[i - 1], sent[Choose(i)]);
  }
}

}  // namespace nbdspec::fuzz
