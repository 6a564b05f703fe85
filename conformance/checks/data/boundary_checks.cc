// SPDX-License-Identifier: BSD-3-Clause
// Checks of requests at the boundaries of what a client may ask: legal ones that end where the export does, and
// unaligned ones, which change nothing that they do not name. Spec: proto.md, "Request types", "Size constraints".
#include "conformance/checks/data/known_stretch.h"

namespace nbdspec::conformance {

namespace {

// --- The end ---------------------------------------------------------------------------------------------------

template <std::uint16_t command>
Judgement KnownAtTheEnd(CheckContext& context) {
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  const std::vector<ByteRange> ranges = RangesAtTheEnd(entered);
  for (const ByteRange range : ranges) {
    const Request request = CommandOn(context, command, 0, range);
    NBDSPEC_TRY(answer, entered.session.Ask(request));
    if (answer.error() == NbdError::kEinval) {
      return Broken(fmt::format("{} of an export of {} bytes: NBD_EINVAL", Describe(request), entered.size()),
                    "what ends where the export does is inside of it");
    }
  }
  return ranges.empty() ? NotApplicable("the export is too small") : Holds();
}

// --- Unaligned -------------------------------------------------------------------------------------------------

// Asks `command` for `range` amid data. Which of its bytes change is open unless it is refused as invalid; what a
// connection wrote that the server ended need not be there on the next one.
Step StaysOutside(CheckContext& context, std::uint16_t command, ByteRange range, std::uint64_t margin) {
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  KnownStretch stretch = KnownStretch::Around(entered, range, margin);
  NBDSPEC_TRY(filled, stretch.Fill(entered, context.random()));
  const Request request = RequestFor(command, range);
  const auto answer = entered.session.Ask(request);
  if (!answer) {
    return answer.error().is_disconnect() ? Step() : Stop(AsJudgement(answer.error()));
  }
  if (answer->error() != NbdError::kEinval && command != CommandType::kCache) {
    stretch.Forget(range);
  }
  Judgement judgement =
      stretch.Compare(entered, fmt::format("{}: {}", Describe(request), ErrorName(answer->error())),
                      "an unaligned request changes nothing that it does not name, and nothing where it is invalid");
  return judgement.holds() ? Step() : Stop(std::move(judgement));
}

template <std::uint16_t command>
Judgement UnalignedStaysOutside(CheckContext& context) {
  const std::uint64_t block = context.profile.block_size.minimum;
  std::uint64_t begin = 0;
  {
    NBDSPEC_TRY(entered, context.EnterWithChunks());
    NBDSPEC_TRY(scratch, ScratchRange(entered, 2 + 2 * block / GridOf(entered)));
    begin = scratch.begin;
  }
  const ByteRange unaligned[] = {{.begin = 1, .end = block},
                                 {.begin = 0, .end = block - 1},
                                 {.begin = 1, .end = block + 1},
                                 {.begin = block - 1, .end = 2 * block},
                                 {.begin = block / 2, .end = 2 * block - 1}};
  for (const ByteRange range : unaligned) {
    NBDSPEC_TRY(judged,
                StaysOutside(context, command, {.begin = begin + range.begin, .end = begin + range.end}, block));
  }
  return Holds();
}

}  // namespace

std::vector<Check> BoundaryChecks() {
  constexpr std::uint16_t kTrim = CommandType::kTrim;
  constexpr std::uint16_t kZero = CommandType::kWriteZeroes;
  constexpr Features kUnaligned = Feature::kMinimumAboveOne | Feature::kWritable;
  constexpr Setup kStrict = Setup::kStrictBlockSize;
  return {
      {kSub<kBaselineReadServer, "at-end">, "READ of the last bytes of the export is not refused as invalid.",
       KnownAtTheEnd<CommandType::kRead>},
      {kSub<kBaselineWriteServer, "at-end">, "WRITE of the last bytes of the export is not refused as invalid.",
       KnownAtTheEnd<CommandType::kWrite>, kWritable},
      {kSub<kEflagsTrimWorks, "at-end">, "TRIM of the last bytes of the export is not refused as invalid.",
       KnownAtTheEnd<kTrim>, Feature::kTrim | Feature::kWritable},
      {kSub<kEflagsWriteZeroesWorks, "at-end">,
       "WRITE_ZEROES of the last bytes of the export is not refused as invalid.", KnownAtTheEnd<kZero>, kZeroing},
      {kSub<kBlockSizeServerNoCorruption, "cache">, "An unaligned CACHE changes no bytes.",
       UnalignedStaysOutside<CommandType::kCache>, kUnaligned | Feature::kCache, kStrict},
      {kSub<kBlockSizeServerNoCorruption, "trim">, "An unaligned TRIM changes no bytes outside of its range.",
       UnalignedStaysOutside<kTrim>, kUnaligned | Feature::kTrim, kStrict},
      {kSub<kBlockSizeServerNoCorruption, "write-zeroes">,
       "An unaligned WRITE_ZEROES changes no bytes outside of its range.", UnalignedStaysOutside<kZero>,
       kUnaligned | Feature::kWriteZeroes, kStrict},
  };
}

}  // namespace nbdspec::conformance
