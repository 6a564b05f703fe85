// SPDX-License-Identifier: BSD-3-Clause
#include "engine/wire/client_decoder.h"

#include <algorithm>
#include <utility>

#include "engine/base/check.h"
#include "engine/wire/fields.h"

namespace nbdspec::engine {

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
  const Header<ClientFlags> header(pending_.view());
  if (!header.is_whole) {
    return std::nullopt;
  }
  pending_.Drop(header.size);
  phase_ = Phase::kOptions;
  return header.message;
}

ClientDecoder::Decoded ClientDecoder::NextOption() {
  const ByteView bytes = pending_.view();
  Header<Option> header(bytes);
  Option& option = header.message;
  if (bytes.size() >= sizeof option.magic && option.magic != kOptionMagic) {
    return Die("option magic is " + MagicText(option.magic) + ", not " + MagicText(kOptionMagic));
  }
  if (!header.is_whole) {
    return std::nullopt;
  }
  if (header.length > limits_.option_bytes_max) {
    option.length_field = header.length;
  }
  return WithPayload(header, header.length, limits_.option_bytes_max);
}

ClientDecoder::Decoded ClientDecoder::NextRequest() {
  const ByteView bytes = pending_.view();
  Header<Request> header(bytes);
  const Request& request = header.message;
  if (bytes.size() >= sizeof request.magic && request.magic != kRequestMagic) {
    return Die("request magic is " + MagicText(request.magic) + ", not " + MagicText(kRequestMagic));
  }
  if (!header.is_whole) {
    return std::nullopt;
  }
  return WithPayload(header, request.type == CommandType::kWrite ? request.length : 0, limits_.write_bytes_max);
}

// The message of `header` with its payload of `length` bytes; without it when these are more than `bytes_max`.
template <typename Message>
ClientDecoder::Decoded ClientDecoder::WithPayload(Header<Message>& header, std::uint32_t length,
                                                  std::uint32_t bytes_max) {
  Message& message = header.message;
  if (length > bytes_max) {
    message.too_long = true;
    pending_.Drop(header.size);
    overlong_ = std::move(message);
    to_drop_ = length;
    DropPayload();
    return Next();
  }
  if (header.rest.size() < length) {
    return std::nullopt;
  }
  message.payload.assign(header.rest.begin(), header.rest.begin() + length);
  pending_.Drop(header.size + length);
  return std::move(message);
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
