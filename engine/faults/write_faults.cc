// SPDX-License-Identifier: BSD-3-Clause
// Faults of what changes an export: WRITE, TRIM, WRITE_ZEROES, CACHE, FLUSH, and the flags they take.
#include "engine/faults/fault_tables.h"
#include "engine/wire/fields.h"

namespace nbdspec::engine::faults {

namespace {

constexpr std::uint16_t kFua = CommandFlag::kFua;
constexpr std::uint16_t kNoHole = CommandFlag::kNoHole;
constexpr std::uint16_t kFastZero = CommandFlag::kFastZero;
constexpr std::size_t kCookieAt = 8;  // In a request.
constexpr Detector kWrongBytes = Fuzz(kWrongData, kTransmissionWriteThenReply);
constexpr Detector kMissingZeroes = Fuzz(kWrongData, kWriteZeroesReadsZero);

Change RoundsOutwards(std::uint16_t command) {
  return ChangesRange(command, [](Request& request) {
    const std::uint64_t end = (EndOf(request) + 4095) / 4096 * 4096;
    request.offset = request.offset / 4096 * 4096;
    request.length = static_cast<std::uint32_t>(end - request.offset);
  });
}

// Takes the last byte of what came in pieces for another one.
Change MistakesTheEndOfWritesInPieces() {
  return {.received = [before = std::uint64_t{0}](ClientMessage& received, const Connection& on) mutable {
    const std::uint64_t pieces = on.piece_count - std::exchange(before, on.piece_count);
    auto* const request = std::get_if<Request>(&received);
    if (request != nullptr && request->type == kWrite && !request->payload.empty() && CameInPieces(pieces)) {
      request->payload.back() ^= 0xff;
    }
    return true;
  }};
}

// Answers the data of a WRITE that it refuses as if they were a request.
Change TakesDataForRequest() {
  return ChangesAnswer(kWrite, OnError, [](const Request& to, Messages& sent) {
    if (to.payload.size() >= kCookieAt + 8) {
      sent.emplace_back(NoneChunk({.form = to.form, .cookie = GetBigEndian<std::uint64_t>(to.payload, kCookieAt)}));
    }
  });
}

bool IsLate(const Connection& on, const Request& request) {
  return request.type == kWrite && EndOf(request) <= std::min<std::uint64_t>(on.export_bytes, 1 << 16);
}

// Applies a WRITE after the next request.
Change WritesLate() {
  return Both(ChangesRequest(kWrite, [](const Connection& on,
                                        Request& request) { request.type = IsLate(on, request) ? kCache : kWrite; }),
              ChangesAnswer(kAnyCommand, [late = std::optional<Request>()](const Request& to, Messages&,
                                                                           const Connection& on) mutable {
                if (late) {
                  (void)on.layer->Write(late->offset, late->payload);
                }
                late = IsLate(on, to) ? std::optional(to) : std::nullopt;
              }));
}

Change WithoutFastZero(const Change& change) { return Both(ChangesFlags(0, TransmissionFlag::kSendFastZero), change); }

}  // namespace

std::vector<Fault> WriteFaults() {
  return {
      {"server_does_not_know_write", kBaselineWriteServer, Fails(kWrite, kEinval, OnSuccess)},
      {"server_has_no_space_for_data", kBaseAllocationNotHoleNoEnospc, Fails(kWrite, kEnospc, OnSuccess)},
      {"server_forgets_writes", kWrongBytes, Forgets(kWrite)},
      {"server_forgets_each_third_write",
       By(kSub<kTransmissionWriteThenReply, "before-disc">, kSub<kDiscHandleOutstanding, "one-segment">, kWrongBytes),
       ChangesRange(kWrite,
                    [count = 0](Request& request) mutable { request.type = ++count % 3 == 0 ? kCache : kWrite; })},
      {"server_forgets_write_with_fua", By(kSub<kTransmissionWriteThenReply, "fua-edges">, Exchange(kLost, 100)),
       ChangesRequest(kWrite,
                      [](Request& request) {
                        if ((request.flags & ~CommandFlag::kPayloadLen) == kFua) {
                          Forget(request);
                        }
                      })},
      {"server_writes_late", Exchange(kOrder, 350), WritesLate()},
      {"server_writes_wrong_last_byte", By(kTransmissionWriteThenReply, kWrongBytes),
       ChangesRange(kWrite, [](Request& request) { request.payload.back() ^= 1; })},
      {"server_writes_wrong_last_byte_unaligned",
       By(kSub<kTransmissionWriteThenReply, "edges">, kSub<kTransmissionWriteThenReply, "powers-of-2">,
          kSub<kTransmissionWriteThenReply, "fua-edges">, kSub<kTransmissionWriteThenReply, "at-end">,
          Session(kEdge, 2000), Exchange(kEdge, 400)),
       ChangesRange(kWrite,
                    [](Request& request) { request.payload.back() ^= request.offset % kSectorBytes != 0 ? 0x55 : 0; })},
      {"server_swaps_first_and_last_byte_of_write", kWrongBytes,
       ChangesRange(kWrite, [](Request& request) { std::swap(request.payload.front(), request.payload.back()); })},
      {"server_forgets_what_passes_64_kib_of_write", By(kSub<kTransmissionWriteThenReply, "edges">, kWrongBytes),
       ChangesRange(kWrite,
                    [](Request& request) {
                      request.length = std::min<std::uint64_t>(request.length, 65536);
                      request.payload.resize(request.length);
                    })},
      {"server_writes_at_sector_begin", kWrongBytes,
       ChangesRange(kWrite, [](Request& request) { request.offset = request.offset / kSectorBytes * kSectorBytes; })},
      {"server_takes_data_of_refused_write_for_a_request",
       By(kTransmissionWriteConsumeOnError, kSub<kTransmissionWriteConsumeOnError, "read-only">,
          kSub<kTransmissionWriteConsumeOnError, "over-end">, kSub<kTransmissionWriteConsumeOnError, "past-end">,
          kSub<kTransmissionWriteConsumeOnError, "wraps">, kSub<kTransmissionWriteConsumeOnError, "unknown-flag">),
       TakesDataForRequest()},
      {"server_clears_what_it_caches", By(kCacheNoSemanticChange, kSub<kCacheNoSemanticChange, "edges">, kWrongBytes),
       ChangesRange(kCache,
                    [](Request& request) {
                      request.type = kWrite;
                      request.payload.assign(request.length, 0xcc);
                      const HeaderForm form = request.form;
                      request = InForm(form, std::move(request));
                    })},
      {"server_mistakes_the_end_of_writes_in_pieces", kWrongBytes, MistakesTheEndOfWritesInPieces()},
      {"server_does_not_know_flush", kEflagsFlushWorks, Fails(kFlush, kEinval, OnSuccess)},
      {"server_refuses_fua_of_write", kEflagsFuaWorks, Fails(kWrite, kEinval, OnFlag(kFua))},
      {"server_refuses_fua_of_read", kCmdflagFuaAcceptAll, Fails(kRead, kEinval, OnFlag(kFua))},
      {"server_refuses_fua_of_flush", kCmdflagFuaAcceptAll, Fails(kFlush, kEinval, OnFlag(kFua))},
      {"server_offers_df_and_refuses_it", kEflagsUnsupportedClear, Fails(kRead, kEinval, OnFlag(CommandFlag::kDf))},
      {"server_does_not_know_trim", By(kEflagsTrimWorks, kEflagsUnsupportedClear), Fails(kTrim, kEinval, OnSuccess)},
      {"server_forgets_trim", By(Session(kLost, 650), Exchange(kLost, 300)), Forgets(kTrim)},
      {"server_trims_a_byte_more",
       By(kSub<kTransmissionWriteThenReply, "trim-edges">, kSub<kTransmissionWriteThenReply, "trim-powers-of-2">,
          Exchange(kEdge, 600)),
       ChangesRequest(kTrim, [](const Connection& on,
                                Request& request) { request.length += EndOf(request) < on.export_bytes ? 1 : 0; })},
      {"server_trims_all_but_the_first_byte", Exchange(kEdge, 300),
       ChangesRequest(kTrim,
                      [](Request& request) {
                        const std::uint32_t kept = request.length > 1 ? 1 : 0;
                        request.offset += kept;
                        request.length -= kept;
                      })},
      {"server_rounds_trim_outwards",
       By(kSub<kTransmissionWriteThenReply, "trim-edges">, kSub<kTransmissionWriteThenReply, "trim-powers-of-2">,
          kSub<kTransmissionWriteThenReply, "trim-at-end">, kSub<kBlockSizeServerNoCorruption, "trim">,
          kSub<kBlockSizeServerUnalignedEinval, "trim">, Fuzz(kFalseClaim, kBaseAllocationZeroReadsZero)),
       RoundsOutwards(kTrim)},
      {"server_does_not_know_write_zeroes", kEflagsWriteZeroesWorks, Fails(kWriteZeroes, kEinval, OnSuccess)},
      {"server_refuses_no_hole", By(kEflagsWriteZeroesWorks, kCmdflagNoHoleSupport),
       Fails(kWriteZeroes, kEinval, OnFlag(kNoHole))},
      {"server_forgets_write_zeroes", kMissingZeroes, Forgets(kWriteZeroes)},
      {"server_zeroes_one_sector",
       By(kWriteZeroesReadsZero, kSub<kWriteZeroesReadsZero, "no-hole">, kSub<kWriteZeroesReadsZero, "fast">),
       ChangesRequest(
           kWriteZeroes,
           [](Request& request) { request.length = std::min<std::uint64_t>(request.length, kSectorBytes); })},
      {"server_zeroes_all_but_the_last_byte",
       By(kSub<kWriteZeroesReadsZero, "edges">, kSub<kWriteZeroesReadsZero, "no-hole-edges">,
          kSub<kWriteZeroesReadsZero, "powers-of-2">, kSub<kWriteZeroesReadsZero, "at-end">, kMissingZeroes),
       ChangesRange(kWriteZeroes, [](Request& request) { request.length -= request.length > 1 ? 1 : 0; })},
      {"server_rounds_zeroes_outwards",
       By(kSub<kWriteZeroesReadsZero, "edges">, kSub<kWriteZeroesReadsZero, "no-hole-edges">,
          kSub<kWriteZeroesReadsZero, "powers-of-2">, kSub<kBlockSizeServerNoCorruption, "write-zeroes">,
          kSub<kBlockSizeServerUnalignedEinval, "write-zeroes">, kWrongBytes),
       RoundsOutwards(kWriteZeroes)},
      {"server_clears_block_of_unaligned_cache",
       By(kSub<kBlockSizeServerNoCorruption, "cache">, kSub<kBlockSizeServerUnalignedEinval, "cache">),
       Both(RoundsOutwards(kCache), ChangesRange(kCache, [](Request& request) { request.type = kWriteZeroes; }))},
      {"server_cuts_length_of_zeroes_to_16_bits",
       By(kSub<kWriteZeroesReadsZero, "edges">, kSub<kWriteZeroesReadsZero, "no-hole-edges">, Exchange(kWidth, 2000)),
       ChangesRequest(kWriteZeroes, [](Request& request) { request.length &= 0xffff; })},
      {"server_forgets_no_hole", By(Session(kBits, 9000), Exchange(kBits, 700)),
       ClearsRequestFlags(kWriteZeroes, kNoHole)},
      {"server_does_not_support_slow_zeroes",
       By(kWriteZeroesNoFastNoEnotsup, Fuzz(kWrongError, kWriteZeroesNoFastNoEnotsup)),
       Fails(kWriteZeroes, kEnotsup, OnFlags(0))},
      {"server_does_not_support_no_hole", kWriteZeroesNoFastNoEnotsup, Fails(kWriteZeroes, kEnotsup, OnFlags(kNoHole))},
      {"server_overflows_on_fast_zero", kWriteZeroesFastNoEoverflow,
       Fails(kWriteZeroes, kEoverflow, OnFlags(kFastZero))},
      {"server_zeroes_though_it_is_not_fast", kWriteZeroesFastNoAlter,
       Fails(kWriteZeroes, kEnotsup, OnFlags(kFastZero))},
      {"server_without_fast_zero_returns_enotsup", kWriteZeroesUnadvertisedNoEnotsup,
       WithoutFastZero(Fails(kWriteZeroes, kEnotsup, OnFlags(0)))},
      {"server_without_fast_zero_takes_it", kWriteZeroesUnadvertisedEinval,
       WithoutFastZero(Fails(kWriteZeroes, kOk, OnFlags(kFastZero)))},
      {"server_without_fast_zero_returns_enotsup_to_it",
       By(kWriteZeroesUnadvertisedEinval, kEflagsFastZeroSetIfSupported),
       WithoutFastZero(Fails(kWriteZeroes, kEnotsup, OnFlags(kFastZero)))},
  };
}

}  // namespace nbdspec::engine::faults
