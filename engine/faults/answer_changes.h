// SPDX-License-Identifier: BSD-3-Clause
// Changes of requests and of what answers them. `command` is a command type, or kAnyCommand.

#pragma once

#include <cstdint>
#include <functional>
#include <vector>

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

// Which answers are changed, by the request and by the true answer.
using When = std::function<bool(const Request& to, const Messages& sent)>;
bool Always(const Request& to, const Messages& sent);
bool OnError(const Request& to, const Messages& sent);
bool OnSuccess(const Request& to, const Messages& sent);
bool OnStructuredSuccess(const Request& to, const Messages& sent);
bool OnEmptyRange(const Request& to, const Messages& sent);  // Of a command that has a range.
When OnFlag(std::uint16_t flag);                             // Set, among others.
When OnFlags(std::uint16_t flags);                           // Just these.
When OnUnaligned(std::uint64_t bytes);
When OnLonger(std::uint64_t bytes);
When OnMoreThan(std::size_t messages);

// On its way to the server.
Change ChangesRequest(std::uint16_t command, Changing<Connection, Request> change);
Change ClearsRequestFlags(std::uint16_t command, std::uint16_t flags = 0xffff);
// The server answers, and does nothing.
Change Forgets(std::uint16_t command);

// All that answers a request.
Change ChangesAnswer(std::uint16_t command, Changing<Request, Messages> change);
Change ChangesAnswer(std::uint16_t command, When when, Changing<Request, Messages> change);
// One message is the whole answer.
Change Answers(std::uint16_t command, When when, std::function<ServerMessage(const Request& to)> make);
// `error` is the whole answer, in the form that the true one has; kOk is success without content.
Change Fails(std::uint16_t command, std::uint32_t error, When when);
Change FailsSimply(std::uint16_t command, std::uint32_t error, When when);
Change Disconnects(std::uint16_t command, When when = Always);
Change NeverAnswers(std::uint16_t command, When when = Always);
// Adds a chunk to an answer, a structured success if not said otherwise; the last one has DONE.
Change AddsFirst(std::uint16_t command, std::function<Chunk(const Request& to)> make);
Change AddsLast(std::uint16_t command, std::function<Chunk(const Request& to)> make);
Change AddsLast(std::uint16_t command, When when, std::function<Chunk(const Request& to)> make);

// Each chunk, or what it holds where it is of that type.
Change ChangesChunks(std::uint16_t command, Changing<Request, Chunk> change);
Change ChangesSimpleReplies(std::function<void(SimpleReply& reply)> change);  // To READ.
Change ChangesErrorChunks(std::function<void(Chunk& chunk)> change);  // NBD_REPLY_TYPE_ERROR in answers to READ.
Change ChangesData(Changing<Request, OffsetData> change);
Change ChangesHoles(Changing<Request, OffsetHole> change);
Change ChangesStatus(Changing<Request, BlockStatus> change);
Change ChangesStatus(When when, Changing<Request, BlockStatus> change);
// The descriptors of base:allocation, where there are more than `count`.
Change ChangesAllocation(std::size_t count, Changing<Request, std::vector<Descriptor>> change);

// The error of simple replies and of error chunks; kOk stays.
Change ChangesErrors(std::uint16_t command, std::function<std::uint32_t(std::uint32_t error)> change);
Change ChangesCookies(std::function<std::uint64_t(std::uint64_t cookie)> change);

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

// Calls `change` for what each chunk of `type` holds.
template <typename Payload, typename Function>
void ForEachOfType(Messages& sent, std::uint16_t type, Function&& change) {
  ForEach<Chunk>(sent, [&](Chunk& chunk) {
    if (chunk.type == type) {
      ChangePayload<Payload>(chunk.payload, change);
    }
  });
}

template <typename Function>
void ForEachStatus(Messages& sent, Function&& change) {
  ForEachOfType<BlockStatus>(sent, ChunkType::kBlockStatus, change);
}

template <typename Payload>
Chunk ChunkOf(const Request& to, std::uint16_t type, const Payload& payload, std::uint16_t flags = 0) {
  return {.flags = flags, .type = type, .cookie = to.cookie, .payload = EncodePayload(payload)};
}
SimpleReply SimpleZeroes(const Request& to);  // In answer to READ.
Chunk NoneChunk(const Request& to);           // With DONE.
Chunk DataChunk(const Request& to, std::uint64_t offset, Bytes data, std::uint16_t flags = 0);
Chunk HoleChunk(const Request& to, std::uint64_t offset, std::uint32_t length, std::uint16_t flags = 0);
Chunk ErrorChunk(const Request& to, const ErrorPayload& error, std::uint16_t flags = 0);  // With or without offset.
Chunk StatusChunk(const Request& to, std::uint32_t context_id, std::vector<Descriptor> descriptors);
void AnswerWith(const Request& to, std::uint32_t error, Messages& sent);
void SetDoneOnLast(Messages& sent);

}  // namespace nbdspec::engine::faults
