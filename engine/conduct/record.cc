// SPDX-License-Identifier: BSD-3-Clause
#include "engine/conduct/record.h"

#include <algorithm>
#include <utility>

namespace nbdspec::engine {

namespace {

constexpr std::size_t kOffsetBytes = 8;  // Of OFFSET_DATA.

// What of `message` the rules read.
ClientMessage WithoutData(ClientMessage message) {
  if (auto* request = std::get_if<Request>(&message); request != nullptr && request->type == CommandType::kWrite) {
    request->payload = {};
  }
  return message;
}

ServerMessage WithoutData(ServerMessage message) {
  if (auto* reply = std::get_if<SimpleReply>(&message)) {
    reply->data = {};
  } else if (auto* chunk = std::get_if<Chunk>(&message);
             chunk != nullptr && chunk->type == ChunkType::kOffsetData && chunk->payload.size() > kOffsetBytes) {
    chunk->length_field = chunk->length_field.value_or(chunk->payload.size());
    chunk->payload = Bytes(chunk->payload.begin(), chunk->payload.begin() + kOffsetBytes);
  }
  return message;
}

// How long `message` was on the wire, also where its payload was too long to be kept.
std::uint64_t BytesOf(const ClientMessage& message) {
  const auto* option = std::get_if<Option>(&message);
  const auto* request = std::get_if<Request>(&message);
  const std::uint64_t dropped = option != nullptr && option->too_long     ? option->length_field.value_or(0)
                                : request != nullptr && request->too_long ? request->length
                                                                          : 0;
  return Encode(message).size() + dropped;
}

}  // namespace

void Recorder::Add(Seen seen) {
  if (record_.seen.size() >= Record::kSeenMax) {
    record_.seen.pop_back();
    record_.is_whole = false;
  }
  record_.seen.push_back(std::move(seen));
}

void Recorder::BytesCame() {
  came_early_ = is_unsent_;
  if (inner_ != nullptr) {
    inner_->BytesCame();
  }
}

void Recorder::NoteChange() { record_.changed_at = record_.changed_at.value_or(record_.seen.size()); }

bool Recorder::BeforeServer(ClientMessage& received, const Negotiated& state) {
  if (inner_ == nullptr) {
    return true;
  }
  const ClientMessage as_it_came = received;
  const bool may_receive = inner_->BeforeServer(received, state);
  if (!may_receive || received != as_it_came) {
    NoteChange();
  }
  return may_receive;
}

void Recorder::ChangeTls(TlsConduct& conduct) {
  Add({.what = TlsBegins{}});
  if (inner_ == nullptr) {
    return;
  }
  const TlsConduct right = conduct;
  inner_->ChangeTls(conduct);
  if (conduct != right) {
    NoteChange();
  }
}

void Recorder::AfterServer(const ClientMessage* received, const Negotiated& state, std::vector<ServerMessage>& sent) {
  if (received != nullptr) {
    const std::uint64_t wire_bytes = BytesOf(*received);
    message_bytes_ += wire_bytes;
    Add({.what = WithoutData(*received),
         .is_early = came_early_,
         .words = DescribeFields(*received),
         .wire_bytes = wire_bytes});
  }
  std::vector<ServerMessage> right;
  if (inner_ != nullptr) {
    right = sent;
    inner_->AfterServer(received, state, sent);
  }
  if (inner_ != nullptr && right != sent) {
    record_.changed_at = record_.changed_at.value_or(
        record_.seen.size() + static_cast<std::size_t>(std::ranges::mismatch(right, sent).in2 - sent.begin()));
  }
  for (const ServerMessage& message : sent) {
    has_server_ended_ |= std::holds_alternative<HardDisconnect>(message);
    Add({.what = WithoutData(message), .words = DescribeFields(message), .wire_bytes = Encode(message).size()});
    is_unsent_ = true;
    came_early_ = true;  // What stands behind it in the same piece came before this was said.
  }
}

void Recorder::CannotRead(ByteView first) {
  Add({.what = NoMessage{.first = Bytes(first.begin(), first.begin() + static_cast<std::ptrdiff_t>(std::min(
                                                                           first.size(), kNoMessageBytesMax)))},
       .is_early = came_early_});
}

void Recorder::CameBehindStarttls(ByteView more) {
  Bytes& kept = record_.behind_starttls;
  const ByteView first = more.first(std::min(more.size(), Record::kBehindStarttlsMax - kept.size()));
  kept.insert(kept.end(), first.begin(), first.end());
}

void Recorder::Left(const Departure& departure) { Add({.what = departure}); }

}  // namespace nbdspec::engine
