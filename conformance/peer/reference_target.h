// SPDX-License-Identifier: BSD-3-Clause
// The reference server as a target, in this process: no sockets, no threads, no waiting.
//
// A receive that finds nothing to say is a time-out at once, whatever the deadline: the server would never say more.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "conformance/peer/target.h"
#include "engine/layers/layer.h"
#include "engine/server/server.h"

namespace nbdspec::conformance {

// Changes the bytes of a connection on their way to the client: appends what arrives of `bytes`, and returns
// whether the connection goes on. Called with each piece the server says; empty for none.
using Wire = std::function<bool(engine::ByteView bytes, engine::Bytes& arrives)>;
using WireFactory = std::function<Wire()>;

struct ReferenceOptions {
  // Makes a new interposer for each connection, given the bottom layer of the default export; a null function for none.
  std::function<std::unique_ptr<engine::Interposer>(engine::Layer& layer)> interposers = {};
  WireFactory wires = {};
  engine::ServerOptions server = {};  // But for TLS, which the setup decides, and `tls`.
  engine::ExportOptions offers = {.name = "", .description = "nbdspec's reference export"};  // A setup may change it.
  std::optional<std::uint16_t> tcp_port = {};  // Where it says to be met, without a socket.
  std::optional<std::string> damage = {};      // What Storage::FindDamage says of its disk.
  bool tls = false;                            // Whether it demands TLS in the setups that do not say.
};

// Exports: "" (the default: 4 MiB with data, holes and allocated zeroes, see reference_target.cc), "second" (64 KiB).
// Every setup is possible (of an oldstyle server, those without TLS): it changes the default export, and those of TLS
// the server; in kTlsOffered "second" is served inside TLS alone. Clients are known by the certificates of
// TheTlsMaterial there, and in other setups by its shared key.
std::unique_ptr<Target> ReferenceTarget(ReferenceOptions options = {});

}  // namespace nbdspec::conformance
