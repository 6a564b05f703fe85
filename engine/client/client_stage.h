// SPDX-License-Identifier: BSD-3-Clause
// ClientStage: a job and a server on which a client's habit or fault shows.

#pragma once

#include <cstdint>
#include <functional>

#include "engine/faults/change.h"
#include "engine/server/server.h"

namespace nbdspec::engine {

struct ClientStage {
  enum class Serves : std::uint8_t {
    kMixed,   // Data, holes and zeroes; some 200 KiB, no multiple of a sector.
    kBlocks,  // The same, of 256 KiB: a multiple of all block sizes.
    kSparse,  // 5 GiB of hole.
  };

  bool copies_out = true;
  bool copies_in = false;  // First, other bytes than are there.
  bool maps = false;
  bool demands_tls = false;
  Serves serves = Serves::kMixed;
  bool has_another = false;       // Beside the default export, one named "another".
  bool lacks_export = false;      // The one that the job names is not there.
  bool is_shutting_down = false;  // The server.
  bool breaks_tls = false;        // No handshake of TLS succeeds.
  ServerOptions server = {};
  std::function<void(ExportOptions& of)> offers = {};  // Of the export; may be null.
  faults::Change change = {};                          // Of the server, and
  bool is_wrong = false;                               // whether that breaks a rule.
};

}  // namespace nbdspec::engine
