// SPDX-License-Identifier: BSD-3-Clause
// Changes of requests and of what answers them. `command` is a command type, or kAnyCommand.

#pragma once

#include <algorithm>

#include "engine/faults/change.h"

namespace nbdspec::engine::faults {

inline constexpr std::uint16_t kAnyCommand = 0xffff;
inline constexpr std::uint16_t kUnknownCommand = 0x7fff;
inline constexpr std::uint16_t kRead = CommandType::kRead;
inline constexpr std::uint16_t kWrite = CommandType::kWrite;
inline constexpr std::uint16_t kDisc = CommandType::kDisc;
inline constexpr std::uint16_t kFlush = CommandType::kFlush;
inline constexpr std::uint16_t kTrim = CommandType::kTrim;
inline constexpr std::uint16_t kCache = CommandType::kCache;
inline constexpr std::uint16_t kWriteZeroes = CommandType::kWriteZeroes;
inline constexpr std::uint16_t kBlockStatus = CommandType::kBlockStatus;

inline constexpr std::uint32_t kOk = NbdError::kOk;
inline constexpr std::uint32_t kEio = NbdError::kEio;
inline constexpr std::uint32_t kEinval = NbdError::kEinval;
inline constexpr std::uint32_t kEnospc = NbdError::kEnospc;
inline constexpr std::uint32_t kEoverflow = NbdError::kEoverflow;
inline constexpr std::uint32_t kEnotsup = NbdError::kEnotsup;

inline bool Has(const Request& request, std::uint16_t flag) { return (request.flags & flag) != 0; }
inline std::uint64_t EndOf(const Request& request) { return request.offset + request.length; }
inline bool IsUnaligned(const Request& request, std::uint64_t bytes) {
  return request.offset % bytes != 0 || request.length % bytes != 0;
}

// --- What a chunk is made of ---

template <typename Payload>
Chunk ChunkOf(const Request& to, std::uint16_t type, const Payload& payload, std::uint16_t flags = 0) {
  return ChunkFor(to, type, EncodePayload(payload), flags);
}

// In answer to READ.
inline SimpleReply SimpleZeroes(const Request& to) { return {.cookie = to.cookie, .data = Bytes(to.length)}; }

// With DONE.
inline Chunk NoneChunk(const Request& to) { return ChunkFor(to, ChunkType::kNone, {}, ChunkFlag::kDone); }

inline Chunk DataChunk(const Request& to, std::uint64_t offset, Bytes data, std::uint16_t flags = 0) {
  return ChunkOf(to, ChunkType::kOffsetData, OffsetData{.offset = offset, .data = std::move(data)}, flags);
}

// `length` is below 2^32.
inline Chunk HoleChunk(const Request& to, std::uint64_t offset, std::uint64_t length, std::uint16_t flags = 0) {
  return ChunkOf(to, ChunkType::kOffsetHole, OffsetHole{.offset = offset, .length = static_cast<std::uint32_t>(length)},
                 flags);
}

// With or without offset.
inline Chunk ErrorChunk(const Request& to, const ErrorPayload& error, std::uint16_t flags = 0) {
  return ChunkOf(to, error.offset ? ChunkType::kErrorOffset : ChunkType::kError, error, flags);
}

inline Chunk StatusChunk(const Request& to, std::uint32_t context_id, std::vector<Descriptor> descriptors) {
  return ChunkOf(to, BlockStatus::ChunkTypeOf(to.form),
                 BlockStatus{.form = to.form, .context_id = context_id, .descriptors = std::move(descriptors)});
}

inline void AnswerWith(const Request& to, std::uint32_t error, Messages& sent) {
  if (!sent.empty() && std::holds_alternative<SimpleReply>(sent.front())) {
    sent = {SimpleReply{.error = error, .cookie = to.cookie}};
  } else if (error == kOk) {
    sent = {NoneChunk(to)};
  } else {
    sent = {ErrorChunk(to, {.error = error}, ChunkFlag::kDone)};
  }
}

inline void SetDoneOnLast(Messages& sent) { std::get<Chunk>(sent.back()).flags = ChunkFlag::kDone; }

// The same, and no other chunk has it.
inline void MoveDoneToLast(Messages& sent) {
  ForEach<Chunk>(sent, [](Chunk& chunk) { chunk.flags &= static_cast<std::uint16_t>(~ChunkFlag::kDone); });
  SetDoneOnLast(sent);
}

// Which answers are changed, by the request and by the true answer.
using When = std::function<bool(const Request& to, const Messages& sent)>;
inline bool Always(const Request& /*to*/, const Messages& /*sent*/) { return true; }

inline bool OnSuccess(const Request& /*to*/, const Messages& sent) {
  return !sent.empty() && std::ranges::all_of(sent, [](const ServerMessage& each) {
    const auto* simple = std::get_if<SimpleReply>(&each);
    const auto* chunk = std::get_if<Chunk>(&each);
    return (simple != nullptr && simple->error == kOk) || (chunk != nullptr && !chunk->is_error());
  });
}

inline bool OnError(const Request& to, const Messages& sent) { return !sent.empty() && !OnSuccess(to, sent); }

inline bool OnStructuredSuccess(const Request& to, const Messages& sent) {
  return OnSuccess(to, sent) && std::holds_alternative<Chunk>(sent.back());
}

// Of a command that has a range.
inline bool OnEmptyRange(const Request& to, const Messages& /*sent*/) {
  return to.length == 0 && to.type != kFlush && to.type != kDisc;
}

// Set, among others.
inline When OnFlag(std::uint16_t flag) {
  return [flag](const Request& to, const Messages&) { return Has(to, flag); };
}

// Just these.
inline When OnFlags(std::uint16_t flags) {
  return [flags](const Request& to, const Messages&) { return to.flags == flags; };
}

inline When OnUnaligned(std::uint64_t bytes) {
  return [bytes](const Request& to, const Messages&) { return IsUnaligned(to, bytes); };
}

inline When OnLonger(std::uint64_t bytes) {
  return [bytes](const Request& to, const Messages&) { return to.length > bytes; };
}

inline When OnMoreThan(std::size_t messages) {
  return [messages](const Request&, const Messages& sent) { return sent.size() > messages; };
}

inline bool IsA(const Request& request, std::uint16_t command) {
  return command == kAnyCommand || request.type == command;
}

// --- On its way to the server ---

inline Change ChangesRequest(std::uint16_t command, Changing<Connection, Request> change) {
  return {.received = [=](ClientMessage& received, const Connection& on) {
    auto* request = std::get_if<Request>(&received);
    if (request != nullptr && IsA(*request, command)) {
      change(on, *request, on);
    }
    return true;
  }};
}

// Changes a request for some bytes. A WRITE has its data: that of one that is too long was dropped, and an extended one
// may have none.
inline Change ChangesRange(std::uint16_t command, std::function<void(Request& request)> change) {
  return ChangesRequest(command, [=](Request& request) {
    if (request.length > 0 && !request.too_long && (request.type != kWrite || !request.payload.empty())) {
      change(request);
    }
  });
}

// All flags, if not said otherwise, but for the one that says whether there is a payload.
inline Change ClearsRequestFlags(std::uint16_t command, std::uint16_t flags = ~CommandFlag::kPayloadLen & 0xffff) {
  return ChangesRequest(command, [flags](Request& request) { request.flags &= static_cast<std::uint16_t>(~flags); });
}

// The server answers `request`, and does nothing.
inline void Forget(Request& request) {
  request.flags = 0;
  request.type = kCache;
}
inline Change Forgets(std::uint16_t command) { return ChangesRequest(command, Forget); }

// --- All that answers a request ---

inline Change ChangesAnswer(std::uint16_t command, When when, Changing<Request, Messages> change) {
  return {.sent = [=](const ClientMessage* to, const Connection& on, Messages& sent) {
    const auto* request = std::get_if<Request>(to);
    if (request != nullptr && IsA(*request, command) && when(*request, sent)) {
      change(*request, sent, on);
    }
  }};
}

inline Change ChangesAnswer(std::uint16_t command, Changing<Request, Messages> change) {
  return ChangesAnswer(command, Always, std::move(change));
}

// One message is the whole answer.
inline Change Answers(std::uint16_t command, When when, std::function<ServerMessage(const Request& to)> make) {
  return ChangesAnswer(command, std::move(when), [=](const Request& to, Messages& sent) { sent = {make(to)}; });
}

// `error` is the whole answer, in the form that the true one has; kOk is success without content.
inline Change Fails(std::uint16_t command, std::uint32_t error, When when) {
  return ChangesAnswer(command, std::move(when),
                       [error](const Request& to, Messages& sent) { AnswerWith(to, error, sent); });
}

inline Change FailsSimply(std::uint16_t command, std::uint32_t error, When when) {
  return Answers(command, std::move(when),
                 [error](const Request& to) { return SimpleReply{.error = error, .cookie = to.cookie}; });
}

inline Change Disconnects(std::uint16_t command, When when = Always) {
  return Answers(command, std::move(when), [](const Request&) { return HardDisconnect{}; });
}

inline Change NeverAnswers(std::uint16_t command, When when = Always) {
  return ChangesAnswer(command, std::move(when), [](Messages& sent) { sent.clear(); });
}

// Adds a chunk to an answer, a structured success if not said otherwise; the last one has DONE.
inline Change AddsFirst(std::uint16_t command, std::function<Chunk(const Request& to)> make) {
  return ChangesAnswer(command, OnStructuredSuccess,
                       [=](const Request& to, Messages& sent) { sent.insert(sent.begin(), make(to)); });
}

inline Change AddsLast(std::uint16_t command, std::function<Chunk(const Request& to)> make,
                       When when = OnStructuredSuccess) {
  return ChangesAnswer(command, std::move(when), [=](const Request& to, Messages& sent) {
    sent.emplace_back(make(to));
    MoveDoneToLast(sent);
  });
}

// Calls `change` for what each chunk of `type` holds.
template <typename Payload, typename Function>
void ForEachOfType(Messages& sent, std::uint16_t type, Function&& change) {
  ForEach<Chunk>(sent, [&](Chunk& chunk) {
    if (chunk.type == type) {
      ChangePayload<Payload>(chunk.payload, change);
    }
  });
}

// Calls `change(offset, bytes)` for the bytes that READ gives, in chunks or in a simple reply, from `offset` on.
template <typename Function>
void ForEachRead(const Request& to, Messages& sent, Function&& change) {
  ForEach<SimpleReply>(sent, [&](SimpleReply& reply) { change(to.offset, reply.data); });
  ForEachOfType<OffsetData>(sent, ChunkType::kOffsetData, [&](OffsetData& data) { change(data.offset, data.data); });
}

// The same as ForEachOfType for status chunks, in either form.
template <typename Function>
void ForEachStatus(Messages& sent, Function&& change) {
  ForEach<Chunk>(sent, [&](Chunk& chunk) {
    if (auto status = DecodeBlockStatus(chunk.type, chunk.payload)) {
      change(*status);
      chunk.payload = EncodePayload(*status);
    }
  });
}

// Calls `change` for each simple reply and chunk.
template <typename Function>
void ForEachReply(Messages& sent, const Function& change) {
  ForEach<SimpleReply>(sent, change);
  ForEach<Chunk>(sent, change);
}

template <typename Function>
Change ChangesReplies(std::uint16_t command, Function change) {
  return ChangesAnswer(command, [change](Messages& sent) { ForEachReply(sent, change); });
}

// Changes what each chunk of `type` holds.
template <typename Payload>
Change ChangesPayloads(std::uint16_t command, std::uint16_t type, Changing<Request, Payload> change,
                       When when = Always) {
  return ChangesAnswer(command, std::move(when), [=](const Request& to, Messages& sent, const Connection& on) {
    ForEachOfType<Payload>(sent, type, [&](Payload& payload) { change(to, payload, on); });
  });
}

// --- Each chunk or reply, or what it holds ---

inline Change ChangesChunks(std::uint16_t command, Changing<Request, Chunk> change) {
  return ChangesAnswer(command, [=](const Request& to, Messages& sent, const Connection& on) {
    ForEach<Chunk>(sent, [&](Chunk& chunk) { change(to, chunk, on); });
  });
}

// To READ.
inline Change ChangesSimpleReplies(std::function<void(SimpleReply& reply)> change) {
  return ChangesAnswer(kRead, [=](Messages& sent) { ForEach<SimpleReply>(sent, change); });
}

// NBD_REPLY_TYPE_ERROR in answers to READ.
inline Change ChangesErrorChunks(std::function<void(Chunk& chunk)> change) {
  return ChangesChunks(kRead, [=](Chunk& chunk) {
    if (chunk.type == ChunkType::kError) {
      change(chunk);
    }
  });
}

inline Change ChangesData(Changing<Request, OffsetData> change) {
  return ChangesPayloads<OffsetData>(kRead, ChunkType::kOffsetData, std::move(change));
}

inline Change ChangesStatus(Changing<Request, BlockStatus> change, When when = Always) {
  return ChangesAnswer(kBlockStatus, std::move(when), [=](const Request& to, Messages& sent, const Connection& on) {
    ForEachStatus(sent, [&](BlockStatus& status) { change(to, status, on); });
  });
}

// The descriptors of base:allocation, where there are more than `count`.
inline Change ChangesAllocation(std::size_t count, Changing<Request, std::vector<Descriptor>> change) {
  return ChangesStatus([=](const Request& to, BlockStatus& status, const Connection& on) {
    const auto& contexts = on.negotiated->contexts;
    const auto base = std::ranges::find(contexts, kBaseAllocation, &MetaContext::name);
    if (base != contexts.end() && base->id == status.context_id && status.descriptors.size() > count) {
      change(to, status.descriptors, on);
    }
  });
}

// The error of simple replies and of error chunks; kOk stays.
inline Change ChangesErrors(std::uint16_t command, std::function<std::uint32_t(std::uint32_t error)> change) {
  return ChangesAnswer(command, [=](Messages& sent) {
    ForEach<SimpleReply>(sent,
                         [&](SimpleReply& reply) { reply.error = reply.error == kOk ? kOk : change(reply.error); });
    ForEach<Chunk>(sent, [&](Chunk& chunk) {
      auto error = chunk.is_error() ? DecodeErrorPayload(chunk.type, chunk.payload) : std::nullopt;
      if (error) {
        error->error = change(error->error);
        chunk.payload = EncodePayload(*error);
      }
    });
  });
}

inline Change ChangesCookies(std::function<std::uint64_t(std::uint64_t cookie)> change) {
  return ChangesReplies(kAnyCommand, [=](auto& reply) { reply.cookie = change(reply.cookie); });
}

}  // namespace nbdspec::engine::faults
