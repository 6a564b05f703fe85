// SPDX-License-Identifier: BSD-3-Clause
// Interposer: sits between the reference server and its wire, and may change what passes.
//
// The reference server is right; engine/faults makes it wrong, one named way at a time, by changing what the
// server receives or sends. Keeping that in one place leaves the server itself free of tests.

#pragma once

#include <vector>

#include "engine/negotiation/negotiated.h"
#include "engine/wire/messages.h"

namespace nbdspec::engine {

using ConnectionState = Negotiated;

class Interposer {
 public:
  virtual ~Interposer() = default;

  // The message that the server is about to handle. May change it; returns false to withhold it from the server, which
  // then sends nothing by itself (AfterServer is still called, with no messages).
  virtual bool BeforeServer(ClientMessage& /*received*/, const ConnectionState& /*state*/) { return true; }

  // The messages that the server is about to send in answer to `received` as it arrived (nullptr: the greeting). May
  // change, drop or add messages.
  virtual void AfterServer(const ClientMessage* /*received*/, const ConnectionState& /*state*/,
                           std::vector<ServerMessage>& /*sent*/) {}
};

}  // namespace nbdspec::engine
