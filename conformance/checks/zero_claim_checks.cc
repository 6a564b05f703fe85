// SPDX-License-Identifier: BSD-3-Clause
// Checks of what base:allocation claims: ZERO must read as zeroes, whatever was done before and through whatever
// request it is claimed; where HOLE is clear there must be space. Spec: proto.md, "base:allocation metadata context".
//
// A claim is refuted by one byte that READ gives, and by nothing else: a server that drops what is written to it
// breaks other requirements, but may go on claiming zeroes.
#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "conformance/checks/check.h"
#include "conformance/checks/status_asking.h"
#include "conformance/checks/survey.h"
#include "engine/block_status/judge.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::AllocationFlag;
using engine::ByteRange;
using engine::CommandFlag;
using engine::CommandType;

namespace {

constexpr std::uint64_t kReadBytesMax = 8 << 20;  // By one check.
constexpr std::uint64_t kSampleBytes = 64 << 10;  // Of a claim too long to be read.
constexpr std::uint64_t kPlaceUnits = 8;          // Of what is written at one place.
constexpr std::string_view kAllowed = "ZERO only where every byte reads as zero";

// Something that is judged step by step: nothing, or why to stop.
using Verdictless = std::optional<Judgement>;

// Reads `claimed`, or samples of it, and judges.
Verdictless RefuteByReading(CheckContext& context, StatusAsker& asker, ByteRange claimed, const std::string& by,
                            std::uint64_t& read_bytes) {
  std::vector<ByteRange> parts = {claimed};
  if (claimed.length() > 3 * kSampleBytes && read_bytes + claimed.length() > kReadBytesMax) {
    const std::uint64_t middle = claimed.begin + context.random()() % (claimed.length() - kSampleBytes);
    parts = {{.begin = claimed.begin, .end = claimed.begin + kSampleBytes},
             {.begin = middle, .end = middle + kSampleBytes},
             {.begin = claimed.end - kSampleBytes, .end = claimed.end}};
  }
  for (const ByteRange part : parts) {
    read_bytes += part.length();
    const auto found = asker.FindNonZero(part);
    if (!found) {
      return AsJudgement(found.error());
    }
    if (*found) {
      return Broken(fmt::format("{} claims that [{}, {}) reads as zeroes, but byte {} is not zero", by, claimed.begin,
                                claimed.end, **found),
                    std::string(kAllowed));
    }
  }
  return {};
}

Judgement WalkReadsZero(CheckContext& context) {
  constexpr std::size_t kClaimsMax = 256;  // Servers that run a script for each read are slow.
  NBDSPEC_TRY(asker, StatusAsker::Enter(context));
  NBDSPEC_TRY(extents, asker.Walk());
  std::erase_if(extents, [](const StatusExtent& each) { return (each.status & AllocationFlag::kZero) == 0; });
  if (extents.empty()) {
    return NotApplicable("no part of the export is claimed to read as zeroes");
  }
  std::ranges::shuffle(extents, context.random());
  extents.resize(std::min(extents.size(), kClaimsMax));
  std::uint64_t read_bytes = 0;
  for (const StatusExtent& each : extents) {
    if (read_bytes >= kReadBytesMax) {
      break;
    }
    if (Verdictless stop = RefuteByReading(context, asker, each.range, "a query of the whole export", read_bytes)) {
      return *std::move(stop);
    }
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
    std::vector<ByteRange> claims = engine::ClaimedZeroes(exchange, {.begin = 0, .end = asker.export_bytes()});
    std::ranges::shuffle(claims, context.random());
    claims.resize(std::min(claims.size(), kClaimsMax));
    for (const ByteRange claimed : claims) {
      has_claim = true;
      const std::uint64_t edge = std::min(kEdgeBytes, claimed.length());
      for (const ByteRange part : {ByteRange{.begin = claimed.begin, .end = claimed.begin + edge},
                                   ByteRange{.begin = claimed.end - edge, .end = claimed.end}}) {
        if (Verdictless stop = RefuteByReading(context, asker, part, "the answer to " + Text(request), read_bytes)) {
          return *std::move(stop);
        }
      }
    }
  }
  return has_claim ? Holds() : NotApplicable("no part of the export is claimed to read as zeroes");
}

// --- After commands -------------------------------------------------------------------------------------------

// Ranges to write to: at both ends and in the middle of what is claimed to be zero, and anywhere.
Received<std::vector<ByteRange>> Places(CheckContext& context, StatusAsker& asker) {
  constexpr std::size_t kExtentsMax = 3;
  auto extents = asker.Walk();
  if (!extents) {
    return std::unexpected(std::move(extents).error());
  }
  std::erase_if(*extents, [](const StatusExtent& each) { return (each.status & AllocationFlag::kZero) == 0; });
  std::ranges::shuffle(*extents, context.random());
  extents->resize(std::min(extents->size(), kExtentsMax));
  const std::uint64_t unit = asker.unit();
  const std::uint64_t length = kPlaceUnits * unit;
  std::vector<ByteRange> places;
  if (asker.export_bytes() < length || length > asker.entered().block_size.maximum) {
    return places;
  }
  const auto add = [&](std::uint64_t begin) {
    const std::uint64_t fitting = std::min(begin, asker.export_bytes() - length);
    places.push_back(ByteRange::From({.offset = fitting - fitting % unit, .length = length}).value());
  };
  for (const StatusExtent& each : *extents) {
    add(each.range.begin);
    add(each.range.begin + each.range.length() / 2);
    add(each.range.end - std::min(each.range.end, length));
  }
  for (int i = 0; i < 2; ++i) {
    add(context.random()() % asker.export_bytes());
  }
  return places;
}

// Does `request`, with bytes none of which is zero when it is a WRITE. Nothing when it is done.
Verdictless Do(StatusAsker& asker, engine::Request request, ByteRange range) {
  request.offset = range.begin;
  request.length = static_cast<std::uint32_t>(range.length());
  if (request.type == CommandType::kWrite) {
    request.payload = Pattern(range.length(), range.begin);
  }
  const auto answer = asker.session().Ask(request);
  if (!answer) {
    return AsJudgement(answer.error());
  }
  if (answer->error() == 0) {
    return {};
  }
  const std::string saw = fmt::format("{} of [{}, {}) gives {}", engine::CommandName(request.type), range.begin,
                                      range.end, engine::ErrorName(answer->error()));
  return answer->error() == engine::NbdError::kEnospc ? NotApplicable(saw) : Inconclusive(saw);
}

// Asks for what is at and around `place` in many ways, and reads back what is claimed there.
Verdictless JudgeAround(CheckContext& context, StatusAsker& asker, ByteRange place, const std::string& after) {
  const std::uint64_t unit = asker.unit();
  const std::uint64_t begin = place.begin;
  const std::uint64_t end = place.end;
  const ByteRange around = {.begin = begin - std::min(begin, unit), .end = std::min(end + unit, asker.export_bytes())};
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
    const auto exchange = asker.Ask(request);
    if (!exchange) {
      return AsJudgement(exchange.error());
    }
    for (const ByteRange claimed : engine::ClaimedZeroes(*exchange, around)) {
      if (Verdictless stop = RefuteByReading(context, asker, claimed,
                                             fmt::format("{}, the answer to {}", after, Text(request)), read_bytes)) {
        return stop;
      }
    }
  }
  return {};
}

