// SPDX-License-Identifier: BSD-3-Clause
#include "engine/wire/decoders.h"

#include <algorithm>
#include <utility>

namespace nbdspec::engine {
namespace {

constexpr std::size_t kOldstyleGreetingBytes = 28 + kOldstylePadBytes;

}  // namespace

void ClientDecoder::Feed(ByteView bytes) {
  if (dead_) {
    return;
  }
  pending_.Append(bytes);
  DropPayload();
}

ClientDecoder::Decoded ClientDecoder::Next() {
  if (dead_) {
    return *dead_;
  }
  if (to_drop_ > 0) {
    return std::nullopt;
  }
  if (overlong_) {
    return *std::exchange(overlong_, std::nullopt);
  }
  return pending_.size() < needed_ ? std::nullopt : (this->*next_)();
}

ClientDecoder::Decoded ClientDecoder::NextFlags() {
  const Header<ClientFlags> header(pending_.view());
  if (!header.is_whole) {
    return std::nullopt;
  }
  pending_.Drop(header.size);
  next_ = &ClientDecoder::NextOption;
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
    option.length_field = static_cast<std::uint32_t>(header.length);
  }
  return WithPayload(header, header.length, limits_.option_bytes_max);
}

template <HeaderForm form>
ClientDecoder::Decoded ClientDecoder::NextRequest() {
  constexpr std::uint32_t kMagic = Request::MagicOf(form);
  const ByteView bytes = pending_.view();
  Header<Request, form> header(bytes);
  const Request& request = header.message;
  if (bytes.size() >= sizeof kMagic && header.magic != kMagic) {
    return Die("request magic is " + MagicText(header.magic) + ", not " + MagicText(kMagic));
  }
  if (!header.is_whole) {
    return std::nullopt;
  }
  return WithPayload(header, request.announces_payload() ? request.length : 0, limits_.write_bytes_max);
}

template ClientDecoder::Decoded ClientDecoder::NextRequest<HeaderForm::kCompact>();
template ClientDecoder::Decoded ClientDecoder::NextRequest<HeaderForm::kExtended>();

// The message of `header` with its payload of `length` bytes; without it when these are more than `bytes_max`.
template <typename Message, HeaderForm form>
ClientDecoder::Decoded ClientDecoder::WithPayload(Header<Message, form>& header, std::uint64_t length,
                                                  std::uint32_t bytes_max) {
  Message& message = header.message;
  if (length > bytes_max) {
    message.too_long = true;
    pending_.Drop(header.size);
    to_drop_ = length;
    DropPayload();
    if (form == HeaderForm::kExtended) {
      return std::move(message);
    }
    overlong_ = std::move(message);
    return Next();
  }
  needed_ = header.size + length;
  if (pending_.size() < needed_) {
    return std::nullopt;
  }
  message.payload.assign(header.rest.begin(), header.rest.begin() + static_cast<std::ptrdiff_t>(length));
  pending_.Drop(std::exchange(needed_, 0));
  return std::move(message);
}

void ClientDecoder::DropPayload() {
  const std::size_t here = std::min<std::size_t>(to_drop_, pending_.size());
  pending_.Drop(here);
  to_drop_ -= here;
}

ClientDecoder::Decoded ClientDecoder::Die(std::string what) {
  dead_ = Undecodable{.what = std::move(what), .offset = pending_.offset()};
  return *dead_;
}

void ServerDecoder::Feed(ByteView bytes) {
  if (!dead_) {
    pending_.Append(bytes);
  }
}

void ServerDecoder::ExpectExportNameReply(bool pad) {
  next_ = &ServerDecoder::NextExportNameReply;
  pad_ = pad;
}

ServerDecoder::Decoded ServerDecoder::Next() { return dead_ ? *dead_ : (this->*next_)(); }

ServerDecoder::Decoded ServerDecoder::NextGreeting() {
  const ByteView bytes = pending_.view();
  const Header<Greeting> header(bytes);
  const Greeting& greeting = header.message;
  if (bytes.size() >= sizeof kNbdMagic && greeting.magic != kNbdMagic) {
    return Die("first magic of the greeting is " + MagicText(greeting.magic) + ", not " + MagicText(kNbdMagic));
  }
  if (bytes.size() < sizeof kNbdMagic + sizeof kOptionMagic) {
    return std::nullopt;
  }
  if (greeting.option_magic == kOldstyleMagic) {
    return NextOldstyleGreeting();
  }
  if (greeting.option_magic != kOptionMagic) {
    return Die("second magic of the greeting is " + MagicText(greeting.option_magic) + ", neither " +
               MagicText(kOptionMagic) + " nor " + MagicText(kOldstyleMagic));
  }
  if (!header.is_whole) {
    return std::nullopt;
  }
  next_ = &ServerDecoder::NextOptionReply;
  return Place(greeting, header.size);
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
  next_ = &ServerDecoder::NextReply;
  return Place(greeting, kOldstyleGreetingBytes);
}

