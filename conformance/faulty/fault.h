// SPDX-License-Identifier: BSD-3-Clause
// Fault: one named way in which a server is wrong, and the check that must catch it.
//
// A fault is the reference server with an interposer between it and its wire. It shows that its check can fail:
// `nbdspec selftest` runs each check against each of its faults. Names say who and how: server_sends_...
// docs/howto/add_a_fault.md shows how to write one.

#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "engine/server/interposer.h"

namespace nbdspec::conformance {

struct Fault {
  std::string_view name;                                      // "server_sends_zero_length_descriptor"
  std::string_view check;                                     // The id of the check that must catch it.
  std::function<std::unique_ptr<engine::Interposer>()> make;  // One for each connection.
};

// Every fault, in the order of the checks. Built once.
std::span<const Fault> AllFaults();

// One function for each file of checks.
std::vector<Fault> HandshakeFaults();
std::vector<Fault> ExportNameFaults();
std::vector<Fault> OptionFaults();
std::vector<Fault> StarttlsFaults();
std::vector<Fault> OptionReplyFaults();
std::vector<Fault> InfoFaults();
std::vector<Fault> BlockSizeFaults();
std::vector<Fault> BlockLimitFaults();
std::vector<Fault> MetaContextFaults();
std::vector<Fault> ListMetaContextFaults();
std::vector<Fault> SetMetaContextFaults();
std::vector<Fault> BlockStatusFaults();
std::vector<Fault> ZeroClaimFaults();
std::vector<Fault> StatusCostFaults();
std::vector<Fault> TransmissionFaults();
std::vector<Fault> FlagFaults();
std::vector<Fault> ErrorFaults();
std::vector<Fault> ChunkFaults();
std::vector<Fault> ErrorChunkFaults();
std::vector<Fault> ReadFaults();
std::vector<Fault> WriteFaults();
std::vector<Fault> ZeroingFaults();

// --- How faults are made ---------------------------------------------------------------------------------------

// May change what the server hears; returns false to keep it from the server.
using Hearing = std::function<bool(engine::ClientMessage& heard, const engine::ConnectionState& state)>;

// May change what the server says. `heard` is null for the greeting.
using Saying = std::function<void(const engine::ClientMessage* heard, const engine::ConnectionState& state,
                                  std::vector<engine::ServerMessage>& said)>;

Fault HearsWrong(std::string_view name, std::string_view check, Hearing hearing);
Fault SaysWrong(std::string_view name, std::string_view check, Saying saying);
Fault HearsAndSaysWrong(std::string_view name, std::string_view check, Hearing hearing, Saying saying);

// A SaysWrong for the greeting alone.
Fault GreetsWrong(std::string_view name, std::string_view check, std::function<void(engine::Greeting&)> change);

// A SaysWrong for each reply to the option `option` (0: to any option).
Fault RepliesWrong(std::string_view name, std::string_view check, std::uint32_t option,
                   std::function<void(const engine::Option& to, engine::OptionReply& reply)> change);

// A SaysWrong for all that answers the option `option` (0: any option).
Fault AnswersOptionWrong(
    std::string_view name, std::string_view check, std::uint32_t option,
    std::function<void(const engine::Option& to, std::vector<engine::ServerMessage>& said)> change);

// A SaysWrong for all that answers requests of the type `command`.
Fault AnswersWrong(std::string_view name, std::string_view check, std::uint16_t command,
                   std::function<void(const engine::Request& to, std::vector<engine::ServerMessage>& said)> change);

// A SaysWrong for each block-status chunk: its payload is decoded, changed, encoded again.
Fault DescribesWrong(std::string_view name, std::string_view check,
                     std::function<void(const engine::Request& to, engine::BlockStatus& status)> change);

}  // namespace nbdspec::conformance