// Writes at one place, then does `command` inside of it, then writes there again; judges after each.
// `shift` makes the edges of `command` unaligned by as many bytes.
Verdictless JudgeCommandAt(CheckContext& context, StatusAsker& asker, ByteRange place, const engine::Request& command,
                           std::uint64_t shift) {
  const std::uint64_t unit = asker.unit();
  const ByteRange inner = {.begin = place.begin + 2 * unit + shift, .end = place.begin + 5 * unit + 3 * shift};
  const engine::Request write = {.type = CommandType::kWrite};
  std::vector<std::pair<engine::Request, ByteRange>> steps = {{write, place}, {command, inner}, {write, inner}};
  if (command.type == CommandType::kWrite) {
    steps = {{write, inner}};  // Into what may be a hole.
  }
  for (const auto& [request, range] : steps) {
    if (Verdictless stop = Do(asker, request, range)) {
      return stop;
    }
    if (Verdictless stop = JudgeAround(context, asker, place, "after " + engine::CommandName(request.type))) {
      return stop;
    }
  }
  return {};
}

Judgement JudgeCommand(CheckContext& context, const engine::Request& command, std::uint64_t shift) {
  NBDSPEC_TRY(asker, StatusAsker::Enter(context));
  if (shift % asker.block_bytes_min() != 0) {
    return NotApplicable("the minimum block size is above 1: nothing may be unaligned");
  }
  NBDSPEC_TRY(places, Places(context, asker));
  if (places.empty()) {
    return NotApplicable(fmt::format("the export of {} bytes has no room for the check", asker.export_bytes()));
  }
  for (const ByteRange place : places) {
    if (Verdictless stop = JudgeCommandAt(context, asker, place, command, shift)) {
      return *std::move(stop);
    }
  }
  return Holds();
}

