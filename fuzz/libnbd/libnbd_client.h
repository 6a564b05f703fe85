// SPDX-License-Identifier: BSD-3-Clause
// LibnbdClient: the real libnbd as a client of the reference server, both in this thread.
//
// libnbd speaks through one end of a socket pair, by its asynchronous API; at the other end this hands the bytes to a
// Server in memory, back and forth, until nothing moves any more. No waiting, no poll: what does not come at once never
// comes. It records what libnbd reports to its caller; others judge it.

#pragma once

#include <libnbd.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "conformance/peer/socket/socket_transport.h"
#include "engine/base/bytes.h"
#include "engine/server/server.h"
#include "engine/wire/messages.h"
#include "engine/wire/payloads.h"

namespace nbdspec::fuzz {

struct CloseLibnbd {
  void operator()(nbd_handle* handle) const { nbd_close(handle); }
};
using LibnbdHandle = std::unique_ptr<nbd_handle, CloseLibnbd>;

struct LibnbdOptions {
  std::string export_name = {};
  bool structured_replies = true;
  std::vector<std::string> contexts = {};
  std::size_t piece_bytes_max = 0;  // The server's bytes arrive in pieces of 1 to so many; 0: as many as there are.
};

// What libnbd reports of one command.
struct LibnbdReport {
  // One call of the callback for chunks of a read.
  struct Chunk {
    std::uint64_t offset = 0;
    std::uint64_t length = 0;
    unsigned status = 0;      // LIBNBD_READ_*: 1 data, 2 hole, 3 error.
    int error = 0;            // As the callback received it: of this chunk if it is an error, else so far.
    bool is_in_place = true;  // Whether it pointed to where the offset belongs in the buffer.
    bool operator==(const Chunk&) const = default;
  };

  // One call of the callback for extents.
  struct Extents {
    std::string context;
    std::uint64_t offset = 0;
    std::vector<std::uint32_t> entries = {};  // Length, flags, length, flags...
    int error = 0;                            // So far.
    bool operator==(const Extents&) const = default;
  };

  std::int64_t cookie = -1;  // -1: libnbd did not take the command.
  int completion_count = 0;  // Calls of the callback for completion.
  int completion_error = 0;  // As the callback received it; an errno, like the others.
  int error = 0;             // Of nbd_aio_command_completed.
  engine::Bytes data = {};   // Of a read.
  std::vector<Chunk> chunks = {};
  std::vector<Extents> extents = {};
  std::uint64_t offset = 0;  // Of the command.
  bool operator==(const LibnbdReport&) const = default;
};

// Gives libnbd any command but a READ, of which it has several kinds. Returns its cookie, or -1. The payload of a
// WRITE, which may be longer than its length, outlives its completion.
std::int64_t SendToLibnbd(nbd_handle* handle, const engine::Request& request, nbd_extent_callback extents,
                          nbd_completion_callback completion);

class LibnbdClient {
 public:
  // Connects a new libnbd handle to `server`, which outlives this. Its own checks of what is legal are off.
  LibnbdClient(const LibnbdOptions& options, engine::Server& server);

  // Hands bytes back and forth until nothing moves.
  void Pump();

  [[nodiscard]] bool IsReady() const { return nbd_aio_is_ready(handle_.get()) == 1; }
  [[nodiscard]] bool IsDead() const {
    return nbd_aio_is_dead(handle_.get()) == 1 || nbd_aio_is_closed(handle_.get()) == 1;
  }

  // What libnbd knows of the export once it is ready.
  [[nodiscard]] engine::InfoExport Info() const;  // Of the flags, those that it reports.
  [[nodiscard]] bool CanMetaContext(const std::string& name) const {
    return nbd_can_meta_context(handle_.get(), name.c_str()) == 1;
  }
  [[nodiscard]] bool HasStructuredReplies() const { return nbd_get_structured_replies_negotiated(handle_.get()) == 1; }

  // Gives `request` to libnbd, which may send it at once. Both outlive its completion; `report` is complete after a
  // Pump.
  void Send(const engine::Request& request, LibnbdReport& report);

  // Fetches the end of a command that was sent: error, or EBUSY when it is not complete.
  void Retire(LibnbdReport& report);

  // How libnbd describes its last failure.
  [[nodiscard]] static std::string LastError();

 private:
  bool TakeFromLibnbd();
  bool GiveToLibnbd();

  LibnbdHandle handle_;
  conformance::FileDescriptor wire_;  // The server's end of the socket pair.
  engine::Server& server_;
  engine::Bytes sent_;  // By the server, given to libnbd from given_ on.
  std::size_t given_ = 0;
  std::size_t piece_bytes_max_;
  std::size_t piece_bytes_ = 0;
};

}  // namespace nbdspec::fuzz
