// SPDX-License-Identifier: BSD-3-Clause
// What answers BLOCK_STATUS. Spec: proto.md, "NBD_CMD_BLOCK_STATUS", "NBD_REPLY_TYPE_BLOCK_STATUS",
// "NBD_REPLY_TYPE_BLOCK_STATUS_EXT".
//
// The rules look at status chunks of the form that was agreed, so those of the compact form hold in the extended one;
// what the specification says of that anew has rules of its own, some of which say the same again.
//
// A chunk that cannot be taken apart violates length-form alone; a descriptor of length 0 violates nonzero-length, and
// counts nowhere else but among the descriptors of REQ_ONE. What answers a request of length 0 is unspecified.

#include <algorithm>
#include <array>
#include <bit>
#include <map>

#include "engine/exchange/rule_facts.h"
#include "engine/exchange/status.h"

namespace nbdspec::engine {
namespace {

constexpr std::uint32_t kAllocationFlags = AllocationFlag::kHole | AllocationFlag::kZero;
constexpr std::uint32_t kUnit = 512;  // Of length.multiple-of-512.

// What one descriptor can describe.
constexpr std::uint64_t LengthMax(HeaderForm form) {
  return form == HeaderForm::kExtended ? std::numeric_limits<std::uint64_t>::max()
                                       : std::numeric_limits<std::uint32_t>::max();
}

std::string CountText(std::uint64_t bytes) { return Text(bytes, bytes == 1 ? " byte" : " bytes"); }

std::string AskedText(const Exchange& exchange) { return Text("the request of ", CountText(exchange.request.length)); }

// Of those that are to answer: what the payload of the request names, or all that are selected.
std::vector<std::uint32_t> AskedIds(const Exchange& exchange) {
  if (exchange.request.context_ids) {
    return *exchange.request.context_ids;
  }
  std::vector<std::uint32_t> ids;
  for (const MetaContext& context : exchange.negotiated->contexts) {
    ids.push_back(context.id);
  }
  return ids;
}

std::uint64_t ExportBytes(const Exchange& exchange) { return exchange.negotiated->info.size; }

// `ruling` with the place of what is wrong: `chunk`, and one of its descriptors.
Ruling At(const Exchange& exchange, const StatusChunk& chunk, std::int32_t descriptor, Ruling ruling) {
  const std::span<const ReplyChunk> chunks = exchange.answer.chunks();
  const auto same = std::ranges::find_if(chunks, [&](const ReplyChunk& each) { return chunk.IsOf(each); });
  ruling.place = {.chunk = static_cast<std::int32_t>(same - chunks.begin()), .descriptor = descriptor};
  return ruling;
}

// Violated by the first chunk with a descriptor that `is_wrong`; `text` goes on after "descriptor 2 of context 0".
template <typename IsWrong, typename Say>
Ruling JudgeDescriptors(const Exchange& exchange, std::string_view expected, IsWrong is_wrong, Say text) {
  for (const StatusChunk chunk : StatusChunksOf(exchange)) {
    std::string first;
    std::int32_t index = -1;
    std::size_t wrong_count = 0;
    ForEachDescriptor(chunk, exchange.request.offset, [&](const Located& located) {
      if (is_wrong(located) && ++wrong_count == 1) {
        first = Text(located.Text(), " ", text(located));
        index = static_cast<std::int32_t>(located.index);
      }
    });
    if (wrong_count > 0) {
      return At(exchange, chunk, index, Violated(std::string(expected), first + MoreText(wrong_count - 1)));
    }
  }
  return Kept();
}

// The same for whole chunks; `judge` says what is wrong with one, or nothing.
template <typename Judge>
Ruling JudgeChunks(const Exchange& exchange, std::string_view expected, Judge judge) {
  for (const StatusChunk chunk : StatusChunksOf(exchange)) {
    if (std::string saw = judge(chunk); !saw.empty()) {
      return At(exchange, chunk, /*descriptor=*/-1, Violated(std::string(expected), std::move(saw)));
    }
  }
  return Kept();
}

// Whether the answer is the error EINVAL, or an error chunk too short to say which.
bool MayBeEinval(const Exchange& exchange) {
  const auto& simple = exchange.answer.simple();
  return (simple && simple->error == NbdError::kEinval) ||
         std::ranges::any_of(exchange.answer.chunks(), [](const ReplyChunk& chunk) {
           return chunk.is_error() &&
                  (chunk.payload.size() < 4 || GetBigEndian<std::uint32_t>(chunk.payload) == NbdError::kEinval);
         });
}

std::string InsteadOfEinval(const Exchange& exchange) {
  return exchange.answer.has_failed() ? "the error is not EINVAL" : "the reply is a success, not EINVAL";
}

// --- The rules, in the order of the catalogue -----------------------------------------------------------------

Ruling NoContextEinval(const Exchange& exchange) {
  return !exchange.negotiated->contexts.empty() || MayBeEinval(exchange)
             ? Kept()
             : Violated("NBD_EINVAL", Text("no context is selected, but ", InsteadOfEinval(exchange)));
}

Ruling SuccessIsStructured(const Exchange& exchange) {
  const auto& simple = exchange.answer.simple();
  return simple && simple->error == NbdError::kOk
             ? Violated("a structured reply", "a simple reply says that the request succeeded")
             : Kept();
}

Ruling ReservedBitsAreZero(const Exchange& exchange) {
  return JudgeDescriptors(
      exchange, "bits 0 (HOLE) and 1 (ZERO)",
      [&](const Located& located) {
        // In the extended form the upper half violates high-bits-zero.
        return (static_cast<std::uint32_t>(located.descriptor().status) & ~kAllocationFlags) != 0 &&
               IsBaseAllocation(exchange, located.chunk.context_id());
      },
      [](const Located& located) { return Text("has status ", located.descriptor().status, ", above 3"); });
}

Ruling ReqOneIsSingle(const Exchange& exchange) {
  return JudgeChunks(exchange, "one descriptor", [](const StatusChunk& chunk) {
    return chunk.descriptor_count() > 1 ? Text("context ", chunk.context_id(), " has ", chunk.descriptor_count(),
                                               " descriptors; REQ_ONE asks for one")
                                        : "";
  });
}

template <HeaderForm form>
Ruling HasForm(const Exchange& exchange) {
  for (const ReplyChunk& chunk : exchange.answer.chunks()) {
    // In a success a compact chunk without descriptors violates at-least-one.
    const bool may_be_empty = form == HeaderForm::kCompact && !exchange.answer.has_failed();
    const bool is_empty = !may_be_empty && chunk.payload.size() == BlockStatus::HeadBytes(form);
    if (chunk.type == BlockStatus::ChunkTypeOf(form) && (is_empty || !StatusChunk::From(chunk))) {
      const std::string right = Text(std::uint64_t{BlockStatus::HeadBytes(form)}, " plus a positive multiple of ",
                                     std::uint64_t{BlockStatus::DescriptorBytes(form)});
      return Violated(right + " bytes", Text("a status chunk has ", CountText(chunk.payload_bytes), ", not ", right));
    }
  }
  return Kept();
}

// A chunk that cannot be taken apart may be the one that seems to be missing: it violates another rule.
bool MayHideOne(const Exchange& exchange) {
  return std::ranges::any_of(exchange.answer.chunks(), [&exchange](const ReplyChunk& chunk) {
    const bool is_status = chunk.type == ChunkType::kBlockStatus || chunk.type == ChunkType::kBlockStatusExt;
    return is_status &&
           (!StatusChunk::From(chunk) || chunk.type != BlockStatus::ChunkTypeOf(exchange.negotiated->headers));
  });
}

Ruling ExactlyOnePerId(const Exchange& exchange) {
  if (exchange.answer.simple() || exchange.legality.Has(Reason::kBadQuery)) {
    return Kept();
  }
  std::map<std::uint32_t, std::size_t> count_of;
  for (const std::uint32_t id : AskedIds(exchange)) {
    count_of[id] = 0;
  }
  for (const StatusChunk chunk : StatusChunksOf(exchange)) {
    const auto found = count_of.find(chunk.context_id());
    if (found != count_of.end()) {
      ++found->second;
    }
  }
  const bool may_be_hidden = MayHideOne(exchange);
  for (const auto& [id, count] : count_of) {
    if (count > 1 || (count == 0 && !may_be_hidden)) {
      return Violated("one status chunk for each context that was asked for",
                      count == 0 ? Text("context ", id, " has no status chunk")
                                 : Text("context ", id, " has ", count, " status chunks"));
    }
  }
  return Kept();
}

Ruling IdIsKnown(const Exchange& exchange) {
  return JudgeChunks(exchange, "ids that SET_META_CONTEXT gave", [&](const StatusChunk& chunk) {
    const std::uint32_t id = chunk.context_id();
    const auto& contexts = exchange.negotiated->contexts;
    const bool is_known = std::ranges::any_of(contexts, [id](const MetaContext& c) { return c.id == id; });
    return is_known ? "" : Text("a status chunk is for context ", id, ", never selected");
  });
}

Ruling LengthIsNotZero(const Exchange& exchange) {
  return JudgeDescriptors(
      exchange, "a length above 0", [](const Located& located) { return located.descriptor().length == 0; },
      [](const Located&) { return "has length 0"; });
}

Ruling ReqOneIsCapped(const Exchange& exchange) {
  return JudgeDescriptors(
      exchange, "a length up to the request's",
      [&](const Located& located) {
        return located.chunk.descriptor_count() == 1 && located.descriptor().length > exchange.request.length;
      },
      [&](const Located& located) {
        return Text("has length ", located.descriptor().length, ", more than ", AskedText(exchange), " with REQ_ONE");
      });
}

Ruling SumBeforeLastIsLess(const Exchange& exchange) {
  if (exchange.HasFlag(CommandFlag::kReqOne)) {
    return Kept();
  }
  constexpr std::string_view kExpected = "no descriptor after the one that reaches the end of the request";
  return JudgeChunks(exchange, kExpected, [&](const StatusChunk& chunk) {
    std::uint64_t sum = 0;
    std::uint64_t last = 0;
    for (std::size_t i = 0; i < chunk.descriptor_count(); ++i) {
      const std::uint64_t length = chunk.descriptor(i).length;
      if (length > 0) {
        sum += std::min(last, std::numeric_limits<std::uint64_t>::max() - sum);
        last = length;
      }
    }
    return sum < exchange.request.length
               ? ""
               : Text("the descriptors of context ", chunk.context_id(), " before the last sum to ", sum,
                      ", not less than ", AskedText(exchange));
  });
}

Ruling DescriptorsAreFew(const Exchange& exchange) {
  return JudgeChunks(exchange, "up to 1048576 descriptors", [](const StatusChunk& chunk) {
    return chunk.descriptor_count() <= kDescriptorCountMax
               ? ""
               : Text("context ", chunk.context_id(), " has ", chunk.descriptor_count(), " descriptors, more than ",
                      kDescriptorCountMax);
  });
}

Ruling AtLeastOne(const Exchange& exchange) {
  return JudgeChunks(exchange, "at least one descriptor", [](const StatusChunk& chunk) {
    return chunk.descriptor_count() > 0 ? "" : Text("context ", chunk.context_id(), " has no descriptor");
  });
}

Ruling WithinExport(const Exchange& exchange) {
  const std::uint64_t size = ExportBytes(exchange);
  if (exchange.request.range().end > size) {
    return Kept();  // A request of what is outside is out-of-bounds' business.
  }
  return JudgeDescriptors(
      exchange, "parts of the export", [&](const Located& located) { return located.range.end > size; },
      [&](const Located& located) {
        return Text("is about ", RangeText(located.range), ", past the end of the export at ", size);
      });
}

Ruling NeighboursDiffer(const Exchange& exchange) {
  return JudgeDescriptors(
      exchange, "one descriptor for neighbours of equal status",
      [](const Located& located) {
        if (located.index == 0) {
          return false;
        }
        const Descriptor before = located.chunk.descriptor(located.index - 1);
        const Descriptor here = located.descriptor();
        // Two that do not fit one length cannot be joined.
        const bool fits = here.length <= LengthMax(located.chunk.form()) - before.length;
        return before.length > 0 && here.length > 0 && before.status == here.status && fits;
      },
      [](const Located& located) {
        return Text("has status ", located.descriptor().status, " like the one before it");
      });
}

// Both rules about multiples: they exempt the ends of an unaligned request, and the tail of an unaligned export.
Ruling JudgeMultiples(const Exchange& exchange, std::uint64_t unit) {
  const ByteRange asked = exchange.request.range();
  const std::uint64_t size = ExportBytes(exchange);
  const bool is_aligned = asked.begin % unit == 0 && asked.end % unit == 0;
  Ruling ruling = JudgeDescriptors(
      exchange, "multiples",
      [&](const Located& located) {
        const bool is_end = located.index == 0 || located.index + 1 == located.chunk.descriptor_count();
        const bool is_tail = size % unit != 0 && located.range.end >= size;
        return located.descriptor().length % unit != 0 && (is_aligned || !is_end) && !is_tail;
      },
      [&](const Located& located) {
        return Text("has length ", located.descriptor().length, ", no multiple of ", unit);
      });
  if (ruling.is_violated()) {
    ruling.expected = Text("multiples of ", unit, " away from the ends of unaligned requests and images");
  }
  return ruling;
}

// From 512 on, multiple-of-min-block asks for all of it.
Ruling MultipleOf512(const Exchange& exchange) {
  return exchange.negotiated->block_size.minimum < kUnit ? JudgeMultiples(exchange, kUnit) : Kept();
}

// A block size that is no power of two violates another rule.
Ruling MultipleOfMinBlock(const Exchange& exchange) {
  const std::uint32_t minimum = exchange.negotiated->block_size.minimum;
  return std::has_single_bit(minimum) ? JudgeMultiples(exchange, minimum) : Kept();
}

// A selected context says that structured replies are in force.
Ruling ErrorIsChunk(const Exchange& exchange) {
  const auto& simple = exchange.answer.simple();
  return !exchange.negotiated->contexts.empty() && simple && simple->error != NbdError::kOk
             ? Violated("an error chunk",
                        Text("error ", simple->error, " came in a simple reply, not in an error chunk"))
             : Kept();
}

Ruling OutOfBounds(const Exchange& exchange) {
  const ByteRange asked = exchange.request.range();
  return asked.end <= ExportBytes(exchange) || MayBeEinval(exchange)
             ? Kept()
             : Violated("NBD_EINVAL", Text(RangeText(asked), " reaches past the end of the export at ",
                                           ExportBytes(exchange), ", but ", InsteadOfEinval(exchange)));
}

// --- Of the extended form ---

Ruling CountIsRight(const Exchange& exchange) {
  return JudgeChunks(exchange, "a count of the descriptors that follow", [](const StatusChunk& chunk) {
    return chunk.count_field() == chunk.descriptor_count()
               ? ""
               : Text("context ", chunk.context_id(), " has a count of ", chunk.count_field(), " and ",
                      chunk.descriptor_count(), " descriptors");
  });
}

Ruling CountIsNotZero(const Exchange& exchange) {
  return JudgeChunks(exchange, "a count above 0", [](const StatusChunk& chunk) {
    return chunk.count_field() > 0 ? "" : Text("context ", chunk.context_id(), " has a count of 0");
  });
}

// Of contexts of others nobody knows how many bits they have.
Ruling HighBitsAreZero(const Exchange& exchange) {
  const auto is_base = [&exchange](std::uint32_t id) {
    return std::ranges::any_of(exchange.negotiated->contexts, [id](const MetaContext& context) {
      return context.id == id && context.name.starts_with("base:");
    });
  };
  return JudgeDescriptors(
      exchange, "a status of 32 bits for contexts of base:",
      [&](const Located& located) {
        return located.descriptor().status >> 32 != 0 && is_base(located.chunk.context_id());
      },
      [](const Located& located) { return Text("has status ", located.descriptor().status, ", above 2^32-1"); });
}

// How many descriptors and chunks there may be, and how long they may be.
Ruling MirrorsRules(const Exchange& exchange) {
  const bool has_succeeded = exchange.answer.is_complete() && !exchange.answer.has_failed();
  Ruling ruling = SumBeforeLastIsLess(exchange);
  for (const auto judge : {ReqOneIsSingle, ReqOneIsCapped}) {
    ruling = !ruling.is_violated() && exchange.HasFlag(CommandFlag::kReqOne) ? judge(exchange) : ruling;
  }
  return !ruling.is_violated() && has_succeeded ? ExactlyOnePerId(exchange) : ruling;
}

Ruling NotLongerThanExport(const Exchange& exchange) {
  const std::uint64_t length = exchange.request.length;
  return length <= ExportBytes(exchange) || MayBeEinval(exchange)
             ? Kept()
             : Violated("NBD_EINVAL", Text(AskedText(exchange), " is longer than the export of ", ExportBytes(exchange),
                                           ", but ", InsteadOfEinval(exchange)));
}

// --- With a payload ---

// What a payload of a wrong size gets is not said. One that is right may be answered also where it is not offered:
// eflags.supported-may-set
Ruling BadQueryIsRefused(const Exchange& exchange) {
  if (!exchange.request.context_ids || !exchange.legality.Has(Reason::kBadQuery)) {
    return Inapplicable("no payload with a context that is unknown or comes twice was answered");
  }
  return MayBeEinval(exchange)
             ? Kept()
             : Violated("NBD_EINVAL", Text("the payload names a context that is unknown, or one twice, but ",
                                           InsteadOfEinval(exchange)));
}

Ruling OnlyAskedContexts(const Exchange& exchange) {
  const std::vector<std::uint32_t> asked = AskedIds(exchange);
  if (exchange.legality.is_illegal() || asked.empty()) {
    return Inapplicable("no payload that names selected contexts was answered");
  }
  std::vector<std::uint32_t> answered;
  for (const StatusChunk chunk : StatusChunksOf(exchange)) {
    answered.push_back(chunk.context_id());
  }
  const auto lacks = [](const std::vector<std::uint32_t>& of) {
    return [&of](std::uint32_t id) { return std::ranges::count(of, id) == 0; };
  };
  constexpr std::string_view kExpected = "status of the contexts that the payload names, and of no others";
  if (const auto extra = std::ranges::find_if(answered, lacks(asked)); extra != answered.end()) {
    return Violated(std::string(kExpected), Text("context ", *extra, " answers, which the payload does not name"));
  }
  const auto missing = std::ranges::find_if(asked, lacks(answered));
  return missing != asked.end() && !MayHideOne(exchange)
             ? Violated(std::string(kExpected),
                        Text("context ", *missing, ", which the payload names, has no status chunk"))
             : Kept();
}

// --- Of chunks in general ---

// The part of variable length: data, descriptors.
Ruling WithinMaximumPayload(const Exchange& exchange, const ReplyChunk& chunk) {
  const bool is_data = chunk.type == ChunkType::kOffsetData && chunk.content;
  const auto status = StatusChunk::From(chunk);
  const std::uint64_t bytes = is_data ? chunk.content->length : status ? status->descriptor_bytes() : 0;
  const std::uint64_t maximum = exchange.negotiated->block_size.maximum;
  if (bytes <= maximum) {
    return Kept();
  }
  return Violated(Text("at most ", maximum, " bytes of data, as advertised"),
                  status ? Text("the descriptors of context ", status->context_id(), " are ", CountText(bytes),
                                "; the maximum payload is ", maximum)
                         : ContentText(chunk));
}

Ruling NotExtended(const Exchange&, const ReplyChunk& chunk) {
  return Violated("chunks of type 5", Text("a chunk has type ", chunk.type, ", but headers are not extended"));
}

Ruling NotCompact(const Exchange&, const ReplyChunk& chunk) {
  return Violated("chunks of type 6", Text("a chunk has type ", chunk.type, ", but headers are extended"));
}

constexpr Facts kAnswered = Fact::kStatus | Fact::kNonEmpty | Fact::kAnswered;
constexpr Facts kStatuses = Fact::kStatus | Fact::kNonEmpty | Fact::kStatusChunk;
constexpr Facts kExtended = kStatuses | Fact::kExtended;

constexpr auto kRules = std::to_array<Rule>({
    {kBlockStatusNoContextEinval, kAnswered, NoContextEinval},
    {kBlockStatusReplyStructured, kAnswered, SuccessIsStructured, Fact::kSimple},
    {kBaseAllocationReservedZero, kStatuses, ReservedBitsAreZero},
    {kBlockStatusReqOneSingle, kStatuses | Fact::kReqOne, ReqOneIsSingle},
    {kStructuredChunkMaxPayload, Fact::kNonEmpty | Fact::kChunks, Each<IsAny, WithinMaximumPayload>},
    {kBlockStatusChunkLengthForm, kStatuses | Fact::kCompact, HasForm<HeaderForm::kCompact>},
    {kBlockStatusChunkExactlyOnePerId, kAnswered | Fact::kSucceeded | Fact::kChunks, ExactlyOnePerId},
    {kBlockStatusChunkKnownId, kStatuses, IdIsKnown},
    {kBlockStatusExtentNonzeroLength, kStatuses, LengthIsNotZero},
    {kBlockStatusReqOneLengthCap, kStatuses | Fact::kReqOne, ReqOneIsCapped},
    {kBlockStatusSumBeforeLast, kStatuses, SumBeforeLastIsLess},
    {kBlockStatusMaxExtents, kStatuses, DescriptorsAreFew},
    {kBlockStatusAtLeastOne, kStatuses | Fact::kSucceeded, AtLeastOne},
    {kBlockStatusExtentWithinExport, kStatuses, WithinExport},
    {kBlockStatusDistinctStatus, kStatuses, NeighboursDiffer},
    {kBlockStatusLengthMultipleOf512, kStatuses, MultipleOf512},
    {kBlockStatusLengthMultipleOfMinBlock, kStatuses, MultipleOfMinBlock},
    {kBlockStatusErrorErrorChunk, kAnswered, ErrorIsChunk, Fact::kSimple},
    {kBlockStatusOutOfBounds, kAnswered, OutOfBounds},
    {kExtBlockStatusNeedsChunks, kAnswered | Fact::kExtended, SuccessIsStructured, Fact::kSimple},
    {kExtBlockStatusNo32bitChunk, Fact::kNonEmpty | Fact::kChunks | Fact::kExtended,
     EachOf<ChunkType::kBlockStatus, NotCompact>, Fact::kOtherStatusChunk},
    {kExtBlockStatusExtLength, kExtended, HasForm<HeaderForm::kExtended>},
    {kExtBlockStatusExtGated, Fact::kNonEmpty | Fact::kChunks | Fact::kCompact,
     EachOf<ChunkType::kBlockStatusExt, NotExtended>, Fact::kOtherStatusChunk},
    {kExtBlockStatusExtCount, kExtended, CountIsRight},
    {kExtBlockStatusExtCountNonzero, kExtended, CountIsNotZero},
    {kExtBlockStatusExtExtentNonzero, kExtended, LengthIsNotZero},
    {kExtBlockStatusExtHighBitsZero, kExtended, HighBitsAreZero},
    {kExtBlockStatusExtMirrorsRules, kExtended, MirrorsRules},
    {kExtBlockStatusPayloadReject, Fact::kQuery | Fact::kComplete | Fact::kIllegal, BadQueryIsRefused},
    {kExtBlockStatusPayloadFilter, Fact::kQuery | Fact::kNonEmpty | Fact::kSucceeded | Fact::kChunks,
     OnlyAskedContexts},
    {kExtBlockStatusMinBlock, kExtended, MultipleOfMinBlock},
    {kExtBlockStatusOutOfBounds, kAnswered | Fact::kExtended, NotLongerThanExport},
});

}  // namespace

std::span<const Rule> StatusRules() { return kRules; }

}  // namespace nbdspec::engine