Judgement AfterWrite(CheckContext& context) { return JudgeCommand(context, {.type = CommandType::kWrite}, 0); }

Judgement AfterUnalignedWrite(CheckContext& context) { return JudgeCommand(context, {.type = CommandType::kWrite}, 1); }

Judgement AfterWriteZeroes(CheckContext& context) {
  return JudgeCommand(context, {.type = CommandType::kWriteZeroes}, 0);
}

Judgement AfterNoHoleZeroes(CheckContext& context) {
  return JudgeCommand(context, {.flags = CommandFlag::kNoHole, .type = CommandType::kWriteZeroes}, 0);
}

Judgement AfterUnalignedZeroes(CheckContext& context) {
  return JudgeCommand(context, {.type = CommandType::kWriteZeroes}, 1);
}

Judgement AfterTrim(CheckContext& context) { return JudgeCommand(context, {.type = CommandType::kTrim}, 0); }

Judgement AfterUnalignedTrim(CheckContext& context) { return JudgeCommand(context, {.type = CommandType::kTrim}, 1); }

Judgement AfterCache(CheckContext& context) { return JudgeCommand(context, {.type = CommandType::kCache}, 0); }

// A second connection, which has asked before, must not claim zeroes over what the first wrote and flushed.
Judgement SecondConnection(CheckContext& context) {
  NBDSPEC_TRY(writer, StatusAsker::Enter(context));
  NBDSPEC_TRY(reader, StatusAsker::Enter(context));
  NBDSPEC_TRY(places, Places(context, reader));
  if (places.empty()) {
    return NotApplicable(fmt::format("the export of {} bytes has no room for the check", reader.export_bytes()));
  }
  for (const ByteRange place : places) {
    NBDSPEC_TRY(before, reader.Ask({.asked = place}));
    if (Verdictless stop = Do(writer, {.type = CommandType::kWrite}, place)) {
      return *std::move(stop);
    }
    if (Verdictless stop = Do(writer, {.type = CommandType::kFlush}, {})) {
      return *std::move(stop);
    }
    if (Verdictless stop = JudgeAround(context, reader, place, "after a WRITE and a FLUSH of another connection")) {
      return *std::move(stop);
    }
  }
  return Holds();
}

// --- HOLE -----------------------------------------------------------------------------------------------------

// Writes what is there already to places where HOLE is clear.
Judgement NotHoleHasSpace(CheckContext& context) {
  constexpr std::size_t kPlacesMax = 8;
  NBDSPEC_TRY(asker, StatusAsker::Enter(context));
  NBDSPEC_TRY(extents, asker.Walk());
  std::erase_if(extents, [](const StatusExtent& each) { return (each.status & AllocationFlag::kHole) != 0; });
  std::ranges::shuffle(extents, context.random());
  extents.resize(std::min(extents.size(), kPlacesMax));
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
    NBDSPEC_TRY(answer, asker.session().Ask(WriteOf(place.begin, *data)));
    ++written;
    if (answer.error() == engine::NbdError::kEnospc) {
      return Broken(fmt::format("HOLE is clear in [{}, {}), but a WRITE of [{}, {}) gives NBD_ENOSPC", each.range.begin,
                                each.range.end, place.begin, place.end),
                    "space for what is not a hole");
    }
  }
  return written > 0 ? Holds() : NotApplicable("all of the export that can be written is holes");
}

}  // namespace

