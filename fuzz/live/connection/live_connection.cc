// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/connection/live_connection.h"

#include <algorithm>
#include <utility>

#include "engine/base/or_return.h"
#include "engine/wire/decoders.h"
#include "engine/wire/fields.h"

namespace nbdspec::fuzz {

using conformance::Ending;
using engine::ByteView;
using engine::OptionReply;
using engine::OptionReplyType;
using engine::OptionType;

namespace {

constexpr std::size_t kReceiveBytesMax = 1 << 18;
constexpr std::uint32_t kPayloadBytesMax = 1 << 26;
constexpr std::size_t kListedMax = 16;
constexpr std::size_t kRequestHeaderBytes = 28;
constexpr std::size_t kSimpleHeaderBytes = 16;
constexpr std::size_t kChunkHeaderBytes = 20;

engine::ReceiveError WhyEnded(Ending ending) {
  switch (ending) {
    case Ending::kClosed:
      return {.kind = engine::ReceiveError::kClosed, .text = "the server closed the connection"};
    case Ending::kReset:
      return {.kind = engine::ReceiveError::kReset, .text = "the server reset the connection"};
    default:
      return {.kind = engine::ReceiveError::kTimedOut, .text = "the server sent nothing in time"};
  }
}

}  // namespace

void LiveConnection::NotePiece(bool is_sent, std::size_t end) {
  (is_sent ? sent_pieces_ : received_pieces_).push_back({.end = end, .order = ++*clock_});
}

void LiveConnection::StartRecord() {
  sent_offset_ += sent_count_;
  sent_.erase(sent_.begin(), sent_.begin() + static_cast<std::ptrdiff_t>(sent_count_));
  sent_count_ = 0;
  received_offset_ += taken_;
  received_.erase(received_.begin(), received_.begin() + static_cast<std::ptrdiff_t>(taken_));
  taken_ = 0;
  sent_pieces_.clear();
  received_pieces_.clear();
  handshake_sent_bytes_ = 0;
  handshake_received_bytes_ = 0;
  name_reply_bytes_ = 0;
}

Ending LiveConnection::Flush(Clock::time_point deadline) {
  if (unsent_bytes() == 0) {
    return Ending::kNone;
  }
  const Ending ending = transport_->Send(ByteView(sent_).subspan(sent_count_), deadline);
  sent_count_ = sent_.size();
  NotePiece(/*is_sent=*/true, sent_count_);
  return ending;
}

Ending LiveConnection::Receive(Clock::time_point deadline) {
  const Ending ending = transport_->Receive(received_, kReceiveBytesMax, deadline);
  if (ending == Ending::kNone) {
    NotePiece(/*is_sent=*/false, received_.size());
  }
  return ending;
}

// --- The handshake ---

engine::Received<engine::ServerMessage> LiveConnection::ReceiveMessage() {
  if (Flush(deadline_) == Ending::kTimedOut) {
    return std::unexpected(engine::ReceiveError{.text = "the server did not take what was sent"});
  }
  for (;;) {
    if (auto next = decoder_.Next()) {
      auto* const placed = std::get_if<engine::PlacedServerMessage>(&*next);
      if (placed == nullptr) {
        return std::unexpected(engine::ReceiveError{.kind = engine::ReceiveError::kUndecodable,
                                                    .text = std::get<engine::Undecodable>(*next).what});
      }
      taken_ += placed->length;
      name_reply_bytes_ = std::holds_alternative<engine::ExportNameReply>(placed->message) ? placed->length : 0;
      return std::move(placed->message);
    }
    const std::size_t before = received_.size();
    if (const Ending ending = Receive(deadline_); ending != Ending::kNone) {
      return std::unexpected(WhyEnded(ending));
    }
    decoder_.Feed(ByteView(received_).subspan(before));
  }
}

std::expected<Offer, std::string> LiveConnection::Enter(const std::vector<engine::OptionStep>& options,
                                                        const std::string& export_name, Clock::time_point deadline) {
  deadline_ = deadline;
  NBDSPEC_RETURN_IF_ERROR(Greet());
  std::vector<std::string> listed_contexts;
  bool by_name = false;
  for (const engine::OptionStep& step : options) {
    by_name = by_name || step.option == OptionType::kExportName;
    const bool is_last =
        step.option == OptionType::kExportName || step.option == OptionType::kGo || step.option == OptionType::kAbort;
    if (is_last || !negotiated().is_fixed_newstyle()) {
      continue;
    }
    const engine::Option option =
        engine::MakeOption(step.option, {.export_name = step.export_name.empty() ? export_name : step.export_name,
                                         .requests = {engine::InfoType::kBlockSize},
                                         .queries = step.names});
    NBDSPEC_ASSIGN_OR_RETURN(replies, Try(option));
    if (step.option == OptionType::kListMetaContext && replies.back().type == OptionReplyType::kAck) {
      for (const OptionReply& reply : replies) {
        const auto context = engine::DecodePayload<engine::MetaContext>(reply.payload);
        if (context && reply.type == OptionReplyType::kMetaContext && listed_contexts.size() < kListedMax) {
          listed_contexts.push_back(context->name);
        }
      }
    }
  }
  const auto entered = by_name ? EnterByName(export_name) : EnterByGoOrName(export_name);
  handshake_sent_bytes_ = sent_.size();
  handshake_received_bytes_ = taken_;
  NBDSPEC_RETURN_IF_ERROR(entered);
  return Offer{negotiated(), std::move(listed_contexts)};
}

// --- Requests and replies ---

void LiveConnection::Put(const engine::RequestStep& request, std::uint64_t cookie) {
  engine::PutBigEndian<std::uint32_t>(engine::kRequestMagic, sent_);
  engine::PutBigEndian<std::uint16_t>(request.flags, sent_);
  engine::PutBigEndian<std::uint16_t>(static_cast<std::uint16_t>(request.command), sent_);
  engine::PutBigEndian<std::uint64_t>(cookie, sent_);
  engine::PutBigEndian<std::uint64_t>(request.offset, sent_);
  engine::PutBigEndian<std::uint32_t>(request.length, sent_);
  if (request.command == engine::Command::kWrite) {
    const std::size_t begin = sent_.size();
    sent_.resize(begin + request.length);
    engine::FillWithPattern(request.pattern, request.offset, std::span(sent_).subspan(begin));
  }
}

std::optional<ReplyView> LiveConnection::PeekHeader(std::uint32_t& payload_bytes) {
  const ByteView bytes = ByteView(received_).subspan(taken_);
  if (!undecodable_.empty() || bytes.size() < sizeof engine::kSimpleReplyMagic) {
    return {};
  }
  const auto magic = engine::GetBigEndian<std::uint32_t>(bytes);
  if (magic != engine::kSimpleReplyMagic && magic != engine::kChunkMagic) {
    undecodable_ = "the magic of a reply is " + engine::MagicText(magic) + ", neither " +
                   engine::MagicText(engine::kSimpleReplyMagic) + " nor " + engine::MagicText(engine::kChunkMagic);
    return {};
  }
  const bool is_simple = magic == engine::kSimpleReplyMagic;
  if (bytes.size() < (is_simple ? kSimpleHeaderBytes : kChunkHeaderBytes)) {
    return {};
  }
  ReplyView reply{.is_simple = is_simple, .cookie = engine::GetBigEndian<std::uint64_t>(bytes, 8)};
  if (is_simple) {
    reply.error = engine::GetBigEndian<std::uint32_t>(bytes, 4);
  } else {
    reply.flags = engine::GetBigEndian<std::uint16_t>(bytes, 4);
    reply.type = engine::GetBigEndian<std::uint16_t>(bytes, 6);
    payload_bytes = engine::GetBigEndian<std::uint32_t>(bytes, 16);
  }
  return reply;
}

std::optional<ReplyView> LiveConnection::TakePayload(ReplyView reply, std::uint32_t payload_bytes) {
  if (payload_bytes > kPayloadBytesMax) {
    undecodable_ = "a reply would carry " + std::to_string(payload_bytes) + " bytes";
    return {};
  }
  const std::size_t header_bytes = reply.is_simple ? kSimpleHeaderBytes : kChunkHeaderBytes;
  if (pending_bytes() < header_bytes + payload_bytes) {
    return {};
  }
  reply.payload = ByteView(received_).subspan(taken_ + header_bytes, payload_bytes);
  taken_ += header_bytes + payload_bytes;
  return reply;
}

void LiveConnection::Leave(Clock::time_point deadline) {
  Send(engine::Request{.type = engine::CommandType::kDisc});
  Flush(deadline);
  transport_->CloseSending();
}

// --- What passed, for people ---

FindingStream LiveConnection::Record() const {
  return {.sent = {sent_.begin(), sent_.begin() + static_cast<std::ptrdiff_t>(sent_count_)},
          .received = received_,
          .sent_offset = sent_offset_,
          .received_offset = received_offset_};
}

// About what stands in sent_ or received_ from `begin` on. It passed with the piece that has its last byte.
void LiveConnection::AddLine(bool is_sent, std::size_t begin, std::size_t length, const std::string& text,
                             Lines& lines) const {
  const std::vector<Piece>& pieces = is_sent ? sent_pieces_ : received_pieces_;
  const auto piece = std::ranges::lower_bound(pieces, begin + length, {}, &Piece::end);
  const std::uint64_t offset = begin + (is_sent ? sent_offset_ : received_offset_);
  lines.emplace(piece == pieces.end() ? *clock_ : piece->order, (is_sent ? "C" : "S") + std::to_string(number_) +
                                                                    (is_sent ? "> @" : "< @") + std::to_string(offset) +
                                                                    " +" + std::to_string(length) + "  " + text);
}

void LiveConnection::DecodeSent(Lines& lines) const {
  engine::ClientDecoder decoder({.write_bytes_max = kPayloadBytesMax});
  const ByteView sent = ByteView(sent_).first(sent_count_);
  std::size_t at = 0;
  const auto decode = [&](ByteView bytes) {
    decoder.Feed(bytes);
    while (const auto next = decoder.Next()) {
      const auto* message = std::get_if<engine::ClientMessage>(&*next);
      if (message == nullptr) {
        return;
      }
      const std::size_t length = Encode(*message).size();
      AddLine(/*is_sent=*/true, at, length, Describe(*message), lines);
      at += length;
    }
  };
  decode(sent.first(std::min(handshake_sent_bytes_, sent.size())));
  decoder.EnterTransmission();
  decode(sent.subspan(std::min(handshake_sent_bytes_, sent.size())));
}

void LiveConnection::DecodeReceived(Lines& lines) const {
  engine::ServerDecoder decoder;
  const ByteView received = received_;
  const auto add = [&](std::uint64_t offset, std::uint64_t length, const std::string& text) {
    AddLine(/*is_sent=*/false, static_cast<std::size_t>(offset), static_cast<std::size_t>(length), text, lines);
  };
  const auto decode = [&](ByteView bytes) {
    decoder.Feed(bytes);
    while (const auto next = decoder.Next()) {
      const auto* placed = std::get_if<engine::PlacedServerMessage>(&*next);
      if (placed == nullptr) {
        const auto& bad = std::get<engine::Undecodable>(*next);
        add(bad.offset, 0, "no message: " + bad.what);
        return;
      }
      add(placed->offset, placed->length, Describe(placed->message));
    }
  };
  const std::size_t handshake = std::min(handshake_received_bytes_, received.size());
  decode(received.first(handshake - std::min(handshake, name_reply_bytes_)));
  if (name_reply_bytes_ != 0) {
    decoder.ExpectExportNameReply(negotiated().pads_export_name_reply());
    decode(received.subspan(handshake - name_reply_bytes_, name_reply_bytes_));
  }
  decoder.EnterTransmission();
  // How much data simple replies bring depends on what was asked.
  for (std::size_t at = handshake_sent_bytes_; at + kRequestHeaderBytes <= sent_count_;) {
    const ByteView request = ByteView(sent_).subspan(at, kRequestHeaderBytes);
    const auto type = engine::GetBigEndian<std::uint16_t>(request, 6);
    const auto length = engine::GetBigEndian<std::uint32_t>(request, 24);
    if (type == engine::CommandType::kRead) {
      decoder.ExpectData(engine::GetBigEndian<std::uint64_t>(request, 8), length);
    }
    at += kRequestHeaderBytes + (type == engine::CommandType::kWrite ? length : 0);
  }
  decode(received.subspan(handshake));
  if (const ByteView rest = decoder.Pending(); !rest.empty()) {
    add(decoder.offset(), rest.size(), "the beginning of a message");
  }
}

LiveConnection::Lines LiveConnection::Transcript() const {
  Lines lines;
  DecodeSent(lines);
  DecodeReceived(lines);
  return lines;
}

}  // namespace nbdspec::fuzz
