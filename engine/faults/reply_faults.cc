// SPDX-License-Identifier: BSD-3-Clause
// Faults of replies in general, of DISC and FLUSH; and of errors: which one answers a request, which flags are refused,
// error chunks.
#include <atomic>
#include <memory>

#include "engine/faults/fault_tables.h"

namespace nbdspec::engine::faults {

namespace {

Change RepliesWithMagic(std::uint32_t magic) {
  return ChangesReplies(kFlush, [magic](auto& reply) { reply.magic = magic; });
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

constexpr std::uint32_t kEnoent = 2;  // An errno that the protocol does not have.
constexpr std::uint16_t kKnownFlags = 0x3f;

Change Replaces(std::uint32_t from, std::uint32_t to) {
  return ChangesErrors(kAnyCommand, [=](std::uint32_t error) { return error == from ? to : error; });
}

// Offers TRIM and WRITE_ZEROES of a read-only export.
Change OffersWrites() { return ChangesFlags(TransmissionFlag::kSendTrim | TransmissionFlag::kSendWriteZeroes); }

Change FailsWithErrorOffset(std::function<void(const Request& to, Chunk& chunk)> change) {
  return ChangesChunks(kRead, [=](const Request& to, Chunk& chunk) {
    if (chunk.type == ChunkType::kError) {
      chunk = ErrorChunk(to, {.error = kEinval, .message = "oops", .offset = to.offset}, chunk.flags);
      change(to, chunk);
    }
  });
}

// Adds an error chunk with its offset counted from the request's, or without one.
Change AddsError(std::uint32_t error, std::optional<std::uint64_t> offset, When when) {
  const auto make = [=](const Request& to) {
    return ErrorChunk(to, {.error = error, .offset = offset ? std::optional(to.offset + *offset) : std::nullopt});
  };
  return AddsLast(kRead, make, std::move(when));
}

// Not where the server itself could not read.
bool OnRefusal(const Request& to, const Messages& sent) {
  const auto* chunk = OnError(to, sent) ? std::get_if<Chunk>(&sent.back()) : nullptr;
  const auto error = chunk != nullptr ? DecodeErrorPayload(chunk->type, chunk->payload) : std::nullopt;
  return error && error->error != kEio;
}

bool OnSimpleError(const Request& to, const Messages& sent) {
  return OnError(to, sent) && std::holds_alternative<SimpleReply>(sent.back());
}

auto RefusalOf(std::uint32_t error) {
  return [error](const Request& to) { return SimpleReply{.error = error, .cookie = to.cookie}; };
}

bool OnErrorChunk(const Request& to, const Messages& sent) {
  return OnError(to, sent) && std::holds_alternative<Chunk>(sent.back());
}

}  // namespace

std::vector<Fault> ReplyFaults() {
  return {
      {"server_never_answers_flush", kTransmissionReplyPerRequest, NeverAnswers(kFlush)},
      {"server_never_answers_empty_write", Session(kLost, 350), NeverAnswers(kWrite, OnEmptyRange)},
      {"server_never_answers_the_eighth_request", Exchange(kShape, 100),
       NeverAnswers(kAnyCommand, [count = 0](auto&, auto&) mutable { return ++count == 8; })},
      {"server_forgets_requests_in_pieces",
       By(kSub<kTransmissionReplyPerRequest, "pieces">, Fuzz(kHang, kTransmissionReplyPerRequest)),
       ForgetsByPieces<Request>(CameInPieces)},
      {"server_forgets_requests_behind_others_in_a_segment", kSub<kTransmissionReplyPerRequest, "one-segment">,
       ForgetsByPieces<Request>(CameWithOthers)},
      {"server_answers_cache_twice", By(kTransmissionReplyPerRequest, Fuzz(kBrokenRule, kTransmissionReplyPerRequest)),
       RepeatsReply(kCache)},
      {"server_answers_flush_twice",
       By(Session(kRule, 100), Exchange(kRule, 100), Fuzz(kBrokenRule, kTransmissionReplyPerRequest)),
       RepeatsReply(kFlush)},
      {"server_never_answers_flag_bit_9", kSub<kTransmissionReplyPerRequest, "every-flag">,
       NeverAnswers(kAnyCommand, OnFlag(1U << 9))},
      {"server_answers_trim_with_df_twice", kSub<kTransmissionReplyPerRequest, "every-flag">,
       ChangesAnswer(kTrim, OnFlag(CommandFlag::kDf), [](Messages& sent) { sent.push_back(sent.back()); })},
      {"server_swaps_halves_of_cookies", By(kTransmissionCookieEcho, kExtReplyCookie),
       ChangesCookies([](std::uint64_t cookie) { return cookie << 32 | cookie >> 32; })},
      {"server_keeps_63_bits_of_cookies", kTransmissionCookieOpaque,
       ChangesCookies([](std::uint64_t cookie) { return cookie & ~std::uint64_t{0} >> 1; })},
      {"server_keeps_32_bits_of_cookies", Session(kWidth, 100),
       ChangesCookies([](std::uint64_t cookie) { return cookie & 0xffff'ffff; })},
      {"server_mistakes_each_twentieth_cookie", Fuzz(kBrokenRule, kTransmissionCookieEcho),
       ChangesCookies([count = 0](std::uint64_t cookie) mutable { return ++count % 20 == 0 ? cookie ^ 1 : cookie; })},
      {"server_swaps_cookies", Exchange(kOrder, 100), SwapsCookies()},
      {"server_refuses_cookie_zero", kTransmissionCookieOpaque,
       Fails(kAnyCommand, kEinval, [](const Request& to, const Messages&) { return to.cookie == 0; })},
      {"server_sends_swapped_simple_magic", kTransmissionSimpleMagic,
       ChangesSimpleReplies([](SimpleReply& reply) { reply.magic = 0x98664467; })},
      {"server_sends_historic_reply_magic", kTransmissionMagicReservedServer, RepliesWithMagic(0x96744668)},
      {"server_sends_extended_chunks_unasked", kTransmissionMagicExtendedGatedServer,
       RepliesWithMagic(kExtendedChunkMagic)},
      {"server_sends_bytes_that_are_no_message", Fuzz(kBrokenRule, kStructuredChunkMagic),
       ChangesAnswer(kCache, [](Messages& sent) { sent.insert(sent.begin(), RawBytes{{1, 2, 3, 4}}); })},
      {"server_answers_in_chunks_unasked",
       By(kTransmissionSimpleMandatoryWithoutStructured, kBaselineSimpleRepliesServer, Session(kRule, 150)),
       ChangesAnswer(kAnyCommand,
                     [](const Request& to, Messages& sent, const Connection& on) {
                       if (to.type != kRead && to.type != kDisc && !on.negotiated->structured_replies) {
                         sent = {NoneChunk(to)};
                       }
                     })},
      {"server_disconnects_on_flush", kTransmissionDisconnectOnlyAllowedServer, Disconnects(kFlush)},
      {"server_disconnects_on_cache", Fuzz(kDisconnect, kTransmissionDisconnectOnlyAllowedServer), Disconnects(kCache)},
      {"server_disconnects_on_empty_range",
       By(kTransmissionReadZeroNoDisconnect, kTransmissionWriteZeroNoDisconnect, kTrimZeroNoDisconnect,
          kWriteZeroesZeroNoDisconnect, kBlockStatusZeroLengthNoDisconnect),
       Disconnects(kAnyCommand, OnEmptyRange)},
      {"server_answers_disc",
       By(kDiscNoReply, kBaselineDiscServer, Session(kRule, 150), Fuzz(kBrokenRule, kDiscNoReply)),
       ChangesAnswer(kDisc, [](const Request& to,
                               Messages& sent) { sent.insert(sent.begin(), SimpleReply{.cookie = to.cookie}); })},
      {"server_ignores_disc", By(kDiscServerClosesTcp, kBaselineDiscServer, Session(kRule, 150)), NeverAnswers(kDisc)},
      {"server_refuses_disc_with_flags", By(kSub<kDiscServerClosesTcp, "every-flag">, kSub<kDiscNoReply, "every-flag">),
       Answers(
           kDisc, [](const Request& to, auto&) { return to.flags != 0; }, RefusalOf(kEinval))},
      {"server_ignores_each_eighth_disc", By(kDiscServerClosesTcp, kBaselineDiscServer),
       NeverAnswers(kDisc,
                    [count = std::make_shared<std::atomic<int>>(0)](auto&, auto&) { return ++*count % 8 == 0; })},
      {"server_forgets_writes_in_flight_at_disc", kDiscHandleOutstanding,
       Change{.received =
                  [writes = 0](ClientMessage& received, const Connection&) mutable {
                    // All but the first would have been in flight.
                    const auto* request = std::get_if<Request>(&received);
                    return request == nullptr || request->type != kWrite || ++writes == 1;
                  }}},
      {"server_leaks_errno_of_its_host",
       By(kErrorCodeAllowedSet, kTransmissionReadSimpleErrorCode, kTransmissionWriteErrorCode, kCacheErrorCode,
          kWriteZeroesErrorCode, Session(kError, 100), Fuzz(kWrongError, kErrorCodeAllowedSet)),
       ChangesErrors(kAnyCommand, [](std::uint32_t) { return kEnoent; })},
      {"server_returns_enomem", kErrorNoEnomem, Fails(kRead, NbdError::kEnomem, OnError)},
      {"server_overflows_on_unknown_command", kErrorEoverflowLimited, Fails(kUnknownCommand, kEoverflow, OnError)},
      {"server_refuses_with_eio",
       By(kErrorUnknownCommand, kTransmissionReadOutOfBounds, kTransmissionBoundsServerEinval,
          kTransmissionWriteOutOfBounds, kTransmissionWriteReadOnly, kTransmissionTrimReadOnly, kWriteZeroesReadOnly),
       Both(OffersWrites(), Fails(kAnyCommand, kEio, OnError))},
      {"server_refuses_simply_with_eio",
       By(kSub<kErrorUnknownCommand, "simple">, kSub<kErrorUnknownFlag, "simple">,
          kSub<kErrorInapplicableFlag, "simple">, kSub<kTransmissionTrimOutOfBounds, "simple">,
          kSub<kWriteZeroesOutOfBounds, "simple">, kSub<kTransmissionWriteReadOnly, "simple">,
          kSub<kTransmissionTrimReadOnly, "simple">, kSub<kWriteZeroesReadOnly, "simple">),
       Both(OffersWrites(), FailsSimply(kAnyCommand, kEio, OnSimpleError))},
      {"server_refuses_simply_with_errno_of_its_host",
       By(kSub<kTransmissionWriteErrorCode, "simple">, kSub<kCacheErrorCode, "simple">,
          kSub<kWriteZeroesErrorCode, "simple">),
       FailsSimply(kAnyCommand, kEnoent, OnSimpleError)},
      {"server_trims_read_only_export_simply", kSub<kEflagsReadOnlyErrorWrites, "simple">,
       Both(OffersWrites(), FailsSimply(kTrim, kOk, OnSimpleError))},
      {"server_refuses_with_enotsup",
       By(kErrorEnotsupLimited, kSub<kBlockStatusNoContextEinval, "set-nothing">, Contexts(kError, 100)),
       Fails(kAnyCommand, kEnotsup, OnError)},
      {"server_returns_success_where_it_must_refuse",
       By(kErrorUnknownCommand, kTransmissionWriteOutOfBounds, kSub<kTransmissionBoundsServerEinval, "write">,
          kWriteZeroesOutOfBounds, kEflagsReadOnlyErrorWrites, kBlockStatusNoContextEinval, Contexts(kLost, 100)),
       Fails(kAnyCommand, kOk, OnError)},
      {"server_ignores_unknown_flags",
       By(kErrorUnknownFlag, kSub<kErrorUnknownFlag, "write">, kCacheRejectUnknownFlags, Session(kBits, 150)),
       ClearsRequestFlags(kAnyCommand, static_cast<std::uint16_t>(~kKnownFlags))},
      {"server_takes_flag_bit_6_of_flush", kSub<kErrorUnknownFlag, "every-command">,
       ClearsRequestFlags(kFlush, 1U << 6)},
      {"server_takes_flag_bit_7_of_cache", kSub<kCacheRejectUnknownFlags, "every-flag">,
       ClearsRequestFlags(kCache, 1U << 7)},
      {"server_takes_no_hole_of_trim", kSub<kErrorInapplicableFlag, "every-command">,
       ClearsRequestFlags(kTrim, CommandFlag::kNoHole)},
      {"server_ignores_flags_of_other_commands",
       By(kErrorInapplicableFlag, kSub<kErrorInapplicableFlag, "write">, kSub<kErrorInapplicableFlag, "block-status">),
       ClearsRequestFlags(kAnyCommand)},
      {"server_refuses_what_ends_where_its_export_does",
       By(kSub<kBaselineReadServer, "at-end">, kSub<kBaselineWriteServer, "at-end">, kSub<kEflagsTrimWorks, "at-end">,
          kSub<kEflagsWriteZeroesWorks, "at-end">),
       ChangesAnswer(kAnyCommand, OnSuccess,
                     [](const Request& to, Messages& sent, const Connection& on) {
                       if (to.length > 0 && EndOf(to) == on.export_bytes) {
                         AnswerWith(to, kEinval, sent);
                       }
                     })},
      {"server_reads_past_the_end", By(kTransmissionReadOutOfBounds, Fuzz(kWrongSuccess, kTransmissionReadOutOfBounds)),
       ChangesAnswer(kRead, OnError,
                     [](const Request& to, Messages& sent) {
                       if (std::holds_alternative<Chunk>(sent.front())) {
                         sent = {DataChunk(to, to.offset, Bytes(to.length), ChunkFlag::kDone)};
                       } else {
                         sent = {SimpleZeroes(to)};
                       }
                     })},
      {"server_returns_einval_to_write_past_the_end", Session(kClip, 100), Replaces(kEnospc, kEinval)},
      {"server_refuses_with_enospc", By(kTransmissionTrimOutOfBounds, kBlockStatusOutOfBounds),
       Fails(kAnyCommand, kEnospc, OnError)},
      {"server_trims_read_only_export", kEflagsReadOnlyErrorWrites, Both(OffersWrites(), Fails(kTrim, kOk, OnError))},
      {"server_refuses_to_write_read_only_export_with_einval", Session(kError, 400),
       Replaces(NbdError::kEperm, kEinval)},
      {"server_fails_simply",
       By(kStructuredErrorsPreferStructured, kStructuredReadNoSimple, kBlockStatusErrorErrorChunk),
       FailsSimply(kAnyCommand, kEinval, OnError)},
      {"server_sends_errors_without_bit_15", kStructuredErrorBit15,
       ChangesErrorChunks([](Chunk& chunk) { chunk.type = 3; })},
      {"server_sends_short_error_of_its_own", kStructuredErrorBit15, ChangesErrorChunks([](Chunk& chunk) {
         chunk.type = ChunkType::kErrorBit + 77;
         chunk.payload.resize(4);
       })},
      {"server_cuts_error_message", kStructuredErrorHeaderLength,
       ChangesErrorChunks([](Chunk& chunk) { chunk.payload.pop_back(); })},
      {"server_refuses_simply_and_swaps_the_message_length_of_errors",
       By(kStructuredErrorHeaderLength, kStructuredErrorMessageFits),
       Both(FailsSimply(kAnyCommand, kEinval, OnRefusal),
            ChangesErrorChunks([](Chunk& chunk) { std::swap(chunk.payload[4], chunk.payload[5]); }))},
      {"server_sends_error_without_message_length", kStructuredErrorLengthMin,
       ChangesErrorChunks([](Chunk& chunk) { chunk.payload.resize(4); })},
      {"server_sends_error_zero", By(kStructuredErrorNonzero, Fuzz(kWrongError, kStructuredErrorNonzero)),
       ChangesErrorChunks([](Chunk& chunk) { chunk.payload = EncodePayload(ErrorPayload{}); })},
      {"server_sends_generic_error_twice", kStructuredErrorOnce, AddsError(kEinval, {}, OnErrorChunk)},
      {"server_sends_error_offset_without_offset", kStructuredErrorOffsetLengthMin,
       FailsWithErrorOffset([](const Request&, Chunk& chunk) { chunk.payload.resize(10); })},
      {"server_sends_error_offset_with_error_zero", kStructuredErrorOffsetNonzero,
       FailsWithErrorOffset([](const Request&, Chunk& chunk) { chunk.payload[3] = 0; })},
      {"server_lets_message_run_into_offset", kStructuredErrorOffsetMessageFits,
       FailsWithErrorOffset([](const Request&, Chunk& chunk) { chunk.payload[5] += 1; })},
      {"server_sends_error_offset_past_the_request", kStructuredErrorOffsetInBounds,
       FailsWithErrorOffset([](const Request& to, Chunk& chunk) {
         chunk = ErrorChunk(to, {.error = kEinval, .offset = EndOf(to) + 1}, chunk.flags);
       })},
      {"server_repeats_error_offset", kStructuredErrorOffsetDistinct,
       Both(AddsError(kEio, 0, OnStructuredSuccess), AddsError(kEio, 0, OnErrorChunk))},
      {"server_sends_two_errors_in_one_chunk", kStructuredErrorOffsetOnePerChunk,
       Both(AddsError(kEio, 0, OnStructuredSuccess), AddsError(kEio, 5, OnErrorChunk))},
      {"server_flushes_with_error_offset", kStructuredErrorOffsetCommands,
       Answers(kFlush, Always,
               [](const Request& to) { return ErrorChunk(to, {.error = kEio, .offset = 0}, ChunkFlag::kDone); })},
      {"server_mixes_errors_with_and_without_offset", kStructuredReadNoMixedErrors,
       AddsError(kEinval, 0, OnErrorChunk)},
  };
}

}  // namespace nbdspec::engine::faults
