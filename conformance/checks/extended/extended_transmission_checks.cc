// SPDX-License-Identifier: BSD-3-Clause
// Checks of requests and replies with extended headers. Most are one rule of engine/exchange over the conversation that
// the compact form's checks hold. Spec: proto.md of the branch extension-ext-header, "Request message", "Extended reply
// chunk message", "NBD_REPLY_TYPE_BLOCK_STATUS_EXT", "NBD_CMD_BLOCK_STATUS".
#include "conformance/checks/metadata/meta_contexts.h"

namespace nbdspec::conformance {

namespace {

using Ids = std::vector<std::uint32_t>;

// --- Payloads that a command has no use for -------------------------------------------------------------------

constexpr std::uint64_t kUselessBytes = 64;  // Of a payload: longer than a header.

// One of each command with a payload that it has no form for, at a place where nobody minds what is done.
std::vector<Request> WithUselessPayloads(const CheckContext& context, Entered& entered) {
  std::vector<Request> requests;
  for (const std::uint16_t command : {CommandType::kRead, CommandType::kFlush, CommandType::kTrim, CommandType::kCache,
                                      CommandType::kWriteZeroes, std::uint16_t{0x7fff}}) {
    const auto scratch = ScratchRange(entered, 1);
    if (scratch && (!Changes(command) || context.Offers(Feature::kWritable))) {
      const std::uint64_t offset = command == CommandType::kFlush ? 0 : scratch->begin;
      requests.push_back({.type = command,
                          .offset = offset,
                          .length = kUselessBytes,
                          .payload = PayloadThatIsARead(entered, kUselessBytes)});
    }
  }
  return requests;
}

// Of a BLOCK_STATUS with a payload of `bytes`, which is no query.
Request MalformedQuery(Entered& entered, std::uint64_t bytes) {
  return {.type = CommandType::kBlockStatus, .length = bytes, .payload = PayloadThatIsARead(entered, bytes)};
}

// Asks `request`, whose payload is to be dropped, and a READ after it. Broken unless that is answered, and nothing of
// the payload is.
Judgement GoesOnAfter(Entered& entered, const Request& request, Batch& batch) {
  constexpr std::string_view kAllowed = "the payload is read and dropped, and the connection goes on";
  NBDSPEC_TRY(read, FirstRead(entered));
  read.cookie = entered.session.NextCookie();
  batch = AskOnce(entered, request);
  const bool goes_on = batch.endings.empty() && AskAll(entered, {&read, 1}, batch);
  const std::string after =
      fmt::format("after {} with a payload of {} bytes ", CommandName(request.type), request.payload.size());
  if (!batch.strays.empty()) {
    return About(SubjectOf(batch.strays.front()), Broken(fmt::format("{}the payload was answered as a request: {}",
                                                                     after, Describe(batch.strays.front())),
                                                         kAllowed));
  }
  return goes_on ? Holds()
                 : About(WhatFollows(SubjectOf(batch.exchanges.front())),
                         MayNotDisconnect(batch.endings.back(), after, kAllowed));
}

Judgement ConsumesPayloads(CheckContext& context) {
  NBDSPEC_TRY(first, context.EnterWithAll());
  std::vector<Request> requests = WithUselessPayloads(context, first);
  if (!first.agreed->contexts.empty()) {
    for (const std::uint64_t bytes : {std::uint64_t{1}, std::uint64_t{7}, kUselessBytes + 2}) {
      requests.push_back(MalformedQuery(first, bytes));
    }
  }
  for (const Request& request : requests) {
    NBDSPEC_TRY(entered, context.EnterWithAll());
    Batch batch;
    Judgement judgement = GoesOnAfter(entered, request, batch);
    if (!judgement.holds()) {
      return judgement;
    }
  }
  return Holds();
}

// The rule of the check, of each on a connection of its own, since the server may end it.
Judgement RefusesPayloads(CheckContext& context) {
  NBDSPEC_TRY(first, context.EnterWithAll());
  Judgement result = NotApplicable("the export is too small");
  for (const Request& request : WithUselessPayloads(context, first)) {
    NBDSPEC_TRY(entered, context.EnterWithAll());
    Judgement judgement = JudgeFirst(context, AskOnce(entered, request));
    if (judgement.is_broken()) {
      return judgement;
    }
    result = result.holds() ? result : judgement;
  }
  return result;
}

// --- Payloads that are too long -------------------------------------------------------------------------------

constexpr std::string_view kMustEnd = "the server ends the connection";

// `request` announces more than the maximum payload. Broken where it, or a READ sent right behind, is answered and the
// connection goes on; an error may come before the end.
Judgement EndsAt(Entered& entered, Request request, ByteView payload) {
  NBDSPEC_TRY(read, FirstRead(entered));
  request.form = HeaderForm::kExtended;
  request.flags |= CommandFlag::kPayloadLen;
  request.cookie = entered.session.NextCookie();
  read.cookie = entered.session.NextCookie();
  entered.session.Send(request);
  entered.session.SendRaw(payload, fmt::format("{} bytes of its payload", payload.size()));
  const auto answer = entered.session.Ask(read);
  if (answer) {
    return About(WhatFollows(SubjectOf(request)),
                 Broken(fmt::format("after {} with a payload of {} bytes, above the maximum of {}, a READ was answered",
                                    CommandName(request.type), request.length, entered.block_size().maximum),
                        kMustEnd));
  }
  return answer.error().is_disconnect() ? Holds() : AsJudgement(answer.error());
}

// One more than the maximum, all of which is sent; and so much that its low 32 bits are 0, which nobody sends: of a
// server that waits for that nothing is known.
Judgement EndsAtOversizedPayload(CheckContext& context) {
  constexpr std::uint64_t kSentMax = 64 * kMiB;
  constexpr std::uint64_t kNeverSent = std::uint64_t{1} << 40;
  NBDSPEC_TRY(first, context.EnterWithChunks());
  const std::uint64_t longer = std::uint64_t{first.block_size().maximum} + 1;
  bool any = false;
  for (const std::uint16_t command : {CommandType::kRead, CommandType::kWrite}) {
    // A WRITE past the end: nothing is written in any case.
    const std::uint64_t offset = command == CommandType::kWrite ? UsableBytes(first) + GridOf(first) : 0;
    for (const std::uint64_t length : {longer, kNeverSent}) {
      if (length > kSentMax && length != kNeverSent) {
        continue;
      }
      NBDSPEC_TRY(entered, context.EnterWithChunks());
      const Bytes payload(length == kNeverSent ? 0 : length);
      Judgement judgement = EndsAt(entered, {.type = command, .offset = offset, .length = length}, payload);
      if (judgement.is_broken() || (!judgement.holds() && length != kNeverSent)) {
        return judgement;
      }
      any = any || judgement.holds();
    }
  }
  return any ? Holds() : NotApplicable("the server waits for payloads that are too long to be sent");
}

// --- Payloads of BLOCK_STATUS ---------------------------------------------------------------------------------

Ids SelectedIds(const Entered& entered) {
  Ids ids;
  for (const MetaContext& context : entered.agreed->contexts) {
    ids.push_back(context.id);
  }
  return ids;
}

// An id that no context has.
std::uint32_t UnknownId(const Ids& selected) {
  std::uint32_t id = 0x6e6f6e65;
  while (std::ranges::count(selected, id) > 0) {
    ++id;
  }
  return id;
}

// Each context alone, all, and all in reverse.
std::vector<Ids> Filters(Ids ids) {
  std::vector<Ids> filters = {ids};
  std::ranges::transform(ids, std::back_inserter(filters), [](std::uint32_t id) { return Ids{id}; });
  std::ranges::reverse(ids);
  filters.push_back(ids);
  return filters;
}

Judgement AnswersOnlyTheContextsAsked(CheckContext& context) {
  NBDSPEC_TRY(asker, StatusAsker::Enter(context));
  const std::uint64_t whole = asker.size() - asker.size() % asker.block_bytes_min();
  bool any = false;
  for (const Ids& ids : Filters(SelectedIds(asker))) {
    for (const std::uint64_t end : {std::min(whole, asker.unit()), whole}) {
      for (const std::uint16_t flags : {std::uint16_t{0}, CommandFlag::kReqOne}) {
        const Batch batch = AskOnce(asker, QueryOf({.offset = 0, .length = end}, ids, flags));
        Judgement judgement = JudgeFirst(context, batch);
        if (judgement.is_broken() || judgement.kind == Judgement::Kind::kInconclusive) {
          return judgement;
        }
        any = any || judgement.holds();
      }
    }
  }
  return any ? Holds() : Inconclusive("every NBD_CMD_BLOCK_STATUS with a payload failed");
}

// What the payload form may not name.
std::vector<Ids> BadFilters(const Entered& entered) {
  const Ids ids = SelectedIds(entered);
  const std::uint32_t unknown = UnknownId(ids);
  std::vector<Ids> filters = {{unknown}, {unknown, ids.front()}, {ids.front(), unknown}, {ids.front(), ids.front()}};
  filters.push_back(ids);
  filters.back().push_back(ids.front());
  return filters;
}

Judgement RefusesBadFilters(CheckContext& context) {
  NBDSPEC_TRY(first, StatusAsker::Enter(context));
  const ByteRange::OffsetAndLength block = {.offset = 0, .length = std::min(first.unit(), first.size())};
  for (const Ids& ids : BadFilters(first)) {
    NBDSPEC_TRY(asker, StatusAsker::Enter(context));
    Batch batch;
    Judgement judgement = GoesOnAfter(asker, QueryOf(block, ids), batch);
    if (judgement.holds()) {
      judgement = JudgeFirst(context, batch);
    }
    if (!judgement.holds()) {
      return judgement;
    }
  }
  return Holds();
}

// Without a context every id is unknown; but then no client may ask, so that the server may disconnect.
Judgement RefusesFilterWithoutContext(CheckContext& context) {
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  NBDSPEC_TRY(read, FirstRead(entered));
  read.cookie = entered.session.NextCookie();
  Batch batch = AskOnce(entered, QueryOf({.offset = 0, .length = GridOf(entered)}, {0}));
  Judgement judgement = JudgeFirst(context, batch);
  if (judgement.holds() && !AskAll(entered, {&read, 1}, batch)) {
    return MayNotDisconnect(batch.endings.back(), "after NBD_EINVAL ",
                            "the payload is read, and the connection goes on");
  }
  return judgement;
}

// --- Lengths --------------------------------------------------------------------------------------------------

// Effect lengths above the size of the export, in the header and in a payload, on connections of their own. The last
// one ends at no 64-bit offset.
Judgement RefusesLengthsAboveSize(CheckContext& context) {
  NBDSPEC_TRY(first, StatusAsker::Enter(context));
  const std::uint64_t block = first.block_bytes_min();
  const std::uint64_t size = (first.size() + block - 1) / block * block;
  const std::uint64_t top = ~std::uint64_t{0} / block * block;
  for (const auto& [offset, length] : {std::pair{std::uint64_t{0}, size + block}, {0, top}, {block, top}}) {
    std::vector<Request> requests = {{.type = CommandType::kBlockStatus, .offset = offset, .length = length}};
    if (first.Has(TransmissionFlag::kBlockStatusPayload)) {
      requests.push_back(QueryOf({.offset = offset, .length = length}, {first.agreed->contexts.front().id}));
    }
    for (const Request& request : requests) {
      NBDSPEC_TRY(asker, StatusAsker::Enter(context));
      const Batch batch = AskOnce(asker, request);
      Judgement judgement = JudgeFirst(context, batch);
      if (!batch.endings.empty()) {
        return MayNotDisconnect(batch.endings.back(), Describe(batch.exchanges.front().request) + ": ", "NBD_EINVAL");
      }
      if (!judgement.holds()) {
        return judgement;
      }
    }
  }
  return Holds();
}

}  // namespace

std::vector<Check> ExtendedTransmissionChecks() {
  const CheckRun kRule = WithExtended(WithStructured());
  const CheckRun kStatusRule = WithExtended(OverBattery);
  constexpr Features kStatus = kExtended | Feature::kBaseAllocation;
  constexpr Features kFilters = kStatus | Feature::kBlockStatusPayload;
  return {
      {kExtRequestOversizePayloadDisconnect, "A payload above the maximum ends the connection.",
       WithExtended(EndsAtOversizedPayload), kExtended},
      {kExtRequestConsumePayload, "A payload that a command has no use for is no request.",
       WithExtended(ConsumesPayloads), kExtended},
      {kExtReplyNoSimple, "No reply is simple.", kRule, kExtended},
      {kExtReplyOnlyExtended, "No reply has the header of structured replies.",
       WithExtended(WithStructured(NoMagicOf<kChunkMagic>)), kExtended},
      {kExtReplyMagic, "The first reply to READ begins with the magic of extended headers.",
       WithExtended(BeginsWithMagic(/*structured=*/true)), kExtended},
      {kExtReplyCookie, "No reply has a cookie that was not sent.", WithExtended(WithStructured(EchoesCookies)),
       kExtended},
      {kExtReplyOffset, "Each header has the offset of the request.", kRule, kExtended},
      {kExtReplyLengthAccurate, "Each header begins where the length before it says.",
       WithExtended(WithStructured(HasAccurateLengths)), kExtended},
      {kExtBlockStatusNeedsChunks, "Status comes in chunks, never in a simple reply.", kStatusRule, kStatus},
      {kExtPayloadLenEinval, "A command with a payload that it has no form for gets NBD_EINVAL.",
       WithExtended(RefusesPayloads), kExtended},
      {kExtBlockStatusNo32bitChunk, "No status chunk has the 32-bit form.", kStatusRule, kStatus},
      {kExtBlockStatusExtLength, "A status chunk has a head of 8 bytes and descriptors of 16.", kStatusRule, kStatus},
      {kExtBlockStatusExtCount, "The count of each status chunk is that of its descriptors.", kStatusRule, kStatus},
      {kExtBlockStatusExtCountNonzero, "No status chunk has a count of 0.", kStatusRule, kStatus},
      {kExtBlockStatusExtExtentNonzero, "No 64-bit descriptor has length 0.", kStatusRule, kStatus},
      {kExtBlockStatusExtHighBitsZero, "Contexts of base: have a status of 32 bits.", kStatusRule, kStatus},
      {kExtBlockStatusExtMirrorsRules,
       "64-bit descriptors keep what is said of 32-bit ones: one chunk for each context, REQ_ONE, their sum.",
       kStatusRule, kStatus},
      {kSub<kExtBlockStatusExtMirrorsRules, "huge">, "The same over an export of more than 4 GiB.", kStatusRule,
       kStatus, Setup::kLarge},
      {kExtBlockStatusPayloadReject, "A payload that names an unknown context, or one twice, is read and refused.",
       WithExtended(RefusesBadFilters), kStatus},
      {kSub<kExtBlockStatusPayloadReject, "no-context">, "So is any, where no context was selected.",
       WithExtended(RefusesFilterWithoutContext), kExtended},
      {kExtBlockStatusPayloadFilter, "Only the contexts that the payload names answer.",
       WithExtended(AnswersOnlyTheContextsAsked), kFilters | Feature::kSecondContext},
      {kExtBlockStatusMinBlock, "Lengths are multiples of the advertised minimum block size.", kStatusRule,
       kStatus | Feature::kMinimumAboveOne, Setup::kStrictBlockSize},
      {kExtBlockStatusOutOfBounds, "A length above the size of the export gets NBD_EINVAL.",
       WithExtended(RefusesLengthsAboveSize), kStatus},
  };
}

}  // namespace nbdspec::conformance
