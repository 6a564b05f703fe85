// SPDX-License-Identifier: BSD-3-Clause
// Checks that WRITE, WRITE_ZEROES, TRIM and CACHE change the bytes that they are for, all of them, and no others, over
// the lengths and offsets where servers break. Spec: proto.md, "Request types".
#include "conformance/checks/data/known_stretch.h"

namespace nbdspec::conformance {

namespace {

std::string_view Promise(std::uint16_t command) {
  switch (command) {
    case CommandType::kWrite:
      return "WRITE changes the bytes it has data for, and no others";
    case CommandType::kWriteZeroes:
      return "WRITE_ZEROES makes zeroes of its range, and of nothing else";
    case CommandType::kTrim:
      return "TRIM changes nothing outside of its range";
    default:
      return "CACHE changes nothing";
  }
}

// Does `command` amid data, in each of `ranges`.
Judgement Over(CheckContext& context, Entered& entered, std::uint16_t command, std::uint16_t flags,
               const std::vector<ByteRange>& ranges) {
  Attempts attempts;
  for (const ByteRange range : ranges) {
    NBDSPEC_TRY(judged,
                JudgeAmidData(context, entered, attempts, CommandOn(context, command, flags, range), Promise(command)));
  }
  return attempts.Conclude();
}

template <std::uint16_t command, std::uint16_t flags = 0>
Judgement OverEdges(CheckContext& context) {
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  return Over(context, entered, command, flags, EdgeRanges(entered, PayloadBytesMax(entered)));
}

template <std::uint16_t command>
Judgement OverTheEnd(CheckContext& context) {
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  return Over(context, entered, command, 0, RangesAtTheEnd(entered));
}

constexpr std::uint64_t kLargePower = 8 << 20;  // From here on only large exports have some.

template <std::uint16_t command>
Judgement OverPowersOf2(CheckContext& context) {
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  return Over(context, entered, command, 0, RangesOverPowersOf2(entered, {.begin = 512, .end = kLargePower}));
}

template <std::uint16_t command>
Judgement OverLargePowersOf2(CheckContext& context) {
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  return Over(context, entered, command, 0,
              RangesOverPowersOf2(entered, {.begin = kLargePower, .end = UsableBytes(entered)}));
}

}  // namespace

std::vector<Check> DataWriteChecks() {
  constexpr std::uint16_t kZero = CommandType::kWriteZeroes;
  constexpr Features kTrims = kWritable | Feature::kTrim;
  constexpr Features kCaches = kWritable | Feature::kCache;
  return {
      {kSub<kTransmissionWriteThenReply, "edges">,
       "WRITE of lengths and at offsets around block edges changes its bytes and no others.",
       OverEdges<CommandType::kWrite>, kWritable},
      {kSub<kTransmissionWriteThenReply, "powers-of-2">,
       "WRITE over each power of two changes its bytes and no others.", OverPowersOf2<CommandType::kWrite>, kWritable},
      {kSub<kTransmissionWriteThenReply, "fua-edges">,
       "WRITE with FUA around block edges changes its bytes and no others.",
       OverEdges<CommandType::kWrite, CommandFlag::kFua>, kWritable | Feature::kFua},
      {kSub<kTransmissionWriteThenReply, "trim-edges">,
       "What was written beside the range of a TRIM stays, around block edges.", OverEdges<CommandType::kTrim>, kTrims},
      {kSub<kTransmissionWriteThenReply, "trim-powers-of-2">,
       "What was written beside the range of a TRIM over a power of two stays.", OverPowersOf2<CommandType::kTrim>,
       kTrims},
      {kSub<kWriteZeroesReadsZero, "edges">,
       "WRITE_ZEROES of lengths and at offsets around block edges zeroes its bytes and no others.", OverEdges<kZero>,
       kZeroing},
      {kSub<kWriteZeroesReadsZero, "no-hole-edges">,
       "WRITE_ZEROES with NO_HOLE around block edges zeroes its bytes and no others.",
       OverEdges<kZero, CommandFlag::kNoHole>, kZeroing},
      {kSub<kWriteZeroesReadsZero, "powers-of-2">,
       "WRITE_ZEROES over each power of two zeroes its bytes and no others.", OverPowersOf2<kZero>, kZeroing},
      {kSub<kTransmissionWriteThenReply, "large-powers-of-2">,
       "WRITE over each power of two from 8 MiB on changes its bytes and no others.",
       OverLargePowersOf2<CommandType::kWrite>, kWritable, Setup::kLarge},
      {kSub<kTransmissionWriteThenReply, "trim-large-powers-of-2">,
       "What was written beside the range of a TRIM over a power of two from 8 MiB on stays.",
       OverLargePowersOf2<CommandType::kTrim>, kTrims, Setup::kLarge},
      {kSub<kWriteZeroesReadsZero, "large-powers-of-2">,
       "WRITE_ZEROES over each power of two from 8 MiB on zeroes its bytes and no others.", OverLargePowersOf2<kZero>,
       kZeroing, Setup::kLarge},
      {kSub<kTransmissionWriteThenReply, "at-end">,
       "WRITE of the last bytes of the export changes its bytes and no others.", OverTheEnd<CommandType::kWrite>,
       kWritable},
      {kSub<kTransmissionWriteThenReply, "trim-at-end">,
       "What was written before the range of a TRIM of the last bytes of the export stays.",
       OverTheEnd<CommandType::kTrim>, kTrims},
      {kSub<kWriteZeroesReadsZero, "at-end">,
       "WRITE_ZEROES of the last bytes of the export zeroes its bytes and no others.", OverTheEnd<kZero>, kZeroing},
      {kSub<kCacheNoSemanticChange, "edges">, "CACHE of ranges around block edges changes no bytes.",
       OverEdges<CommandType::kCache>, kCaches},
  };
}

}  // namespace nbdspec::conformance
