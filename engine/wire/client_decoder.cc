// SPDX-License-Identifier: BSD-3-Clause
#include "engine/wire/client_decoder.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/wire/big_endian.h"

namespace nbdspec::engine {
namespace {

constexpr std::size_t kFlagsBytes = 4;
constexpr std::size_t kOptionHeaderBytes = 16;
constexpr std::size_t kRequestHeaderBytes = 28;

}  // namespace

void ClientDecoder::Feed(ByteView bytes) {
  if (dead_) {
    return;
  }
  pending_.Append(bytes);
  DropPayload();
}

void ClientDecoder::EnterTransmission() { phase_ = Phase::kRequests; }

ClientDecoder::Decoded ClientDecoder::Next() {
  if (dead_) {
    return *dead_;
  }
  if (overlong_) {
    if (to_drop_ > 0) {
      return std::nullopt;
    }
    return *std::exchange(overlong_, std::nullopt);
  }
  switch (phase_) {
    case Phase::kFlags:
      return NextFlags();
    case Phase::kOptions:
      return NextOption();
    case Phase::kRequests:
      return NextRequest();
  }
  CheckFailed("unknown phase");
}

ClientDecoder::Decoded ClientDecoder::NextFlags() {
  if (pending_.size() < kFlagsBytes) {
    return std::nullopt;
  }
  const ClientFlags flags{.flags = GetBigEndian<std::uint32_t>(pending_.view())};
  pending_.Drop(kFlagsBytes);
  phase_ = Phase::kOptions;
  return flags;
}

ClientDecoder::Decoded ClientDecoder::NextOption() {
  const ByteView bytes = pending_.view();
  if (bytes.size() < sizeof kOptionMagic) {
    return std::nullopt;
  }
  Option option{.magic = GetBigEndian<std::uint64_t>(bytes)};
  if (option.magic != kOptionMagic) {
    return Die("option magic is " + MagicText(option.magic) + ", not " + MagicText(kOptionMagic));
  }
  if (bytes.size() < kOptionHeaderBytes) {
    return std::nullopt;
  }
  option.option = GetBigEndian<std::uint32_t>(bytes, 8);
  const auto length = GetBigEndian<std::uint32_t>(bytes, 12);
  if (length > limits_.option_bytes_max) {
    option.length_field = length;
    option.too_long = true;
    return StartDropping(std::move(option), kOptionHeaderBytes, length);
  }
  if (bytes.size() - kOptionHeaderBytes < length) {
    return std::nullopt;
  }
  const ByteView payload = bytes.subspan(kOptionHeaderBytes, length);
  option.payload.assign(payload.begin(), payload.end());
  pending_.Drop(kOptionHeaderBytes + length);
  return option;
}

ClientDecoder::Decoded ClientDecoder::NextRequest() {
  const ByteView bytes = pending_.view();
  if (bytes.size() < sizeof kRequestMagic) {
    return std::nullopt;
  }
  Request request{.magic = GetBigEndian<std::uint32_t>(bytes)};
  if (request.magic != kRequestMagic) {
    return Die("request magic is " + MagicText(request.magic) + ", not " + MagicText(kRequestMagic));
  }
  if (bytes.size() < kRequestHeaderBytes) {
    return std::nullopt;
  }
  request.flags = GetBigEndian<std::uint16_t>(bytes, 4);
  request.type = GetBigEndian<std::uint16_t>(bytes, 6);
  request.cookie = GetBigEndian<std::uint64_t>(bytes, 8);
  request.offset = GetBigEndian<std::uint64_t>(bytes, 16);
  request.length = GetBigEndian<std::uint32_t>(bytes, 24);
  const std::uint32_t length = request.type == CommandType::kWrite ? request.length : 0;
  if (length > limits_.write_bytes_max) {
    request.too_long = true;
    return StartDropping(std::move(request), kRequestHeaderBytes, length);
  }
  if (bytes.size() - kRequestHeaderBytes < length) {
    return std::nullopt;
  }
  const ByteView payload = bytes.subspan(kRequestHeaderBytes, length);
  request.payload.assign(payload.begin(), payload.end());
  pending_.Drop(kRequestHeaderBytes + length);
  return request;
}

// Holds `message` back until its payload has come and gone.
ClientDecoder::Decoded ClientDecoder::StartDropping(ClientMessage message, std::size_t header_bytes,
                                                    std::uint32_t payload_bytes) {
  pending_.Drop(header_bytes);
  overlong_ = std::move(message);
  to_drop_ = payload_bytes;
  DropPayload();
  return Next();
}

void ClientDecoder::DropPayload() {
  const std::size_t here = std::min<std::size_t>(to_drop_, pending_.size());
  pending_.Drop(here);
  to_drop_ -= static_cast<std::uint32_t>(here);
}

ClientDecoder::Decoded ClientDecoder::Die(std::string what) {
  dead_ = Undecodable{.what = std::move(what), .offset = pending_.offset()};
  return *dead_;
}

}  // namespace nbdspec::engine
