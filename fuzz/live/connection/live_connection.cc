// SPDX-License-Identifier: BSD-3-Clause
#include "fuzz/live/connection/live_connection.h"

#include <algorithm>
#include <iterator>
#include <thread>
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

Ending LiveConnection::Flush(Clock::time_point deadline, std::size_t bytes_max) {
  if (unsent_bytes() == 0 && !is_stuck_) {
    return Ending::kNone;
  }
  ByteView some = sent_.rest().first(std::min(bytes_max, unsent_bytes()));
  const std::size_t end = sent_.taken + some.size();
  const Ending ending = transport_->SendSome(some, deadline);
  is_stuck_ = ending == Ending::kTimedOut;
  const std::size_t now = is_stuck_ ? end - some.size() : ending == Ending::kNone ? end : sent_.bytes.size();
  passed_bytes_ += now - std::exchange(sent_.taken, now);
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

// What `options` come to, last what enters: as the last of them that would.
std::vector<LiveConnection::Delivered> LiveConnection::DeliveredFor(const std::vector<engine::OptionStep>& options,
                                                                    const std::string& export_name) {
  std::vector<Delivered> all;
  engine::OptionStep last;
  for (const engine::OptionStep& step : options) {
    if (step.option == OptionType::kExportName || step.option == OptionType::kGo || step.option == OptionType::kAbort) {
      last.option = step.option == OptionType::kExportName ? step.option : last.option;
      last.split = step.split;
      last.is_glued = step.is_glued;
      continue;
    }
    all.push_back({.option = engine::MakeOption(
                       step.option, {.export_name = step.export_name.empty() ? export_name : step.export_name,
                                     .requests = {engine::InfoType::kBlockSize},
                                     .queries = step.names}),
                   .split = step.split,
                   .is_glued = step.is_glued});
  }
  all.push_back({.option = engine::MakeOption(last.option,
                                              {.export_name = export_name, .requests = {engine::InfoType::kBlockSize}}),
                 .split = last.split,
                 .is_glued = last.is_glued});
  return all;
}

std::expected<void, std::string> LiveConnection::Meet(Clock::time_point deadline) {
  deadline_ = deadline;
  NBDSPEC_RETURN_IF_ERROR(Greet());
  (void)Flush(deadline);
  return {};
}

// The first of `options`, and those that are glued to it, cut where they are split; the last piece goes when an answer
// is awaited.
void LiveConnection::SendAhead(std::span<const Delivered> options) {
  std::vector<std::size_t> cuts;
  do {
    if (options.front().split > 0) {
      cuts.push_back(sent_.bytes.size() + options.front().split);
    }
    Encode(engine::ClientMessage(options.front().option), sent_.bytes);
    ++ahead_count_;
    options = options.subspan(1);
  } while (!options.empty() && options.front().is_glued);
  for (const std::size_t cut : cuts) {
    if (cut > sent_.taken && cut < sent_.bytes.size() && Flush(deadline_, cut - sent_.taken) == Ending::kNone) {
      std::this_thread::sleep_for(kPieceGap);
    }
  }
}

// The contexts that are listed, where that is what `option` asks for.
std::expected<std::vector<std::string>, std::string> LiveConnection::AskForContexts(const engine::Option& option) {
  NBDSPEC_ASSIGN_OR_RETURN(replies, Try(option));
  std::vector<std::string> listed;
  const std::uint32_t end = replies.back().type;
  // The error may end a list, too: some of it needs extended headers.
  if (option.option == OptionType::kListMetaContext &&
      (end == OptionReplyType::kAck || end == OptionReplyType::kErrExtHeaderReqd)) {
    for (const OptionReply& reply : replies) {
      const auto context = engine::DecodePayload<engine::MetaContext>(reply.payload);
      if (context && reply.type == OptionReplyType::kMetaContext) {
        listed.push_back(context->name);
      }
    }
  }
  return listed;
}

std::expected<Offer, std::string> LiveConnection::Enter(const std::vector<engine::OptionStep>& options,
                                                        const std::string& export_name, Clock::time_point deadline) {
  NBDSPEC_RETURN_IF_ERROR(Meet(deadline));
  const auto has = [&](std::uint32_t option) {
    return std::ranges::find(options, option, &engine::OptionStep::option) != options.end();
  };
  const bool by_name = has(OptionType::kExportName);
  std::vector<Delivered> all = DeliveredFor(options, export_name);
  const std::size_t asked_count = all.size() - 1;
  if (by_name && has(OptionType::kExtendedHeaders)) {
    all.pop_back();  // ext.client.no-export-name: what enters depends on the answer.
  }
  std::vector<std::string> listed_contexts;
  for (std::size_t i = 0; i < all.size() && negotiated().is_fixed_newstyle(); ++i) {
    if (ahead_count_ == 0) {
      SendAhead(std::span(all).subspan(i));
    }
    if (i < asked_count) {
      NBDSPEC_ASSIGN_OR_RETURN(listed, AskForContexts(all[i].option));
      listed_contexts.insert(listed_contexts.end(), std::make_move_iterator(listed.begin()),
                             std::make_move_iterator(listed.end()));
    }
  }
  listed_contexts.resize(std::min(listed_contexts.size(), kListedMax));
  const bool may_name = negotiated().headers == HeaderForm::kCompact;
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