std::vector<Check> ZeroClaimChecks() {
  constexpr auto needs = [](std::initializer_list<Feature> more) {
    Features all = {Feature::kStructuredReplies, Feature::kBaseAllocation};
    for (const Feature each : more) {
      all.Set(each);
    }
    return all;
  };
  return {
      {.id = spec::kBaseAllocationNotHoleNoEnospc,
       .needs = needs({Feature::kWritable}),
       .claim = "A WRITE where HOLE is clear does not fail for want of space.",
       .run = NotHoleHasSpace},
      {.id = spec::kBaseAllocationZeroReadsZero,
       .needs = needs({}),
       .claim = "What a query of the whole export claims to be zero reads as zeroes.",
       .run = WalkReadsZero},
      {.id = spec::kSub<spec::kBaseAllocationZeroReadsZero, "battery">,
       .needs = needs({}),
       .claim = "What short, unaligned and REQ_ONE queries claim to be zero reads as zeroes.",
       .run = BatteryReadsZero},
      {.id = spec::kSub<spec::kBaseAllocationZeroReadsZero, "after-write">,
       .needs = needs({Feature::kWritable}),
       .claim = "After a WRITE its bytes are not claimed to be zero.",
       .run = AfterWrite},
      {.id = spec::kSub<spec::kBaseAllocationZeroReadsZero, "after-unaligned-write">,
       .needs = needs({Feature::kWritable}),
       .claim = "After an unaligned WRITE its bytes are not claimed to be zero.",
       .run = AfterUnalignedWrite},
      {.id = spec::kSub<spec::kBaseAllocationZeroReadsZero, "after-write-zeroes">,
       .needs = needs({Feature::kWritable, Feature::kWriteZeroes}),
       .claim = "After WRITE_ZEROES the data around it is not claimed to be zero, nor what is written over it.",
       .run = AfterWriteZeroes},
      {.id = spec::kSub<spec::kBaseAllocationZeroReadsZero, "after-no-hole-zeroes">,
       .needs = needs({Feature::kWritable, Feature::kWriteZeroes}),
       .claim = "So it is after WRITE_ZEROES with NO_HOLE.",
       .run = AfterNoHoleZeroes},
      {.id = spec::kSub<spec::kBaseAllocationZeroReadsZero, "after-unaligned-zeroes">,
       .needs = needs({Feature::kWritable, Feature::kWriteZeroes}),
       .claim = "So it is after an unaligned WRITE_ZEROES.",
       .run = AfterUnalignedZeroes},
      {.id = spec::kSub<spec::kBaseAllocationZeroReadsZero, "after-trim">,
       .needs = needs({Feature::kWritable, Feature::kTrim}),
       .claim = "After TRIM the data around it is not claimed to be zero, and what is claimed reads as zeroes.",
       .run = AfterTrim},
      {.id = spec::kSub<spec::kBaseAllocationZeroReadsZero, "after-unaligned-trim">,
       .needs = needs({Feature::kWritable, Feature::kTrim}),
       .claim = "So it is after an unaligned TRIM.",
       .run = AfterUnalignedTrim},
      {.id = spec::kSub<spec::kBaseAllocationZeroReadsZero, "after-cache">,
       .needs = needs({Feature::kWritable, Feature::kCache}),
       .claim = "After a WRITE and CACHE the bytes written are not claimed to be zero.",
       .run = AfterCache},
      {.id = spec::kSub<spec::kBaseAllocationZeroReadsZero, "second-connection">,
       .needs = needs({Feature::kWritable, Feature::kMultiConn, Feature::kFlush}),
       .claim = "What one connection wrote and flushed another does not claim to be zero.",
       .run = SecondConnection},
  };
}

}  // namespace nbdspec::conformance
