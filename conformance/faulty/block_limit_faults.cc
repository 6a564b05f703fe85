// SPDX-License-Identifier: BSD-3-Clause
// Faults for block_limit_checks.cc.
#include <algorithm>
#include <iterator>

#include "conformance/faulty/fault.h"
#include "conformance/faulty/info_lies.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::ClientMessage;
using engine::CommandType;
using engine::ConnectionState;
using engine::HardDisconnect;
using engine::NbdError;
using engine::Request;
using engine::ServerMessage;

namespace {

constexpr std::uint32_t kMinimum = 4096;  // The reference server's where it is strict.
constexpr std::uint32_t kMiB = 1 << 20;

bool IsUnaligned(const Request& request) { return request.offset % kMinimum != 0 || request.length % kMinimum != 0; }

// Answers unaligned requests of the type `command` by `answer`.
Fault AnswersUnaligned(std::string_view name, std::string_view check, std::uint16_t command, ServerMessage answer) {
  return AnswersWrong(name, check, command,
                      [answer = std::move(answer)](const Request& to, std::vector<ServerMessage>& said) {
                        if (!IsUnaligned(to)) {
                          return;
                        }
                        said = {answer};
                        if (auto* simple = std::get_if<engine::SimpleReply>(&said.front())) {
                          simple->cookie = to.cookie;
                        } else if (auto* chunk = std::get_if<engine::Chunk>(&said.front())) {
                          chunk->cookie = to.cookie;
                        }
                      });
}

// Answers requests of the type `command` that are not refused soundly by `error`.
Fault FailsBy(std::string_view name, std::string_view check, std::uint16_t command, std::uint32_t error) {
  return AnswersWrong(name, check, command, [error](const Request&, std::vector<ServerMessage>& said) {
    auto* reply = std::get_if<engine::SimpleReply>(&said.front());
    if (reply != nullptr && reply->error != NbdError::kOk) {
      reply->error = error;
    }
  });
}

// Zeroes the whole block that an unaligned WRITE is in, and refuses it.
Fault WritesAndRefuses() {
  return HearsAndSaysWrong(
      "server_zeroes_block_of_refused_write", spec::kBlockSizeServerNoCorruption,
      [](ClientMessage& heard, const ConnectionState&) {
        auto* request = std::get_if<Request>(&heard);
        if (request != nullptr && request->type == CommandType::kWrite && IsUnaligned(*request)) {
          *request = {.type = CommandType::kWrite,
                      .cookie = request->cookie,
                      .offset = request->offset / kMinimum * kMinimum,
                      .length = kMinimum,
                      .payload = engine::Bytes(kMinimum)};
        }
        return true;
      },
      [](const ClientMessage* heard, const ConnectionState&, std::vector<ServerMessage>& said) {
        const auto* request = heard != nullptr ? std::get_if<Request>(heard) : nullptr;
        if (request != nullptr && request->type == CommandType::kWrite && IsUnaligned(*request)) {
          said = {engine::SimpleReply{.error = NbdError::kEinval, .cookie = request->cookie}};
        }
      });
}

// Advertises 1 MiB as the maximum payload, and closes on any request of the type `command` that is longer.
Fault ClosesAbove1MiB(std::string_view name, std::string_view check, std::uint16_t command) {
  return SaysWrong(name, check,
                   LiesAndMisbehaves(
                       [](std::vector<ServerMessage>& said) {
                         ChangeInfo(said, {}, [](engine::InfoBlockSize& block) { block.maximum = kMiB; });
                       },
                       [command](const Request& to, std::vector<ServerMessage>& said) {
                         if (to.type == command && to.length > kMiB) {
                           said = {HardDisconnect{}};
                         }
                       }));
}

std::vector<Fault> AlignmentFaults() {
  const engine::SimpleReply wrong_byte{.data = {0xee}};
  const engine::SimpleReply success;
  const engine::SimpleReply failure{.error = NbdError::kEio};
  const engine::Chunk failure_chunk{.flags = engine::ChunkFlag::kDone,
                                    .type = engine::ChunkType::kError,
                                    .payload = EncodePayload(engine::ErrorPayload{.error = NbdError::kEio})};
  return {
      AnswersUnaligned("server_closes_on_unaligned_read", spec::kBlockSizeServerCleanError, CommandType::kRead,
                       HardDisconnect{}),
      AnswersUnaligned("server_reads_wrong_byte_unaligned", spec::kBlockSizeServerCleanError, CommandType::kRead,
                       wrong_byte),
      AnswersUnaligned("server_closes_on_unaligned_write", spec::kSub<spec::kBlockSizeServerCleanError, "write">,
                       CommandType::kWrite, HardDisconnect{}),
      WritesAndRefuses(),
      AnswersUnaligned("server_trusts_a_client_that_did_not_ask", spec::kOptionInfoUnsolicitedNoAssumption,
                       CommandType::kRead, HardDisconnect{}),
      AnswersUnaligned("server_fails_unaligned_read_by_eio", spec::kBlockSizeServerUnalignedEinval, CommandType::kRead,
                       failure),
      AnswersUnaligned("server_takes_unaligned_write", spec::kSub<spec::kBlockSizeServerUnalignedEinval, "write">,
                       CommandType::kWrite, success),
      AnswersUnaligned("server_fails_unaligned_status_by_eio",
                       spec::kSub<spec::kBlockSizeServerUnalignedEinval, "block-status">, CommandType::kBlockStatus,
                       failure_chunk),
  };
}

}  // namespace

std::vector<Fault> BlockLimitFaults() {
  std::vector<Fault> faults = AlignmentFaults();
  faults.push_back(
      ClosesAbove1MiB("server_closes_on_large_write", spec::kBlockSizeDosNotUnder32mServer, CommandType::kWrite));
  faults.push_back(
      ClosesAbove1MiB("server_closes_on_large_cache", spec::kBlockSizeServerEffectNoDisconnect, CommandType::kCache));
  faults.push_back(
      ClosesAbove1MiB("server_closes_on_large_trim", spec::kBlockSizeServerEffectNoDisconnect, CommandType::kTrim));
  faults.push_back(ClosesAbove1MiB("server_closes_on_large_write_zeroes", spec::kBlockSizeServerEffectNoDisconnect,
                                   CommandType::kWriteZeroes));
  faults.push_back(DescribesWrong(
      "server_gives_req_one_two_descriptors", spec::kBlockSizeServerCommandLimits,
      [](const Request&, engine::BlockStatus& status) { status.descriptors.push_back({.length = 512}); }));
  faults.push_back(FailsBy("server_fails_read_past_end_by_eio", spec::kTransmissionBoundsServerEinval,
                           CommandType::kRead, NbdError::kEio));
  faults.push_back(FailsBy("server_accepts_write_past_end", spec::kSub<spec::kTransmissionBoundsServerEinval, "write">,
                           CommandType::kWrite, NbdError::kOk));
  return faults;
}

}  // namespace nbdspec::conformance
