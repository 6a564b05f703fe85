// SPDX-License-Identifier: BSD-3-Clause
// Checks of TRIM and WRITE_ZEROES. Spec: proto.md, "Request types".
#include <fmt/format.h>

#include <algorithm>

#include "conformance/checks/transmission/asking.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::ByteRange;
using engine::CommandFlag;
using engine::CommandType;
using engine::NbdError;

namespace {

constexpr std::uint64_t kCells = 4;

// A session and a range that was just filled with data.
std::expected<Writing, Judgement> Fill(CheckContext& context) {
  NBDSPEC_TRY(filled, BeginWriting(context, kCells));
  NBDSPEC_TRY(written, Succeed(filled.entered.session, WriteOf(filled.range.begin, filled.data)));
  return std::move(filled);
}

// Zeroes the middle of a range, whose ends must stay.
template <std::uint16_t flags>
Judgement ReadsZero(CheckContext& context) {
  NBDSPEC_TRY(filled, Fill(context));
  const std::uint64_t grid = GridOf(filled.entered);
  const ByteRange middle = {.begin = filled.range.begin + grid, .end = filled.range.end - grid};
  NBDSPEC_TRY(answer, filled.entered.session.Ask(RequestFor(CommandType::kWriteZeroes, middle, flags)));
  if (answer.error() != NbdError::kOk) {
    return NotApplicable("WRITE_ZEROES: " + engine::ErrorName(answer.error()));
  }
  NBDSPEC_TRY(found, ReadBytes(filled.entered.session, middle));
  return Compare(found, engine::Bytes(found.size()), middle.begin, "zeroes after WRITE_ZEROES");
}

// WRITE_ZEROES with each of `flags`, of what was just filled with data, by the rule of the check.
template <std::uint16_t... flags>
Judgement ByRule(CheckContext& context) {
  Judgement judgement;
  for (const std::uint16_t each : {flags...}) {
    NBDSPEC_TRY(filled, Fill(context));
    judgement = JudgeFirst(context, AskOnce(filled.entered, RequestFor(CommandType::kWriteZeroes, filled.range, each)));
    if (!judgement.holds()) {
      return judgement;
    }
  }
  return judgement;
}

Judgement FastNoAlter(CheckContext& context) {
  NBDSPEC_TRY(filled, Fill(context));
  NBDSPEC_TRY(answer,
              filled.entered.session.Ask(RequestFor(CommandType::kWriteZeroes, filled.range, CommandFlag::kFastZero)));
  if (answer.error() != NbdError::kEnotsup) {
    return NotApplicable("WRITE_ZEROES with FAST_ZERO: " + engine::ErrorName(answer.error()));
  }
  NBDSPEC_TRY(found, ReadBytes(filled.entered.session, filled.range));
  return Compare(found, filled.data, filled.range.begin, "the contents stay as they are after NBD_ENOTSUP");
}

// A quarter of the export in one request: more than the maximum payload where the export is large.
Judgement FastNoEoverflow(CheckContext& context) {
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  const std::uint64_t grid = GridOf(entered);
  const std::uint64_t quarter = std::min<std::uint64_t>(UsableBytes(entered) / 4, 1U << 30) / grid * grid;
  if (quarter == 0) {
    return NotApplicable("the export is too small");
  }
  const std::uint64_t begin = UsableBytes(entered) / 2 / grid * grid;
  return JudgeFirst(context,
                    AskOnce(entered, RequestFor(CommandType::kWriteZeroes, {.begin = begin, .end = begin + quarter},
                                                CommandFlag::kFastZero)));
}

}  // namespace

std::vector<Check> ZeroingChecks() {
  constexpr std::uint16_t kFast = CommandFlag::kFastZero;
  constexpr std::uint16_t kNoHole = CommandFlag::kNoHole;
  constexpr Features kZeroing = {Feature::kWriteZeroes, Feature::kWritable};
  constexpr Features kFastZero = {Feature::kWriteZeroes, Feature::kFastZero, Feature::kWritable};
  return {
      {spec::kTrimZeroNoDisconnect,
       "After a TRIM of length 0 the connection goes on.",
       JudgeZeroLength<CommandType::kTrim>,
       {Feature::kTrim, Feature::kWritable}},
      {spec::kWriteZeroesZeroNoDisconnect, "After a WRITE_ZEROES of length 0 the connection goes on.",
       JudgeZeroLength<CommandType::kWriteZeroes>, kZeroing},
      {spec::kWriteZeroesReadsZero, "READ after the reply to WRITE_ZEROES returns zeroes.", ReadsZero<0>, kZeroing},
      {spec::kSub<spec::kWriteZeroesReadsZero, "no-hole">,
       "READ after the reply to WRITE_ZEROES with NO_HOLE returns zeroes.", ReadsZero<kNoHole>, kZeroing},
      {spec::kSub<spec::kWriteZeroesReadsZero, "fast">,
       "READ after WRITE_ZEROES with FAST_ZERO that succeeds returns zeroes.", ReadsZero<kFast>, kFastZero},
      {spec::kWriteZeroesNoFastNoEnotsup, "WRITE_ZEROES without FAST_ZERO does not get NBD_ENOTSUP.",
       ByRule<0, kNoHole>, kFastZero},
      {spec::kWriteZeroesFastNoEoverflow, "A long WRITE_ZEROES with FAST_ZERO does not get NBD_EOVERFLOW.",
       FastNoEoverflow, kFastZero},
      {spec::kWriteZeroesFastNoAlter, "WRITE_ZEROES with FAST_ZERO that gets NBD_ENOTSUP changes nothing.", FastNoAlter,
       kFastZero},
      {spec::kWriteZeroesUnadvertisedNoEnotsup, "Where FAST_ZERO is not offered WRITE_ZEROES does not get NBD_ENOTSUP.",
       ByRule<0, kNoHole>, kZeroing},
      {spec::kWriteZeroesUnadvertisedEinval,
       "Where FAST_ZERO is not offered WRITE_ZEROES with FAST_ZERO gets NBD_EINVAL.", ByRule<kFast>, kZeroing},
  };
}

}  // namespace nbdspec::conformance
