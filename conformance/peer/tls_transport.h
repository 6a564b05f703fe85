// SPDX-License-Identifier: BSD-3-Clause
// TlsTransport: a Transport inside TLS, over another one.

#pragma once

#include <cstddef>
#include <expected>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "conformance/peer/target.h"
#include "conformance/tls/tls_filter.h"
#include "engine/base/bytes.h"
#include "engine/wire/byte_queue.h"

namespace nbdspec::conformance {

// A client's end. Its Endings are those of the wire. TLS that broke is an end as well: nothing more can come.
class TlsTransport final : public Transport {
 public:
  TlsTransport(std::unique_ptr<Transport> wire, TlsFilter filter)
      : wire_(std::move(wire)), filter_(std::move(filter)) {}

  // Holds the handshake. `came` has come from the wire already. Errors: why there is no TLS.
  std::expected<void, std::string> Handshake(engine::ByteView came, Clock::time_point deadline);

  Ending SendSome(engine::ByteView& bytes, Clock::time_point deadline) override;
  Ending Receive(engine::Bytes& out, std::size_t bytes_max, Clock::time_point deadline) override;
  void CloseSending() override;

  [[nodiscard]] const TlsFilter& filter() const { return filter_; }

  // The connection beneath TLS, to send what is none.
  [[nodiscard]] Transport& wire() { return *wire_; }

  // The first kRawBytesMax bytes that came from the wire since TLS was due.
  [[nodiscard]] engine::ByteView raw() const { return raw_; }
  static constexpr std::size_t kRawBytesMax = 16 << 10;

 private:
  void Take(engine::ByteView came);
  Ending ReceiveFromWire(Clock::time_point deadline);
  Ending Flush(Clock::time_point deadline);

  std::unique_ptr<Transport> wire_;
  TlsFilter filter_;
  engine::Bytes raw_;
  engine::ByteQueue inbound_;   // Plaintext received and not yet given.
  engine::ByteQueue outbound_;  // TLS not yet sent.
  Ending end_ = Ending::kNone;
  bool answered_close_ = false;
};

}  // namespace nbdspec::conformance
