// SPDX-License-Identifier: BSD-3-Clause
// Faults of how BLOCK_STATUS is answered (chunks, descriptors, errors), and of what it claims: flags and borders of
// extents that the data refute.
#include "engine/faults/fault_tables.h"

namespace nbdspec::engine::faults {

namespace {

bool IsReqOne(const Request& request) { return Has(request, CommandFlag::kReqOne); }

// As nbdkit did until 2025: an extent that ends where the request does is followed by one more.
void AddOneTooMany(const Request& to, BlockStatus& status) {
  std::uint64_t sum = 0;
  std::ranges::for_each(status.descriptors, [&](const Descriptor& each) { sum += each.length; });
  if (!IsReqOne(to) && sum == to.length) {
    status.descriptors.push_back({.length = kSectorBytes, .status = status.descriptors.back().status ^ 3U});
  }
}

// The last descriptor becomes two, of which the first has `first_length`.
Change SplitsLast(std::uint32_t first_length) {
  return ChangesStatus([=](const Request& to, BlockStatus& status) {
    Descriptor& last = status.descriptors.back();
    if (!IsReqOne(to) && last.length > first_length) {
      const Descriptor rest = {.length = last.length - first_length, .status = last.status};
      last.length = first_length;
      status.descriptors.push_back(rest);
    }
  });
}

// Claims to serve 8 GiB, and counts in 32 bits: after 4 GiB less one byte, one more descriptor follows.
Change CountsIn32Bits() {
  return Both(ChangesInfo<InfoExport>([](InfoExport& info) { info.size = std::uint64_t{8} << 30; }),
              ChangesAnswer(kBlockStatus, [](const Request& to, Messages& sent, const Connection& on) {
                std::vector<Descriptor> descriptors(to.length == 0xffff'ffff ? 2 : 1, {.length = kSectorBytes});
                descriptors.front().length = to.length;
                sent = {StatusChunk(to, on.negotiated->contexts.front().id, descriptors)};
                SetDoneOnLast(sent);
              }));
}

// Lists from the 128 KiB block that holds the offset, as if the request had begun there.
void RoundDown(Request& request) {
  const std::uint64_t excess = IsReqOne(request) ? 0 : request.offset % (128U << 10);
  request.offset -= excess;
  request.length += excess;
}

constexpr std::uint32_t kZeroHole = AllocationFlag::kHole | AllocationFlag::kZero;
constexpr auto& kReadsZero = kBaseAllocationZeroReadsZero;
constexpr Detector kFalse = Fuzz(kFalseClaim, kReadsZero);

using Descriptors = std::vector<Descriptor>;

Change ChangesEachStatus(std::uint64_t (*changed)(std::uint64_t status)) {
  return ChangesAllocation(0, [changed](Descriptors& all) {
    std::ranges::for_each(all, [&](Descriptor& each) { each.status = changed(each.status); });
  });
}

// Claims zeroes on connections where a request for which `is_cause` holds came (`came`), or none did.
Change ClaimsZeroesAfter(std::function<bool(const Request&)> is_cause, bool came = true) {
  return ChangesAnswer(
      kAnyCommand, [is_cause = std::move(is_cause), came, has_come = false](const Request& to, Messages& sent) mutable {
        has_come = has_come || is_cause(to);
        if (has_come == came) {
          ForEachStatus(sent, [](BlockStatus& status) {
            std::ranges::for_each(status.descriptors, [](Descriptor& each) { each.status |= kZeroHole; });
          });
        }
      });
}

std::function<bool(const Request&)> Is(std::uint16_t command) {
  return [command](const Request& request) { return request.type == command; };
}

std::function<bool(const Request&)> IsUnalignedOf(std::uint16_t command) {
  return [command](const Request& request) { return request.type == command && request.offset % kSectorBytes != 0; };
}

// The other status where the request before was a `command` at the same offset.
Change IsStaleAfter(std::uint16_t command) {
  return ChangesAllocation(0, [command](const Request& to, Descriptors& all, const Connection& on) {
    if (on.previous.type == command && on.previous.length > 0 && on.previous.offset == to.offset) {
      all[0].status ^= kZeroHole;
    }
  });
}

// Changes the last of several descriptors where the request ends with the export, in the middle of a sector.
Change ChangesTail(void (*change)(const Request& to, Descriptors& all)) {
  return ChangesAllocation(0, [change](const Request& to, Descriptors& all, const Connection& on) {
    if (EndOf(to) == on.export_bytes && on.export_bytes % kSectorBytes != 0 && !Has(to, CommandFlag::kReqOne)) {
      change(to, all);
    }
  });
}

// Claims zeroes of what was written last, and data of all else.
Change MistakesLastWrite() {
  return ChangesAnswer(kAnyCommand, [wrote = ~std::uint64_t{0}](const Request& to, Messages& sent) mutable {
    wrote = to.type == kWrite && to.length > 0 ? to.offset : wrote;
    ForEachStatus(sent, [&, at = to.offset](BlockStatus& status) mutable {
      for (Descriptor& each : status.descriptors) {
        each.status = at <= wrote && wrote < at + each.length ? each.status | kZeroHole : each.status;
        at += each.length;
      }
    });
  });
}

// Claims zeroes throughout where the first status of the connection began with them.
Change RemembersFirstStatus() {
  return ChangesStatus([first = std::optional<std::uint64_t>()](BlockStatus& status) mutable {
    Descriptor& now = status.descriptors.front();
    first = first ? first : now.status;
    now.status = *first == kZeroHole ? kZeroHole : now.status;
  });
}

}  // namespace

std::vector<Fault> StatusFaults() {
  return {
      {"server_answers_status_simply", By(kBlockStatusReplyStructured, kExtBlockStatusNeedsChunks),
       FailsSimply(kBlockStatus, kOk, Always)},
      {"server_cuts_last_descriptor", By(kBlockStatusChunkLengthForm, kExtBlockStatusExtLength),
       ChangesChunks(kBlockStatus, [](Chunk& chunk) { chunk.payload.resize(chunk.payload.size() - 4); })},
      {"server_pads_status_chunk", kBlockStatusChunkLengthForm,
       ChangesChunks(kBlockStatus, [](Chunk& chunk) { chunk.payload.resize(chunk.payload.size() + 4); })},
      {"server_sends_status_chunk_twice",
       By(kBlockStatusChunkExactlyOnePerId, kExtBlockStatusExtMirrorsRules, Contexts(kRule, 1500)),
       ChangesAnswer(kBlockStatus, OnStructuredSuccess,
                     [](Messages& sent) {
                       Chunk again = std::get<Chunk>(sent.front());
                       again.flags = 0;
                       sent.insert(sent.begin(), again);
                     })},
      {"server_forgets_a_context", By(kBlockStatusChunkExactlyOnePerId, Contexts(kLost, 15'000), Exchange(kLost, 150)),
       ChangesAnswer(kBlockStatus, OnMoreThan(1),
                     [](Messages& sent) {
                       sent.pop_back();
                       SetDoneOnLast(sent);
                     })},
      {"server_uses_id_zero_of_list", By(kBlockStatusChunkKnownId, Fuzz(kBrokenRule, kBlockStatusChunkExactlyOnePerId)),
       ChangesStatus([](BlockStatus& status) { status.context_id = 0; })},
      {"server_uses_next_id_for_one_byte", Exchange(kRule, 150),
       ChangesStatus([](const Request& to, BlockStatus& status) { status.context_id += to.length == 1 ? 1 : 0; })},
      {"server_swaps_contexts", Exchange(kOrder, 150),
       ChangesStatus([](const Request&, BlockStatus& status, const Connection& on) {
         const auto& contexts = on.negotiated->contexts;
         if (contexts.size() == 2) {
           status.context_id = contexts[contexts[0].id == status.context_id ? 1 : 0].id;
         }
       })},
      {"server_sends_chunk_without_descriptors", kBlockStatusAtLeastOne,
       ChangesStatus([](BlockStatus& status) { status.descriptors.clear(); })},
      {"server_sends_too_many_descriptors", kBlockStatusMaxExtents,
       ChangesStatus([](const Request& to, BlockStatus& status) {
         if (to.length == kSectorBytes) {  // Not always: megabytes take time.
           status.descriptors.assign(kDescriptorCountMax + 1, {.length = 1});
         }
       })},
      {"server_uses_64_bit_chunks_unasked", kExtBlockStatusExtGated,
       ChangesChunks(kBlockStatus, [](Chunk& chunk) { chunk.type = ChunkType::kBlockStatusExt; })},
      {"server_adds_status_to_reads", kBlockStatusOnlyForCmd,
       AddsFirst(kRead, [](const Request& to) { return StatusChunk(to, 1, {{.length = to.length}}); })},
      {"server_sets_reserved_status_bit", kBaseAllocationReservedZero,
       ChangesStatus([](BlockStatus& status) { status.descriptors.front().status |= 4; })},
      {"server_ignores_req_one",
       By(kBlockStatusReqOneSingle, kExtBlockStatusExtMirrorsRules, kBlockSizeServerCommandLimits,
          Session(kReqOne, 1500), Contexts(kReqOne, 1500), Exchange(kReqOne, 150),
          Fuzz(kBrokenRule, kBlockStatusReqOneSingle)),
       ChangesStatus([](BlockStatus& status) { status.descriptors.push_back({.length = kSectorBytes}); },
                     OnFlag(CommandFlag::kReqOne))},
      {"server_sends_zero_length_descriptor",
       By(kBlockStatusExtentNonzeroLength, kExtBlockStatusExtExtentNonzero,
          Fuzz(kBrokenRule, kBlockStatusExtentNonzeroLength)),
       ChangesStatus([](BlockStatus& status) { status.descriptors.push_back({}); })},
      {"server_sends_zero_length_descriptor_at_end", kBlockStatusExtentNonzeroLength,
       ChangesStatus([](const Request& to, BlockStatus& status, const Connection& on) {
         status.descriptors.back().length = EndOf(to) == on.export_bytes ? 0 : status.descriptors.back().length;
       })},
      {"server_empties_last_descriptor", By(Session(kRule, 400), Exchange(kRule, 450)),
       ChangesStatus([](BlockStatus& status) {
         status.descriptors.back().length = status.descriptors.size() > 1 ? 0 : status.descriptors.back().length;
       })},
      {"server_describes_more_than_asked_with_req_one", By(kBlockStatusReqOneLengthCap, Exchange(kReqOne, 250)),
       ChangesStatus([](const Request& to, BlockStatus& status, const Connection& on) {
         if (IsReqOne(to) && EndOf(to) < on.export_bytes) {
           status.descriptors.front().length = to.length + 1;
         }
       })},
      {"server_sends_one_descriptor_too_many",
       By(kBlockStatusSumBeforeLast, kExtBlockStatusExtMirrorsRules, Fuzz(kBrokenRule, kBlockStatusSumBeforeLast)),
       ChangesStatus(AddOneTooMany)},
      {"server_sends_one_descriptor_too_many_at_boundary", kBlockStatusSumBeforeLast,
       ChangesStatus([](const Request& to, BlockStatus& status) {
         if (EndOf(to) == (1U << 20) + (64U << 10)) {  // Where an extent ends.
           AddOneTooMany(to, status);
         }
       })},
      {"server_counts_status_in_32_bits", kSub<kBlockStatusSumBeforeLast, "huge">, CountsIn32Bits()},
      {"server_describes_past_end_of_export", kBlockStatusExtentWithinExport,
       ChangesStatus([](BlockStatus& status) { status.descriptors.back().length += 8U << 20; })},
      {"server_splits_equal_extents",
       By(kBlockStatusDistinctStatus, kBlockStatusLengthMultipleOfMinBlock, kExtBlockStatusMinBlock),
       SplitsLast(kSectorBytes)},
      {"server_describes_parts_of_sectors", kBlockStatusLengthMultipleOf512, SplitsLast(100)},
      {"server_describes_from_block_begin", kBlockStatusExtentConsecutive, ChangesRequest(kBlockStatus, RoundDown)},
      {"server_describes_offset_cut_to_32_bits", Exchange(kWidth, 150),
       ChangesRequest(kBlockStatus, [](Request& request) { request.offset &= 0xffff'ffff; })},
      {"server_describes_lengths_cut_to_31_bits", Exchange(kWidth, 3500),
       ChangesAllocation(
           0, [](auto& all) { std::ranges::for_each(all, [](Descriptor& each) { each.length &= 0x7fff'ffff; }); })},
      {"server_examines_each_byte_to_answer_status", kExtentsProposalAnswerQuickly,
       ChangesRequest(kBlockStatus,
                      [](const Request& request) {
                        // So often that it shows on a busy machine and under sanitizers, too.
                        for (volatile std::uint64_t looked = 0; looked < std::uint64_t{64} * request.length;) {
                          looked = looked + 1;
                        }
                      })},
      {"server_drops_client_at_status_error", By(kBlockStatusNoContextEinval, kBlockStatusOutOfBounds),
       Disconnects(kBlockStatus, OnError)},
      {"server_describes_what_is_inside_of_out_of_bounds", Exchange(kClip, 400),
       ChangesRequest(kBlockStatus,
                      [](const Connection& on, Request& request) {
                        if (request.offset < on.export_bytes) {
                          request.length = std::min(request.length, on.export_bytes - request.offset);
                        }
                      })},
      {"server_never_answers_each_tenth_status", Fuzz(kHang, kTransmissionReplyPerRequest),
       NeverAnswers(kBlockStatus, [count = 0](auto&, auto&) mutable { return ++count % 10 == 0; })},
      {"server_claims_zeroes_over_data", By(kReadsZero, kFalse), ChangesStatus([](BlockStatus& status) {
         std::ranges::for_each(status.descriptors, [](Descriptor& each) { each.status |= kZeroHole; });
       })},
      {"server_stretches_first_status_with_req_one", By(kSub<kReadsZero, "battery">, kFalse),
       ChangesStatus(
           [](const Request& to, BlockStatus& status) {
             status.descriptors = {{.length = to.length, .status = status.descriptors.front().status}};
           },
           OnFlag(CommandFlag::kReqOne))},
      {"server_claims_zeroes_after_write", kSub<kReadsZero, "after-write">, ClaimsZeroesAfter(Is(kWrite))},
      {"server_claims_zeroes_after_unaligned_write", kSub<kReadsZero, "after-unaligned-write">,
       ClaimsZeroesAfter(IsUnalignedOf(kWrite))},
      {"server_claims_zeroes_after_write_zeroes", kSub<kReadsZero, "after-write-zeroes">,
       ClaimsZeroesAfter(Is(kWriteZeroes))},
      {"server_claims_zeroes_after_no_hole", kSub<kReadsZero, "after-no-hole-zeroes">,
       ClaimsZeroesAfter([](const Request& request) { return Has(request, CommandFlag::kNoHole); })},
      {"server_claims_zeroes_after_unaligned_zeroes", kSub<kReadsZero, "after-unaligned-zeroes">,
       ClaimsZeroesAfter(IsUnalignedOf(kWriteZeroes))},
      {"server_claims_zeroes_after_trim", kSub<kReadsZero, "after-trim">, ClaimsZeroesAfter(Is(kTrim))},
      {"server_claims_zeroes_after_unaligned_trim", kSub<kReadsZero, "after-unaligned-trim">,
       ClaimsZeroesAfter(IsUnalignedOf(kTrim))},
      {"server_claims_zeroes_after_cache", kSub<kReadsZero, "after-cache">, ClaimsZeroesAfter(Is(kCache))},
      {"server_caches_status_for_each_connection", kSub<kReadsZero, "second-connection">,
       ClaimsZeroesAfter(Is(kWrite), /*came=*/false)},
      {"server_mistakes_last_write_for_zeroes", kFalse, MistakesLastWrite()},
      {"server_remembers_first_status", kFalse, RemembersFirstStatus()},
      {"server_claims_zeroes_in_second_of_three", Session(kBits, 3500), ChangesStatus([](BlockStatus& status) {
         if (status.descriptors.size() > 2) {
           status.descriptors[1].status |= AllocationFlag::kZero;
         }
       })},
      {"server_shifts_first_border_by_a_sector", kFalse, ChangesStatus([](const Request& to, BlockStatus& status) {
         auto& all = status.descriptors;
         if (!Has(to, CommandFlag::kReqOne) && all.size() > 1 && all[1].length > kSectorBytes) {
           all[0].length += kSectorBytes;
           all[1].length -= kSectorBytes;
         }
       })},
      {"server_swaps_descriptors", Exchange(kOrder, 1500),
       ChangesAllocation(2, [](Descriptors& all) { std::swap(all[0], all[1]); })},
      {"server_loses_last_descriptor", Exchange(kLost, 3500),
       ChangesAllocation(1, [](Descriptors& all) { all.pop_back(); })},
      {"server_loses_third_descriptor", Exchange(kLost, 7000),
       ChangesAllocation(3, [](Descriptors& all) { all.erase(all.begin() + 2); })},
      {"server_merges_fifth_descriptor_with_sixth", Exchange(kShape, 45'000),
       ChangesAllocation(5,
                         [](Descriptors& all) {
                           all[4].length += all[5].length;
                           all.erase(all.begin() + 5);
                         })},
      {"server_describes_from_sector_begin", Exchange(kEdge, 150),
       ChangesAllocation(0,
                         [](const Request& to, Descriptors& all) {
                           all[0].length += static_cast<std::uint32_t>(to.offset % kSectorBytes);
                         })},
      {"server_rounds_tail_down", Exchange(kEdge, 25'000),
       ChangesAllocation(1,
                         [](const Request& to, Descriptors& all, const Connection& on) {
                           all.back().length -=
                               EndOf(to) == on.export_bytes ? static_cast<std::uint32_t>(EndOf(to) % kSectorBytes) : 0;
                         })},
      {"server_rounds_tail_up", Exchange(kEdge, 300), ChangesTail([](const Request& to, Descriptors& all) {
         all.back().length += static_cast<std::uint32_t>(kSectorBytes - EndOf(to) % kSectorBytes);
       })},
      {"server_gives_tail_the_status_before_it", Exchange(kEdge, 25'000),
       ChangesTail([](const Request&, Descriptors& descriptors) {
         descriptors.back().status =
             descriptors[descriptors.size() - std::min<std::size_t>(descriptors.size(), 2)].status;
       })},
      {"server_swaps_status_flags", Exchange(kOrder, 300), ChangesEachStatus([](std::uint64_t status) {
         return status == 1 ? 2U : status == 2 ? 1U : status;
       })},
      {"server_calls_zeroes_holes", Exchange(kBits, 300),
       ChangesEachStatus([](std::uint64_t status) { return status | status >> 1; })},
      {"server_calls_holes_zeroes", Exchange(kBits, 1500),
       ChangesEachStatus([](std::uint64_t status) { return (status | status << 1) & kZeroHole; })},
      {"server_has_stale_status_after_trim", Exchange(kStale, 5000), IsStaleAfter(kTrim)},
      {"server_has_stale_status_after_write", Exchange(kStale, 1500), IsStaleAfter(kWrite)},
      {"server_counts_blocks_from_the_request", Session(kBits, 1500),
       ChangesStatus([](const Request& to, BlockStatus& status) {
         if (status.descriptors.size() == 1 && to.offset >= 1 << 16) {
           status.descriptors[0].status = 0;
         }
       })},
  };
}

}  // namespace nbdspec::engine::faults
