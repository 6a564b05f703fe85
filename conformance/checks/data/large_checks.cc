// SPDX-License-Identifier: BSD-3-Clause
// Checks of large numbers: payloads as long as may be, offsets above 4 GiB, and WRITE_ZEROES, TRIM, CACHE and
// BLOCK_STATUS of gigabytes, which have no payload. They need an export of some gigabytes, of which they write little.
// Spec: proto.md, "Size constraints", "Request types".
#include <chrono>

#include "conformance/checks/data/known_stretch.h"
#include "conformance/checks/metadata/meta_contexts.h"
#include "engine/exchange/status.h"

namespace nbdspec::conformance {

namespace {

constexpr std::uint64_t k4GiB = 4 * kGiB;

Judgement TooSmall(const Entered& entered) {
  return NotApplicable(fmt::format("the export of {} bytes is too small", entered.size()));
}

// --- Stretches here and there ----------------------------------------------------------------------------------

using Stretches = std::vector<KnownStretch>;

// 8 KiB around `offset`, unless that touches one of `stretches` or is not in the export.
void AddAround(const Entered& entered, std::uint64_t offset, Stretches& stretches) {
  constexpr std::uint64_t kHalf = 4 * kKiB;
  if (offset > UsableBytes(entered)) {
    return;
  }
  KnownStretch more = KnownStretch::Around(entered, {.begin = offset, .end = offset}, kHalf);
  const bool is_apart = std::ranges::all_of(
      stretches, [&](const KnownStretch& each) { return Intersect(each.range(), more.range()).empty(); });
  if (is_apart && !more.range().empty()) {
    stretches.push_back(std::move(more));
  }
}

Step FillAll(CheckContext& context, Entered& entered, Stretches& stretches) {
  for (KnownStretch& each : stretches) {
    NBDSPEC_TRY(filled, each.Fill(entered, context.random()));
  }
  return {};
}

Step CompareAll(Entered& entered, const Stretches& stretches, const std::string& after, std::string_view allowed) {
  for (const KnownStretch& each : stretches) {
    Judgement judgement = each.Compare(entered, after, allowed);
    if (!judgement.holds()) {
      return Stop(std::move(judgement));
    }
  }
  return {};
}

// --- Long payloads ---------------------------------------------------------------------------------------------

// Up to the most that the server takes.
std::vector<std::uint64_t> LongLengths(const Entered& entered) {
  const std::uint64_t unit = UnitOf(entered);
  const std::uint64_t most = PayloadBytesMax(entered);
  std::vector<std::uint64_t> lengths = {4 * kMiB + unit, most};
  std::erase_if(lengths, [&](std::uint64_t length) { return length > most || length <= kMiB; });
  return lengths;
}

// With known bytes at both ends; those in the middle become others than they were.
Judgement WritesLongPayloads(CheckContext& context) {
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  Attempts attempts;
  for (const std::uint64_t length : LongLengths(entered)) {
    const std::uint64_t begin = 64 * kMiB + UnitOf(entered);
    const ByteRange range = {.begin = begin, .end = begin + length};
    if (range.end + kMiB > UsableBytes(entered)) {
      return TooSmall(entered);
    }
    Stretches ends;
    AddAround(entered, range.begin, ends);
    AddAround(entered, range.end, ends);
    NBDSPEC_TRY(filled, FillAll(context, entered, ends));
    const Request write = CommandOn(context, CommandType::kWrite, 0, range);
    NBDSPEC_TRY(is_done, attempts.Ask(entered, write));
    if (is_done) {
      std::ranges::for_each(ends, [&](KnownStretch& each) { each.Apply(write); });
      ends.push_back(KnownStretch::Of(write));
      NBDSPEC_TRY(written, CompareAll(entered, ends, Describe(write), "WRITE changes its bytes, and no others"));
    }
  }
  return attempts.Conclude();
}

template <bool structured>
Judgement ReadsLongPayloads(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  const std::uint64_t unit = UnitOf(entered);
  if (UsableBytes(entered) < PayloadBytesMax(entered) + unit) {
    return TooSmall(entered);
  }
  KnownStretch stretch = KnownStretch::Around(entered, {.begin = 0, .end = PayloadBytesMax(entered) + unit}, 0);
  NBDSPEC_TRY(learnt, stretch.Learn(entered, kMiB));
  Attempts attempts;
  for (const std::uint64_t length : LongLengths(entered)) {
    NBDSPEC_TRY(reader, context.Enter({.structured_replies = structured}));
    const ByteRange range = {.begin = unit, .end = unit + length};
    NBDSPEC_TRY(found, attempts.Read(reader, range));
    Judgement judgement =
        found ? Compare(*found, stretch.BytesOf(range), range.begin, "the bytes that shorter READs give") : Holds();
    if (!judgement.holds()) {
      judgement.saw = fmt::format("a READ of {} bytes: {}", length, judgement.saw);
      return judgement;
    }
  }
  return attempts.Conclude();
}

// --- High offsets ----------------------------------------------------------------------------------------------

// Places that are the same but for their high bits each keep what was written there, when one of them is changed too.
Judgement TellsHighOffsetsApart(CheckContext& context) {
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  const std::uint64_t low = 300 * kMiB + 12 * kKiB;
  if (UsableBytes(entered) < k4GiB + kGiB) {
    return TooSmall(entered);
  }
  Stretches stretches;
  for (const std::uint64_t high : {k4GiB, 2 * kGiB, std::uint64_t{0}, k4GiB + kGiB, kGiB, 3 * kGiB}) {
    AddAround(entered, low + high, stretches);
  }
  NBDSPEC_TRY(filled, FillAll(context, entered, stretches));
  NBDSPEC_TRY(written, CompareAll(entered, stretches, "WRITEs at offsets that differ in high bits alone",
                                  "each place has what was written there"));
  for (const std::uint16_t command : {CommandType::kWriteZeroes, CommandType::kTrim, CommandType::kCache}) {
    const ByteRange range = {.begin = low + k4GiB, .end = low + k4GiB + GridOf(entered)};
    const Request request = RequestFor(command, range);
    Attempts attempts;
    if (IsOffered(entered, command) && attempts.Ask(entered, request).value_or(false)) {
      std::ranges::for_each(stretches, [&](KnownStretch& each) { each.Apply(request); });
      NBDSPEC_TRY(kept, CompareAll(entered, stretches, Describe(request), "it changes its range at most"));
    }
  }
  return Holds();
}

// --- Requests of gigabytes, without a payload ------------------------------------------------------------------

// One that may take longer than this is not tried: some servers write zeroes one by one.
constexpr std::chrono::milliseconds kTriedMax{1000};

// From 64 MiB to the longest that fits 32 bits, each with its neighbours; in the extended form, after the shortest,
// those that do not fit.
std::vector<ByteRange> GigabyteRanges(const Entered& entered) {
  const std::uint64_t unit = UnitOf(entered);
  const std::uint64_t longest = UINT32_MAX / unit * unit;
  const std::uint64_t sectors = UINT32_MAX / GridOf(entered) * GridOf(entered);
  const std::vector<std::uint64_t> lengths =
      entered.agreed->headers == HeaderForm::kExtended
          ? std::vector{64 * kMiB, k4GiB, k4GiB + unit, k4GiB + 128 * kMiB + unit}
          : std::vector{64 * kMiB,
                        64 * kMiB + 128 * kKiB + unit,
                        128 * kMiB + unit,
                        kGiB - unit,
                        2 * kGiB - unit,
                        2 * kGiB,
                        2 * kGiB + unit,
                        sectors,
                        longest};
  std::vector<ByteRange> ranges;
  for (const std::uint64_t length : lengths) {
    const std::uint64_t begin = kGiB + 64 * kKiB + unit;
    const std::uint64_t over_4_gib = k4GiB - std::min(3 * kGiB, length / 2 / GridOf(entered) * GridOf(entered));
    for (const std::uint64_t from : {begin, over_4_gib}) {
      if (from + length + 2 * kMiB <= UsableBytes(entered)) {
        ranges.push_back({.begin = from, .end = from + length});
      }
    }
  }
  return ranges;
}

// Where a server goes wrong that does `range` with too few bits, not to its end, or beyond: at its ends, at powers of
// two from its beginning on, and at 32-bit remains of its ends.
Stretches StretchesAbout(const Entered& entered, ByteRange range) {
  Stretches stretches;
  std::vector<std::uint64_t> offsets = {
      range.begin, range.end, range.begin - kMiB, range.end + kMiB, 0, range.end & UINT32_MAX, UsableBytes(entered)};
  for (std::uint64_t power = 64 * kKiB; power < range.length(); power *= 2) {
    offsets.insert(offsets.end(), {range.begin + power, range.end - power});
  }
  for (const std::uint64_t offset : offsets) {
    AddAround(entered, offset, stretches);
  }
  return stretches;
}

// Does `command` over gigabytes with known stretches in and about them.
template <std::uint16_t command>
Judgement DoesGigabytes(CheckContext& context) {
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  Attempts attempts;
  std::chrono::duration<double> took{0};
  std::uint64_t took_for = 1;  // Bytes.
  const std::vector<ByteRange> ranges = GigabyteRanges(entered);
  for (const ByteRange range : ranges) {
    const auto expected = took * (static_cast<double>(range.length()) / static_cast<double>(took_for));
    if (expected > kTriedMax) {
      return NotApplicable(fmt::format("{} of {} bytes took {:.2f} s: {} bytes are not tried", CommandName(command),
                                       took_for, took.count(), range.length()));
    }
    Stretches stretches = StretchesAbout(entered, range);
    NBDSPEC_TRY(filled, FillAll(context, entered, stretches));
    const Request request = RequestFor(command, range);
    const auto start = Transport::Clock::now();
    NBDSPEC_TRY(is_done, attempts.Ask(entered, request));
    took = Transport::Clock::now() - start;
    took_for = range.length();
    if (is_done) {
      std::ranges::for_each(stretches, [&](KnownStretch& each) { each.Apply(request); });
      NBDSPEC_TRY(kept,
                  CompareAll(entered, stretches, Describe(request), "it changes all of its range and nothing else"));
    }
  }
  return ranges.empty() ? TooSmall(entered) : attempts.Conclude();
}

// --- BLOCK_STATUS ----------------------------------------------------------------------------------------------

// Asks for the status of gigabytes with data here and there, which must not be claimed to be zero.
Judgement ClaimsNoDataZero(CheckContext& context) {
  NBDSPEC_TRY(asker, StatusAsker::Enter(context));
  std::size_t answered_count = 0;
  for (const ByteRange range : GigabyteRanges(asker)) {
    if (context.headers == HeaderForm::kCompact && range.length() > 2 * kGiB + asker.unit()) {
      continue;  // block-status.sum-before-last/huge asks for those: servers have died of them (CVE-2025-47711).
    }
    Stretches stretches = StretchesAbout(asker, range);
    NBDSPEC_TRY(filled, FillAll(context, asker, stretches));
    NBDSPEC_TRY(exchange, asker.Ask({.asked = range}));
    answered_count += exchange.answer.error() == NbdError::kOk ? 1 : 0;
    for (const ByteRange claimed : ZeroClaimsOf(exchange, {.begin = 0, .end = asker.size()})) {
      for (const KnownStretch& each : stretches) {
        NBDSPEC_TRY(found, asker.FindNonZero(Intersect(claimed, each.range())));
        if (found) {
          return About(
              WithTruth(SubjectOf(exchange), claimed, *found),
              Broken(fmt::format("the answer to {} claims that [{}, {}) reads as zeroes, but byte {} is not zero",
                                 Text(StatusRequest{.asked = range}), claimed.begin, claimed.end, *found),
                     "ZERO only where every byte reads as zero"));
        }
      }
    }
  }
  return answered_count > 0 ? Holds() : TooSmall(asker);
}

}  // namespace

std::vector<Check> LargeChecks() {
  return {
      {kSub<kTransmissionWriteThenReply, "long-payloads">,
       "WRITE of 4 MiB up to the maximum payload changes its bytes and no others.", WritesLongPayloads, kWritable,
       Setup::kLarge},
      {kSub<kBaselineReadServer, "long-payloads">,
       "READ of 4 MiB up to the maximum payload gives what shorter ones give.", ReadsLongPayloads</*structured=*/false>,
       0, Setup::kLarge},
      {kSub<kBaselineReadServer, "structured-long-payloads">,
       "READ in chunks of 4 MiB up to the maximum payload gives what shorter ones give.",
       ReadsLongPayloads</*structured=*/true>, kChunks, Setup::kLarge},
      {kSub<kTransmissionWriteThenReply, "high-offsets">,
       "What is done at offsets above 4 GiB changes nothing where their low bits are the same.", TellsHighOffsetsApart,
       kWritable, Setup::kLarge},
      {kSub<kTransmissionWriteThenReply, "trim-gigabytes">,
       "What was written beside the range of a TRIM of 64 MiB to 4 GiB stays.", DoesGigabytes<CommandType::kTrim>,
       kWritable | Feature::kTrim, Setup::kLarge},
      {kSub<kWriteZeroesReadsZero, "gigabytes">, "WRITE_ZEROES of 64 MiB to 4 GiB zeroes its bytes and no others.",
       DoesGigabytes<CommandType::kWriteZeroes>, kZeroing, Setup::kLarge},
      {kSub<kCacheNoSemanticChange, "gigabytes">, "CACHE of 64 MiB to 4 GiB changes no bytes.",
       DoesGigabytes<CommandType::kCache>, kWritable | Feature::kCache, Setup::kLarge},
      {kSub<kBaseAllocationZeroReadsZero, "gigabytes">,
       "What queries of 64 MiB to 2 GiB claim to be zero is not what was written.", ClaimsNoDataZero,
       kBase | Feature::kWritable, Setup::kLarge},
      {kSub<kTransmissionWriteThenReply, "trim-over-4-gib">, "What was written beside a TRIM of more than 4 GiB stays.",
       WithExtended(DoesGigabytes<CommandType::kTrim>), kExtended | kWritable | Feature::kTrim, Setup::kLarge},
      {kSub<kWriteZeroesReadsZero, "over-4-gib">, "WRITE_ZEROES of more than 4 GiB zeroes its bytes and no others.",
       WithExtended(DoesGigabytes<CommandType::kWriteZeroes>), kExtended | kZeroing, Setup::kLarge},
      {kSub<kCacheNoSemanticChange, "over-4-gib">, "CACHE of more than 4 GiB changes no bytes.",
       WithExtended(DoesGigabytes<CommandType::kCache>), kExtended | kWritable | Feature::kCache, Setup::kLarge},
      {kSub<kBaseAllocationZeroReadsZero, "over-4-gib">,
       "What queries of more than 4 GiB claim to be zero is not what was written.", WithExtended(ClaimsNoDataZero),
       kExtended | Feature::kBaseAllocation | kWritable, Setup::kLarge},
  };
}

}  // namespace nbdspec::conformance
