// SPDX-License-Identifier: BSD-3-Clause
// RecordedConnection: the reference server with its end of TLS, on one connection that is written down. Bytes in, bytes
// out; over sockets or in memory.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "conformance/peer/socket/socket_server.h"
#include "conformance/peer/tls_server.h"
#include "conformance/tls/tls_filter.h"
#include "engine/base/bytes.h"
#include "engine/conduct/record.h"
#include "engine/server/server.h"

namespace nbdspec::conformance {

// What clients meet.
struct Serving {
  engine::ServerOptions server = {};
  std::vector<engine::Export*> exports = {};  // Outlive all connections.
  // Makes what changes a connection, given its number, from 0; a null function, and a null interposer, for nothing.
  std::function<std::unique_ptr<engine::Interposer>(std::uint64_t number)> interposers = {};
  TlsCredentials credentials = {};
};

class RecordedConnection final : public ServedConnection {
 public:
  // `serving` outlives it.
  RecordedConnection(const Serving& serving, std::uint64_t number);

  void Receive(engine::ByteView bytes) override;
  engine::Bytes TakeOutput() override { return server_.TakeOutput(); }
  [[nodiscard]] bool closed() const override { return server_.closed(); }
  void AllSent() override { recorder_.AllSent(); }
  void Ended(Ending how) override;

  // Whole once it has Ended.
  [[nodiscard]] const engine::Record& record() const { return recorder_.record(); }
  // Whether TLS came to be; and whether the client said that it sends no more (close_notify), where there was TLS.
  [[nodiscard]] bool was_up() const { return server_.is_up(); }
  [[nodiscard]] bool said_close() const { return server_.client_said_close(); }

 private:
  std::unique_ptr<engine::Interposer> interposer_;
  engine::Recorder recorder_;
  TlsServer server_;
  std::uint64_t heard_bytes_ = 0;  // In plaintext.
  engine::Bytes unread_;           // The first of them that are no message yet.
  std::uint64_t after_bytes_ = 0;  // Came when this end was closed.
};

}  // namespace nbdspec::conformance
