// SPDX-License-Identifier: BSD-3-Clause
// TlsServer: the reference server with its end of TLS. Bytes in, bytes out, as engine/server.

#pragma once

#include <optional>
#include <vector>

#include "conformance/tls/tls_filter.h"
#include "engine/base/bytes.h"
#include "engine/server/server.h"

namespace nbdspec::conformance {

class TlsServer {
 public:
  // As engine::Server. `credentials` are its own in TLS.
  TlsServer(const engine::ServerOptions& options, std::vector<engine::Export*> exports, engine::Interposer* interposer,
            TlsCredentials credentials)
      : server_(options, std::move(exports), interposer), credentials_(std::move(credentials)) {}

  // As engine::Server's.
  void ShutDown() { server_.ShutDown(); }
  [[nodiscard]] engine::Remains remains() const { return server_.remains(); }

  // Takes bytes from the client, any number.
  void Receive(engine::ByteView bytes);

  // Takes the bytes to send. Call it until it returns nothing.
  [[nodiscard]] engine::Bytes TakeOutput();

  // Whether the server has closed the connection, once TakeOutput returns nothing.
  [[nodiscard]] bool closed() const { return server_.closed() || has_failed_; }

  // Whether TLS was begun; whether its handshake failed, which ended the connection; and whether the client said in it
  // that it sends no more (close_notify).
  [[nodiscard]] bool is_in_tls() const { return began_tls_; }
  [[nodiscard]] bool has_tls_failed() const { return has_failed_; }
  [[nodiscard]] bool is_up() const { return filter_ && filter_->is_up(); }
  [[nodiscard]] bool client_said_close() const { return filter_ && filter_->other_end_closed(); }

 private:
  void BeginTls();
  void ReceiveInside(engine::ByteView plaintext);

  engine::Server server_;
  TlsCredentials credentials_;
  engine::TlsConduct conduct_;
  std::optional<TlsFilter> filter_;  // Once TLS is due, until it fails.
  engine::Bytes early_;              // Taken as if it had come inside TLS.
  engine::Bytes plaintext_;          // To be sent as it is.
  bool began_tls_ = false;
  bool has_said_close_ = false;
  bool has_failed_ = false;
};

}  // namespace nbdspec::conformance
