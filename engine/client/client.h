// SPDX-License-Identifier: BSD-3-Clause
// The reference NBD client: does a job on a server over links that somebody else makes. No sockets, clock or threads.
//
// It means to keep every clause that binds clients, and copes with every answer that a server may give. It judges each
// answer by the rules of engine/exchange, and leaves where one is broken. How it goes about its job is its
// ClientConduct, whose default is plain and right: habits.h has others that are right, client_fault.h those that are
// wrong.

#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/base/bytes.h"
#include "engine/client/client_conduct.h"
#include "engine/negotiation/client_negotiation.h"

namespace nbdspec::engine {

// Carries the bytes of one connection; what it is made of is somebody else's.
class ClientLink {
 public:
  virtual ~ClientLink() = default;

  // Does nothing once the connection has ended.
  virtual void Send(ByteView bytes) = 0;

  // Appends what came, at least one byte, to `out`; or says why nothing comes. Waits as long as the link sees fit.
  virtual std::optional<ReceiveError> Receive(Bytes& out) = 0;

  // STARTTLS was acknowledged: what is sent and received from here on goes through TLS. `behind` came already, and is
  // TLS's. Errors: a sentence that says why there is no TLS.
  virtual std::expected<void, std::string> BeginTls(ByteView behind) = 0;

  // Ends the connection (FIN); inside TLS, TLS first (close_notify).
  virtual void Close() = 0;

  // Ends the connection, and says nothing of it inside TLS.
  virtual void Drop() = 0;
};

// Makes the next connection to the server; null where there is none to be made.
using ConnectFunction = std::function<std::unique_ptr<ClientLink>()>;

// What a client is asked to do, in this order: copy in, map, copy out. Nothing of these is to enter the export and
// leave.
struct ClientJob {
  std::string export_name = {};
  bool tls = false;                          // TLS is demanded, as nbds:// does.
  std::optional<Bytes> copies_in = {};       // Writes these bytes, as many as the export has, and makes them durable.
  bool maps = false;                         // Asks for the extents of base:allocation.
  bool copies_out = false;                   // Reads every byte.
  std::uint64_t export_bytes_max = 1 << 28;  // Of an export that is copied, which is held in memory.
};

// What base:allocation says of a range.
struct ClientExtent {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::uint32_t flags = 0;  // AllocationFlag.
  bool operator==(const ClientExtent&) const = default;
};

struct ClientResult {
  bool succeeded = false;
  std::string why = {};  // Not; for people.
  std::uint64_t export_bytes = 0;
  std::optional<Bytes> bytes = {};  // Of a job that copies out, once that is done.
  // Of a job that maps, once that is done: from 0 to the export's end, neighbours differ. A server without
  // base:allocation has one extent that claims nothing.
  std::optional<std::vector<ClientExtent>> map = {};
};

// Cost: bounded by the limits of client_conduct.h, whatever the server sends, if Receive of the links is bounded.
ClientResult RunClient(const ConnectFunction& connect, const ClientJob& job, const ClientConduct& conduct = {});

}  // namespace nbdspec::engine
