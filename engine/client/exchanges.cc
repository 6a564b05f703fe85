// SPDX-License-Identifier: BSD-3-Clause
// The reference client's requests, and what it makes of their answers.
#include <algorithm>
#include <utility>

#include "engine/client/connection.h"
#include "engine/spec/ids.h"

namespace nbdspec::engine {

namespace {

constexpr std::size_t kOffsetBytes = 8;           // Of OFFSET_DATA.
constexpr std::size_t kLongTextBytes = 80;        // fails_at_long_error_texts
constexpr std::uint64_t kLargePayload = 1 << 16;  // fails_at_large_payloads
constexpr std::uint8_t kNotZero = 0x5a;           // What a buffer held before: ignores_holes.

bool IsKnown(std::uint16_t type) {
  switch (type) {
    case ChunkType::kNone:
    case ChunkType::kOffsetData:
    case ChunkType::kOffsetHole:
    case ChunkType::kBlockStatus:
    case ChunkType::kBlockStatusExt:
    case ChunkType::kError:
    case ChunkType::kErrorOffset:
      return true;
    default:
      return false;
  }
}

OrGivesUp<void> FailIf(bool fails, std::string_view why) {
  return fails ? OrGivesUp<void>(Hard(std::string(why))) : OrGivesUp<void>();
}

}  // namespace

void ClientConnection::SendRequest(Request request) {
  request.cookie = conduct_.transfer.cookie(request_count_);
  ClientMessage message = InForm(negotiated().headers, std::move(request));
  Pending& added = pending_.emplace_back();
  added.meant = std::get<Request>(message);
  if (conduct_.hooks.message) {
    conduct_.hooks.message(message, {.agreed = negotiated(),
                                     .connection = number_,
                                     .options_before = option_count_,
                                     .requests_before = request_count_});
  }
  const Request& sent = std::get<Request>(message);
  added.exchange.Start(RequestHead::Of(sent), negotiated());
  if (sent.type == CommandType::kRead) {
    decoder_.ExpectData(sent.cookie, sent.length);
  }
  added.meant.payload = {};
  bytes_in_flight_ += added.meant.length;
  Say(message);
}

OrGivesUp<Answered> ClientConnection::NextAnswered() {
  auto answered = WaitForAnswered();
  is_broken_ |= !answered && answered.error().is_hard;
  return answered;
}

OrGivesUp<Answered> ClientConnection::WaitForAnswered() {
  for (;;) {
    auto received = ReceiveMessage();
    if (!received) {
      return Lost("no answer", received.error());
    }
    auto* simple = std::get_if<SimpleReply>(&*received);
    const auto* chunk = std::get_if<Chunk>(&*received);
    if (simple == nullptr && chunk == nullptr) {
      return Hard("no answer, but " + Describe(*received));
    }
    const std::uint64_t cookie = simple != nullptr ? simple->cookie : chunk->cookie;
    const auto to =
        std::ranges::find(pending_, cookie, [](const Pending& each) { return each.exchange.request.cookie; });
    if (to == pending_.end()) {
      // Without a request to belong to it can be nothing else.
      NBDSPEC_RETURN_IF_ERROR(Demand(false, spec::kTransmissionCookieEcho, Describe(*received)));
      if (++stray_count_ > ClientLimits::kChunksOfOneAnswerMax) {
        return Hard("nothing but answers to what was not asked");
      }
      continue;
    }
    NBDSPEC_RETURN_IF_ERROR(simple != nullptr ? Take(*to, *simple) : Take(*to, *chunk));
    if (to->exchange.answer.is_complete()) {
      return Finish(to);
    }
  }
}

OrGivesUp<void> ClientConnection::Take(Pending& to, SimpleReply& reply) {
  NBDSPEC_RETURN_IF_ERROR(
      FailIf(failings().fails_at_large_payloads && reply.data.size() > kLargePayload, "more than 64 KiB at once"));
  to.exchange.answer.Add(reply);
  to.data = std::move(reply.data);
  to.filled = to.data.size();
  return {};
}

OrGivesUp<void> ClientConnection::Take(Pending& to, const Chunk& chunk) {
  to.payload_bytes += chunk.payload.size();
  if (++to.count > ClientLimits::kChunksOfOneAnswerMax ||
      to.payload_bytes > ClientLimits::kBytesInFlightMax + to.meant.length) {
    return Hard("an answer without end");
  }
  const ClientFailings& lacks = failings();
  const ReplyChunk& digest = to.exchange.answer.AddChunk(chunk.flags, chunk.type, chunk.payload, chunk.offset);
  if (!IsKnown(chunk.type) && !chunk.is_error() && !lacks.skips_unknown_chunks) {
    return Hard("a chunk " + ChunkName(chunk.type));  // structured.type.client-unknown
  }
  NBDSPEC_RETURN_IF_ERROR(FailIf(lacks.fails_at_unknown_reply_flags && (chunk.flags & ~ChunkFlag::kDone) != 0,
                                 "a reply flag that is unknown"));
  NBDSPEC_RETURN_IF_ERROR(
      FailIf(lacks.fails_at_large_payloads && chunk.payload.size() > kLargePayload, "more than 64 KiB at once"));
  NBDSPEC_RETURN_IF_ERROR(
      FailIf(lacks.fails_at_done_alone && chunk.type == ChunkType::kNone && to.exchange.answer.chunks().size() > 1,
             "a chunk without anything behind content"));
  if (digest.is_error()) {
    return TakeErrorText(digest);
  }
  if (digest.is_content()) {
    return TakeContent(to, digest, chunk);
  }
  return TakeStatus(to, chunk);
}

OrGivesUp<void> ClientConnection::TakeErrorText(const ReplyChunk& digest) const {
  const std::size_t text_bytes = digest.error ? digest.error->message.size() : 1;
  NBDSPEC_RETURN_IF_ERROR(FailIf(failings().fails_at_empty_error_texts && text_bytes == 0, "an error without a text"));
  return FailIf(failings().fails_at_long_error_texts && text_bytes > kLongTextBytes, "an error with a long text");
}

// Puts content where it belongs. structured.read.client-reassemble
OrGivesUp<void> ClientConnection::TakeContent(Pending& to, const ReplyChunk& digest, const Chunk& chunk) {
  const bool is_hole = chunk.type == ChunkType::kOffsetHole;
  NBDSPEC_RETURN_IF_ERROR(FailIf(failings().fails_at_holes && is_hole, "a hole"));
  if (!to.exchange.Is(CommandType::kRead) || !digest.content) {
    return {};  // The rules know what to say of it.
  }
  const bool is_inside = to.exchange.Asks(*digest.content);
  NBDSPEC_RETURN_IF_ERROR(Demand(is_inside,
                                 is_hole ? spec::kStructuredOffsetHoleInBounds : spec::kStructuredOffsetDataInBounds,
                                 "content outside of the request"));
  const RequestHead& asked = to.exchange.request;
  if (asked.length > ClientLimits::kBytesInFlightMax) {
    return {};  // Nobody has a use for it.
  }
  to.data.resize(asked.length, failings().ignores_holes ? kNotZero : std::uint8_t{0});
  const std::uint64_t at = failings().takes_chunks_in_order_only ? to.filled : digest.content->offset - asked.offset;
  if (at < asked.length) {
    const std::uint64_t length = std::min(digest.content->length, asked.length - at);
    const auto into = to.data.begin() + static_cast<std::ptrdiff_t>(at);
    if (!is_hole) {
      std::copy_n(chunk.payload.begin() + kOffsetBytes, length, into);
    } else if (!failings().ignores_holes) {
      std::fill_n(into, length, std::uint8_t{0});
    }
    to.filled += length;
  }
  return {};
}

OrGivesUp<void> ClientConnection::TakeStatus(Pending& to, const Chunk& chunk) {
  if (auto status = DecodeBlockStatus(chunk.type, chunk.payload)) {
    to.statuses.push_back(*std::move(status));
  }
  return {};
}

// Whether the client takes the answer for an error, as faulty as it is.
bool ClientConnection::TakesForError(const Answer& answer) const {
  if (!answer.has_failed() || failings().ignores_errors) {
    return false;
  }
  if (answer.simple()) {
    return true;
  }
  if (failings().skips_errors_before_done && !answer.chunks().back().is_error()) {
    return false;
  }
  return !failings().skips_unknown_errors || std::ranges::any_of(answer.chunks(), [](const ReplyChunk& each) {
    return each.is_error() && IsKnown(each.type);
  });
}

OrGivesUp<Answered> ClientConnection::Finish(std::deque<Pending>::iterator at) {
  Pending done = std::move(*at);
  pending_.erase(at);
  bytes_in_flight_ -= done.meant.length;
  const Exchange& exchange = done.exchange;
  if (const auto violation = FirstViolation(exchange, rules_)) {
    return Hard("the server broke " + std::string(violation->requirement) + " in its answer to " +
                Describe(exchange.request) + ": " + violation->saw);
  }
  Answered answered = {.request = std::move(done.meant)};
  if (TakesForError(exchange.answer)) {
    const std::uint32_t error = exchange.answer.error();
    const bool is_defined = kDefinedErrors.Contains(error);
    NBDSPEC_RETURN_IF_ERROR(FailIf(failings().disconnects_at_errors, "an error"));
    NBDSPEC_RETURN_IF_ERROR(
        FailIf(failings().disconnects_at_unknown_errors && !is_defined, "an error that is unknown"));
    answered.error = is_defined ? error : NbdError::kEinval;  // error.client-unexpected
    return answered;
  }
  if (answered.request.type == CommandType::kRead) {
    answered.data = std::move(done.data);
    answered.data.resize(std::min(answered.request.length, ClientLimits::kBytesInFlightMax));
  }
  answered.statuses = std::move(done.statuses);
  return answered;
}

GivesUp Failed(const Answered& answered) {
  return {.why = Describe(RequestHead::Of(answered.request)) + " got " + ErrorName(answered.error), .is_refusal = true};
}

OrGivesUp<void> Exchanges(Connections& connections, std::deque<Request>& todo, const OnAnswered& on_answered) {
  const std::uint32_t in_flight = std::max(1U, connections.front()->conduct().transfer.in_flight);
  std::size_t next = 0;
  const auto has_room = [&](const ClientConnection& on) {
    return on.in_flight() == 0 ||
           (on.in_flight() < in_flight &&
            on.bytes_in_flight() + todo.front().length <= ClientLimits::kBytesInFlightMax / connections.size());
  };
  for (;;) {
    for (std::size_t tries = 0; !todo.empty() && tries < connections.size(); ++next) {
      ClientConnection& on = *connections[next % connections.size()];
      if (!has_room(on)) {
        ++tries;
        continue;
      }
      tries = 0;
      on.SendRequest(std::move(todo.front()));
      todo.pop_front();
    }
    const auto busiest = std::ranges::max_element(connections, {}, [](const auto& each) { return each->in_flight(); });
    if ((*busiest)->in_flight() == 0) {
      return {};
    }
    NBDSPEC_ASSIGN_OR_RETURN(answered, (*busiest)->NextAnswered());
    NBDSPEC_RETURN_IF_ERROR(on_answered(answered));
  }
}

}  // namespace nbdspec::engine
