// SPDX-License-Identifier: BSD-3-Clause
#include "engine/wire/server_decoder.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/wire/big_endian.h"
#include "engine/wire/hex.h"

namespace nbdspec::engine {
namespace {

constexpr std::size_t kGreetingBytes = 18;
constexpr std::size_t kOldstyleGreetingBytes = 28 + kOldstylePadBytes;
constexpr std::size_t kOptionReplyHeaderBytes = 20;
constexpr std::size_t kExportNameReplyBytes = 10;  // Without the pad.
constexpr std::size_t kSimpleReplyHeaderBytes = 16;
constexpr std::size_t kChunkHeaderBytes = 20;

Bytes Copy(ByteView bytes) { return {bytes.begin(), bytes.end()}; }

}  // namespace

void ServerDecoder::Feed(ByteView bytes) {
  if (!dead_) {
    pending_.Append(bytes);
  }
}

void ServerDecoder::ExpectExportNameReply(bool pad) {
  phase_ = Phase::kExportNameReply;
  pad_ = pad;
}

void ServerDecoder::EnterTransmission() { phase_ = Phase::kReplies; }

void ServerDecoder::ExpectData(std::uint64_t cookie, std::uint32_t length) { data_by_cookie_.emplace(cookie, length); }

ServerDecoder::Decoded ServerDecoder::Next() {
  if (dead_) {
    return *dead_;
  }
  switch (phase_) {
    case Phase::kGreeting:
      return NextGreeting();
    case Phase::kOptionReplies:
      return NextOptionReply();
    case Phase::kExportNameReply:
      return NextExportNameReply();
    case Phase::kReplies:
      return NextReply();
  }
  CheckFailed("unknown phase");
}

ServerDecoder::Decoded ServerDecoder::NextGreeting() {
  const ByteView bytes = pending_.view();
  if (bytes.size() < sizeof kNbdMagic) {
    return std::nullopt;
  }
  Greeting greeting{.magic = GetBigEndian<std::uint64_t>(bytes)};
  if (greeting.magic != kNbdMagic) {
    return Die("first magic of the greeting is " + MagicText(greeting.magic) + ", not " + MagicText(kNbdMagic));
  }
  if (bytes.size() < sizeof kNbdMagic + sizeof kOptionMagic) {
    return std::nullopt;
  }
  greeting.option_magic = GetBigEndian<std::uint64_t>(bytes, 8);
  if (greeting.option_magic == kOldstyleMagic) {
    return NextOldstyleGreeting();
  }
  if (greeting.option_magic != kOptionMagic) {
    return Die("second magic of the greeting is " + MagicText(greeting.option_magic) + ", neither " +
               MagicText(kOptionMagic) + " nor " + MagicText(kOldstyleMagic));
  }
  if (bytes.size() < kGreetingBytes) {
    return std::nullopt;
  }
  greeting.flags = GetBigEndian<std::uint16_t>(bytes, 16);
  phase_ = Phase::kOptionReplies;
  return Place(greeting, kGreetingBytes);
}

ServerDecoder::Decoded ServerDecoder::NextOldstyleGreeting() {
  const ByteView bytes = pending_.view();
  if (bytes.size() < kOldstyleGreetingBytes) {
    return std::nullopt;
  }
  const OldstyleGreeting greeting{
      .size = GetBigEndian<std::uint64_t>(bytes, 16),
      .flags = GetBigEndian<std::uint32_t>(bytes, 24),
      .pad_is_zero = std::ranges::all_of(bytes.subspan(28, kOldstylePadBytes), [](auto byte) { return byte == 0; }),
  };
  phase_ = Phase::kReplies;
  return Place(greeting, kOldstyleGreetingBytes);
}

ServerDecoder::Decoded ServerDecoder::NextOptionReply() {
  const ByteView bytes = pending_.view();
  if (bytes.size() < sizeof kOptionReplyMagic) {
    return std::nullopt;
  }
  OptionReply reply{.magic = GetBigEndian<std::uint64_t>(bytes)};
  if (reply.magic != kOptionReplyMagic) {
    return Die("option reply magic is " + MagicText(reply.magic) + ", not " + MagicText(kOptionReplyMagic));
  }
  if (bytes.size() < kOptionReplyHeaderBytes) {
    return std::nullopt;
  }
  reply.option = GetBigEndian<std::uint32_t>(bytes, 8);
  reply.type = GetBigEndian<std::uint32_t>(bytes, 12);
  const auto length = GetBigEndian<std::uint32_t>(bytes, 16);
  if (length > limits_.payload_bytes_max) {
    return DieOfLength("payload of " + OptionReplyName(reply.type) + " for " + OptionName(reply.option), length);
  }
  if (bytes.size() - kOptionReplyHeaderBytes < length) {
    return std::nullopt;
  }
  reply.payload = Copy(bytes.subspan(kOptionReplyHeaderBytes, length));
  return Place(std::move(reply), kOptionReplyHeaderBytes + length);
}

ServerDecoder::Decoded ServerDecoder::NextExportNameReply() {
  const ByteView bytes = pending_.view();
  const std::size_t pad_bytes = pad_ ? kExportNamePadBytes : 0;
  if (bytes.size() < kExportNameReplyBytes + pad_bytes) {
    return std::nullopt;
  }
  ExportNameReply reply{
      .size = GetBigEndian<std::uint64_t>(bytes),
      .flags = GetBigEndian<std::uint16_t>(bytes, 8),
      .pad = Copy(bytes.subspan(kExportNameReplyBytes, pad_bytes)),
  };
  phase_ = Phase::kReplies;
  return Place(std::move(reply), kExportNameReplyBytes + pad_bytes);
}

ServerDecoder::Decoded ServerDecoder::NextReply() {
  if (pending_.size() < sizeof kSimpleReplyMagic) {
    return std::nullopt;
  }
  const auto magic = GetBigEndian<std::uint32_t>(pending_.view());
  if (magic == kSimpleReplyMagic) {
    return NextSimpleReply();
  }
  if (magic == kChunkMagic) {
    return NextChunk();
  }
  return Die("reply magic is " + MagicText(magic) + ", neither " + MagicText(kSimpleReplyMagic) + " nor " +
             MagicText(kChunkMagic));
}

ServerDecoder::Decoded ServerDecoder::NextSimpleReply() {
  const ByteView bytes = pending_.view();
  if (bytes.size() < kSimpleReplyHeaderBytes) {
    return std::nullopt;
  }
  SimpleReply reply{
      .error = GetBigEndian<std::uint32_t>(bytes, 4),
      .cookie = GetBigEndian<std::uint64_t>(bytes, 8),
  };
  const auto expected = data_by_cookie_.lower_bound(reply.cookie);
  const bool has_data =
      reply.error == NbdError::kOk && expected != data_by_cookie_.end() && expected->first == reply.cookie;
  const std::uint32_t length = has_data ? expected->second : 0;
  if (length > limits_.payload_bytes_max) {
    return DieOfLength("data of a simple reply", length);
  }
  if (bytes.size() - kSimpleReplyHeaderBytes < length) {
    return std::nullopt;
  }
  reply.data = Copy(bytes.subspan(kSimpleReplyHeaderBytes, length));
  ForgetData(reply.cookie);
  return Place(std::move(reply), kSimpleReplyHeaderBytes + length);
}

ServerDecoder::Decoded ServerDecoder::NextChunk() {
  const ByteView bytes = pending_.view();
  if (bytes.size() < kChunkHeaderBytes) {
    return std::nullopt;
  }
  Chunk chunk{
      .flags = GetBigEndian<std::uint16_t>(bytes, 4),
      .type = GetBigEndian<std::uint16_t>(bytes, 6),
      .cookie = GetBigEndian<std::uint64_t>(bytes, 8),
  };
  const auto length = GetBigEndian<std::uint32_t>(bytes, 16);
  if (length > limits_.payload_bytes_max) {
    return DieOfLength("payload of a chunk " + ChunkName(chunk.type), length);
  }
  if (bytes.size() - kChunkHeaderBytes < length) {
    return std::nullopt;
  }
  chunk.payload = Copy(bytes.subspan(kChunkHeaderBytes, length));
  if (chunk.is_done()) {
    ForgetData(chunk.cookie);
  }
  return Place(std::move(chunk), kChunkHeaderBytes + length);
}

// A reply with `cookie` has come: forgets the first of what was expected of it.
void ServerDecoder::ForgetData(std::uint64_t cookie) {
  // Not find(): among equal keys the standard promises the first one only here.
  const auto first = data_by_cookie_.lower_bound(cookie);
  if (first != data_by_cookie_.end() && first->first == cookie) {
    data_by_cookie_.erase(first);
  }
}

// Takes the `length` bytes of `message` from what is pending.
ServerDecoder::Decoded ServerDecoder::Place(ServerMessage message, std::size_t length) {
  PlacedServerMessage placed{.message = std::move(message), .offset = pending_.offset(), .length = length};
  pending_.Drop(length);
  return placed;
}

ServerDecoder::Decoded ServerDecoder::Die(std::string what) {
  dead_ = Undecodable{.what = std::move(what), .offset = pending_.offset()};
  return *dead_;
}

ServerDecoder::Decoded ServerDecoder::DieOfLength(std::string_view what, std::uint32_t length) {
  return Die(std::string(what) + " would be " + std::to_string(length) + " bytes (" + HexText(length) +
             "), above the limit of " + std::to_string(limits_.payload_bytes_max));
}

}  // namespace nbdspec::engine
