// SPDX-License-Identifier: BSD-3-Clause
// Faults of replies in general: whether they come, with which cookie, magic and form; of DISC and FLUSH.
#include "engine/faults/answer_changes.h"
#include "engine/faults/fault_tables.h"
#include "engine/spec/ids.h"

namespace nbdspec::engine::faults {

namespace {

using enum Family;

Change RepliesWithMagic(std::uint32_t magic) {
  return ChangesAnswer(kFlush,
                       [magic](Messages& sent) { ForEachReply(sent, [magic](auto& reply) { reply.magic = magic; }); });
}

Change RepeatsReply(std::uint16_t command) {
  return ChangesAnswer(command, [](Messages& sent) { sent.push_back(sent.back()); });
}

// Two answers of four come for each other's request.
Change SwapsCookies() {
  return ChangesAnswer(kAnyCommand,
                       [kept = Messages()](const Request& to, Messages& sent, const Connection& on) mutable {
                         const auto set_cookie = [&](std::uint64_t cookie) {
                           ForEachReply(sent, [cookie](auto& reply) { reply.cookie = cookie; });
                         };
                         if (on.request_count % 4 == 2) {
                           set_cookie(to.cookie + 1);
                           kept = std::exchange(sent, {});
                         } else if (!kept.empty()) {
                           set_cookie(to.cookie - 1);
                           sent.insert(sent.end(), kept.begin(), kept.end());
                           kept.clear();
                         }
                       });
}

}  // namespace

std::vector<Fault> ReplyFaults() {
  return {
      {"server_never_answers_flush", spec::kTransmissionReplyPerRequest, NeverAnswers(kFlush)},
      {"server_never_answers_empty_write", Session(kLost, 350), NeverAnswers(kWrite, OnEmptyRange)},
      {"server_never_answers_the_eighth_request", Exchange(kShape, 100),
       ChangesAnswer(kAnyCommand,
                     [](const Request&, Messages& sent, const Connection& on) {
                       if (on.request_count == 8) {
                         sent.clear();
                       }
                     })},
      {"server_answers_cache_twice", spec::kTransmissionReplyPerRequest, RepeatsReply(kCache)},
      {"server_answers_flush_twice",
       By(Session(kRule, 100), Exchange(kRule, 100), Fuzz(kBrokenRule, spec::kTransmissionCookieEcho)),
       RepeatsReply(kFlush)},
      {"server_swaps_halves_of_cookies", spec::kTransmissionCookieEcho,
       ChangesCookies([](std::uint64_t cookie) { return cookie << 32 | cookie >> 32; })},
      {"server_keeps_63_bits_of_cookies", spec::kTransmissionCookieOpaque,
       ChangesCookies([](std::uint64_t cookie) { return cookie & ~std::uint64_t{0} >> 1; })},
      {"server_keeps_32_bits_of_cookies", Session(kWidth, 100),
       ChangesCookies([](std::uint64_t cookie) { return cookie & 0xffff'ffff; })},
      {"server_mistakes_each_twentieth_cookie", Fuzz(kBrokenRule, spec::kTransmissionCookieEcho),
       ChangesCookies([count = 0](std::uint64_t cookie) mutable { return ++count % 20 == 0 ? cookie ^ 1 : cookie; })},
      {"server_swaps_cookies", Exchange(kOrder, 100), SwapsCookies()},
      {"server_refuses_cookie_zero", spec::kTransmissionCookieOpaque,
       Fails(kAnyCommand, kEinval, [](const Request& to, const Messages&) { return to.cookie == 0; })},
      {"server_sends_swapped_simple_magic", spec::kTransmissionSimpleMagic,
       ChangesAnswer(
           kRead,
           [](Messages& sent) { ForEach<SimpleReply>(sent, [](SimpleReply& reply) { reply.magic = 0x98664467; }); })},
      {"server_sends_historic_reply_magic", spec::kTransmissionMagicReservedServer, RepliesWithMagic(0x96744668)},
      {"server_sends_extended_chunks_unasked", spec::kTransmissionMagicExtendedGatedServer,
       RepliesWithMagic(kExtendedChunkMagic)},
      {"server_sends_bytes_that_are_no_message", Fuzz(kBrokenRule, spec::kStructuredChunkMagic),
       ChangesAnswer(kCache, [](Messages& sent) { sent.insert(sent.begin(), RawBytes{{1, 2, 3, 4}}); })},
      {"server_answers_in_chunks_unasked",
       By(spec::kTransmissionSimpleMandatoryWithoutStructured, spec::kBaselineSimpleRepliesServer, Session(kRule, 150)),
       ChangesAnswer(kAnyCommand,
                     [](const Request& to, Messages& sent, const Connection& on) {
                       if (to.type != kRead && to.type != kDisc && !on.negotiated->structured_replies) {
                         sent = {NoneChunk(to)};
                       }
                     })},
      {"server_disconnects_on_flush", spec::kTransmissionDisconnectOnlyAllowedServer, Disconnects(kFlush)},
      {"server_disconnects_on_cache", Fuzz(kDisconnect, spec::kTransmissionDisconnectOnlyAllowedServer),
       Disconnects(kCache)},
      {"server_disconnects_on_empty_range",
       By(spec::kTransmissionReadZeroNoDisconnect, spec::kTransmissionWriteZeroNoDisconnect,
          spec::kTrimZeroNoDisconnect, spec::kWriteZeroesZeroNoDisconnect, spec::kBlockStatusZeroLengthNoDisconnect),
       Disconnects(kAnyCommand, OnEmptyRange)},
      {"server_answers_disc", By(spec::kDiscNoReply, spec::kBaselineDiscServer, Session(kRule, 150)),
       ChangesAnswer(kDisc, [](const Request& to,
                               Messages& sent) { sent.insert(sent.begin(), SimpleReply{.cookie = to.cookie}); })},
      {"server_ignores_disc", By(spec::kDiscServerClosesTcp, spec::kBaselineDiscServer, Session(kRule, 150)),
       NeverAnswers(kDisc)},
      {"server_forgets_writes_in_flight_at_disc", spec::kDiscHandleOutstanding,
       Change{.received =
                  [writes = 0](ClientMessage& received, const Connection&) mutable {
                    // All but the first would have been in flight.
                    const auto* request = std::get_if<Request>(&received);
                    return request == nullptr || request->type != kWrite || ++writes == 1;
                  }}},
  };
}

}  // namespace nbdspec::engine::faults
