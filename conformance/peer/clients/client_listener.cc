// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/peer/clients/client_listener.h"

#include <thread>
#include <utility>

#include "conformance/peer/clients/recorded_connections.h"
#include "conformance/peer/socket/socket_server.h"
#include "conformance/peer/targets/tls_files.h"
#include "conformance/peer/targets/uri.h"
#include "engine/base/or_return.h"

namespace nbdspec::conformance {

namespace {

using engine::Trouble;
using Clock = Transport::Clock;

constexpr std::chrono::milliseconds kPause{20};  // Between two looks.

}  // namespace

std::expected<ClientListener, Trouble> ClientListener::Make(const Options& options) {
  NBDSPEC_ASSIGN_OR_RETURN(directory, PrivateDirectory::Choose());
  const auto prepare = [tls = options.tls, path = directory.path()] {
    return tls ? WriteTlsMaterial(path) : std::expected<void, Trouble>();
  };
  NBDSPEC_ASSIGN_OR_RETURN(keeper, ServerProcess::Keep(std::move(directory), prepare));
  return ClientListener(std::move(keeper), options);
}

std::expected<ClientRun, Trouble> ClientListener::Meet(const Serving& serving, const ClientSetting& setting,
                                                       const std::function<void(const std::string& uri)>& on_ready,
                                                       const std::function<bool()>& is_stopped) {
  RecordedConnections connections(serving);
  NBDSPEC_ASSIGN_OR_RETURN(server, SocketServer::Make([&] { return connections.Next(); },
                                                      {.connections_max = RecordedConnections::kAtOnceMax,
                                                       .pace = setting.pace,
                                                       .hears_to_the_end = true}));
  if (options_.tcp) {
    NBDSPEC_ASSIGN_OR_RETURN(port, server->ListenOnTcp(port_));
    port_ = port;
  } else {
    NBDSPEC_RETURN_IF_ERROR(server->Listen(keeper_->directory().socket_path()));
  }
  on_ready(ClientUri(keeper_->directory(), port_, setting));
  Clock::time_point busy = Clock::now();
  for (bool is_over = false; !is_over && !is_stopped(); std::this_thread::sleep_for(kPause)) {
    server->With([&] {
      const bool is_busy = connections.count() == 0 || connections.open_count() > 0;
      busy = is_busy ? Clock::now() : busy;
      is_over = Clock::now() - busy >= kQuietTime || connections.count() >= kConnectionsMax;
    });
  }
  if (is_stopped()) {
    server->Silence();
  }
  server->Finish(Clock::now() + kDepartureTime);
  server.reset();
  ClientRun run{.ended = "was started by hand", .is_by_hand = true};
  connections.GiveTo(run);
  return run;
}

}  // namespace nbdspec::conformance
