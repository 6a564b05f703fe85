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
#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "conformance/peer/socket/socket_transport.h"
#include "engine/base/bytes.h"
#include "engine/base/error.h"
#include "engine/server/server.h"

namespace nbdspec::fuzz {

struct CloseLibnbd {
  void operator()(nbd_handle* handle) const { nbd_close(handle); }
};
using LibnbdHandle = std::unique_ptr<nbd_handle, CloseLibnbd>;

struct LibnbdOptions {
  std::string export_name = {};
  bool structured_replies = true;
  std::vector<std::string> contexts = {};
};

// What is asked of libnbd. Its own checks of what is legal are off.
struct LibnbdCommand {
  std::uint16_t type = 0;  // CommandType.
  std::uint32_t flags = 0;
  std::uint64_t offset = 0;
  std::uint32_t length = 0;
  engine::ByteView payload = {};  // Of a write: outlives its completion.
};

// What libnbd says of one command.
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

  void Clear();
};

// Gives libnbd any command but a READ, of which it has several kinds. Returns its cookie, or -1.
std::int64_t SendToLibnbd(nbd_handle* handle, const LibnbdCommand& command, nbd_extent_callback extents,
                          nbd_completion_callback completion);

class LibnbdClient {
 public:
  // Connects a new libnbd handle to `server`, which outlives this. Errors: no socket pair, or libnbd refuses.
  static std::expected<std::unique_ptr<LibnbdClient>, engine::Trouble> Connect(const LibnbdOptions& options,
                                                                               engine::Server& server);

  // From now on the server's bytes arrive in pieces of 1 to `bytes_max`; 0 for as many as there are.
  void SetPieces(std::size_t bytes_max) { piece_bytes_max_ = bytes_max; }

  // Hands bytes back and forth until nothing moves.
  void Pump();

  [[nodiscard]] bool IsReady() const;
  [[nodiscard]] bool IsDead() const;

  // What libnbd knows of the export once it is ready.
  [[nodiscard]] std::int64_t Size() const;
  [[nodiscard]] std::uint16_t TransmissionFlags() const;  // Those that it tells.
  [[nodiscard]] bool CanMetaContext(const std::string& name) const;
  [[nodiscard]] bool HasStructuredReplies() const;

  // Gives `command` to libnbd, which may send it at once. `report` outlives this, and is complete after a Pump.
  void Send(const LibnbdCommand& command, LibnbdReport& report);

  // Fetches the end of a command that was sent: error, or EBUSY when it is not complete.
  void Retire(LibnbdReport& report);

  // What libnbd said of its last failure.
  [[nodiscard]] static std::string LastError();

 private:
  LibnbdClient(LibnbdHandle handle, conformance::FileDescriptor wire, engine::Server& server);
  bool TakeFromLibnbd();
  bool GiveToLibnbd();

  LibnbdHandle handle_;
  conformance::FileDescriptor wire_;  // The server's end of the socket pair.
  engine::Server& server_;
  engine::Bytes said_;  // By the server, given to libnbd from given_ on.
  std::size_t given_ = 0;
  std::size_t piece_bytes_max_ = 0;
  std::size_t piece_bytes_ = 0;
};

}  // namespace nbdspec::fuzz
