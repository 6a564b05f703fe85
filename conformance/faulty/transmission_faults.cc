// SPDX-License-Identifier: BSD-3-Clause
// Faults for transmission_checks.cc.
#include "conformance/faulty/answer_changes.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::ClientMessage;
using engine::CommandType;
using engine::ConnectionState;
using engine::Request;

namespace {

// Changes the cookies of all replies.
Fault CookieWrong(std::string_view name, std::string_view check, std::function<void(std::uint64_t& cookie)> change) {
  return EveryAnswerWrong(name, check, [change = std::move(change)](const Request&, bool, Said& said) {
    for (engine::ServerMessage& each : said) {
      if (auto* simple = std::get_if<engine::SimpleReply>(&each)) {
        change(simple->cookie);
      } else if (auto* chunk = std::get_if<engine::Chunk>(&each)) {
        change(chunk->cookie);
      }
    }
  });
}

// Sends `magic` in place of that of simple replies and chunks.
Fault MagicWrong(std::string_view name, std::string_view check, std::uint32_t magic) {
  return AnswersWrong(name, check, CommandType::kFlush, [magic](const Request&, Said& said) {
    for (engine::ServerMessage& each : said) {
      if (auto* simple = std::get_if<engine::SimpleReply>(&each)) {
        simple->magic = magic;
      } else if (auto* chunk = std::get_if<engine::Chunk>(&each)) {
        chunk->magic = magic;
      }
    }
  });
}

void AnswerInChunks(const Request& to, Said& said) {
  if (!said.empty() && std::holds_alternative<engine::SimpleReply>(said.front())) {
    said = {ChunkFor(to, engine::ChunkType::kNone, {}, engine::ChunkFlag::kDone)};
  }
}

Fault AnswersDisc(std::string_view name, std::string_view check) {
  return AnswersWrong(name, check, CommandType::kDisc, [](const Request& to, Said& said) {
    said.insert(said.begin(), engine::SimpleReply{.cookie = to.cookie});
  });
}

Fault IgnoresDisc(std::string_view name, std::string_view check) {
  return AnswersWrong(name, check, CommandType::kDisc, [](const Request&, Said& said) { said.clear(); });
}

// Does the first WRITE of a connection only: the others would have been in flight.
Fault ForgetsWritesInFlight() {
  return HearsWrong("server_forgets_writes_in_flight_at_disc", spec::kDiscHandleOutstanding,
                    [writes = 0](ClientMessage& heard, const ConnectionState&) mutable {
                      const auto* request = std::get_if<Request>(&heard);
                      return request == nullptr || request->type != CommandType::kWrite || ++writes == 1;
                    });
}

}  // namespace

std::vector<Fault> TransmissionFaults() {
  return {
      AnswersWrong("server_never_answers_flush", spec::kTransmissionReplyPerRequest, CommandType::kFlush,
                   [](const Request&, Said& said) { said.clear(); }),
      AnswersWrong("server_answers_cache_twice", spec::kTransmissionReplyPerRequest, CommandType::kCache,
                   [](const Request&, Said& said) { said.push_back(said.back()); }),
      CookieWrong("server_swaps_halves_of_cookies", spec::kTransmissionCookieEcho,
                  [](std::uint64_t& cookie) { cookie = cookie << 32 | cookie >> 32; }),
      CookieWrong("server_keeps_63_bits_of_cookies", spec::kTransmissionCookieOpaque,
                  [](std::uint64_t& cookie) { cookie &= ~std::uint64_t{0} >> 1; }),
      EveryAnswerWrong("server_refuses_cookie_zero", spec::kTransmissionCookieOpaque,
                       [](const Request& to, bool, Said& said) {
                         if (to.cookie == 0) {
                           AnswerWith(to, engine::NbdError::kEinval, said);
                         }
                       }),
      AnswersWrong("server_sends_swapped_simple_magic", spec::kTransmissionSimpleMagic, CommandType::kRead,
                   [](const Request&, Said& said) {
                     if (auto* simple = std::get_if<engine::SimpleReply>(&said.front())) {
                       simple->magic = 0x98664467;
                     }
                   }),
      AnswersWrong("server_flushes_in_chunks_unasked", spec::kTransmissionSimpleMandatoryWithoutStructured,
                   CommandType::kFlush, AnswerInChunks),
      MagicWrong("server_sends_historic_reply_magic", spec::kTransmissionMagicReservedServer, 0x96744668),
      MagicWrong("server_sends_extended_chunks_unasked", spec::kTransmissionMagicExtendedGatedServer,
                 engine::kExtendedChunkMagic),
      AnswersWrong("server_hangs_up_on_flush", spec::kTransmissionDisconnectOnlyAllowedServer, CommandType::kFlush,
                   [](const Request&, Said& said) { said = {engine::HardDisconnect{}}; }),
      AnswersWrong("server_writes_in_chunks_unasked", spec::kBaselineSimpleRepliesServer, CommandType::kWrite,
                   AnswerInChunks),
      AnswersDisc("server_answers_disc", spec::kDiscNoReply),
      IgnoresDisc("server_ignores_disc", spec::kDiscServerClosesTcp),
      AnswersDisc("server_answers_disc_and_closes", spec::kBaselineDiscServer),
      IgnoresDisc("server_does_not_know_disc", spec::kBaselineDiscServer),
      ForgetsWritesInFlight(),
  };
}

}  // namespace nbdspec::conformance
