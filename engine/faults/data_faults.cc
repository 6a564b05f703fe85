// SPDX-License-Identifier: BSD-3-Clause
// Faults of bytes: too few or too many are changed, READ gives others when it is asked otherwise, what was answered is
// not there, and what was right once is wrong the hundredth time or on another export.
#include <memory>

#include "engine/faults/fault_tables.h"

namespace nbdspec::engine::faults {

namespace {

constexpr std::uint64_t k64KiB = 1 << 16;
constexpr std::uint64_t kHundred = 100;
constexpr std::uint32_t k2MiB = 2 << 20;
constexpr std::uint64_t k32MiB = 32 * kMiB;
constexpr std::uint64_t k4GiB = std::uint64_t{1} << 32;

// --- What READ gives ---

// Changes the bytes that READ gives, of which the first is at `offset`.
Change ChangesBytesRead(When when, std::function<void(std::uint64_t offset, Bytes& bytes)> change) {
  return ChangesAnswer(kRead, std::move(when), [change = std::move(change)](const Request& to, Messages& sent) {
    ForEachRead(to, sent, change);
  });
}

bool Crosses64KiB(const Request& to, const Messages& /*sent*/) {
  return to.length > 0 && to.offset / k64KiB != (EndOf(to) - 1) / k64KiB;
}

// Spoils the last byte before a multiple of 64 KiB.
void SpoilBefore64KiB(std::uint64_t offset, Bytes& bytes) {
  const std::uint64_t until = k64KiB - offset % k64KiB;
  if (until <= bytes.size()) {
    bytes[until - 1] ^= 1;
  }
}

When OnDf(std::uint32_t length_min) {
  return [=](const Request& to, const Messages&) { return Has(to, CommandFlag::kDf) && to.length >= length_min; };
}

// Spoils the first byte.
void SpoilFirst(std::uint64_t /*offset*/, Bytes& bytes) {
  if (!bytes.empty()) {
    bytes.front() ^= 1;
  }
}

// Spoils what READ gives to clients that entered by EXPORT_NAME.
Change SpoilsReadsByName() {
  return {.sent = [by_name = false](const ClientMessage* to, const Connection&, Messages& sent) mutable {
    const auto* option = std::get_if<Option>(to);
    const auto* request = std::get_if<Request>(to);
    by_name = by_name || (option != nullptr && option->option == kExportName);
    if (request != nullptr && request->type == kRead && by_name) {
      ForEachRead(*request, sent, SpoilFirst);
    }
  }};
}

// A READ begins with the bytes that the READ before it gave, where that was another connection's.
Change SharesItsReadBuffer() {
  struct Buffer {
    const Connection* owner = nullptr;
    Bytes bytes = {};
  };
  const auto buffer = std::make_shared<Buffer>();
  return ChangesAnswer(kRead, Always, [buffer](const Request& to, Messages& sent, const Connection& on) {
    ForEachRead(to, sent, [&](std::uint64_t, Bytes& bytes) {
      Bytes right = bytes;
      if (buffer->owner != nullptr && buffer->owner != &on) {
        std::copy_n(buffer->bytes.begin(), std::min(buffer->bytes.size(), bytes.size()), bytes.begin());
      }
      *buffer = {.owner = &on, .bytes = std::move(right)};
    });
  });
}

// --- What is done ---

// Does each WRITE when the next one comes, and answers it before.
Change DoesWriteWithTheNext() {
  return ChangesRange(kWrite, [held = std::optional<Request>()](Request& request) mutable {
    Request now = held.value_or(Request{.form = request.form, .type = kCache});
    now.cookie = request.cookie;
    held = std::exchange(request, std::move(now));
  });
}

// From the hundredth request of a connection on READ gives zeroes.
Change TiresOfReading() {
  return ChangesAnswer(kRead, [](const Request&, Messages& sent, const Connection& on) {
    if (on.request_count >= kHundred) {
      ForEach<SimpleReply>(sent, [](SimpleReply& reply) { std::ranges::fill(reply.data, std::uint8_t{0}); });
      ForEachOfType<OffsetData>(sent, ChunkType::kOffsetData,
                                [](OffsetData& data) { std::ranges::fill(data.data, std::uint8_t{0}); });
    }
  });
}

Change ForgetsThirdSelection() {
  return {.sent = [count = 0](const ClientMessage* to, const Connection&, Messages& sent) mutable {
    const auto* option = std::get_if<Option>(to);
    const auto* request = std::get_if<Request>(to);
    count += option != nullptr && option->option == kSetContexts ? 1 : 0;
    if (request != nullptr && request->type == kBlockStatus && count >= 3) {
      AnswerWith(*request, kEinval, sent);
    }
  }};
}

Change CallsThirdUnknownExportInvalid() {
  return ChangesOptionReplies(kAnyOption, kErrUnknown, [count = 0](OptionReply& reply) mutable {
    reply.type = ++count >= 3 ? kErrInvalid : kErrUnknown;
  });
}

// The next connection reads from its export what was written last to any.
Change WritesToTheNextExport() {
  const auto last = std::make_shared<Request>();  // Of all connections.
  return {.received =
              [=](ClientMessage& received, const Connection&) {
                const auto* request = std::get_if<Request>(&received);
                if (request != nullptr && request->type == kWrite) {
                  *last = *request;
                }
                return true;
              },
          .sent =
              [=, written = Request()](const ClientMessage* to, const Connection&, Messages& sent) mutable {
                if (to == nullptr) {
                  written = std::exchange(*last, Request());
                }
                ForEachOfType<OffsetData>(sent, ChunkType::kOffsetData, [&](OffsetData& data) {
                  if (data.offset == written.offset && data.data.size() == written.payload.size()) {
                    data.data = written.payload;
                  }
                });
              }};
}

// --- Large numbers ---

// Changes a request of at least 32 MiB that has no payload.
Change ChangesLong(std::uint16_t command, Changing<Connection, Request> change) {
  return ChangesRequest(command, [=](const Connection& on, Request& request) {
    if (request.length >= k32MiB) {
      change(on, request, on);
    }
  });
}

Change CutsOffsetsTo32Bits(std::uint16_t command) {
  return ChangesRange(command, [](Request& request) { request.offset %= k4GiB; });
}

// Stops at 4 GiB where a request begins before and ends behind.
Change StopsAt4GiB(std::uint16_t command) {
  return ChangesRange(command, [](Request& request) {
    if (request.offset < k4GiB && EndOf(request) > k4GiB) {
      request.length = static_cast<std::uint32_t>(k4GiB - request.offset);
      request.payload.resize(request.payload.empty() ? 0 : request.length);
    }
  });
}

Change GoesOnToTheNext64KiB(std::uint16_t command) {
  return ChangesLong(command, [](const Connection& on, Request& request) {
    const std::uint64_t end = std::min(on.export_bytes, (EndOf(request) + k64KiB) / k64KiB * k64KiB);
    request.length +=
        static_cast<std::uint32_t>(std::min(UINT32_MAX - std::uint64_t{request.length}, end - EndOf(request)));
  });
}

}  // namespace

std::vector<Fault> DataFaults() {
  return {
      {"server_writes_a_byte_more",
       By(kSub<kTransmissionWriteThenReply, "edges">, kSub<kTransmissionWriteThenReply, "powers-of-2">),
       ChangesRequest(kWrite,
                      [](const Connection& on, Request& request) {
                        if (EndOf(request) < on.export_bytes) {
                          ++request.length;
                          request.payload.push_back(0xee);
                        }
                      })},
      {"server_forgets_the_last_byte_of_long_writes", kSub<kTransmissionWriteThenReply, "edges">,
       ChangesRange(kWrite,
                    [](Request& request) {
                      const std::uint32_t lost = request.length > k64KiB ? 1 : 0;
                      request.length -= lost;
                      request.payload.resize(request.length);
                    })},
      {"server_splits_writes_at_64_kib_and_does_one_part", kSub<kTransmissionWriteThenReply, "powers-of-2">,
       ChangesRange(kWrite,
                    [](Request& request) {
                      request.length = Crosses64KiB(request, {})
                                           ? static_cast<std::uint32_t>(k64KiB - request.offset % k64KiB)
                                           : request.length;
                      request.payload.resize(request.length);
                    })},
      {"server_does_each_write_when_the_next_comes",
       By(kSub<kTransmissionWriteThenReply, "before-disc">, kSub<kDiscHandleOutstanding, "one-segment">,
          kSub<kTransmissionWriteThenReply, "hundreds">),
       DoesWriteWithTheNext()},
      {"server_zeroes_a_byte_more",
       By(kSub<kWriteZeroesReadsZero, "edges">, kSub<kWriteZeroesReadsZero, "powers-of-2">),
       ChangesRequest(
           kWriteZeroes,
           [](const Connection& on, Request& request) { request.length += EndOf(request) < on.export_bytes ? 1 : 0; })},
      {"server_forgets_what_passes_2_mib_of_write", kSub<kTransmissionWriteThenReply, "long-payloads">,
       ChangesRange(kWrite,
                    [](Request& request) {
                      request.length = std::min<std::uint64_t>(request.length, k2MiB);
                      request.payload.resize(request.length);
                    })},
      {"server_reads_zeroes_behind_2_mib",
       By(kSub<kBaselineReadServer, "long-payloads">, kSub<kBaselineReadServer, "structured-long-payloads">),
       ChangesBytesRead(OnLonger(k2MiB),
                        [](std::uint64_t, Bytes& bytes) { std::ranges::fill(bytes, std::uint8_t{0}); })},
      {"server_cuts_offsets_of_writes_to_32_bits", kSub<kTransmissionWriteThenReply, "high-offsets">,
       CutsOffsetsTo32Bits(kWrite)},
      {"server_cuts_offsets_of_zeroes_to_32_bits", kSub<kTransmissionWriteThenReply, "high-offsets">,
       CutsOffsetsTo32Bits(kWriteZeroes)},
      {"server_cuts_offsets_of_trim_to_32_bits", kSub<kTransmissionWriteThenReply, "high-offsets">,
       CutsOffsetsTo32Bits(kTrim)},
      {"server_stops_writes_at_4_gib", kSub<kTransmissionWriteThenReply, "large-powers-of-2">, StopsAt4GiB(kWrite)},
      {"server_stops_zeroes_at_4_gib",
       By(kSub<kWriteZeroesReadsZero, "gigabytes">, kSub<kWriteZeroesReadsZero, "large-powers-of-2">),
       StopsAt4GiB(kWriteZeroes)},
      {"server_zeroes_64_mib_at_most", kSub<kWriteZeroesReadsZero, "gigabytes">,
       ChangesRange(kWriteZeroes, [](Request& request) { request.length = std::min(request.length, 2 * k32MiB); })},
      {"server_keeps_31_bits_of_length_of_zeroes", kSub<kWriteZeroesReadsZero, "gigabytes">,
       ChangesRange(kWriteZeroes, [](Request& request) { request.length &= INT32_MAX; })},
      {"server_keeps_32_bits_of_length_of_zeroes", kSub<kWriteZeroesReadsZero, "over-4-gib">,
       ChangesRange(kWriteZeroes, [](Request& request) { request.length &= UINT32_MAX; })},
      {"server_does_not_zero_the_last_sector_of_long_zeroes", kSub<kWriteZeroesReadsZero, "gigabytes">,
       ChangesLong(kWriteZeroes, [](Request& request) { request.length -= kSectorBytes; })},
      {"server_zeroes_to_the_next_64_kib", kSub<kWriteZeroesReadsZero, "gigabytes">,
       GoesOnToTheNext64KiB(kWriteZeroes)},
      {"server_trims_to_the_next_64_kib",
       By(kSub<kTransmissionWriteThenReply, "trim-gigabytes">, kSub<kTransmissionWriteThenReply, "trim-over-4-gib">),
       GoesOnToTheNext64KiB(kTrim)},
      {"server_trims_a_sector_more_over_powers_of_2", kSub<kTransmissionWriteThenReply, "trim-large-powers-of-2">,
       ChangesRange(kTrim, [](Request& request) { request.length += request.offset > k32MiB ? kSectorBytes : 0; })},
      {"server_trims_what_it_caches_by_the_megabyte",
       By(kSub<kCacheNoSemanticChange, "gigabytes">, kSub<kCacheNoSemanticChange, "over-4-gib">),
       ChangesLong(kCache, [](Request& request) { request.type = kTrim; })},
      {"server_claims_zeroes_for_whoever_asks_for_megabytes",
       By(kSub<kBaseAllocationZeroReadsZero, "gigabytes">, kSub<kBaseAllocationZeroReadsZero, "over-4-gib">),
       ChangesAllocation(0,
                         [](const Request& to, std::vector<Descriptor>& descriptors) {
                           for (Descriptor& descriptor : descriptors) {
                             descriptor.status |= to.length >= k32MiB ? AllocationFlag::kZero : 0;
                           }
                         })},
      {"server_reads_wrong_byte_in_front_of_64_kib",
       By(kSub<kBaselineReadServer, "splits">, kSub<kBaselineReadServer, "structured-splits">,
          kSub<kStructuredReadDfMixedAsData, "splits">, kSub<kTransmissionWriteThenReply, "splits">,
          kSub<kTransmissionWriteThenReply, "structured-splits">, kSub<kStructuredReadDfMixedAsData, "written-splits">,
          kSub<kBaselineReadServer, "connections">, kSub<kBaselineReadServer, "read-only">),
       ChangesBytesRead(Crosses64KiB, SpoilBefore64KiB)},
      {"server_reads_other_bytes_by_export_name", kSub<kBaselineReadServer, "connections">, SpoilsReadsByName()},
      {"server_begins_reads_with_what_another_connection_read", kSub<kBaselineReadServer, "connections">,
       SharesItsReadBuffer()},
      {"server_reads_other_bytes_with_df_of_read_only_exports", kSub<kBaselineReadServer, "read-only">,
       ChangesAnswer(kRead, OnDf(2),
                     [](const Request& to, Messages& sent, const Connection& on) {
                       if (on.negotiated->Has(TransmissionFlag::kReadOnly)) {
                         ForEachRead(to, sent, SpoilFirst);
                       }
                     })},
      {"server_reads_a_lone_byte_as_zero",
       By(kSub<kBaselineReadServer, "splits">, kSub<kTransmissionWriteThenReply, "splits">,
          kSub<kTransmissionWriteThenReply, "structured-splits">),
       ChangesBytesRead(Always,
                        [](std::uint64_t, Bytes& bytes) { bytes.front() = bytes.size() == 1 ? 0 : bytes.front(); })},
      {"server_gives_a_byte_less_with_df",
       By(kSub<kStructuredReadDfMixedAsData, "splits">, kSub<kStructuredReadDfMixedAsData, "written-splits">),
       ChangesBytesRead(OnDf(2), [](std::uint64_t, Bytes& bytes) { bytes.pop_back(); })},
      {"server_fills_holes_with_ones_for_df",
       By(kSub<kStructuredReadDfMixedAsData, "splits">, kSub<kStructuredReadDfMixedAsData, "written-splits">),
       ChangesBytesRead(
           OnDf(1),
           [](std::uint64_t, Bytes& bytes) { std::ranges::replace(bytes, std::uint8_t{0}, std::uint8_t{0xff}); })},
      {"server_forgets_the_third_selection", kSub<kOptionSetMetaContextReplaces, "many-times">,
       ForgetsThirdSelection()},
      {"server_calls_the_third_unknown_export_invalid",
       By(kSub<kOptionInfoUnknownExport, "many-times">, kSub<kOptionInfoUnknownExport, "go-many-times">),
       CallsThirdUnknownExportInvalid()},
      {"server_reads_zeroes_from_the_hundredth_request_on",
       By(kSub<kBaselineReadServer, "hundreds">, kSub<kTransmissionWriteThenReply, "hundreds">), TiresOfReading()},
      {"server_writes_to_the_export_entered_next", kSub<kTransmissionWriteThenReply, "other-exports">,
       WritesToTheNextExport()},
      {"server_gives_small_exports_4_mib", kSub<kBaselineReadServer, "other-exports">,
       ChangesInfo<InfoExport>([](InfoExport& info) { info.size = std::max<std::uint64_t>(info.size, 4 << 20); })},
      {"server_claims_zeroes_all_over_small_exports", kSub<kBaseAllocationZeroReadsZero, "other-exports">,
       ChangesAllocation(0,
                         [](const Request&, std::vector<Descriptor>& descriptors, const Connection& on) {
                           for (Descriptor& descriptor : descriptors) {
                             descriptor.status |= on.export_bytes < (1 << 20) ? AllocationFlag::kZero : 0;
                           }
                         })},
  };
}

}  // namespace nbdspec::engine::faults
