// SPDX-License-Identifier: BSD-3-Clause
// Checks of what base:allocation claims: ZERO must read as zeroes, whatever was done before and through whatever
// request it is claimed; where HOLE is clear there must be space. Spec: proto.md, "base:allocation metadata context".
//
// A claim is refuted by one byte that READ gives, and by nothing else: a server that drops what is written to it
// breaks other requirements, but may go on claiming zeroes.
#include <chrono>
#include <limits>

#include "conformance/checks/metadata/meta_contexts.h"
#include "engine/exchange/status.h"

namespace nbdspec::conformance {

namespace {

constexpr std::uint64_t kReadBytesMax = 8 << 20;  // By one check.
constexpr std::uint64_t kSampleBytes = 64 << 10;  // Of a claim too long to be read.
constexpr std::uint64_t kPlaceUnits = 8;          // Of what is written at one place.
constexpr std::string_view kAllowed = "ZERO only where every byte reads as zero";

// A claim that bytes read as zeroes, and who makes it.
struct Claim {
  ByteRange range = {};
  std::string by = {};
  const Exchange* exchange = nullptr;  // What makes it; null where several do, the first of them with `cookie`.
  std::uint64_t cookie = 0;

  [[nodiscard]] Subject About() const {
    if (exchange != nullptr) {
      return SubjectOf(*exchange);
    }
    const reports::Stretch zero{.begin = range.begin, .end = range.end, .said = "zero"};
    return {.cookie = cookie, .bars = {{.who = "answered", .stretches = {zero}}}};
  }
};

// Reads what is claimed, or samples of it, and judges.
Step RefuteByReading(CheckContext& context, StatusAsker& asker, const Claim& claim, std::uint64_t& read_bytes) {
  const ByteRange claimed = claim.range;
  std::vector<ByteRange> parts = {claimed};
  if (claimed.length() > 3 * kSampleBytes && read_bytes + claimed.length() > kReadBytesMax) {
    const std::uint64_t middle = claimed.begin + context.random() % (claimed.length() - kSampleBytes);
    parts = {{.begin = claimed.begin, .end = claimed.begin + kSampleBytes},
             {.begin = middle, .end = middle + kSampleBytes},
             {.begin = claimed.end - kSampleBytes, .end = claimed.end}};
  }
  for (const ByteRange part : parts) {
    read_bytes += part.length();
    NBDSPEC_TRY(found, asker.FindNonZero(part));
    if (found) {
      return Stop(About(WithTruth(claim.About(), part, *found),
                        Broken(fmt::format("{} claims that [{}, {}) reads as zeroes, but byte {} is not zero", claim.by,
                                           claimed.begin, claimed.end, *found),
                               kAllowed)));
    }
  }
  return {};
}

// At most `count_max` of `ranges`, chosen by the check's randomness.
template <typename Ranges>
void Sample(CheckContext& context, std::size_t count_max, Ranges& ranges) {
  std::ranges::shuffle(ranges, context.random);
  ranges.resize(std::min(ranges.size(), count_max));
}

// Extents of the export where HOLE or ZERO, as `flag` says, is set or clear.
std::expected<std::vector<StatusExtent>, Judgement> ExtentsWith(StatusAsker& asker, std::uint32_t flag, bool is_set) {
  NBDSPEC_TRY(extents, asker.Walk());
  std::erase_if(extents, [&](const StatusExtent& each) { return ((each.status & flag) != 0) != is_set; });
  return std::move(extents);
}

Judgement WalkReadsZero(CheckContext& context) {
  constexpr std::size_t kClaimsMax = 256;  // Servers that run a script for each read are slow.
  NBDSPEC_TRY(asker, StatusAsker::Enter(context));
  NBDSPEC_TRY(extents, ExtentsWith(asker, AllocationFlag::kZero, true));
  if (extents.empty()) {
    return NotApplicable("no part of the export is claimed to read as zeroes");
  }
  Sample(context, kClaimsMax, extents);
  std::uint64_t read_bytes = 0;
  for (const StatusExtent& each : extents) {
    if (read_bytes >= kReadBytesMax) {
      break;
    }
    const Claim claim = {.range = each.range, .by = "a query of the whole export", .cookie = each.cookie};
    NBDSPEC_TRY(refuted, RefuteByReading(context, asker, claim, read_bytes));
  }
  return Holds();
}

// Claims in the replies to many kinds of request, each read at its beginning and its end.
Judgement BatteryReadsZero(CheckContext& context) {
  constexpr std::size_t kClaimsMax = 8;  // Of one reply.
  constexpr std::uint64_t kEdgeBytes = 4 << 10;
  NBDSPEC_TRY(asker, StatusAsker::Enter(context));
  NBDSPEC_TRY(battery, asker.Battery(context));
  std::uint64_t read_bytes = 0;
  bool has_claim = false;
  for (const StatusRequest& request : battery) {
    NBDSPEC_TRY(exchange, asker.Ask(request));
    std::vector<ByteRange> claims = ZeroClaimsOf(exchange, {.begin = 0, .end = asker.size()});
    Sample(context, kClaimsMax, claims);
    for (const ByteRange claimed : claims) {
      has_claim = true;
      const std::uint64_t edge = std::min(kEdgeBytes, claimed.length());
      for (const ByteRange part : {ByteRange{.begin = claimed.begin, .end = claimed.begin + edge},
                                   ByteRange{.begin = claimed.end - edge, .end = claimed.end}}) {
        const Claim claim = {.range = part, .by = "the answer to " + Text(request), .exchange = &exchange};
        NBDSPEC_TRY(refuted, RefuteByReading(context, asker, claim, read_bytes));
      }
    }
  }
  return has_claim ? Holds() : NotApplicable("no part of the export is claimed to read as zeroes");
}

// --- After commands -------------------------------------------------------------------------------------------

// Ranges to write to: at both ends and in the middle of what is claimed to be zero, and anywhere.
// Errors: the export is too small.
std::expected<std::vector<ByteRange>, Judgement> Places(CheckContext& context, StatusAsker& asker) {
  constexpr std::size_t kExtentsMax = 3;
  NBDSPEC_TRY(extents, ExtentsWith(asker, AllocationFlag::kZero, true));
  Sample(context, kExtentsMax, extents);
  const std::uint64_t unit = asker.unit();
  const std::uint64_t length = kPlaceUnits * unit;
  std::vector<ByteRange> places;
  if (asker.size() < length || length > asker.block_size().maximum) {
    return Stop(NotApplicable(fmt::format("the export of {} bytes has no room for the check", asker.size())));
  }
  const auto add = [&](std::uint64_t begin) {
    const std::uint64_t fitting = std::min(begin, asker.size() - length);
    places.push_back(ByteRange::From({.offset = fitting - fitting % unit, .length = length}).value());
  };
  for (const StatusExtent& each : extents) {
    add(each.range.begin);
    add(each.range.begin + each.range.length() / 2);
    add(each.range.end - std::min(each.range.end, length));
  }
  for (int i = 0; i < 2; ++i) {
    add(context.random() % asker.size());
  }
  return places;
}

// Does `request`, with bytes none of which is zero when it is a WRITE.
Step Do(StatusAsker& asker, Request request, ByteRange range) {
  request.offset = range.begin;
  request.length = static_cast<std::uint32_t>(range.length());
  if (request.type == CommandType::kWrite) {
    request.payload = Pattern(range.length(), range.begin);
  }
  NBDSPEC_TRY(answer, asker.session.Ask(request));
  if (answer.error() == 0) {
    return {};
  }
  const std::string saw = Describe(request) + ": " + ErrorName(answer.error());
  // A server may have no room, or nothing to cache into: then there is nothing to judge.
  const bool may_refuse = answer.error() == NbdError::kEnospc || request.type == CommandType::kCache;
  return Stop(may_refuse ? NotApplicable(saw) : Inconclusive(saw));
}

// Asks for what is at and around `place` in many ways, and reads back what is claimed there.
Step JudgeAround(CheckContext& context, StatusAsker& asker, ByteRange place, const std::string& after) {
  const std::uint64_t unit = asker.unit();
  const std::uint64_t begin = place.begin;
  const std::uint64_t end = place.end;
  const ByteRange around = {.begin = begin - std::min(begin, unit), .end = std::min(end + unit, asker.size())};
  const StatusRequest requests[] = {
      {.asked = place},
      {.asked = place, .req_one = true},
      {.asked = around},
      {.asked = around, .req_one = true},
      {.asked = {.begin = begin, .end = begin + unit}},
      {.asked = {.begin = end - unit, .end = end}},
      {.asked = {.begin = begin + 1, .end = end - 1}},
      {.asked = {.begin = 0, .end = end}},
  };
  std::uint64_t read_bytes = 0;
  for (const StatusRequest& request : requests) {
    if (!asker.MayAsk(request.asked) || request.asked.length() > StatusAsker::kAskedBytesMax) {
      continue;
    }
    NBDSPEC_TRY(exchange, asker.Ask(request));
    for (const ByteRange claimed : ZeroClaimsOf(exchange, around)) {
      const Claim claim = {
          .range = claimed, .by = fmt::format("{}, the answer to {}", after, Text(request)), .exchange = &exchange};
      NBDSPEC_TRY(refuted, RefuteByReading(context, asker, claim, read_bytes));
    }
  }
  return {};
}

// Writes at one place, then does `command` inside of it, then writes there again; judges after each.
// `shift` makes the edges of `command` unaligned by as many bytes.
Step JudgeCommandAt(CheckContext& context, StatusAsker& asker, ByteRange place, const Request& command,
                    std::uint64_t shift) {
  const std::uint64_t unit = asker.unit();
  const ByteRange inner = {.begin = place.begin + 2 * unit + shift, .end = place.begin + 5 * unit + 3 * shift};
  const Request write = {.type = CommandType::kWrite};
  std::vector<std::pair<Request, ByteRange>> steps = {{write, place}, {command, inner}, {write, inner}};
  if (command.type == CommandType::kWrite) {
    steps = {{write, inner}};  // Into what may be a hole.
  }
  for (const auto& [request, range] : steps) {
    NBDSPEC_TRY(done, Do(asker, request, range));
    NBDSPEC_TRY(judged, JudgeAround(context, asker, place, "after " + CommandName(request.type)));
  }
  return {};
}

template <std::uint16_t command, std::uint16_t flags = 0, std::uint64_t shift = 0>
Judgement After(CheckContext& context) {
  NBDSPEC_TRY(asker, StatusAsker::Enter(context));
  if (shift % asker.block_bytes_min() != 0) {
    return NotApplicable("the minimum block size is above 1: nothing may be unaligned");
  }
  NBDSPEC_TRY(places, Places(context, asker));
  for (const ByteRange place : places) {
    NBDSPEC_TRY(judged, JudgeCommandAt(context, asker, place, {.flags = flags, .type = command}, shift));
  }
  return Holds();
}

// A second connection, which has asked before, must not claim zeroes over what the first wrote and flushed.
Judgement SecondConnection(CheckContext& context) {
  NBDSPEC_TRY(writer, StatusAsker::Enter(context));
  NBDSPEC_TRY(reader, StatusAsker::Enter(context));
  NBDSPEC_TRY(places, Places(context, reader));
  for (const ByteRange place : places) {
    NBDSPEC_TRY(before, reader.Ask({.asked = place}));
    NBDSPEC_TRY(written, Do(writer, {.type = CommandType::kWrite}, place));
    NBDSPEC_TRY(flushed, Do(writer, {.type = CommandType::kFlush}, {}));
    NBDSPEC_TRY(judged, JudgeAround(context, reader, place, "after a WRITE and a FLUSH of another connection"));
  }
  return Holds();
}

// --- HOLE -----------------------------------------------------------------------------------------------------

// Writes what is there already to places where HOLE is clear.
Judgement NotHoleHasSpace(CheckContext& context) {
  constexpr std::size_t kPlacesMax = 8;
  NBDSPEC_TRY(asker, StatusAsker::Enter(context));
  NBDSPEC_TRY(extents, ExtentsWith(asker, AllocationFlag::kHole, false));
  Sample(context, kPlacesMax, extents);
  std::size_t written = 0;
  for (const StatusExtent& each : extents) {
    const ByteRange place = {.begin = each.range.begin,
                             .end = each.range.begin + std::min(each.range.length(), asker.unit())};
    if (!asker.MayAsk(place)) {
      continue;
    }
    NBDSPEC_TRY(data, asker.Read(place));
    if (!data) {
      continue;
    }
    NBDSPEC_TRY(answer, asker.session.Ask(WriteOf(place.begin, *data)));
    ++written;
    if (answer.error() == NbdError::kEnospc) {
      return Broken(fmt::format("HOLE is clear in [{}, {}), but a WRITE of [{}, {}) gives NBD_ENOSPC", each.range.begin,
                                each.range.end, place.begin, place.end),
                    "space for what is not a hole");
    }
  }
  return written > 0 ? Holds() : NotApplicable("all of the export that can be written is holes");
}

// --- What an answer costs -------------------------------------------------------------------------------------
// Advice of nbdkit's extents proposal: answering quickly matters more than answering precisely. A server that reads the
// data to find its status is slower the longer the request. Times are compared within one run, as a ratio with a wide
// margin, and never fail a server.

constexpr int kTrials = 5;               // The quickest of these counts: others were disturbed.
constexpr std::uint64_t kLarger = 1024;  // The large request is at least so many times the small one.
constexpr double kMargin = 20;           // Times what the small request took, for each descriptor of the answer.
constexpr double kMillisecondsMin = 1;   // A quicker answer is quick enough, whatever the ratio.

struct Cost {
  double milliseconds = std::numeric_limits<double>::max();
  std::size_t descriptor_count = 0;
  auto operator<=>(const Cost&) const = default;
};

std::expected<Cost, Judgement> Measure(StatusAsker& asker, ByteRange asked) {
  const auto start = Transport::Clock::now();
  NBDSPEC_TRY(exchange, asker.Ask({.asked = asked}));
  const std::chrono::duration<double, std::milli> took = Transport::Clock::now() - start;
  Cost cost = {.milliseconds = took.count()};
  for (const StatusChunk chunk : StatusChunksOf(exchange)) {
    cost.descriptor_count += chunk.descriptor_count();
  }
  return cost;
}

Judgement AnswersQuickly(CheckContext& context) {
  NBDSPEC_TRY(asker, StatusAsker::Enter(context));
  const ByteRange small = {.begin = 0, .end = asker.unit()};
  const std::uint64_t most = std::min(asker.size(), StatusAsker::kAskedBytesMax);
  const ByteRange large = {.begin = 0, .end = most - most % asker.unit()};
  if (large.length() < kLarger * small.length()) {
    return NotApplicable(fmt::format("the export has {} bytes only", asker.size()));
  }
  Cost cost_of_small;
  Cost cost_of_large;
  for (int i = 0; i < kTrials; ++i) {  // By turns: whatever else loads the machine slows both.
    NBDSPEC_TRY(little, Measure(asker, small));
    NBDSPEC_TRY(much, Measure(asker, large));
    cost_of_small = std::min(cost_of_small, little);
    cost_of_large = std::min(cost_of_large, much);
  }
  const double expected = cost_of_small.milliseconds * static_cast<double>(1 + cost_of_large.descriptor_count);
  return Require(cost_of_large.milliseconds <= std::max(kMillisecondsMin, kMargin * expected),
                 fmt::format("status of {} bytes took {:.3f} ms, of {} bytes {:.3f} ms with {} descriptors",
                             small.length(), cost_of_small.milliseconds, large.length(), cost_of_large.milliseconds,
                             cost_of_large.descriptor_count),
                 fmt::format("at most {} times as long for each descriptor", kMargin));
}

}  // namespace

std::vector<Check> ZeroClaimChecks() {
  constexpr std::uint16_t kZero = CommandType::kWriteZeroes;
  constexpr Features kWrites = kBase | Feature::kWritable;
  constexpr Features kZeroes = kWrites | Feature::kWriteZeroes;
  constexpr Features kTrims = kWrites | Feature::kTrim;
  return {
      {kBaseAllocationNotHoleNoEnospc, "A WRITE where HOLE is clear does not fail for want of space.", NotHoleHasSpace,
       kWrites},
      {kBaseAllocationZeroReadsZero, "What a query of the whole export claims to be zero reads as zeroes.",
       WalkReadsZero, kBase},
      {kSub<kBaseAllocationZeroReadsZero, "other-exports">,
       "What a query of another export claims to be zero reads as zeroes there.", OnOtherExports(WalkReadsZero), kBase},
      {kSub<kBaseAllocationZeroReadsZero, "battery">,
       "What short, unaligned and REQ_ONE queries claim to be zero reads as zeroes.", BatteryReadsZero, kBase},
      {kSub<kBaseAllocationZeroReadsZero, "after-write">, "After a WRITE its bytes are not claimed to be zero.",
       After<CommandType::kWrite>, kWrites},
      {kSub<kBaseAllocationZeroReadsZero, "after-unaligned-write">,
       "After an unaligned WRITE its bytes are not claimed to be zero.", After<CommandType::kWrite, 0, 1>, kWrites},
      {kSub<kBaseAllocationZeroReadsZero, "after-write-zeroes">,
       "After WRITE_ZEROES neither the data around it nor what is written over it is claimed to be zero.", After<kZero>,
       kZeroes},
      {kSub<kBaseAllocationZeroReadsZero, "after-no-hole-zeroes">,
       "After WRITE_ZEROES with NO_HOLE neither the data around it nor what is written over it is claimed to be zero.",
       After<kZero, CommandFlag::kNoHole>, kZeroes},
      {kSub<kBaseAllocationZeroReadsZero, "after-unaligned-zeroes">,
       "After an unaligned WRITE_ZEROES neither the data around it nor what is written over it is claimed to be zero.",
       After<kZero, 0, 1>, kZeroes},
      {kSub<kBaseAllocationZeroReadsZero, "after-trim">,
       "After TRIM the data around it is not claimed to be zero, and what is claimed reads as zeroes.",
       After<CommandType::kTrim>, kTrims},
      {kSub<kBaseAllocationZeroReadsZero, "after-unaligned-trim">,
       "After an unaligned TRIM the data around it is not claimed to be zero, and what is claimed reads as zeroes.",
       After<CommandType::kTrim, 0, 1>, kTrims},
      {kSub<kBaseAllocationZeroReadsZero, "after-cache">,
       "After a WRITE and CACHE the bytes written are not claimed to be zero.", After<CommandType::kCache>,
       kBase | Feature::kWritable | Feature::kCache},
      {kSub<kBaseAllocationZeroReadsZero, "second-connection">,
       "No connection claims zeroes where another one wrote and flushed.", SecondConnection,
       kBase | Feature::kWritable | Feature::kMultiConn | Feature::kFlush},
      {kExtentsProposalAnswerQuickly,
       "Block status costs in proportion to what is answered, not to the length of the request.", AnswersQuickly,
       Feature::kBaseAllocation},
  };
}

}  // namespace nbdspec::conformance
