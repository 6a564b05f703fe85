// SPDX-License-Identifier: BSD-3-Clause
// The reference server in transmission. Spec: proto.md, "Request types", "Structured reply types".
#include <algorithm>
#include <array>
#include <limits>

#include "engine/base/check.h"
#include "engine/block_status/build.h"
#include "engine/extents/extent_map.h"
#include "engine/server/server.h"

namespace nbdspec::engine {

namespace {

constexpr std::uint32_t kSectorBytes = 512;  // Chunks and descriptors keep to it where they can.

// The transmission flags that offer the commands, in their order; 0 where none needs to.
constexpr auto kOfferedBy =
    std::to_array<std::uint16_t>({0, 0, 0, TransmissionFlag::kSendFlush, TransmissionFlag::kSendTrim,
                                  TransmissionFlag::kSendCache, TransmissionFlag::kSendWriteZeroes, 0});

bool Offers(const ExportOptions& offered, std::uint16_t command) {
  return command < kOfferedBy.size() && (kOfferedBy[command] & ~offered.flags) == 0;
}

// The command flags that apply to `command` on this export. error.unknown-flag, error.inapplicable-flag
std::uint16_t FlagsAllowed(std::uint16_t command, const ExportOptions& offered, const Negotiated& agreed) {
  std::uint16_t allowed = 0;
  const auto add = [&](bool applies, std::uint16_t flag, std::uint16_t offered_by = 0) {
    allowed |= applies && (offered_by & ~offered.flags) == 0 ? flag : std::uint16_t{0};
  };
  add(true, CommandFlag::kFua, TransmissionFlag::kSendFua);  // cmdflag.fua.accept-all
  add(command == CommandType::kRead && agreed.structured_replies, CommandFlag::kDf, TransmissionFlag::kSendDf);
  add(command == CommandType::kWriteZeroes, CommandFlag::kNoHole);
  // write-zeroes.unadvertised.einval
  add(command == CommandType::kWriteZeroes, CommandFlag::kFastZero, TransmissionFlag::kSendFastZero);
  add(command == CommandType::kBlockStatus, CommandFlag::kReqOne);
  // ext.payload-len.einval
  add(agreed.headers == HeaderForm::kExtended &&
          (command == CommandType::kWrite || (command == CommandType::kBlockStatus && !agreed.contexts.empty())),
      CommandFlag::kPayloadLen,
      command == CommandType::kBlockStatus ? TransmissionFlag::kBlockStatusPayload : std::uint16_t{0});
  return allowed;
}

// Leaves out the first `count` bytes of what `descriptors` are about: less than the first one's length. What did not
// fit one length of 32 bits may now fit. block-status.distinct-status
void LeaveOut(std::uint64_t count, std::vector<Descriptor>& descriptors) {
  constexpr std::uint64_t kCompactMax = std::numeric_limits<std::uint32_t>::max();
  Descriptor& first = descriptors.front();
  first.length -= count;
  if (descriptors.size() > 1 && descriptors[1].status == first.status &&
      descriptors[1].length <= kCompactMax - first.length) {
    first.length += descriptors[1].length;
    descriptors.erase(descriptors.begin() + 1);
  }
}

std::uint64_t RoundUp(std::uint64_t value, std::uint64_t to) { return (value + to - 1) / to * to; }

BlockStatus StatusOf(const MetaContext& context, ByteRange asked, const ExtentMap& extents,
                     const BuildOptions& options) {
  BlockStatus status{.form = options.form, .context_id = context.id};
  if (context.name != kBaseAllocation) {
    const std::uint64_t index = asked.begin / kBlockIndexBytes;
    const std::uint64_t end = std::min(asked.end, (index + 1) * kBlockIndexBytes);
    status.descriptors.push_back(
        {.length = end - asked.begin,
         .status = context.name == kBlockIndexContext ? static_cast<std::uint32_t>(index) : ~index});
    return status;
  }
  const std::uint64_t begin = asked.begin / options.alignment * options.alignment;
  status.descriptors = BuildDescriptors(extents, {.begin = begin, .end = asked.end}, options);
  LeaveOut(asked.begin - begin, status.descriptors);
  return status;
}

}  // namespace

Server::Messages Server::AnswerRequest(const Request& request) {
  if (request.type == CommandType::kDisc) {
    return {HardDisconnect{}};  // disc.no-reply: everything before it is answered already.
  }
  if (request.too_long && request.form == HeaderForm::kExtended) {
    return {HardDisconnect{}};  // ext.request.oversize-payload-disconnect
  }
  if (is_shutting_down_) {
    return Result(request, NbdError::kEshutdown);
  }
  if (request.type == CommandType::kBlockStatus && request.announces_payload()) {
    return AnswerStatusQuery(request);
  }
  const std::uint32_t error = Refusal(request);
  return error == NbdError::kOk ? Execute(request) : Result(request, error);
}

// Why `request` may not be done, kOk if it may.
std::uint32_t Server::Refusal(const Request& request) const {
  const ExportOptions& offered = entered_->options;
  if (!Offers(offered, request.type)) {
    return NbdError::kEinval;  // error.unknown-command
  }
  if ((request.flags & ~FlagsAllowed(request.type, offered, state_)) != 0) {
    return NbdError::kEinval;
  }
  if (Changes(request.type) && entered_->read_only()) {
    return NbdError::kEperm;  // transmission.write.read-only and its like
  }
  if (request.type == CommandType::kWrite && !request.announces_payload()) {
    return NbdError::kEinval;  // ext.payload-len: nothing follows that could be written.
  }
  if (request.type == CommandType::kFlush) {
    return NbdError::kOk;
  }
  const auto range = ByteRange::From({.offset = request.offset, .length = request.length});
  if (!range || range->end > entered_->layer().size()) {
    const bool grows = request.type == CommandType::kWrite || request.type == CommandType::kWriteZeroes;
    return grows ? NbdError::kEnospc : NbdError::kEinval;
  }
  const InfoBlockSize& block = offered.block_size;
  if (request.offset % block.minimum != 0 || request.length % block.minimum != 0) {
    return NbdError::kEinval;  // block-size.server.unaligned-einval
  }
  const bool has_payload = request.type == CommandType::kRead || request.type == CommandType::kWrite;
  if (has_payload && (request.too_long || request.length > block.maximum)) {
    return NbdError::kEinval;
  }
  if (request.type == CommandType::kBlockStatus && (state_.contexts.empty() || request.length == 0)) {
    return NbdError::kEinval;  // block-status.no-context-einval; a zero length is unspecified.
  }
  return NbdError::kOk;
}

Server::Messages Server::Execute(const Request& request) {
  Layer& layer = entered_->layer();
  const ByteRange range = RangeOf(request);
  LayerResult done;
  switch (request.type) {
    case CommandType::kRead:
      return AnswerRead(request);
    case CommandType::kBlockStatus:
      return AnswerBlockStatus(request, state_.contexts);
    case CommandType::kWrite:
      done = layer.Write(request.offset, request.payload);
      break;
    case CommandType::kWriteZeroes:
      done = layer.WriteZeroes(range, (request.flags & CommandFlag::kNoHole) == 0);
      break;
    case CommandType::kTrim:
      done = layer.Trim(range);
      break;
    case CommandType::kFlush:
      done = layer.Flush();
      break;
    case CommandType::kCache:
      break;  // There is nothing to prefetch.
    default:
      NBDSPEC_CHECK(false && "Refusal lets only commands through that are offered");
  }
  if (done && Changes(request.type) && (request.flags & CommandFlag::kFua) != 0) {
    done = layer.Persist(range);
  }
  return Result(request, done ? NbdError::kOk : done.error());
}

// Holes are sent as such where they are whole sectors and DF does not ask for one chunk. structured.read.align-512
Server::Messages Server::AnswerRead(const Request& request) const {
  const ByteRange asked = RangeOf(request);
  Layer& layer = entered_->layer();
  if (!state_.structured_replies) {
    SimpleReply reply{.cookie = request.cookie, .data = Bytes(asked.length())};
    const auto read = layer.Read(asked.begin, reply.data);
    if (!read) {
      return Result(request, read.error());
    }
    Messages sent;
    sent.emplace_back(std::move(reply));  // An initialiser list would copy it.
    return sent;
  }
  if (asked.empty()) {
    return Result(request);
  }
  Messages sent;
  LayerResult read;
  const auto add = [&](std::uint16_t type, Bytes payload) {
    sent.emplace_back(ChunkFor(request, type, std::move(payload)));
  };
  const auto add_data = [&](ByteRange range) {
    if (read && !range.empty()) {
      OffsetData data{.offset = range.begin, .data = Bytes(range.length())};
      read = layer.Read(range.begin, data.data);
      add(ChunkType::kOffsetData, EncodePayload(data));
    }
  };
  std::uint64_t sent_to = asked.begin;
  const bool may_send_holes = (request.flags & CommandFlag::kDf) == 0;
  // Where extents fail, bytes can be read all the same.
  if (const auto extents = may_send_holes ? AskExtents(layer, {.range = asked}) : std::unexpected(NbdError::kOk)) {
    extents->ForEach(asked, [&](Extent extent) {
      const std::uint64_t begin = RoundUp(extent.range.begin, kSectorBytes);
      const std::uint64_t end = extent.range.end / kSectorBytes * kSectorBytes;
      if (IsZero(extent.type) && begin < end) {
        add_data({.begin = sent_to, .end = begin});
        add(ChunkType::kOffsetHole,
            EncodePayload(OffsetHole{.offset = begin, .length = static_cast<std::uint32_t>(end - begin)}));
        sent_to = end;
      }
      return true;
    });
  }
  add_data({.begin = sent_to, .end = asked.end});
  if (!read) {
    return Result(request, read.error());
  }
  std::get<Chunk>(sent.back()).flags = ChunkFlag::kDone;
  return sent;
}

// BLOCK_STATUS whose payload says its length and the contexts that answer. Of one that may not be done the payload has
// been taken all the same. ext.block-status.payload.filter, .reject
Server::Messages Server::AnswerStatusQuery(const Request& request) const {
  const auto query = DecodePayload<StatusQuery>(request.payload);
  std::vector<MetaContext> contexts;
  for (const std::uint32_t id : query ? query->context_ids : std::vector<std::uint32_t>{}) {
    const auto selected = std::ranges::find(state_.contexts, id, &MetaContext::id);
    if (selected == state_.contexts.end() || std::ranges::find(contexts, *selected) != contexts.end()) {
      return Result(request, NbdError::kEinval);
    }
    contexts.push_back(*selected);
  }
  if (contexts.empty()) {
    return Result(request, NbdError::kEinval);
  }
  Request effective = request;
  effective.length = query->length;
  const std::uint32_t error = Refusal(effective);
  return error == NbdError::kOk ? AnswerBlockStatus(effective, contexts) : Result(request, error);
}

Server::Messages Server::AnswerBlockStatus(const Request& request, const std::vector<MetaContext>& contexts) const {
  const ByteRange asked = RangeOf(request);
  // From the grid on, so that an unaligned begin makes only the first length odd; whole blocks, for a block claims what
  // is true of all of it. block-status.length.multiple-of-512
  const BuildOptions options = {.req_one = (request.flags & CommandFlag::kReqOne) != 0,
                                .alignment = std::max(kSectorBytes, entered_->options.block_size.minimum),
                                .form = request.form};
  const ByteRange blocks = {.begin = asked.begin / options.alignment * options.alignment,
                            .end = std::min(entered_->layer().size(), RoundUp(asked.end, options.alignment))};
  const auto extents = AskExtents(entered_->layer(), {.range = blocks, .req_one = options.req_one});
  if (!extents) {
    return Result(request, extents.error());
  }
  Messages sent;
  for (const MetaContext& context : contexts) {
    sent.emplace_back(ChunkFor(request, BlockStatus::ChunkTypeOf(request.form),
                               EncodePayload(StatusOf(context, asked, *extents, options))));
  }
  std::get<Chunk>(sent.back()).flags = ChunkFlag::kDone;
  return sent;
}

// What answers a request without content.
Server::Messages Server::Result(const Request& request, std::uint32_t error) const {
  if (!state_.structured_replies) {
    return {SimpleReply{.error = error, .cookie = request.cookie}};
  }
  if (error == NbdError::kOk) {
    return {ChunkFor(request, ChunkType::kNone, {}, ChunkFlag::kDone)};
  }
  const ErrorPayload payload = {.error = error, .message = ErrorName(error)};
  return {ChunkFor(request, ChunkType::kError, EncodePayload(payload), ChunkFlag::kDone)};
}

}  // namespace nbdspec::engine
