// SPDX-License-Identifier: BSD-3-Clause
// Transport: one connection to a peer as a stream of bytes with deadlines.

#pragma once

#include <chrono>
#include <cstddef>

#include "engine/base/bytes.h"

namespace nbdspec::conformance {

// How a connection came to say no more. These stay apart all the way to the report.
enum class Ending {
  kNone,      // It has not ended.
  kClosed,    // The peer closed it (FIN).
  kReset,     // The peer reset it (RST), or the pipe broke.
  kTimedOut,  // Nothing came in time; the connection is still up.
};

class Transport {
 public:
  using Clock = std::chrono::steady_clock;

  virtual ~Transport() = default;

  // Sends all of `bytes`; what the peer says meanwhile is kept, so two full buffers do not deadlock.
  // Returns kNone, or why not everything was sent.
  virtual Ending Send(engine::ByteView bytes, Clock::time_point deadline) = 0;

  // Appends what has come, at least one byte and at most `bytes_max`, to `out`.
  // Returns kNone, or why nothing came: kClosed and kReset only after all bytes were given.
  virtual Ending Receive(engine::Bytes& out, std::size_t bytes_max, Clock::time_point deadline) = 0;

  // Closes our sending side (FIN); receiving goes on.
  virtual void CloseSending() = 0;
};

}  // namespace nbdspec::conformance
