// SPDX-License-Identifier: BSD-3-Clause
// Oddities of what answers other requests: BLOCK_STATUS with other extents, fewer claims or more words; commands that
// do less than they might.
#include "engine/oddities/oddity_tables.h"

namespace nbdspec::engine::oddities {

namespace {

using Descriptors = std::vector<Descriptor>;

bool IsFree(const Request& to) { return !Has(to, CommandFlag::kReqOne); }

// The claims of base:allocation are `claim` of the true ones.
Change Claims(std::uint64_t (*claim)(std::uint64_t status)) {
  return ChangesAllocation(0, [claim](Descriptors& all) {
    std::ranges::for_each(all, [&](Descriptor& each) { each.status = claim(each.status); });
  });
}

Change Truncates(std::size_t count) {
  return ChangesAllocation(count, [count](Descriptors& all) { all.resize(count); });
}

// The last extent of an answer is a sector longer than was asked for, where it claims nothing.
Change PassesTheEnd() {
  return ChangesAllocation(0, [](const Request& to, Descriptors& all, const Connection& on) {
    std::uint64_t end = to.offset;
    std::ranges::for_each(all, [&](const Descriptor& each) { end += each.length; });
    const bool is_whole = end == EndOf(to) && !to.announces_payload();
    if (IsFree(to) && is_whole && all.back().status == 0 && end + 512 <= on.export_bytes) {
      all.back().length += 512;
    }
  });
}

Change AddsNone(std::uint16_t command) {
  return AddsLast(command, [](const Request& to) { return NoneChunk(to); });
}

constexpr std::uint16_t kKnownFlags = 0x3f;

// At a client that asked for the minimum block size: one that did not may ask for anything.
Change LeavesAtUnaligned() {
  return {.sent = [has_asked = false](const ClientMessage* to, const Connection& on, Messages& sent) mutable {
    if (to == nullptr) {
      return;
    }
    if (const auto* option = std::get_if<Option>(to); option != nullptr && option->option == OptionType::kGo) {
      const auto query = DecodePayload<InfoQuery>(option->payload);
      has_asked = query && std::ranges::count(query->requests, InfoType::kBlockSize) != 0;
    }
    const auto* request = std::get_if<Request>(to);
    if (has_asked && request != nullptr && IsUnaligned(*request, on.negotiated->block_size.minimum)) {
      sent = {HardDisconnect{}};
    }
  }};
}

// Status chunks come before the error of a BLOCK_STATUS that fails.
Change ShowsSomeAndFails() {
  return ChangesAnswer(kBlockStatus, OnError, [](const Request& to, Messages& sent, const Connection& on) {
    const bool is_inside = to.length > 0 && to.offset < on.export_bytes && EndOf(to) > to.offset;
    if (is_inside && !on.negotiated->contexts.empty() && std::holds_alternative<Chunk>(sent.back())) {
      sent.insert(sent.begin(), StatusChunk(to, on.negotiated->contexts.front().id, {{.length = 512}}));
    }
  });
}

// Answers commands without content by simple replies, though chunks are agreed.
Change AnswersSimply(bool errors_too) {
  return ChangesAnswer(kAnyCommand, [errors_too](const Request& to, Messages& sent) {
    const auto* chunk = sent.size() == 1 ? std::get_if<Chunk>(&sent.front()) : nullptr;
    const bool has_content = to.type == kRead || to.type == kBlockStatus || to.form == HeaderForm::kExtended;
    if (chunk == nullptr || has_content) {
      return;
    }
    const auto error = chunk->is_error() ? DecodeErrorPayload(chunk->type, chunk->payload) : std::nullopt;
    if (error && errors_too) {
      sent = {SimpleReply{.error = error->error, .cookie = to.cookie}};
    } else if (chunk->type == ChunkType::kNone) {
      sent = {SimpleReply{.cookie = to.cookie}};
    }
  });
}

// Claims made of the true ones.
std::uint64_t ClaimsNothing(std::uint64_t /*status*/) { return 0; }
std::uint64_t ClaimsHolesOnly(std::uint64_t status) { return status & AllocationFlag::kHole; }
std::uint64_t ClaimsZeroesOnly(std::uint64_t status) { return status & AllocationFlag::kZero; }
std::uint64_t ClaimsAllToBeHoles(std::uint64_t status) { return status | AllocationFlag::kHole; }

Change IsNeverFast() {
  return Fails(kWriteZeroes, kEnotsup,
               [](auto& to, auto& sent) { return Has(to, CommandFlag::kFastZero) && OnSuccess(to, sent); });
}

// A request that is longer than 1 MiB and has no payload is refused, and not done.
Change RefusesLongEffects(std::uint16_t command, std::uint32_t error) {
  const auto is_long = [](const Request& to) { return to.length > (1 << 20); };
  return Both(ChangesRange(command,
                           [is_long](Request& request) {
                             if (is_long(request)) {
                               Forget(request);
                             }
                           }),
              Fails(command, error, [is_long](auto& to, auto& sent) { return is_long(to) && OnSuccess(to, sent); }));
}

// But for one with a payload, which is no TRIM.
Change IgnoresTrim() {
  return ChangesRequest(kTrim, [](Request& request) {
    if (!request.announces_payload()) {
      Forget(request);
    }
  });
}

Change LeavesAtUnknownCommands() {
  return Disconnects(kAnyCommand, [](auto& to, auto&) { return to.type > CommandType::kResize; });
}

}  // namespace

std::vector<Oddity> AnswerOddities() {
  return {
      {"server_claims_nothing", kBlockStatusStatusZeroSafe, Claims(ClaimsNothing)},
      {"server_claims_holes_only", kBaseAllocationHoleWithoutZero, Claims(ClaimsHolesOnly)},
      {"server_claims_zeroes_only", kBaseAllocationZeroWithoutHole, Claims(ClaimsZeroesOnly)},
      {"server_calls_everything_a_hole", kBaseAllocationHoleUntrimmed, Claims(ClaimsAllToBeHoles)},
      {"server_truncates_statuses", kBlockStatusMayTruncate, Truncates(1)},
      {"server_truncates_statuses_to_two", kBlockStatusContextsMayDiffer, Truncates(2)},
      {"server_describes_more_than_asked", kBlockStatusFinalMayExceed, PassesTheEnd()},
      {"server_answers_contexts_in_reverse", kBlockStatusReplyChunkOrder,
       ReversesAnswer(kBlockStatus, OnStructuredSuccess)},
      {"server_ends_statuses_by_themselves", kStructuredNoneAnyRequest, AddsNone(kBlockStatus)},
      {"server_shows_statuses_and_fails", kBlockStatusPartialThenError, ShowsSomeAndFails()},
      {"server_answers_simply_where_it_may", kTransmissionSimpleOkForNonread, AnswersSimply(/*errors_too=*/false)},
      {"server_fails_simply_where_it_may", kTransmissionSimpleOkForNonread, AnswersSimply(/*errors_too=*/true)},
      {"server_ignores_trim", kTrimMayIgnore, IgnoresTrim()},
      {"server_is_never_fast", kEflagsFastZeroAlwaysEnotsup, IsNeverFast()},
      {"server_caches_nothing", kEflagsCacheNoGuarantee, Fails(kCache, kEnotsup, OnSuccess)},
      {"server_refuses_long_trims", kBlockSizeServerEffectError, RefusesLongEffects(kTrim, kEinval)},
      {"server_refuses_long_zeroes", kBlockSizeServerEffectError, RefusesLongEffects(kWriteZeroes, kEoverflow)},
      {"server_refuses_long_caching", kBlockSizeServerEffectError, RefusesLongEffects(kCache, kEinval)},
      {"server_ignores_fua_of_reads", kCmdflagFuaIgnoreNonwriting, ClearsRequestFlags(kRead, CommandFlag::kFua)},
      {"server_leaves_at_unknown_commands", kTransmissionHardOnViolationServer, LeavesAtUnknownCommands()},
      {"server_leaves_at_unknown_flags", kTransmissionHardOnViolationServer,
       Disconnects(kAnyCommand, [](const Request& to, const Messages&) { return (to.flags & ~kKnownFlags) != 0; })},
      {"server_refuses_disc_with_unknown_flags", kErrorUnknownFlag,
       FailsSimply(kDisc, kEinval,
                   [](const Request& to, const Messages&) {
                     return to.form == HeaderForm::kCompact && (to.flags & ~kKnownFlags) != 0;
                   })},
      {"server_leaves_at_unaligned_requests", kTransmissionHardOnViolationServer, LeavesAtUnaligned()},
  };
}

}  // namespace nbdspec::engine::oddities
