// SPDX-License-Identifier: BSD-3-Clause
// The tables of faults of clients, and what they are written with. Private to this folder.

#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/base/byte_range.h"
#include "engine/client/client_fault.h"
#include "engine/spec/ids.h"
#include "engine/wire/payloads.h"

namespace nbdspec::engine {

using namespace spec;  // The ids of requirements.

using Looks = HagglingConduct::Looks;
using Wants = HagglingConduct::Wants;

// --- Stages ---

inline const ClientStage kReads = {};
inline const ClientStage kEnters = {.copies_out = false};
inline const ClientStage kWrites = {.copies_out = false, .copies_in = true};
inline const ClientStage kMaps = {.copies_out = false, .maps = true};
inline const ClientStage kInTls = {.demands_tls = true, .server = {.tls = TlsMode::kSelective}};

// The server offers no such transmission flags.
inline ClientStage Without(std::uint16_t flags, ClientStage stage = {}) {
  stage.offers = [flags](ExportOptions& of) { of.flags &= ~flags; };
  return stage;
}
inline ClientStage WithBlocks(InfoBlockSize block_size, ClientStage stage = {}) {
  stage.serves = ClientStage::Serves::kBlocks;
  stage.offers = [block_size](ExportOptions& of) { of.block_size = block_size; };
  return stage;
}
inline ClientStage Greets(std::uint16_t handshake_flags, ClientStage stage = {}) {
  stage.server.handshake_flags = handshake_flags;
  return stage;
}

// --- Conducts ---

// Asks `option` beside those that it needs.
inline ClientConduct Asks(Option option, Wants wants = Wants::kStructured) {
  return {.haggling = {.wants = wants, .before_contexts = {std::move(option)}}};
}
// Sends `request` before it does its job.
inline ClientConduct Sends(Request request, HagglingConduct haggling = {}) {
  return {.haggling = std::move(haggling), .transfer = {.first_requests = {std::move(request)}}};
}
inline Request WriteOf(std::uint64_t length, std::uint16_t flags = 0) {
  return {.flags = flags, .type = CommandType::kWrite, .length = length, .payload = Bytes(length)};
}

// Changes each message of that kind that `is_such` before it is sent.
template <typename Message, typename Function>
ClientHooks Changes(Function change) {
  return {.message = [change](ClientMessage& message, const Outgoing& at) {
    if (auto* found = std::get_if<Message>(&message)) {
      if constexpr (std::is_invocable_v<const Function&, Message&, const Outgoing&>) {
        change(*found, at);
      } else {
        change(*found);
      }
    }
  }};
}

// Data, where there may be none.
inline ClientHooks PutsDataInto(std::uint32_t type) {
  return Changes<Option>([type](Option& option) {
    if (option.option == type) {
      option.payload = {0};
    }
  });
}

// Changes the bytes of the first request.
template <typename Function>
ClientHooks ChangesFirstRequest(Function change) {
  return {.bytes = [change](const ClientMessage& message, Bytes& bytes, const Outgoing& at) {
    if (std::holds_alternative<Request>(message) && at.requests_before == 0) {
      change(bytes);
    }
  }};
}
inline ClientHooks PutsMagic(std::uint32_t magic) {
  return ChangesFirstRequest([magic](Bytes& bytes) {
    for (std::size_t i = 0; i < sizeof magic; ++i) {
      bytes[i] = static_cast<std::uint8_t>(magic >> (24 - 8 * i));
    }
  });
}
inline ClientHooks Appends(std::size_t count) {
  return ChangesFirstRequest([count](Bytes& bytes) { bytes.resize(bytes.size() + count); });
}

// --- The tables, each in the file of its name ---

std::vector<ClientFault> HagglingFaults();
std::vector<ClientFault> RequestFaults();
std::vector<ClientFault> FramingFaults();
std::vector<ClientFault> CopingFaults();
std::vector<ClientFault> NoticingFaults();

}  // namespace nbdspec::engine