ServerDecoder::Decoded ServerDecoder::NextOptionReply() {
  const ByteView bytes = pending_.view();
  Header<OptionReply> header(bytes);
  OptionReply& reply = header.message;
  if (bytes.size() >= sizeof reply.magic && reply.magic != kOptionReplyMagic) {
    return Die("option reply magic is " + MagicText(reply.magic) + ", not " + MagicText(kOptionReplyMagic));
  }
  if (!header.is_whole) {
    return std::nullopt;
  }
  if (header.length > limits_.payload_bytes_max) {
    return DieOfLength("payload of " + OptionReplyName(reply.type) + " for " + OptionName(reply.option), header.length);
  }
  return WithPayload(header, reply.payload, header.length);
}

ServerDecoder::Decoded ServerDecoder::NextExportNameReply() {
  // What begins as an option reply does is one, though none may answer EXPORT_NAME: no export is that large.
  if (pending_.size() >= sizeof kOptionReplyMagic &&
      GetBigEndian<std::uint64_t>(pending_.view()) == kOptionReplyMagic) {
    return NextOptionReply();
  }
  Header<ExportNameReply> header(pending_.view());
  Decoded reply;
  if (header.is_whole) {
    reply = WithPayload(header, header.message.pad, pad_ ? kExportNamePadBytes : 0);
  }
  if (reply) {
    next_ = &ServerDecoder::NextReply;
  }
  return reply;
}

ServerDecoder::Decoded ServerDecoder::NextReply() {
  if (pending_.size() < sizeof kSimpleReplyMagic) {
    return std::nullopt;
  }
  const auto magic = GetBigEndian<std::uint32_t>(pending_.view());
  if (magic == kSimpleReplyMagic) {
    return NextSimpleReply();
  }
  if (magic == Chunk::MagicOf(form_)) {
    return form_ == HeaderForm::kExtended ? NextChunk<HeaderForm::kExtended>() : NextChunk<HeaderForm::kCompact>();
  }
  return Die("reply magic is " + MagicText(magic) + ", neither " + MagicText(kSimpleReplyMagic) + " nor " +
             MagicText(Chunk::MagicOf(form_)));
}

ServerDecoder::Decoded ServerDecoder::NextSimpleReply() {
  Header<SimpleReply> header(pending_.view());
  const auto [cookie, error] = std::pair(header.message.cookie, header.message.error);
  if (!header.is_whole) {
    return std::nullopt;
  }
  const auto expected = data_by_cookie_.lower_bound(cookie);
  const bool has_data = error == NbdError::kOk && expected != data_by_cookie_.end() && expected->first == cookie;
  const std::uint64_t length = has_data ? expected->second : 0;
  if (length > limits_.payload_bytes_max) {
    return DieOfLength("data of a simple reply", length);
  }
  Decoded reply = WithPayload(header, header.message.data, length);
  if (reply) {
    ForgetData(cookie);
  }
  return reply;
}

template <HeaderForm form>
ServerDecoder::Decoded ServerDecoder::NextChunk() {
  Header<Chunk, form> header(pending_.view());
  Chunk& chunk = header.message;
  if (!header.is_whole) {
    return std::nullopt;
  }
  if (header.length > limits_.payload_bytes_max) {
    return DieOfLength("payload of a chunk " + ChunkName(chunk.type), header.length);
  }
  if (chunk.is_done() && header.length <= header.rest.size()) {
    ForgetData(chunk.cookie);
  }
  return WithPayload(header, chunk.payload, header.length);
}

// A reply with `cookie` has come: forgets the first of what was expected of it.
void ServerDecoder::ForgetData(std::uint64_t cookie) {
  // Not find(): among equal keys the standard promises the first one only here.
  const auto first = data_by_cookie_.lower_bound(cookie);
  if (first != data_by_cookie_.end() && first->first == cookie) {
    data_by_cookie_.erase(first);
  }
}

// The message of `header`, of which `payload` is a part, with its payload of `length` bytes once they are there.
template <typename Message, HeaderForm form>
ServerDecoder::Decoded ServerDecoder::WithPayload(Header<Message, form>& header, Bytes& payload, std::uint64_t length) {
  if (header.rest.size() < length) {
    return std::nullopt;
  }
  const ByteView bytes = header.rest.first(length);
  payload = Bytes(bytes.begin(), bytes.end());
  return Place(std::move(header.message), header.size + length);
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

ServerDecoder::Decoded ServerDecoder::DieOfLength(std::string_view what, std::uint64_t length) {
  return Die(std::string(what) + " would be " + std::to_string(length) + " bytes (" + HexText(length) +
             "), above the limit of " + std::to_string(limits_.payload_bytes_max));
}

}  // namespace nbdspec::engine
