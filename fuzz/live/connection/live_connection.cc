// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/connection/live_connection.h"

#include <algorithm>
#include <utility>

#include "conformance/peer/tls_transport.h"
#include "engine/base/or_return.h"
#include "engine/spec/ids.h"
#include "engine/wire/decoders.h"
#include "engine/wire/fields.h"
#include "engine/wire/protocol.h"

namespace nbdspec::fuzz {

using conformance::Ending;
using engine::ByteView;
using engine::HeaderForm;
using engine::OptionReply;
using engine::OptionReplyType;
using engine::OptionType;

namespace {

constexpr std::size_t kReceiveBytesMax = 1 << 18;
constexpr std::uint32_t kOptionBytesMax = 1 << 20;  // Of what answers one option, and of one reply.
constexpr std::uint32_t kOptionRepliesMax = 1000;
constexpr std::size_t kListedMax = 16;
constexpr std::size_t kKeptCapacityMax = 4 << 20;  // Of a record that begins anew.
constexpr std::chrono::milliseconds kSlice{100};   // How long to wait before looking whether the run is cancelled.

engine::ReceiveError WhyEnded(Ending ending) {
  using engine::ReceiveError;
  return ending == Ending::kClosed  ? ReceiveError{ReceiveError::kClosed, "the server closed the connection"}
         : ending == Ending::kReset ? ReceiveError{ReceiveError::kReset, "the server reset the connection"}
                                    : ReceiveError{ReceiveError::kTimedOut, "the server sent nothing in time"};
}

// Of the last `bytes_max` of `bytes`, the first one.
std::size_t BeginOfLast(std::size_t bytes_max, std::size_t bytes) { return bytes - std::min(bytes, bytes_max); }

}  // namespace

LiveConnection::LiveConnection(std::unique_ptr<conformance::Transport> transport, int number, std::uint64_t& clock,
                               const conformance::TlsCredentials* tls, const std::atomic<bool>* cancelled)
    : ClientNegotiation({.bytes_max = kOptionBytesMax, .messages_max = kOptionRepliesMax}),
      transport_(std::move(transport)),
      number_(number),
      clock_(&clock),
      tls_(tls),
      cancelled_(cancelled) {
  wants_tls_ = tls != nullptr;
  decoder_ = engine::ServerDecoder({.payload_bytes_max = kOptionBytesMax});
}

void LiveConnection::Stream::ForgetTaken() {
  offset += taken;
  bytes.erase(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(taken));
  if (bytes.capacity() > kKeptCapacityMax) {
    bytes.shrink_to_fit();
  }
  taken = 0;
  handshake_bytes = 0;
  pieces.clear();
}

void LiveConnection::StartRecord() {
  sent_.ForgetTaken();
  received_.ForgetTaken();
  name_reply_bytes_ = 0;
}

Ending LiveConnection::Flush(Clock::time_point deadline) {
  if (unsent_bytes() == 0 && !is_stuck_) {
    return Ending::kNone;
  }
  ByteView rest = sent_.rest();
  const Ending ending = transport_->SendSome(rest, deadline);
  is_stuck_ = ending == Ending::kTimedOut;
  const std::size_t before = std::exchange(sent_.taken, sent_.bytes.size() - (is_stuck_ ? rest.size() : 0));
  passed_bytes_ += sent_.taken - before;
  NotePiece(sent_, sent_.taken);
  return ending;
}

Ending LiveConnection::Receive(Clock::time_point deadline) {
  const std::size_t before = received_.bytes.size();
  const Ending ending = transport_->Receive(received_.bytes, kReceiveBytesMax, deadline);
  if (ending == Ending::kNone) {
    passed_bytes_ += received_.bytes.size() - before;
    NotePiece(received_, received_.bytes.size());
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
        const std::string& what = std::get<engine::Undecodable>(*next).what;
        NoteBrokenHandshake(what);
        return std::unexpected(engine::ReceiveError{.kind = engine::ReceiveError::kUndecodable, .text = what});
      }
      has_greeted_ = true;
      received_.taken += placed->length;
      name_reply_bytes_ = std::holds_alternative<engine::ExportNameReply>(placed->message) ? placed->length : 0;
      return std::move(placed->message);
    }
    const std::size_t before = received_.bytes.size();
    const Clock::time_point slice = std::min(deadline_, Clock::now() + kSlice);
    const Ending ending = Receive(slice);
    const Clock::time_point now = Clock::now();
    if (IsCancelled() || now >= deadline_) {  // Also of a server that talks without end.
      return std::unexpected(WhyEnded(Ending::kTimedOut));
    }
    if (ending == Ending::kTimedOut && now >= slice) {
      continue;  // (Who gave up before has nothing more to come.)
    }
    if (ending != Ending::kNone) {
      return std::unexpected(WhyEnded(ending));
    }
    decoder_.Feed(ByteView(received_.bytes).subspan(before));
  }
}

