// SPDX-License-Identifier: BSD-3-Clause
// Interposer: sits between the reference server and its wire, and may change what passes.
//
// The reference server is right; engine/faults makes it wrong, one named way at a time, by changing what the
// server hears or says. Keeping that in one place leaves the server itself free of tests.

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "engine/wire/messages.h"
#include "engine/wire/payloads.h"

namespace nbdspec::engine {

// What a connection has negotiated so far.
struct ConnectionState {
  std::uint16_t handshake_flags = 0;
  std::uint32_t client_flags = 0;
  bool structured_replies = false;
  bool transmission = false;
  std::string export_name = {};            // Entered by GO or EXPORT_NAME.
  std::string context_export = {};         // Named in the last successful SET_META_CONTEXT.
  std::vector<MetaContext> contexts = {};  // What it selected.
};

class Interposer {
 public:
  virtual ~Interposer() = default;

  // What the server is about to hear. May change it; returns false to keep it from the server, which then says
  // nothing by itself (AfterServer is still called, with no messages).
  virtual bool BeforeServer(ClientMessage& heard, const ConnectionState& state) {
    (void)heard;
    (void)state;
    return true;
  }

  // What the server is about to say in answer to `heard` as it arrived (nullptr: the greeting). May change, drop or
  // add messages.
  virtual void AfterServer(const ClientMessage* heard, const ConnectionState& state, std::vector<ServerMessage>& said) {
    (void)heard;
    (void)state;
    (void)said;
  }
};

}  // namespace nbdspec::engine
