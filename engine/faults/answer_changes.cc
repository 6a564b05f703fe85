// SPDX-License-Identifier: BSD-3-Clause
#include "engine/faults/answer_changes.h"

#include <algorithm>
#include <utility>

namespace nbdspec::engine::faults {

namespace {

bool IsA(const Request& request, std::uint16_t command) { return command == kAnyCommand || request.type == command; }

// Changes what each chunk of `type` holds.
template <typename Payload>
Change ChangesPayloads(std::uint16_t command, std::uint16_t type, Changing<Request, Payload> change,
                       When when = Always) {
  return ChangesAnswer(command, std::move(when), [=](const Request& to, Messages& sent, const Connection& on) {
    ForEachOfType<Payload>(sent, type, [&](Payload& payload) { change(to, payload, on); });
  });
}

}  // namespace

bool Always(const Request& /*to*/, const Messages& /*sent*/) { return true; }

bool OnSuccess(const Request& /*to*/, const Messages& sent) {
  return !sent.empty() && std::ranges::all_of(sent, [](const ServerMessage& each) {
    const auto* simple = std::get_if<SimpleReply>(&each);
    const auto* chunk = std::get_if<Chunk>(&each);
    return (simple != nullptr && simple->error == kOk) || (chunk != nullptr && !chunk->is_error());
  });
}

bool OnError(const Request& to, const Messages& sent) { return !sent.empty() && !OnSuccess(to, sent); }

bool OnStructuredSuccess(const Request& to, const Messages& sent) {
  return OnSuccess(to, sent) && std::holds_alternative<Chunk>(sent.back());
}

bool OnEmptyRange(const Request& to, const Messages& /*sent*/) {
  return to.length == 0 && to.type != kFlush && to.type != kDisc;
}

When OnFlag(std::uint16_t flag) {
  return [flag](const Request& to, const Messages&) { return Has(to, flag); };
}

When OnFlags(std::uint16_t flags) {
  return [flags](const Request& to, const Messages&) { return to.flags == flags; };
}

When OnUnaligned(std::uint64_t bytes) {
  return [bytes](const Request& to, const Messages&) { return IsUnaligned(to, bytes); };
}

When OnLonger(std::uint64_t bytes) {
  return [bytes](const Request& to, const Messages&) { return to.length > bytes; };
}

When OnMoreThan(std::size_t messages) {
  return [messages](const Request&, const Messages& sent) { return sent.size() > messages; };
}

Change ChangesRequest(std::uint16_t command, Changing<Connection, Request> change) {
  return {.received = [command, change = std::move(change)](ClientMessage& received, const Connection& on) {
    auto* request = std::get_if<Request>(&received);
    if (request != nullptr && IsA(*request, command)) {
      change(on, *request, on);
    }
    return true;
  }};
}

Change ClearsRequestFlags(std::uint16_t command, std::uint16_t flags) {
  return ChangesRequest(command, [flags](Request& request) { request.flags &= static_cast<std::uint16_t>(~flags); });
}

Change Forgets(std::uint16_t command) {
  return ChangesRequest(command, [](Request& request) {
    request.flags = 0;
    request.type = kCache;
  });
}

Change ChangesAnswer(std::uint16_t command, Changing<Request, Messages> change) {
  return ChangesAnswer(command, Always, std::move(change));
}

Change ChangesAnswer(std::uint16_t command, When when, Changing<Request, Messages> change) {
  return {.sent = [command, change = std::move(change), when = std::move(when)](const ClientMessage* to,
                                                                                const Connection& on, Messages& sent) {
    const auto* request = std::get_if<Request>(to);
    if (request != nullptr && IsA(*request, command) && when(*request, sent)) {
      change(*request, sent, on);
    }
  }};
}

Change Answers(std::uint16_t command, When when, std::function<ServerMessage(const Request& to)> make) {
  return ChangesAnswer(command, std::move(when),
                       [make = std::move(make)](const Request& to, Messages& sent) { sent = {make(to)}; });
}

Change Fails(std::uint16_t command, std::uint32_t error, When when) {
  return ChangesAnswer(command, std::move(when),
                       [error](const Request& to, Messages& sent) { AnswerWith(to, error, sent); });
}

Change FailsSimply(std::uint16_t command, std::uint32_t error, When when) {
  return Answers(command, std::move(when),
                 [error](const Request& to) { return SimpleReply{.error = error, .cookie = to.cookie}; });
}

Change Disconnects(std::uint16_t command, When when) {
  return Answers(command, std::move(when), [](const Request&) { return HardDisconnect{}; });
}

Change NeverAnswers(std::uint16_t command, When when) {
  return ChangesAnswer(command, std::move(when), [](Messages& sent) { sent.clear(); });
}

Change AddsFirst(std::uint16_t command, std::function<Chunk(const Request& to)> make) {
  return ChangesAnswer(command, OnStructuredSuccess, [make = std::move(make)](const Request& to, Messages& sent) {
    sent.insert(sent.begin(), make(to));
  });
}

Change AddsLast(std::uint16_t command, std::function<Chunk(const Request& to)> make) {
  return AddsLast(command, OnStructuredSuccess, std::move(make));
}

Change AddsLast(std::uint16_t command, When when, std::function<Chunk(const Request& to)> make) {
  return ChangesAnswer(command, std::move(when), [make = std::move(make)](const Request& to, Messages& sent) {
    ForEach<Chunk>(sent, [](Chunk& chunk) { chunk.flags &= static_cast<std::uint16_t>(~ChunkFlag::kDone); });
    sent.emplace_back(make(to));
    SetDoneOnLast(sent);
  });
}

Change ChangesChunks(std::uint16_t command, Changing<Request, Chunk> change) {
  return ChangesAnswer(command, [change = std::move(change)](const Request& to, Messages& sent, const Connection& on) {
    ForEach<Chunk>(sent, [&](Chunk& chunk) { change(to, chunk, on); });
  });
}

Change ChangesSimpleReplies(std::function<void(SimpleReply& reply)> change) {
  return ChangesAnswer(kRead, [change = std::move(change)](Messages& sent) { ForEach<SimpleReply>(sent, change); });
}

Change ChangesErrorChunks(std::function<void(Chunk& chunk)> change) {
  return ChangesChunks(kRead, [change = std::move(change)](Chunk& chunk) {
    if (chunk.type == ChunkType::kError) {
      change(chunk);
    }
  });
}

Change ChangesData(Changing<Request, OffsetData> change) {
  return ChangesPayloads<OffsetData>(kRead, ChunkType::kOffsetData, std::move(change));
}

Change ChangesHoles(Changing<Request, OffsetHole> change) {
  return ChangesPayloads<OffsetHole>(kRead, ChunkType::kOffsetHole, std::move(change));
}

Change ChangesStatus(Changing<Request, BlockStatus> change) { return ChangesStatus(Always, std::move(change)); }

Change ChangesStatus(When when, Changing<Request, BlockStatus> change) {
  return ChangesPayloads<BlockStatus>(kBlockStatus, ChunkType::kBlockStatus, std::move(change), std::move(when));
}

Change ChangesAllocation(std::size_t count, Changing<Request, std::vector<Descriptor>> change) {
  return ChangesStatus(
      [count, change = std::move(change)](const Request& to, BlockStatus& status, const Connection& on) {
        const auto& contexts = on.negotiated->contexts;
        const auto base = std::ranges::find(contexts, kBaseAllocation, &MetaContext::name);
        if (base != contexts.end() && base->id == status.context_id && status.descriptors.size() > count) {
          change(to, status.descriptors, on);
        }
      });
}

Change ChangesErrors(std::uint16_t command, std::function<std::uint32_t(std::uint32_t error)> change) {
  return ChangesAnswer(command, [change = std::move(change)](Messages& sent) {
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

Change ChangesCookies(std::function<std::uint64_t(std::uint64_t cookie)> change) {
  return ChangesReplies(kAnyCommand,
                        [change = std::move(change)](auto& reply) { reply.cookie = change(reply.cookie); });
}

SimpleReply SimpleZeroes(const Request& to) { return {.cookie = to.cookie, .data = Bytes(to.length)}; }

Chunk NoneChunk(const Request& to) { return {.flags = ChunkFlag::kDone, .cookie = to.cookie}; }

Chunk DataChunk(const Request& to, std::uint64_t offset, Bytes data, std::uint16_t flags) {
  return ChunkOf(to, ChunkType::kOffsetData, OffsetData{.offset = offset, .data = std::move(data)}, flags);
}

Chunk HoleChunk(const Request& to, std::uint64_t offset, std::uint32_t length, std::uint16_t flags) {
  return ChunkOf(to, ChunkType::kOffsetHole, OffsetHole{.offset = offset, .length = length}, flags);
}

Chunk ErrorChunk(const Request& to, const ErrorPayload& error, std::uint16_t flags) {
  return ChunkOf(to, error.offset ? ChunkType::kErrorOffset : ChunkType::kError, error, flags);
}

Chunk StatusChunk(const Request& to, std::uint32_t context_id, std::vector<Descriptor> descriptors) {
  return ChunkOf(to, ChunkType::kBlockStatus,
                 BlockStatus{.context_id = context_id, .descriptors = std::move(descriptors)});
}

void AnswerWith(const Request& to, std::uint32_t error, Messages& sent) {
  if (!sent.empty() && std::holds_alternative<SimpleReply>(sent.front())) {
    sent = {SimpleReply{.error = error, .cookie = to.cookie}};
  } else if (error == kOk) {
    sent = {NoneChunk(to)};
  } else {
    sent = {ErrorChunk(to, {.error = error}, ChunkFlag::kDone)};
  }
}

void SetDoneOnLast(Messages& sent) { std::get<Chunk>(sent.back()).flags = ChunkFlag::kDone; }

}  // namespace nbdspec::engine::faults
