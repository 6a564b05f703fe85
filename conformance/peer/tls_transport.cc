// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/tls_transport.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "engine/base/check.h"

namespace nbdspec::conformance {

namespace {

using engine::Bytes;
using engine::ByteView;

constexpr std::size_t kPieceBytes = 64 << 10;
// How long a last word of TLS (close_notify, an alert) may wait for room on the wire.
constexpr std::chrono::milliseconds kLastWordWait{200};

}  // namespace

void TlsTransport::Take(ByteView came) {
  const ByteView kept = came.first(std::min(came.size(), kRawBytesMax - raw_.size()));
  raw_.insert(raw_.end(), kept.begin(), kept.end());
  filter_.Receive(came);
  inbound_.Append(filter_.TakePlaintext());
}

Ending TlsTransport::Flush(Clock::time_point deadline) {
  outbound_.Append(filter_.TakeOutput());
  ByteView rest = outbound_.view();
  const Ending ending = rest.empty() ? Ending::kNone : wire_->SendSome(rest, deadline);
  outbound_.Drop(outbound_.size() - rest.size());
  return ending;
}

Ending TlsTransport::ReceiveFromWire(Clock::time_point deadline) {
  Bytes came;
  const Ending ending = wire_->Receive(came, kPieceBytes, deadline);
  Take(came);
  if (filter_.other_end_closed() && !std::exchange(answered_close_, true)) {
    filter_.Close();  // Before TLS 1.3 it has to be answered, and a server may wait for that.
  }
  (void)Flush(Clock::now() + kLastWordWait);
  return ending;
}

std::expected<void, std::string> TlsTransport::Handshake(ByteView came, Clock::time_point deadline) {
  Ending ending = Flush(deadline);
  Take(came);
  while (ending == Ending::kNone && filter_.failure().empty() && !filter_.is_up()) {
    ending = Flush(deadline);
    if (ending == Ending::kNone && !filter_.is_up()) {
      ending = ReceiveFromWire(deadline);
    }
  }
  (void)Flush(deadline);
  if (filter_.is_up() && filter_.failure().empty()) {
    return {};
  }
  if (!filter_.failure().empty()) {
    return std::unexpected("the TLS handshake failed: " + filter_.failure());
  }
  return std::unexpected(ending == Ending::kTimedOut ? "the TLS handshake was not finished in time"
                                                     : "the server ended the connection in the TLS handshake");
}

Ending TlsTransport::SendSome(ByteView& bytes, Clock::time_point deadline) {
  filter_.Send(std::exchange(bytes, {}));
  return Flush(deadline);
}

Ending TlsTransport::Receive(Bytes& out, std::size_t bytes_max, Clock::time_point deadline) {
  NBDSPEC_CHECK(bytes_max > 0);
  while (inbound_.size() == 0) {
    if (end_ != Ending::kNone) {
      return end_;
    }
    const Ending ending = ReceiveFromWire(deadline);
    const bool is_broken = !filter_.failure().empty();
    if (ending == Ending::kTimedOut && !is_broken) {
      return ending;
    }
    end_ = ending == Ending::kTimedOut ? Ending::kReset : ending;  // What ended comes after what was received.
  }
  const ByteView given = inbound_.view().first(std::min(bytes_max, inbound_.size()));
  out.insert(out.end(), given.begin(), given.end());
  inbound_.Drop(given.size());
  return Ending::kNone;
}

void TlsTransport::CloseSending() {
  filter_.Close();
  (void)Flush(Clock::now() + kLastWordWait);
  wire_->CloseSending();
}

}  // namespace nbdspec::conformance
