// SPDX-License-Identifier: BSD-3-Clause
// Checks that READ gives the same bytes however it is asked: in one request or many, with simple replies, with chunks
// and with DF, on one connection and on others, over the edges of holes. Spec: proto.md, NBD_CMD_READ.
#include <set>

#include "conformance/checks/data/known_stretch.h"

namespace nbdspec::conformance {

namespace {

constexpr std::string_view kSameBytes = "the same bytes however they are read";

// How to read.
struct Mode {
  bool structured = false;
  std::uint16_t flags = 0;
  std::uint64_t length_max = ~std::uint64_t{0};
};
constexpr Mode kSimple = {};
constexpr Mode kInChunks = {.structured = true};
// Longer ones may be refused.
constexpr Mode kInOneChunk = {.structured = true, .flags = CommandFlag::kDf, .length_max = 64 * kKiB};

// Where a stretch is cut into READs: at the multiples of `length`, moved by `shift`, which is less.
struct Split {
  std::uint64_t length = 0;
  std::uint64_t shift = 0;
};

std::vector<Split> SplitsFor(const Entered& entered) {
  const std::uint64_t unit = UnitOf(entered);
  std::vector<Split> splits;
  for (const std::uint64_t edge : {std::uint64_t{512}, 4 * kKiB, 64 * kKiB, PayloadBytesMax(entered)}) {
    if (edge > unit) {
      splits.insert(splits.end(), {{edge, 0}, {edge, unit}, {edge - unit, 0}, {edge + unit, 0}});
    }
  }
  return splits;
}

// Reads `range` of the stretch and compares. A refusal is not judged.
Step CompareRead(Entered& entered, const KnownStretch& stretch, ByteRange range, const Mode& mode, Attempts& attempts) {
  NBDSPEC_TRY(found, attempts.Read(entered, range, mode.flags));
  if (found) {
    Judgement judgement = Compare(*found, stretch.BytesOf(range), range.begin, kSameBytes);
    if (!judgement.holds()) {
      judgement.saw = fmt::format("{}{}: {}", Describe(RequestFor(CommandType::kRead, range, mode.flags)),
                                  mode.structured ? " with structured replies" : " with simple replies", judgement.saw);
      return Stop(std::move(judgement));
    }
  }
  return {};
}

// Reads what is around `edge`: a few READs on either side, cut like that.
Step CompareSplit(Entered& entered, const KnownStretch& stretch, std::uint64_t edge, const Split& split,
                  const Mode& mode, Attempts& attempts) {
  const std::uint64_t near = 2 * split.length;
  const ByteRange window = Intersect(stretch.range(), {.begin = edge - std::min(edge, near), .end = edge + near});
  for (std::uint64_t begin = window.begin; begin < window.end;) {
    const std::uint64_t since_cut = (begin + split.length - split.shift) % split.length;
    const std::uint64_t end = std::min(window.end, begin + split.length - since_cut);
    if (end - begin <= std::min(PayloadBytesMax(entered), mode.length_max)) {
      NBDSPEC_TRY(compared, CompareRead(entered, stretch, {.begin = begin, .end = end}, mode, attempts));
    }
    begin = end;
  }
  return {};
}

// Units one by one, and ranges that end and begin in all places near `edge`.
Step CompareAround(Entered& entered, const KnownStretch& stretch, std::uint64_t edge, const Mode& mode,
                   Attempts& attempts) {
  const std::uint64_t unit = UnitOf(entered);
  for (std::uint64_t before = 0; before <= 3; ++before) {
    for (std::uint64_t after = 0; after <= 3; ++after) {
      const ByteRange range = {.begin = edge - std::min(edge, before * unit), .end = edge + after * unit};
      if (!range.empty() && stretch.range().Contains(range)) {
        NBDSPEC_TRY(compared, CompareRead(entered, stretch, range, mode, attempts));
      }
    }
  }
  return {};
}

// Reads what is around the edges in every way of `mode`, on a connection of its own.
Step CompareReads(CheckContext& context, const KnownStretch& stretch, const std::vector<std::uint64_t>& edges,
                  const Mode& mode, Attempts& attempts) {
  NBDSPEC_TRY(entered, context.Enter({.structured_replies = mode.structured}));
  for (const std::uint64_t edge : edges) {
    for (const Split& split : SplitsFor(entered)) {
      NBDSPEC_TRY(compared, CompareSplit(entered, stretch, edge, split, mode, attempts));
    }
    NBDSPEC_TRY(compared, CompareAround(entered, stretch, edge, mode, attempts));
  }
  return {};
}

// --- What is there ---------------------------------------------------------------------------------------------

// Places where other bytes may begin: in the images that nbdspec makes, and where every export has edges.
std::vector<std::uint64_t> EdgesOf(const Entered& entered) {
  const std::uint64_t usable = UsableBytes(entered);
  std::set<std::uint64_t> edges = {0, usable};
  for (const std::uint64_t edge : {64 * kKiB, 1024 * kKiB, 1088 * kKiB, 2048 * kKiB, 2112 * kKiB, usable / 2,
                                   usable - std::min(usable, 4 * kKiB)}) {
    edges.insert(std::min(usable, edge / GridOf(entered) * GridOf(entered)));
  }
  return {edges.begin(), edges.end()};
}

template <Mode mode>
Judgement AgreesWithItself(CheckContext& context) {
  constexpr std::uint64_t kAroundBytes = 72 * kKiB;  // So that READs of 64 KiB have edges in them.
  NBDSPEC_TRY(entered, context.Enter());
  Attempts attempts;
  const std::vector<std::uint64_t> edges = EdgesOf(entered);
  for (const std::uint64_t edge : edges) {
    KnownStretch stretch = KnownStretch::Around(entered, {.begin = edge, .end = edge}, kAroundBytes);
    NBDSPEC_TRY(learnt, stretch.Learn(entered));
    NBDSPEC_TRY(compared, CompareReads(context, stretch, {edge}, mode, attempts));
  }
  return attempts.Conclude();
}

// --- What was written ------------------------------------------------------------------------------------------

// Data and zeroes by turns: written zeroes, holes where the server makes some, and what is off every grid.
template <Mode mode>
Judgement AgreesWithWhatWasWritten(CheckContext& context) {
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  const std::uint64_t unit = UnitOf(entered);
  const std::uint64_t base = UsableBytes(entered) / 8 * 5 / (64 * kKiB) * (64 * kKiB);
  KnownStretch stretch = KnownStretch::Around(entered, {.begin = base, .end = base + 192 * kKiB}, 0);
  NBDSPEC_TRY(filled, stretch.Fill(entered, context.random()));
  const ByteRange zeroes[] = {{.begin = base + 64 * kKiB, .end = base + 128 * kKiB},
                              {.begin = base + 8 * kKiB, .end = base + 12 * kKiB},
                              {.begin = base + 20 * kKiB + unit, .end = base + 28 * kKiB - unit}};
  std::vector<std::uint64_t> edges;
  for (const ByteRange range : zeroes) {
    if (range.empty() || !stretch.range().Contains(range)) {
      continue;
    }
    Request request = IsOffered(entered, CommandType::kWriteZeroes) ? RequestFor(CommandType::kWriteZeroes, range)
                                                                    : WriteOf(range.begin, Bytes(range.length()));
    Attempts zeroing;
    NBDSPEC_TRY(is_done, zeroing.Ask(entered, request));
    if (!is_done) {
      return zeroing.Conclude();
    }
    stretch.Apply(request);
    edges.insert(edges.end(), {range.begin, range.end});
  }
  Attempts attempts;
  NBDSPEC_TRY(compared, CompareReads(context, stretch, edges, mode, attempts));
  return attempts.Conclude();
}

}  // namespace

std::vector<Check> DataReadChecks() {
  constexpr Features kDf = kChunks | Feature::kDf;
  return {
      {kSub<kBaselineReadServer, "splits">, "READ gives the same bytes in one request as in many.",
       AgreesWithItself<kSimple>},
      {kSub<kBaselineReadServer, "structured-splits">,
       "READ gives the same bytes in chunks as in simple replies, in one request as in many.",
       AgreesWithItself<kInChunks>, kChunks},
      {kSub<kStructuredReadDfMixedAsData, "splits">,
       "READ with DF gives the same bytes as without, in one request as in many.", AgreesWithItself<kInOneChunk>, kDf},
      {kSub<kTransmissionWriteThenReply, "splits">,
       "READs of any length over data and zeroes give what was written, in simple replies.",
       AgreesWithWhatWasWritten<kSimple>, kWritable},
      {kSub<kTransmissionWriteThenReply, "structured-splits">,
       "READs of any length over data and zeroes give what was written, in chunks.",
       AgreesWithWhatWasWritten<kInChunks>, kWritable | kChunks},
      {kSub<kStructuredReadDfMixedAsData, "written-splits">,
       "READs of any length with DF over data and zeroes give what was written.", AgreesWithWhatWasWritten<kInOneChunk>,
       kWritable | kDf},
  };
}

}  // namespace nbdspec::conformance
