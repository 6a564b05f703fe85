// SPDX-License-Identifier: BSD-3-Clause
// ClientWay: one way to run a client under test: a command as a process, or the reference client in this one.

#pragma once

#include <atomic>
#include <chrono>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "conformance/clients/client_check.h"
#include "conformance/clients/scenario.h"
#include "conformance/peer/clients/client_listener.h"
#include "conformance/peer/clients/client_process.h"
#include "engine/base/error.h"
#include "engine/client/client.h"

namespace nbdspec::conformance {

class ClientWay {
 public:
  virtual ~ClientWay() = default;

  [[nodiscard]] virtual ClientTasks tasks() const = 0;
  [[nodiscard]] virtual const std::string& text() const = 0;
  // Whether its command takes what a client has to know in the scenario: of TLS, mostly.
  [[nodiscard]] virtual bool CanPlay(const Scenario& scenario) const = 0;
  // One run. Errors: it cannot be run at all.
  virtual std::expected<ClientRun, engine::Trouble> Run(const Scenario& scenario, const ServedExport& served,
                                                        std::chrono::milliseconds time) = 0;
};

using ClientWays = std::vector<std::unique_ptr<ClientWay>>;

struct CommandTraits {
  bool wants_tcp = false;  // {uri} is of TCP.
  bool has_tls = false;    // It takes nbds URIs, or {certs}: it can play scenarios of TLS.
};
std::unique_ptr<ClientWay> WayOf(ClientCommand command, const CommandTraits& traits);

// The reference client, in its ways: it copies out, copies in, maps, and visits. No sockets, no waiting.
ClientWays ReferenceClientWays(const engine::ClientConduct& conduct = {});

// A client that somebody starts by hand, wherever `listener` meets it: its wire is judged, and nothing else.
struct ByHand {
  // Each scenario, once the client may connect to `uri`.
  std::function<void(const Scenario& scenario, const std::string& uri)> on_ready = {};
  std::function<bool()> is_stopped = {};  // Whether who starts the clients has no more of them.
  std::atomic<bool>* is_over = nullptr;   // Set when a scenario would begin, and it is stopped.
};
std::unique_ptr<ClientWay> WayByHand(ClientListener listener, bool has_tls, ByHand by_hand);

// One run of `way`, which can play `scenario`, on an export of its own: judged in its bytes and by the rules of
// engine/conduct. Errors: it cannot be run at all.
std::expected<ClientPlay, engine::Trouble> PlayWay(const Scenario& scenario, ClientWay& way,
                                                   std::chrono::milliseconds time);

// Every way that can.
// Errors: one of them cannot be run at all.
std::expected<Performance, engine::Trouble> Play(const Scenario& scenario, const ClientWays& ways,
                                                 std::chrono::milliseconds time);

}  // namespace nbdspec::conformance
