// SPDX-License-Identifier: BSD-3-Clause
// NBD URIs, as the NBD project's doc/uri.md and RFC 3986 define them.

#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "conformance/peer/target.h"
#include "engine/base/error.h"
#include "engine/wire/protocol.h"

namespace nbdspec::conformance {

// What a URI says, percent-decoded.
struct NbdUri {
  std::string socket_path = {};           // nbd+unix: begins with NUL for an abstract socket. Empty for nbd.
  std::string host = "localhost";         // nbd: a name or a number, IPv6 without brackets.
  std::uint16_t port = engine::kNbdPort;  // nbd.
  std::string export_name = {};           // "" for the default export.
  TlsWish tls = {};                       // nbds, and what the user name and the parameters for TLS say.
  bool operator==(const NbdUri&) const = default;
};

// Takes `uri` apart.
// Errors: a sentence that names the part that is wrong, or not supported yet (vsock).
// Example: "nbd+unix:///disk?socket=/run/nbd.sock" -> export "disk" at the socket /run/nbd.sock
std::expected<NbdUri, engine::Trouble> ParseNbdUri(std::string_view uri);

// The URI of an export at the unix socket `socket_path`, which is not abstract; with TLS nbds+unix.
// Example: /run/nbd.sock, "a b" -> "nbd+unix:///a%20b?socket=/run/nbd.sock"
std::string UnixUriOf(std::string_view socket_path, std::string_view export_name = "", bool tls = false);

// The same of an export at a port of 127.0.0.1. With TLS its host is localhost, which certificates are made for.
std::string TcpUriOf(std::uint16_t port, std::string_view export_name = "", bool tls = false);

}  // namespace nbdspec::conformance