// Bytes in place of a message, `what`: only a wrong magic is plainly wrong. What is too long for us need not be.
void LiveConnection::NoteBrokenHandshake(const std::string& what) {
  const ByteView bytes = decoder_.Pending();
  const auto magic = engine::GetBigEndian<std::uint64_t>(bytes);
  const std::string_view rule = has_greeted_                 ? spec::kOptionReplyMagic
                                : magic == engine::kNbdMagic ? spec::kHandshakeMagicIhaveopt
                                                             : spec::kHandshakeMagic;
  if (!has_greeted_ || magic != engine::kOptionReplyMagic) {
    broken_handshake_ = {.rule = rule, .saw = what};
  }
}

// From here on bytes, of transcripts too, are those inside.
std::expected<void, std::string> LiveConnection::BeginTls() {
  auto filter = conformance::TlsFilter::Make(conformance::TlsFilter::End::kClient, {.credentials = *tls_});
  if (!filter) {
    return std::unexpected(filter.error().sentence);
  }
  auto tls = std::make_unique<conformance::TlsTransport>(std::move(transport_), *std::move(filter));
  const engine::Bytes came = decoder_.TakePending();
  received_.bytes.resize(received_.taken);
  auto begun = tls->Handshake(came, deadline_);
  transport_ = std::move(tls);
  return begun;
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
    const std::uint32_t end = replies.back().type;
    // The error may end a list, too: some of it needs extended headers.
    if (step.option == OptionType::kListMetaContext &&
        (end == OptionReplyType::kAck || end == OptionReplyType::kErrExtHeaderReqd)) {
      for (const OptionReply& reply : replies) {
        const auto context = engine::DecodePayload<engine::MetaContext>(reply.payload);
        if (context && reply.type == OptionReplyType::kMetaContext && listed_contexts.size() < kListedMax) {
          listed_contexts.push_back(context->name);
        }
      }
    }
  }
  const bool may_name = negotiated().headers == HeaderForm::kCompact;  // ext.client.no-export-name
  const auto entered = by_name && may_name ? EnterByName(export_name) : EnterByGoOrName(export_name);
  sent_.handshake_bytes = sent_.bytes.size();
  received_.handshake_bytes = received_.taken;
  NBDSPEC_RETURN_IF_ERROR(entered);
  return Offer{negotiated(), std::move(listed_contexts)};
}

// --- Requests and replies ---

void LiveConnection::Put(engine::Request request, std::uint8_t pattern) {
  const std::uint64_t offset = request.offset;
  const std::size_t data_bytes = request.type == engine::CommandType::kWrite ? request.length : 0;
  Encode(engine::ClientMessage(std::move(request)), sent_.bytes);
  const std::size_t begin = sent_.bytes.size();
  sent_.bytes.resize(begin + data_bytes);
  engine::FillWithPattern(pattern, offset, std::span(sent_.bytes).subspan(begin));
}

template <HeaderForm form>
std::optional<ReplyView> LiveConnection::PeekChunk(std::uint64_t& payload_bytes) const {
  const engine::Header<engine::Chunk, form> header(received_.rest());
  const engine::Chunk& chunk = header.message;
  if (!header.is_whole) {
    return {};
  }
  payload_bytes = header.length;
  return ReplyView{
      .flags = chunk.flags, .type = chunk.type, .cookie = chunk.cookie, .offset = chunk.offset, .payload = header.rest};
}

std::optional<ReplyView> LiveConnection::PeekHeader(std::uint64_t& payload_bytes) {
  const ByteView bytes = received_.rest();
  if (!undecodable_.empty() || bytes.size() < sizeof engine::kSimpleReplyMagic) {
    return {};
  }
  const auto magic = engine::GetBigEndian<std::uint32_t>(bytes);
  ReplyView reply{.is_simple = magic == engine::kSimpleReplyMagic};
  if (reply.is_simple) {
    const engine::Header<engine::SimpleReply> header(bytes);
    reply.error = header.message.error;
    reply.cookie = header.message.cookie;
    reply.payload = header.rest;
    return header.is_whole ? std::optional(reply) : std::nullopt;
  }
  const HeaderForm form = negotiated().headers;
  if (magic == engine::Chunk::MagicOf(form)) {
    return form == HeaderForm::kExtended ? PeekChunk<HeaderForm::kExtended>(payload_bytes)
                                         : PeekChunk<HeaderForm::kCompact>(payload_bytes);
  }
  wrong_magic_ = magic;
  undecodable_ = "the magic of a reply is " + engine::MagicText(magic) + ", neither " +
                 engine::MagicText(engine::kSimpleReplyMagic) + " nor " +
                 engine::MagicText(engine::Chunk::MagicOf(form));
  return {};
}

