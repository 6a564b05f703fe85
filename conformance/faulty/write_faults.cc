// SPDX-License-Identifier: BSD-3-Clause
// Faults for write_checks.cc.
#include "conformance/faulty/answer_changes.h"
#include "engine/spec/ids.h"
#include "engine/wire/big_endian.h"

namespace nbdspec::conformance {

using engine::ClientMessage;
using engine::CommandType;
using engine::ConnectionState;
using engine::NbdError;
using engine::Request;

namespace {

constexpr std::uint16_t kWrite = CommandType::kWrite;
constexpr std::size_t kCookieAt = 8;  // In a request.

// A server whose connections keep what they read: a READ gives again what the first one of the same range gave.
Fault KeepsWhatItRead(std::string_view name, std::string_view check) {
  return AnswersWrong(name, check, CommandType::kRead,
                      [first = std::optional<Said>()](const Request& to, Said& said) mutable {
                        if (!first) {
                          first = said;
                        }
                        said = *first;
                        for (engine::ServerMessage& each : said) {
                          if (auto* chunk = std::get_if<engine::Chunk>(&each)) {
                            chunk->cookie = to.cookie;
                          }
                        }
                      });
}

// Takes the data of a WRITE that it refuses for a request, and answers that.
Fault TakesDataForRequest(std::string_view name, std::string_view check) {
  return AnswersWrong(name, check, kWrite, [](const Request& to, Said& said) {
    if (!Succeeds(said) && to.payload.size() >= kCookieAt + 8) {
      engine::Chunk inner = ChunkFor(to, engine::ChunkType::kNone, {}, engine::ChunkFlag::kDone);
      inner.cookie = engine::GetBigEndian<std::uint64_t>(to.payload, kCookieAt);
      said.emplace_back(inner);
    }
  });
}

}  // namespace

std::vector<Fault> WriteFaults() {
  return {
      AnswersWithError("server_does_not_know_write", spec::kBaselineWriteServer, kWrite, /*of_errors=*/false,
                       NbdError::kEinval),
      AnswersWrong("server_hangs_up_on_empty_write", spec::kTransmissionWriteZeroNoDisconnect, kWrite,
                   [](const Request& to, Said& said) {
                     if (to.length == 0) {
                       said = {engine::HardDisconnect{}};
                     }
                   }),
      HearsWrong("server_writes_all_but_the_last_byte", spec::kTransmissionWriteThenReply,
                 [](ClientMessage& heard, const ConnectionState&) {
                   auto* request = std::get_if<Request>(&heard);
                   if (request != nullptr && request->type == kWrite && !request->payload.empty()) {
                     request->payload.back() = 0;
                   }
                   return true;
                 }),
      TakesDataForRequest("server_takes_data_past_the_end_for_a_request", spec::kTransmissionWriteConsumeOnError),
      TakesDataForRequest("server_takes_data_for_read_only_export_for_a_request",
                          spec::kSub<spec::kTransmissionWriteConsumeOnError, "read-only">),
      HearsWrong("server_clears_what_it_caches", spec::kCacheNoSemanticChange,
                 [](ClientMessage& heard, const ConnectionState&) {
                   auto* request = std::get_if<Request>(&heard);
                   if (request != nullptr && request->type == CommandType::kCache) {
                     request->type = kWrite;
                     request->payload.assign(request->length, 0xcc);
                   }
                   return true;
                 }),
      HearsWrong("server_ignores_unknown_flag_of_cache", spec::kCacheRejectUnknownFlags,
                 [](ClientMessage& heard, const ConnectionState&) {
                   auto* request = std::get_if<Request>(&heard);
                   if (request != nullptr && request->type == CommandType::kCache) {
                     request->flags = 0;
                   }
                   return true;
                 }),
      KeepsWhatItRead("server_caches_per_connection_through_flush", spec::kEflagsMultiConnFlushVisible),
      KeepsWhatItRead("server_caches_per_connection_through_fua", spec::kEflagsMultiConnFuaVisible),
  };
}

}  // namespace nbdspec::conformance
