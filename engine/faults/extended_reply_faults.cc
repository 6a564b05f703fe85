// SPDX-License-Identifier: BSD-3-Clause
// Faults of what answers a request with extended headers. They show in that form alone; those that show in both forms
// are in the tables of their subjects.
#include "engine/faults/fault_tables.h"

namespace nbdspec::engine::faults {

namespace {

bool IsExtended(const Request& to, const Messages& /*sent*/) { return to.form == HeaderForm::kExtended; }

bool OnPayload(const Request& to, const Messages& sent) { return IsExtended(to, sent) && to.announces_payload(); }

// On a payload that its command has no form for.
bool OnUselessPayload(const Request& to, const Messages& sent) {
  return OnPayload(to, sent) && to.type != kWrite && to.type != kBlockStatus;
}

bool OnOversizedPayload(const Request& to, const Messages& sent) { return OnPayload(to, sent) && to.too_long; }

Change ChangesExtendedChunks(std::uint16_t command, Changing<Request, Chunk> change) {
  return ChangesChunks(command, [=](const Request& to, Chunk& chunk, const Connection& on) {
    if (to.form == HeaderForm::kExtended) {
      change(to, chunk, on);
    }
  });
}

// Changes the payloads of BLOCK_STATUS on their way to the server; not those that are malformed.
Change ChangesQueries(Changing<Connection, StatusQuery> change) {
  return ChangesRequest(kBlockStatus, [=](const Connection& on, Request& request) {
    if (request.form == HeaderForm::kExtended && request.announces_payload()) {
      ChangePayload<StatusQuery>(request.payload, [&](StatusQuery& query) { change(on, query, on); });
      request.length = request.payload.size();
    }
  });
}

// The server takes a payload for what follows the request, and so answers what that begins with. A READ, say.
Change AnswersWhatIsInPayloads(std::uint16_t command) {
  return ChangesAnswer(command, OnPayload, [](const Request& to, Messages& sent) {
    ClientDecoder decoder;
    decoder.Feed(Encode(ClientMessage(ClientFlags{})));
    (void)decoder.Next();
    decoder.EnterTransmission(HeaderForm::kExtended);
    decoder.Feed(to.payload);
    const auto inside = decoder.Next();
    const auto* message = inside ? std::get_if<ClientMessage>(&*inside) : nullptr;
    if (const auto* request = message != nullptr ? std::get_if<Request>(message) : nullptr) {
      sent.push_back(DataChunk(*request, request->offset, Bytes(request->length), ChunkFlag::kDone));
    } else {
      sent.emplace_back(HardDisconnect{});
    }
  });
}

// The header of a chunk without the offset that an extended one has.
RawBytes WithoutOffset(const Chunk& chunk) {
  Bytes bytes = Encode(ServerMessage(chunk));
  bytes.erase(bytes.begin() + 16, bytes.begin() + 24);
  return {.bytes = std::move(bytes)};
}

std::vector<std::uint32_t> IdsOf(const Connection& on) {
  std::vector<std::uint32_t> ids;
  for (const MetaContext& context : on.negotiated->contexts) {
    ids.push_back(context.id);
  }
  return ids;
}

}  // namespace

std::vector<Fault> ExtendedReplyFaults() {
  constexpr std::uint16_t kPayloadLen = CommandFlag::kPayloadLen;
  return {
      {"server_answers_extended_flush_simply",
       By(kExtReplyNoSimple, Session(kRule, 250), Fuzz(kBrokenRule, kExtReplyNoSimple)),
       FailsSimply(kFlush, kOk, IsExtended)},
      {"server_fails_extended_reads_simply", By(kExtReplyNoSimple, Fuzz(kBrokenRule, kStructuredReadNoSimple)),
       FailsSimply(kRead, kEinval,
                   [](const Request& to, const Messages& sent) { return IsExtended(to, sent) && OnError(to, sent); })},
      {"server_answers_extended_flush_in_structured_form",
       By(kExtReplyOnlyExtended, Fuzz(kBrokenRule, kExtReplyOnlyExtended)),
       ChangesExtendedChunks(kFlush, [](Chunk& chunk) { chunk.form = HeaderForm::kCompact; })},
      {"server_sends_swapped_extended_magic", By(kExtReplyMagic, Fuzz(kBrokenRule, kExtReplyMagic)),
       ChangesExtendedChunks(kRead, [](Chunk& chunk) { chunk.magic = 0x8c278a6e; })},
      {"server_leaves_offset_out_of_header", kExtReplyLengthAccurate,
       ChangesAnswer(kRead, IsExtended,
                     [](Messages& sent) {
                       for (ServerMessage& each : sent) {
                         each = WithoutOffset(std::get<Chunk>(each));
                       }
                     })},
      {"server_puts_offset_of_content_into_header",
       By(kExtReplyOffset, Session(kBits, 2000), Fuzz(kBrokenRule, kExtReplyOffset)),
       ChangesExtendedChunks(kRead,
                             [](Chunk& chunk) {
                               const auto content = DecodePayload<OffsetData>(chunk.payload);
                               chunk.offset = content && !chunk.is_error() ? content->offset : chunk.offset;
                             })},
      {"server_puts_no_offset_into_header_of_errors",
       By(kExtReplyOffset, Session(kLost, 250), Exchange(kLost, 150), Fuzz(kBrokenRule, kExtReplyOffset)),
       ChangesExtendedChunks(kAnyCommand, [](Chunk& chunk) { chunk.offset = chunk.is_error() ? 0 : chunk.offset; })},
      {"server_cuts_offset_in_header_to_20_bits",
       By(kExtReplyOffset, Session(kWidth, 250), Fuzz(kBrokenRule, kExtReplyOffset)),
       ChangesExtendedChunks(kAnyCommand, [](Chunk& chunk) { chunk.offset &= 0xf'ffff; })},
      {"server_counts_one_byte_too_few_in_extended_header", kExtReplyLengthAccurate,
       ChangesExtendedChunks(kRead, [](Chunk& chunk) { chunk.length_field = chunk.payload.size() - 1; })},
      {"server_counts_header_in_length", kExtReplyLengthAccurate,
       ChangesExtendedChunks(kRead, [](Chunk& chunk) { chunk.length_field = chunk.payload.size() + 32; })},

      {"server_cuts_request_lengths_to_32_bits", By(Session(kWidth, 20'000), Exchange(kWidth, 850)),
       ChangesRequest(kAnyCommand,
                      [](Request& request) { request.length = static_cast<std::uint32_t>(request.length); })},
      {"server_acknowledges_write_without_payload", By(Session(kError, 400), Exchange(kError, 2500)),
       Fails(kWrite, kOk,
             [](const Request& to, const Messages& sent) { return IsExtended(to, sent) && !to.announces_payload(); })},
      {"server_goes_on_after_oversized_payload", By(kExtRequestOversizePayloadDisconnect, Session(kRule, 250)),
       Answers(kAnyCommand, OnOversizedPayload,
               [](const Request& to) { return ErrorChunk(to, {.error = kEinval}, ChunkFlag::kDone); })},
      {"server_disconnects_on_useless_payload", kExtRequestConsumePayload, Disconnects(kAnyCommand, OnUselessPayload)},
      {"server_answers_what_is_in_useless_payload", kExtRequestConsumePayload, AnswersWhatIsInPayloads(kCache)},
      {"server_disconnects_on_malformed_query", By(kExtRequestConsumePayload, Session(kError, 250)),
       Disconnects(kBlockStatus,
                   [](const Request& to, const Messages& sent) {
                     return OnPayload(to, sent) && !DecodePayload<StatusQuery>(to.payload);
                   })},
      {"server_ignores_useless_payload",
       By(kExtPayloadLenEinval, Session(kRule, 250), Exchange(kRule, 25'000),
          Fuzz(kWrongSuccess, kExtPayloadLenEinval)),
       ChangesRequest(kAnyCommand,
                      [](Request& request) {
                        if (OnUselessPayload(request, {})) {
                          request.flags &= static_cast<std::uint16_t>(~kPayloadLen);
                        }
                      })},
      {"server_refuses_useless_payload_with_enotsup", By(kExtPayloadLenEinval, Fuzz(kWrongError, kExtPayloadLenEinval)),
       Fails(kAnyCommand, kEnotsup, OnUselessPayload)},

      {"server_sends_32_bit_status_with_extended_headers",
       By(kExtBlockStatusNo32bitChunk, Session(kWidth, 1500), Fuzz(kBrokenRule, kExtBlockStatusNo32bitChunk)),
       ChangesExtendedChunks(kBlockStatus,
                             [](Chunk& chunk) {
                               if (auto status = DecodeBlockStatus(chunk.type, chunk.payload)) {
                                 status->form = HeaderForm::kCompact;
                                 chunk.type = ChunkType::kBlockStatus;
                                 chunk.payload = EncodePayload(*status);
                               }
                             })},
      {"server_counts_one_descriptor_too_many",
       By(kExtBlockStatusExtCount, Session(kEdge, 1500), Fuzz(kBrokenRule, kExtBlockStatusExtCount)),
       ChangesStatus([](BlockStatus& status) {
         status.count_field = static_cast<std::uint32_t>(status.descriptors.size() + 1);
       })},
      {"server_counts_bytes_of_descriptors", By(kExtBlockStatusExtCount, Fuzz(kBrokenRule, kExtBlockStatusExtCount)),
       ChangesStatus([](BlockStatus& status) {
         status.count_field = static_cast<std::uint32_t>(16 * status.descriptors.size());
       })},
      {"server_leaves_count_of_descriptors_zero",
       By(kExtBlockStatusExtCountNonzero, kExtBlockStatusExtCount, Fuzz(kBrokenRule, kExtBlockStatusExtCount)),
       ChangesStatus([](BlockStatus& status) { status.count_field = 0; })},
      {"server_sends_no_64_bit_descriptors",
       By(kExtBlockStatusExtLength, kExtBlockStatusExtCountNonzero, Fuzz(kBrokenRule, kBlockStatusAtLeastOne)),
       ChangesStatus([](BlockStatus& status) { status.descriptors.clear(); })},
      {"server_extends_sign_of_status",
       By(kExtBlockStatusExtHighBitsZero, Session(kWidth, 2000), Exchange(kWidth, 750),
          Fuzz(kBrokenRule, kExtBlockStatusExtHighBitsZero)),
       ChangesAllocation(0,
                         [](auto& all) {
                           for (Descriptor& each : all) {
                             each.status |= each.status != 0 ? 0xffff'ffff'0000'0000 : 0;
                           }
                         })},
      {"server_cuts_status_lengths_to_32_bits", Exchange(kWidth, 5000), ChangesStatus([](BlockStatus& status) {
         for (Descriptor& each : status.descriptors) {
           each.length = static_cast<std::uint32_t>(each.length);
         }
       })},
      {"server_caps_req_one_at_32_bits_more", By(kSub<kExtBlockStatusExtMirrorsRules, "huge">, Exchange(kReqOne, 2500)),
       ChangesStatus(
           [](const Request& to, BlockStatus& status) {
             status.descriptors.front().length += to.length > UINT32_MAX ? std::uint64_t{1} << 32 : 0;
           },
           OnFlag(CommandFlag::kReqOne))},
      {"server_ends_status_with_zero_length_after_4_gib", kSub<kExtBlockStatusExtMirrorsRules, "huge">,
       ChangesStatus([](const Request& to, BlockStatus& status) {
         if (to.length > UINT32_MAX && !Has(to, CommandFlag::kReqOne)) {
           status.descriptors = {{.length = to.length}, {.length = kSectorBytes, .status = 1}};
         }
       })},

      {"server_answers_context_that_comes_twice_once",
       By(kExtBlockStatusPayloadReject, Session(kRule, 90'000), Exchange(kRule, 1500),
          Fuzz(kWrongSuccess, kExtBlockStatusPayloadReject)),
       ChangesQueries([](const Connection&, StatusQuery& query) {
         std::ranges::sort(query.context_ids);
         const auto [first, last] = std::ranges::unique(query.context_ids);
         query.context_ids.erase(first, last);
       })},
      {"server_passes_over_unknown_contexts",
       By(kExtBlockStatusPayloadReject, Session(kRule, 15'000), Fuzz(kWrongSuccess, kExtBlockStatusPayloadReject)),
       ChangesQueries([](const Connection& on, StatusQuery& query) {
         const std::vector<std::uint32_t> known = IdsOf(on);
         std::erase_if(query.context_ids, [&](std::uint32_t id) { return std::ranges::count(known, id) == 0; });
         query.context_ids = query.context_ids.empty() ? known : query.context_ids;
       })},
      {"server_disconnects_on_bad_query", kExtBlockStatusPayloadReject,
       Disconnects(kBlockStatus,
                   [](const Request& to, const Messages& sent) { return OnPayload(to, sent) && OnError(to, sent); })},
      {"server_answers_what_is_in_bad_query", kExtBlockStatusPayloadReject,
       ChangesAnswer(kBlockStatus,
                     [](const Request& to, Messages& sent) {
                       if (OnPayload(to, sent) && OnError(to, sent)) {
                         sent.emplace_back(HardDisconnect{});
                       }
                     })},
      {"server_answers_query_without_context", kSub<kExtBlockStatusPayloadReject, "no-context">,
       Fails(kBlockStatus, kOk, OnPayload)},
      {"server_disconnects_after_query_without_context", kSub<kExtBlockStatusPayloadReject, "no-context">,
       ChangesAnswer(kBlockStatus, OnPayload, [](Messages& sent) { sent.emplace_back(HardDisconnect{}); })},
      {"server_ignores_which_contexts_are_asked",
       By(kExtBlockStatusPayloadFilter, Session(kRule, 2000), Exchange(kRule, 700),
          Fuzz(kBrokenRule, kExtBlockStatusPayloadFilter)),
       ChangesQueries([](const Connection& on, StatusQuery& query) { query.context_ids = IdsOf(on); })},
      {"server_answers_first_context_of_query",
       By(kExtBlockStatusPayloadFilter, Fuzz(kBrokenRule, kBlockStatusChunkExactlyOnePerId)),
       ChangesQueries([](const Connection&, StatusQuery& query) { query.context_ids.resize(1); })},
      {"server_answers_other_context_than_asked",
       By(kExtBlockStatusPayloadFilter, Session(kOrder, 2000), Exchange(kOrder, 1000),
          Fuzz(kBrokenRule, kBlockStatusChunkExactlyOnePerId)),
       ChangesQueries([](const Connection& on, StatusQuery& query) {
         const std::vector<std::uint32_t> known = IdsOf(on);
         if (query.context_ids.size() == 1 && !known.empty()) {
           query.context_ids = {query.context_ids.front() == known.front() ? known.back() : known.front()};
         }
       })},
      {"server_clips_status_of_more_than_all",
       By(kExtBlockStatusOutOfBounds, Exchange(kClip, 450), Fuzz(kBrokenRule, kExtBlockStatusOutOfBounds)),
       ChangesRequest(kBlockStatus,
                      [](const Connection& on, Request& request) {
                        if (!request.announces_payload() && request.length > on.export_bytes) {
                          request.length = on.export_bytes - std::min(on.export_bytes, request.offset);
                        }
                      })},
      {"server_clips_query_of_more_than_all",
       By(kExtBlockStatusOutOfBounds, Fuzz(kBrokenRule, kExtBlockStatusOutOfBounds)),
       ChangesQueries(
           [](const Connection& on, StatusQuery& query) { query.length = std::min(query.length, on.export_bytes); })},
  };
}

}  // namespace nbdspec::engine::faults
