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

// Whether there is time for more READs: of a slow server some are enough.
bool HasTime(const CheckContext& context) {
  return Transport::Clock::now() + 2 * context.limits.reply_timeout < context.limits.deadline;
}

// Reads what is around the edges in every way of `mode`, on a connection of its own, as long as there is time.
Step CompareReads(CheckContext& context, const KnownStretch& stretch, const std::vector<std::uint64_t>& edges,
                  const Mode& mode, Attempts& attempts) {
  NBDSPEC_TRY(entered, context.Enter({.structured_replies = mode.structured}));
  for (const std::uint64_t edge : edges) {
    for (const Split& split : SplitsFor(entered)) {
      if (HasTime(context)) {
        NBDSPEC_TRY(compared, CompareSplit(entered, stretch, edge, split, mode, attempts));
      }
    }
    if (HasTime(context)) {
      NBDSPEC_TRY(compared, CompareAround(entered, stretch, edge, mode, attempts));
    }
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

constexpr std::uint64_t kAroundBytes = 72 * kKiB;  // So that READs of 64 KiB have edges in them.
constexpr std::uint64_t kLearntBytes = 16 * kKiB;  // In one READ.

// What an export has around an edge.
struct KnownEdge {
  std::uint64_t edge = 0;
  KnownStretch stretch;
};

// What the server says in READs of one length, with simple replies. The connection ends: some servers take one client
// at a time.
std::expected<std::vector<KnownEdge>, Judgement> LearnEdges(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  std::vector<KnownEdge> known;
  for (const std::uint64_t edge : EdgesOf(entered)) {
    known.push_back({edge, KnownStretch::Around(entered, {.begin = edge, .end = edge}, kAroundBytes)});
    NBDSPEC_TRY(learnt, known.back().stretch.Learn(entered, std::min(kLearntBytes, PayloadBytesMax(entered))));
  }
  entered.session.Disconnect();
  return known;
}

Step CompareInMode(CheckContext& context, const std::vector<KnownEdge>& known, const Mode& mode, Attempts& attempts) {
  for (const KnownEdge& each : known) {
    NBDSPEC_TRY(compared, CompareReads(context, each.stretch, {each.edge}, mode, attempts));
  }
  return {};
}

template <Mode mode>
Judgement AgreesWithItself(CheckContext& context) {
  NBDSPEC_TRY(known, LearnEdges(context));
  Attempts attempts;
  NBDSPEC_TRY(compared, CompareInMode(context, known, mode, attempts));
  return attempts.Conclude();
}

// --- On several connections ------------------------------------------------------------------------------------

// Connections of every kind that the server has: by GO and by EXPORT_NAME, each with simple replies and in chunks.
// Errors: not applicable where it serves one at a time.
std::expected<std::vector<Entered>, Judgement> EnterInEveryWay(CheckContext& context) {
  std::vector<Entered> readers;
  for (const bool by_name : {false, true}) {
    for (const bool structured : {false, true}) {
      if (structured && !context.Offers(Feature::kStructuredReplies)) {
        continue;
      }
      auto entered = context.Enter({.structured_replies = structured, .by_name = by_name});
      if (!entered) {
        return Stop(readers.empty() ? std::move(entered).error()
                                    : NotApplicable("it serves no other client at the same time"));
      }
      readers.push_back(*std::move(entered));
    }
  }
  return readers;
}

// READs of different lengths over `edge`, one of them with DF where that may be asked.
std::vector<Request> ReadsOver(const Entered& entered, const KnownEdge& known) {
  const std::uint64_t unit = UnitOf(entered);
  std::vector<Request> reads;
  for (const std::uint64_t around : {unit, 4 * kKiB + unit, 32 * kKiB}) {
    const ByteRange range = Intersect(known.stretch.range(),
                                      {.begin = known.edge - std::min(known.edge, around), .end = known.edge + around});
    const bool is_one_chunk =
        around == 32 * kKiB && entered.agreed->structured_replies && entered.Has(TransmissionFlag::kSendDf);
    if (!range.empty() && range.length() <= PayloadBytesMax(entered)) {
      reads.push_back(RequestFor(CommandType::kRead, range, is_one_chunk ? CommandFlag::kDf : 0));
    }
  }
  return reads;
}

// All of them in flight on all connections at once.
Step CompareInFlight(std::vector<Entered>& readers, const KnownEdge& known, Attempts& attempts) {
  std::vector<std::vector<Request>> asked;
  for (Entered& reader : readers) {
    asked.push_back(ReadsOver(reader, known));
    for (Request& read : asked.back()) {
      read.cookie = reader.session.NextCookie();
      reader.session.Send(read);
    }
  }
  for (std::size_t i = 0; i < readers.size(); ++i) {
    for (const Request& read : asked[i]) {
      NBDSPEC_TRY(found, attempts.Await(readers[i], read));
      Judgement judgement =
          found ? Compare(*found, known.stretch.BytesOf(RangeOf(read)), read.offset, kSameBytes) : Holds();
      if (!judgement.holds()) {
        judgement.saw =
            fmt::format("{} on connection {} of {}: {}", Describe(read), i + 1, readers.size(), judgement.saw);
        return Stop(About(SubjectOf(read), std::move(judgement)));
      }
    }
  }
  return {};
}

Step CompareAcross(CheckContext& context, const std::vector<KnownEdge>& known, Attempts& attempts) {
  NBDSPEC_TRY(readers, EnterInEveryWay(context));
  for (const KnownEdge& each : known) {
    if (HasTime(context)) {
      NBDSPEC_TRY(compared, CompareInFlight(readers, each, attempts));
    }
  }
  return {};
}

Judgement AgreesAcrossConnections(CheckContext& context) {
  NBDSPEC_TRY(known, LearnEdges(context));
  Attempts attempts;
  NBDSPEC_TRY(compared, CompareAcross(context, known, attempts));
  return attempts.Conclude();
}

// An export that is never written to, in every way that it can be read.
Judgement AgreesInEveryWay(CheckContext& context) {
  NBDSPEC_TRY(known, LearnEdges(context));
  Attempts attempts;
  NBDSPEC_TRY(simple, CompareInMode(context, known, kSimple, attempts));
  if (context.Offers(Feature::kStructuredReplies)) {
    NBDSPEC_TRY(in_chunks, CompareInMode(context, known, kInChunks, attempts));
  }
  if (context.Offers(kChunks | Feature::kDf)) {
    NBDSPEC_TRY(in_one_chunk, CompareInMode(context, known, kInOneChunk, attempts));
  }
  const Step across = CompareAcross(context, known, attempts);
  return across || across.error().kind == Judgement::Kind::kNotApplicable ? attempts.Conclude() : across.error();
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
      {kSub<kBaselineReadServer, "connections">,
       "READs in flight on connections of every kind give the same bytes as one after the other.",
       AgreesAcrossConnections},
      {kSub<kBaselineReadServer, "read-only">,
       "A read-only export gives the same bytes in any split, in simple replies, in chunks and with DF, and on several "
       "connections.",
       AgreesInEveryWay, Feature::kReadOnly, Setup::kReadOnly},
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
