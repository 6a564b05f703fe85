// SPDX-License-Identifier: BSD-3-Clause
// Faults of how BLOCK_STATUS is answered: chunks, descriptors, errors. What they claim is in claim_faults.cc.
#include <algorithm>

#include "engine/faults/answer_changes.h"
#include "engine/faults/fault_tables.h"
#include "engine/faults/option_changes.h"
#include "engine/spec/ids.h"

namespace nbdspec::engine::faults {

namespace {

using enum Family;

constexpr std::uint32_t kSectorBytes = 512;

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
  return Both(ChangesInfoExport([](InfoExport& info) { info.size = std::uint64_t{8} << 30; }),
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
  request.length += static_cast<std::uint32_t>(excess);
}

}  // namespace

std::vector<Fault> StatusChunkFaults() {
  return {
      {"server_answers_status_simply", spec::kBlockStatusReplyStructured, FailsSimply(kBlockStatus, kOk, Always)},
      {"server_cuts_last_descriptor", spec::kBlockStatusChunkLengthForm,
       ChangesChunks(kBlockStatus, [](Chunk& chunk) { chunk.payload.resize(chunk.payload.size() - 4); })},
      {"server_pads_status_chunk", spec::kBlockStatusChunkLengthForm,
       ChangesChunks(kBlockStatus, [](Chunk& chunk) { chunk.payload.resize(chunk.payload.size() + 4); })},
      {"server_sends_status_chunk_twice", By(spec::kBlockStatusChunkExactlyOnePerId, Contexts(kRule, 1500)),
       ChangesAnswer(kBlockStatus, OnStructuredSuccess,
                     [](Messages& sent) {
                       Chunk again = std::get<Chunk>(sent.front());
                       again.flags = 0;
                       sent.insert(sent.begin(), again);
                     })},
      {"server_forgets_a_context",
       By(spec::kBlockStatusChunkExactlyOnePerId, Contexts(kLost, 15'000), Exchange(kLost, 150)),
       ChangesAnswer(kBlockStatus, OnMoreThan(1),
                     [](Messages& sent) {
                       sent.pop_back();
                       SetDoneOnLast(sent);
                     })},
      {"server_uses_id_zero_of_list",
       By(spec::kBlockStatusChunkKnownId, Fuzz(kBrokenRule, spec::kBlockStatusChunkExactlyOnePerId)),
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
      {"server_sends_chunk_without_descriptors", spec::kBlockStatusAtLeastOne,
       ChangesStatus([](BlockStatus& status) { status.descriptors.clear(); })},
      {"server_sends_too_many_descriptors", spec::kBlockStatusMaxExtents,
       ChangesStatus([](const Request& to, BlockStatus& status) {
         if (to.length == kSectorBytes) {  // Not always: megabytes take time.
           status.descriptors.assign(kDescriptorCountMax + 1, {.length = 1});
         }
       })},
      {"server_uses_64_bit_chunks_unasked", spec::kExtBlockStatusExtGated,
       ChangesChunks(kBlockStatus, [](Chunk& chunk) { chunk.type = ChunkType::kBlockStatusExt; })},
      {"server_adds_status_to_reads", spec::kBlockStatusOnlyForCmd,
       AddsFirst(kRead, [](const Request& to) { return StatusChunk(to, 1, {{.length = to.length}}); })},
  };
}

std::vector<Fault> DescriptorFaults() {
  return {
      {"server_sets_reserved_status_bit", spec::kBaseAllocationReservedZero,
       ChangesStatus([](BlockStatus& status) { status.descriptors.front().status |= 4; })},
      {"server_ignores_req_one",
       By(spec::kBlockStatusReqOneSingle, spec::kBlockSizeServerCommandLimits, Session(kReqOne, 1500),
          Contexts(kReqOne, 1500), Exchange(kReqOne, 150), Fuzz(kBrokenRule, spec::kBlockStatusReqOneSingle)),
       ChangesStatus(OnFlag(CommandFlag::kReqOne),
                     [](BlockStatus& status) { status.descriptors.push_back({.length = kSectorBytes}); })},
      {"server_sends_zero_length_descriptor",
       By(spec::kBlockStatusExtentNonzeroLength, Fuzz(kBrokenRule, spec::kBlockStatusExtentNonzeroLength)),
       ChangesStatus([](BlockStatus& status) { status.descriptors.push_back({}); })},
      {"server_sends_zero_length_descriptor_at_end", spec::kBlockStatusExtentNonzeroLength,
       ChangesStatus([](const Request& to, BlockStatus& status, const Connection& on) {
         status.descriptors.back().length = EndOf(to) == on.export_bytes ? 0 : status.descriptors.back().length;
       })},
      {"server_empties_last_descriptor", By(Session(kRule, 400), Exchange(kRule, 450)),
       ChangesStatus([](BlockStatus& status) {
         status.descriptors.back().length = status.descriptors.size() > 1 ? 0 : status.descriptors.back().length;
       })},
      {"server_describes_more_than_asked_with_req_one", By(spec::kBlockStatusReqOneLengthCap, Exchange(kReqOne, 250)),
       ChangesStatus([](const Request& to, BlockStatus& status, const Connection& on) {
         if (IsReqOne(to) && EndOf(to) < on.export_bytes) {
           status.descriptors.front().length = to.length + 1;
         }
       })},
      {"server_sends_one_descriptor_too_many",
       By(spec::kBlockStatusSumBeforeLast, Fuzz(kBrokenRule, spec::kBlockStatusSumBeforeLast)),
       ChangesStatus(AddOneTooMany)},
      {"server_sends_one_descriptor_too_many_at_boundary", spec::kBlockStatusSumBeforeLast,
       ChangesStatus([](const Request& to, BlockStatus& status) {
         if (EndOf(to) == (1U << 20) + (64U << 10)) {  // Where an extent ends.
           AddOneTooMany(to, status);
         }
       })},
      {"server_counts_status_in_32_bits", spec::kSub<spec::kBlockStatusSumBeforeLast, "huge">, CountsIn32Bits()},
      {"server_describes_past_end_of_export", spec::kBlockStatusExtentWithinExport,
       ChangesStatus([](BlockStatus& status) { status.descriptors.back().length += 8U << 20; })},
      {"server_splits_equal_extents", By(spec::kBlockStatusDistinctStatus, spec::kBlockStatusLengthMultipleOfMinBlock),
       SplitsLast(kSectorBytes)},
      {"server_describes_parts_of_sectors", spec::kBlockStatusLengthMultipleOf512, SplitsLast(100)},
      {"server_describes_from_block_begin", spec::kBlockStatusExtentConsecutive,
       ChangesRequest(kBlockStatus, RoundDown)},
      {"server_describes_offset_cut_to_32_bits", Exchange(kWidth, 150),
       ChangesRequest(kBlockStatus, [](Request& request) { request.offset &= 0xffff'ffff; })},
      {"server_describes_lengths_cut_to_31_bits", Exchange(kWidth, 150),
       ChangesAllocation(
           0, [](auto& all) { std::ranges::for_each(all, [](Descriptor& each) { each.length &= 0x7fff'ffff; }); })},
      {"server_examines_each_byte_to_answer_status", spec::kExtentsProposalAnswerQuickly,
       ChangesRequest(kBlockStatus,
                      [](const Request& request) {
                        // So often that it shows on a busy machine and under sanitizers, too.
                        for (volatile std::uint64_t looked = 0; looked < std::uint64_t{64} * request.length;) {
                          looked = looked + 1;
                        }
                      })},
      {"server_drops_client_at_status_error", By(spec::kBlockStatusNoContextEinval, spec::kBlockStatusOutOfBounds),
       Disconnects(kBlockStatus, OnError)},
      {"server_describes_what_is_inside_of_out_of_bounds", Exchange(kClip, 400),
       ChangesRequest(kBlockStatus,
                      [](const Connection& on, Request& request) {
                        if (request.offset < on.export_bytes) {
                          request.length = static_cast<std::uint32_t>(
                              std::min<std::uint64_t>(request.length, on.export_bytes - request.offset));
                        }
                      })},
      {"server_never_answers_each_tenth_status", Fuzz(kHang, spec::kTransmissionReplyPerRequest),
       ChangesAnswer(kBlockStatus,
                     [count = 0](Messages& sent) mutable {
                       if (++count % 10 == 0) {
                         sent.clear();
                       }
                     })},
  };
}

}  // namespace nbdspec::engine::faults
