// SPDX-License-Identifier: BSD-3-Clause
// ClientListener: the place where a client is met that somebody starts by hand, on another machine maybe: a kernel, a
// virtual machine. What it does on its connections is written down; how it ends, nobody here knows.

#pragma once

#include <chrono>
#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "conformance/peer/clients/client_process.h"
#include "conformance/peer/clients/recorded_connection.h"
#include "conformance/peer/process/process.h"
#include "engine/base/error.h"

namespace nbdspec::conformance {

class ClientListener {
 public:
  // How long nobody is connected before a client has done its work.
  static constexpr std::chrono::milliseconds kQuietTime{1000};
  // So many connections are enough.
  static constexpr std::size_t kConnectionsMax = 1000;

  struct Options {
    bool tcp = false;  // On a port of 127.0.0.1, which stays the same; else on a unix socket.
    bool tls = false;  // Certificates are made.
  };
  // Errors: there is no place for the socket, or the certificates.
  static std::expected<ClientListener, engine::Trouble> Make(const Options& options);

  // Serves `serving` until a client has connected and nobody is there any more for kQuietTime, or `is_stopped`.
  // Calls `on_ready` with the URI once it can be reached. Of `setting`, the time and the input do not count.
  // Errors: it cannot listen.
  std::expected<ClientRun, engine::Trouble> Meet(const Serving& serving, const ClientSetting& setting,
                                                 const std::function<void(const std::string& uri)>& on_ready,
                                                 const std::function<bool()>& is_stopped);

 private:
  ClientListener(std::unique_ptr<ServerProcess> keeper, const Options& options)
      : keeper_(std::move(keeper)), options_(options) {}

  std::unique_ptr<ServerProcess> keeper_;  // Of the directory, whatever becomes of nbdspec.
  Options options_;
  std::uint16_t port_ = 0;  // Once it has one.
};

}  // namespace nbdspec::conformance
