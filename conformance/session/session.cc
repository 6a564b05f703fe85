// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/session/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <utility>

#include "engine/base/check.h"
#include "engine/wire/messages.h"

namespace nbdspec::conformance {

namespace {

constexpr std::size_t kReceiveBytesMax = 1 << 18;
constexpr std::size_t kSendBytesMax = 1 << 20;  // In one reply_timeout.
constexpr std::chrono::milliseconds kCancelLatency{200};

void Keep(ByteView bytes, Bytes& kept) {
  const ByteView some = bytes.first(std::min(bytes.size(), Recording::kBytesMax - kept.size()));
  kept.insert(kept.end(), some.begin(), some.end());
}

}  // namespace

std::optional<ReplyHead> HeadOf(const ServerMessage& message) {
  if (const auto* simple = std::get_if<SimpleReply>(&message)) {
    return ReplyHead{.cookie = simple->cookie, .ends = true, .payload_bytes = simple->data.size()};
  }
  const auto* chunk = std::get_if<Chunk>(&message);
  return chunk == nullptr
             ? std::nullopt
             : std::optional(ReplyHead{
                   .cookie = chunk->cookie, .ends = chunk->is_done(), .payload_bytes = chunk->payload.size()});
}

std::uint32_t Answer::error() const {
  if (simple) {
    return simple->error;
  }
  for (const Chunk& chunk : chunks) {
    if (chunk.is_error()) {
      const auto payload = DecodeErrorPayload(chunk.type, chunk.payload);
      return payload ? payload->error : NbdError::kEio;
    }
  }
  return NbdError::kOk;
}

Session::Session(std::unique_ptr<Transport> transport, const Limits& limits, Transcript& transcript, int connection,
                 const TlsCredentials* tls)
    : ClientNegotiation({.bytes_max = limits.option_bytes_max, .messages_max = limits.messages_max}),
      transport_(std::move(transport)),
      limits_(limits),
      transcript_(&transcript),
      recording_(limits.new_recording ? &limits.new_recording() : nullptr),
      connection_(connection),
      cookie_(static_cast<std::uint64_t>(connection - 1) << 32) {
  if (tls != nullptr) {
    credentials_ = *tls;
    wants_tls_ = true;
  }
}

void Session::Note(std::string text) {
  transcript_->Add({.connection = connection_, .what = {.text = std::move(text)}});
}

Transport::Clock::time_point Session::Until(std::chrono::milliseconds wait) const {
  return std::min(limits_.deadline, Transport::Clock::now() + wait);
}

Session::Prepared Session::Prepare(const ClientMessage& message) {
  if (const auto* request = std::get_if<Request>(&message)) {
    if (request->form != negotiated().headers) {
      return Prepare(InForm(negotiated().headers, *request));
    }
    NBDSPEC_CHECK(request->form == HeaderForm::kExtended || request->length <= UINT32_MAX);
    if (request->type == CommandType::kRead) {
      decoder_.ExpectData(request->cookie, request->length);
    }
    if (request->type != CommandType::kDisc) {
      outstanding_.push_back(request->cookie);
    }
  }
  if (witness_ != nullptr) {
    witness_->Sent(message);
  }
  const auto* request = std::get_if<Request>(&message);
  return {.bytes = Encode(message),
          .line = {.what = DescribeFields(message),
                   .cookie = request != nullptr ? std::optional(request->cookie) : std::nullopt}};
}

void Session::SendMessage(const ClientMessage& message) {
  Prepared prepared = Prepare(message);
  AddSent(prepared.bytes.size(), std::move(prepared.line));
  SendOut(prepared.bytes);
}

void Session::SendTogether(std::span<const ClientMessage> messages) {
  Bytes all;
  Note(fmt::format("the next {} messages go in one piece", messages.size()));
  for (const ClientMessage& message : messages) {
    Prepared prepared = Prepare(message);
    AddSent(prepared.bytes.size(), std::move(prepared.line));
    all.insert(all.end(), prepared.bytes.begin(), prepared.bytes.end());
  }
  SendOut(all);
}

void Session::SendInPieces(const ClientMessage& message, std::size_t piece_bytes) {
  Prepared prepared = Prepare(message);
  const ByteView bytes = prepared.bytes;
  Note(fmt::format("the next message goes in pieces of {} bytes", piece_bytes));
  AddSent(bytes.size(), std::move(prepared.line));
  for (std::size_t begin = 0; begin < bytes.size(); begin += piece_bytes) {
    SendOut(bytes.subspan(begin, std::min(piece_bytes, bytes.size() - begin)));
  }
}

void Session::SendRaw(ByteView bytes, std::string what) {
  if (witness_ != nullptr) {
    witness_->SentBytes();
  }
  AddSent(bytes.size(), {.what = {.text = std::move(what)}});
  SendOut(bytes);
}

void Session::AddSent(std::uint64_t length, Transcript::Line line) {
  line.connection = connection_;
  line.from = Transcript::From::kClient;
  line.offset = sent_bytes_;
  line.length = length;
  transcript_->Add(std::move(line));
  sent_bytes_ += length;
}

void Session::SendOut(ByteView bytes) {
  if (recording_ != nullptr) {
    Keep(bytes, recording_->client);
  }
  Ending ending = Ending::kNone;
  do {  // A long message on a busy machine takes its time, too.
    const ByteView some = bytes.first(std::min(bytes.size(), kSendBytesMax));
    ending = transport_->Send(some, Until(limits_.reply_timeout));
    bytes = bytes.subspan(some.size());
  } while (ending == Ending::kNone && !bytes.empty());
  if (ending != Ending::kNone) {
    Note("the server did not take all of it");
  }
}

std::expected<void, std::string> Session::StartTls(const TlsOptions& options) {
  auto filter = TlsFilter::Make(TlsFilter::End::kClient, options);
  if (!filter) {
    return std::unexpected(filter.error().sentence);
  }
  auto over_tls = std::make_unique<TlsTransport>(std::move(transport_), *std::move(filter));
  tls_ = over_tls.get();
  transport_ = std::move(over_tls);
  const auto up = tls_->Handshake(decoder_.TakePending(), Until(limits_.reply_timeout));
  Note(up ? "TLS begins: " + tls_->filter().Describe() : up.error());
  return up;
}

std::expected<void, std::string> Session::BeginTls() {
  auto begun = StartTls({.credentials = std::exchange(credentials_, {})});
  greeting_bytes_ = received_bytes_;
  return begun;
}

Ending Session::WaitForEndBeneathTls(Bytes& came) {
  const auto deadline = Until(limits_.reply_timeout);
  Ending ending = Ending::kNone;
  while (ending == Ending::kNone) {
    const std::size_t count = came.size();
    const bool is_flood = count > limits_.option_bytes_max;
    ending = is_flood ? Ending::kTimedOut : Wire().Receive(came, kReceiveBytesMax, deadline);
    received_bytes_ += came.size() - count;
  }
  Note(ending == Ending::kTimedOut ? "the connection is still open" : "the server ended the connection");
  return ending;
}

void Session::SendBeneathTls(ByteView bytes, std::string what) {
  if (witness_ != nullptr) {
    witness_->SentBytes();
  }
  Note("beneath TLS: " + std::move(what));
  if (Wire().Send(bytes, Until(limits_.reply_timeout)) != Ending::kNone) {
    Note("the server did not take all of it");
  }
}

void Session::ShutdownSending() {
  if (witness_ != nullptr) {
    witness_->SentBytes();
  }
  Note("we close our side of the connection");
  transport_->CloseSending();
}

// Feeds the decoder what comes by `deadline`. It waits in slices, so as to notice that the run is cancelled.
Ending Session::ReceiveMore(Transport::Clock::time_point deadline) {
  Bytes bytes;
  for (;;) {
    const auto slice = std::min(deadline, Transport::Clock::now() + kCancelLatency);
    const Ending ending = transport_->Receive(bytes, kReceiveBytesMax, slice);
    const auto now = Transport::Clock::now();
    const bool cancelled = limits_.cancelled != nullptr && limits_.cancelled->load();
    // A transport that gives up before its time (the server in this process) knows that nothing will come.
    if (ending == Ending::kTimedOut && slice <= now && now < deadline && !cancelled) {
      continue;
    }
    received_bytes_ += bytes.size();
    if (recording_ != nullptr) {
      Keep(bytes, recording_->server);
    }
    decoder_.Feed(bytes);
    return ending;
  }
}

Received<ServerMessage> Session::NextUntil(Transport::Clock::time_point deadline) {
  const auto end = [this](ReceiveError::Kind kind, std::string text) {
    Note(text);
    over_ = ReceiveError{.kind = kind, .text = std::move(text)};
  };
  while (!over_) {
    if (auto next = decoder_.Next()) {
      if (auto* placed = std::get_if<PlacedServerMessage>(&*next)) {
        const auto head = HeadOf(placed->message);
        transcript_->Add({.connection = connection_,
                          .from = Transcript::From::kServer,
                          .offset = placed->offset,
                          .length = placed->length,
                          .what = DescribeFields(placed->message),
                          .cookie = head ? std::optional(head->cookie) : std::nullopt});
        if (witness_ != nullptr) {
          witness_->Received(placed->message);
        }
        return std::move(placed->message);
      }
      const auto& bad = std::get<Undecodable>(*next);
      end(ReceiveError::kUndecodable, fmt::format("{} (byte {} from the server)", bad.what, bad.offset));
      continue;
    }
    // A server that always has one more byte must not keep us from seeing that the run is cancelled.
    const bool cancelled = limits_.cancelled != nullptr && limits_.cancelled->load();
    const Ending ending = cancelled ? Ending::kTimedOut : ReceiveMore(deadline);
    if (ending == Ending::kTimedOut) {  // The connection is still up, so this is not the end of the session.
      const std::size_t pending = decoder_.Pending().size();
      return std::unexpected(ReceiveError{
          .kind = ReceiveError::kTimedOut,
          .text = pending == 0 ? "the server said nothing in time"
                               : fmt::format("the server stopped inside a message, after {} bytes of it", pending)});
    }
    if (ending != Ending::kNone) {
      const bool reset = ending == Ending::kReset;
      const std::size_t pending = decoder_.Pending().size();
      end(reset ? ReceiveError::kReset : ReceiveError::kClosed,
          fmt::format("the server {} the connection after {} bytes{}", reset ? "reset" : "closed", received_bytes_,
                      pending == 0 ? "" : fmt::format(", {} bytes into a message", pending)));
    } else if (received_bytes_ > limits_.received_bytes_max) {
      end(ReceiveError::kFlood, fmt::format("the server sent more than {} bytes", limits_.received_bytes_max));
    }
  }
  return std::unexpected(*over_);
}

Received<ServerMessage> Session::Next() {
  auto deadline = Until(limits_.reply_timeout);
  std::uint64_t received_before = received_bytes_;
  auto next = NextUntil(deadline);
  // A long message on a busy machine takes its time: only silence ends the wait, or the end of all time.
  const auto still_comes = [&] {
    const auto now = Transport::Clock::now();
    return received_bytes_ > received_before && deadline <= now && now < limits_.deadline;
  };
  while (!next && next.error().kind == ReceiveError::kTimedOut && still_comes()) {
    received_before = received_bytes_;
    deadline = Until(limits_.reply_timeout);
    next = NextUntil(deadline);
  }
  if (!next && next.error().kind == ReceiveError::kTimedOut) {
    transcript_->NoteSilence();
    Note(next.error().text);
  }
  if (!next && witness_ != nullptr) {
    witness_->Missed(next.error());
  }
  return next;
}

Received<Answer> Session::NextAnswer(std::uint64_t cookie) {
  Answer answer;
  std::uint32_t received_count = 0;
  const auto take = [&](ServerMessage reply) {
    const bool ends = HeadOf(reply)->ends;
    if (auto* simple = std::get_if<SimpleReply>(&reply)) {
      answer.simple = std::move(*simple);
    } else {
      answer.chunks.push_back(std::get<Chunk>(std::move(reply)));
    }
    if (ends) {
      std::erase(outstanding_, cookie);
    }
    return ends;
  };
  bool is_whole = false;
  for (ServerMessage& reply : std::exchange(early_, {})) {
    if (!is_whole && HeadOf(reply)->cookie == cookie) {
      is_whole = take(std::move(reply));
    } else {
      early_.push_back(std::move(reply));
    }
  }
  if (is_whole) {
    return answer;
  }
  std::uint64_t held_bytes = 0;
  while (received_count++ < limits_.messages_max && held_bytes <= limits_.answer_bytes_max) {
    auto next = Next();
    if (!next) {
      return std::unexpected(next.error());
    }
    const auto head = HeadOf(*next);
    if (!head) {
      return std::unexpected(
          ReceiveError{.kind = ReceiveError::kUnexpected, .text = "not a reply, but " + Describe(*next)});
    }
    held_bytes += head->payload_bytes;
    if (head->cookie == cookie) {
      if (take(std::move(*next))) {
        return answer;
      }
    } else if (std::ranges::count(outstanding_, head->cookie) > 0) {
      early_.push_back(std::move(*next));
    } else {
      unmatched_.push_back(std::move(*next));
    }
  }
  return std::unexpected(ReceiveError{
      .kind = ReceiveError::kFlood,
      .text = fmt::format("{} messages with {} bytes, and no end of the reply", received_count, held_bytes)});
}

std::optional<std::string> Session::ExpectSilence() {
  const auto received = NextUntil(Until(limits_.quiet_time));
  if (received) {
    return Describe(*received);
  }
  const ReceiveError& ended = received.error();
  const bool silent = ended.kind == ReceiveError::kTimedOut && decoder_.Pending().empty();
  return silent ? std::nullopt : std::optional(ended.text);
}

void Session::Rest() const { std::this_thread::sleep_until(Until(limits_.quiet_time)); }

ReceiveError Session::WaitForEnd() {
  const auto deadline = Until(limits_.reply_timeout);
  for (std::uint32_t received_count = 0; received_count < limits_.messages_max; ++received_count) {
    const auto received = NextUntil(deadline);
    if (!received) {
      if (received.error().kind == ReceiveError::kTimedOut) {
        transcript_->NoteSilence();
      }
      return received.error();
    }
  }
  return {.kind = ReceiveError::kFlood, .text = "the server goes on talking"};
}

Received<Answer> Session::Ask(Request request) {
  const std::uint64_t cookie = request.cookie == 0 ? NextCookie() : request.cookie;
  request.cookie = cookie;
  Send(std::move(request));
  return NextAnswer(cookie);
}

void Session::Disconnect() {
  Send(Request{.type = CommandType::kDisc, .cookie = NextCookie()});
  transcript_->MarkFarewell();
  ShutdownSending();
}

}  // namespace nbdspec::conformance