std::optional<ReplyView> LiveConnection::TakePayload(ReplyView reply, std::uint64_t payload_bytes,
                                                     std::uint64_t payload_bytes_max) {
  if (payload_bytes > std::min(payload_bytes_max, kPayloadBytesMax)) {
    undecodable_ = "a reply would carry " + std::to_string(payload_bytes) + " bytes";
    return {};
  }
  if (reply.payload.size() < payload_bytes) {
    return {};
  }
  received_.taken = received_.bytes.size() - reply.payload.size() + payload_bytes;
  reply.payload = reply.payload.first(payload_bytes);
  return reply;
}

void LiveConnection::Leave(Clock::time_point deadline, std::uint64_t cookie) {
  Send(engine::Request{.form = negotiated().headers, .type = engine::CommandType::kDisc, .cookie = cookie});
  Flush(deadline);
  transport_->CloseSending();
}

// --- What passed, for people ---

FindingStream LiveConnection::Record(std::size_t bytes_max) const {
  const ByteView sent = ByteView(sent_.bytes).first(sent_.taken);
  const std::size_t sent_begin = BeginOfLast(bytes_max, sent.size());
  const std::size_t received_begin = BeginOfLast(bytes_max, received_.bytes.size());
  const auto copy = [](ByteView bytes) { return engine::Bytes(bytes.begin(), bytes.end()); };
  return {.sent = copy(sent.subspan(sent_begin)),
          .received = copy(ByteView(received_.bytes).subspan(received_begin)),
          .sent_offset = sent_.offset + sent_begin,
          .received_offset = received_.offset + received_begin};
}

// About what stands in `stream` from `begin` on. It passed with the piece that has its last byte.
void LiveConnection::AddLine(const Stream& stream, std::size_t begin, std::size_t length,
                             const engine::Description& what, Lines& lines) const {
  using From = reports::Message::From;
  const auto piece = std::ranges::lower_bound(stream.pieces, begin + length, {}, &Stream::Piece::end);
  reports::Message message{.from = &stream == &sent_ ? From::kClient : From::kServer,
                           .connection = number_,
                           .offset = begin + stream.offset,
                           .length = length,
                           .text = what.text,
                           .name = what.text.substr(0, what.name_bytes),
                           .fields = {}};
  for (const auto& [name, field_begin, field_end] : what.fields) {
    message.fields.push_back(
        {.name = std::string(name), .value = what.text.substr(field_begin, field_end - field_begin)});
  }
  lines.emplace(piece == stream.pieces.end() ? *clock_ : piece->order, std::move(message));
  if (lines.size() > kLinesMax) {
    lines.erase(lines.begin());
  }
}

LiveConnection::Lines LiveConnection::Transcript() const {
  Lines lines;
  engine::ClientDecoder client({.write_bytes_max = kPayloadBytesMax});
  engine::ServerDecoder server;
  std::size_t at = 0;
  const auto decode_sent = [&](ByteView bytes) {
    client.Feed(bytes);
    while (const auto next = client.Next()) {
      const auto* message = std::get_if<engine::ClientMessage>(&*next);
      if (message == nullptr) {
        return;
      }
      if (const auto* request = std::get_if<engine::Request>(message);
          request != nullptr && request->type == engine::CommandType::kRead) {
        server.ExpectData(request->cookie, request->length);
      }
      const std::size_t length = Encode(*message).size();
      AddLine(sent_, at, length, DescribeFields(*message), lines);
      at += length;
    }
  };
  const ByteView sent = ByteView(sent_.bytes).first(sent_.taken);
  const std::size_t sent_before = std::min(sent_.handshake_bytes, sent.size());
  decode_sent(sent.first(sent_before));
  client.EnterTransmission(negotiated().headers);
  decode_sent(sent.subspan(sent_before));

  const auto add = [&](std::uint64_t offset, std::uint64_t length, const engine::Description& what) {
    AddLine(received_, static_cast<std::size_t>(offset), static_cast<std::size_t>(length), what, lines);
  };
  const auto decode_received = [&](ByteView bytes) {
    server.Feed(bytes);
    while (const auto next = server.Next()) {
      const auto* placed = std::get_if<engine::PlacedServerMessage>(&*next);
      if (placed == nullptr) {
        const auto& bad = std::get<engine::Undecodable>(*next);
        add(bad.offset, 0, {.text = "no message: " + bad.what});
        return;
      }
      add(placed->offset, placed->length, DescribeFields(placed->message));
    }
  };
  const ByteView received = received_.bytes;
  const std::size_t handshake = std::min(received_.handshake_bytes, received.size());
  decode_received(received.first(handshake - std::min(handshake, name_reply_bytes_)));
  if (name_reply_bytes_ != 0) {
    server.ExpectExportNameReply(negotiated().pads_export_name_reply());
    decode_received(received.subspan(handshake - name_reply_bytes_, name_reply_bytes_));
  }
  server.EnterTransmission(negotiated().headers);
  decode_received(received.subspan(handshake));
  if (const ByteView rest = server.Pending(); !rest.empty()) {
    add(server.offset(), rest.size(), {.text = "the beginning of a message"});
  }
  return lines;
}

}  // namespace nbdspec::fuzz
