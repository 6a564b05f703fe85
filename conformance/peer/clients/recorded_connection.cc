// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/clients/recorded_connection.h"

#include <algorithm>

namespace nbdspec::conformance {

using engine::ByteView;
using engine::Departure;

RecordedConnection::RecordedConnection(const Serving& serving, std::uint64_t number)
    : interposer_(serving.interposers ? serving.interposers(number) : nullptr),
      recorder_(interposer_.get()),
      server_(serving.server, serving.exports, &recorder_, serving.credentials) {}

void RecordedConnection::Receive(ByteView bytes) {
  const bool was_closed = server_.closed();
  if (was_closed && !server_.is_in_tls()) {
    after_bytes_ += bytes.size();
    return;
  }
  if (server_.is_in_tls()) {
    recorder_.CameBehindStarttls(bytes);
  }
  server_.Receive(bytes);
  if (!server_.is_in_tls()) {
    // What is not yet read begins where the messages end.
    heard_bytes_ += bytes.size();
    const std::uint64_t unread = heard_bytes_ - std::min(heard_bytes_, recorder_.message_bytes());
    if (unread <= bytes.size()) {
      unread_.clear();
    }
    const ByteView more = bytes.last(static_cast<std::size_t>(std::min<std::uint64_t>(unread, bytes.size())));
    const std::size_t room = engine::kNoMessageBytesMax - std::min(engine::kNoMessageBytesMax, unread_.size());
    unread_.insert(unread_.end(), more.begin(),
                   more.begin() + static_cast<std::ptrdiff_t>(std::min(room, more.size())));
  }
  // The server ends a connection that it cannot read without a word.
  if (!was_closed && server_.closed() && !recorder_.has_server_ended() && !server_.has_tls_failed()) {
    recorder_.CannotRead(server_.is_in_tls() ? ByteView() : ByteView(unread_));
  }
}

void RecordedConnection::Ended(Ending how) {
  const bool is_servers = server_.closed();
  const std::uint64_t read = std::min(heard_bytes_, recorder_.message_bytes());
  recorder_.Left({.how = is_servers               ? Departure::How::kServerEnd
                         : how == Ending::kClosed ? Departure::How::kClosed
                         : how == Ending::kReset  ? Departure::How::kReset
                                                  : Departure::How::kStayed,
                  .cut_bytes = is_servers || server_.is_in_tls() ? 0 : heard_bytes_ - read,
                  .after_bytes = after_bytes_});
}

}  // namespace nbdspec::conformance
