// SPDX-License-Identifier: BSD-3-Clause
// Checks of TRIM and WRITE_ZEROES. Spec: proto.md, "Request types".
#include <fmt/format.h>

#include <algorithm>

#include "conformance/checks/exchange.h"
#include "engine/spec/ids.h"

namespace nbdspec::conformance {

using engine::ByteRange;
using engine::CommandFlag;
using engine::CommandType;
using engine::NbdError;
using engine::Request;
using engine::TransmissionFlag;

namespace {

constexpr std::uint64_t kCells = 4;

Judgement ZeroTrim(CheckContext& context) { return JudgeZeroLength(context, CommandType::kTrim); }
Judgement ZeroWriteZeroes(CheckContext& context) { return JudgeZeroLength(context, CommandType::kWriteZeroes); }

// A session and a range that was just filled with data.
std::expected<Writing, Judgement> Fill(CheckContext& context) {
  auto filled = BeginWriting(context, kCells);
  if (!filled) {
    return filled;
  }
  const auto written = Succeed(filled->entered.session, WriteOf(filled->range.begin, filled->data));
  if (!written) {
    return std::unexpected(written.error());
  }
  return filled;
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
  const auto byte = std::ranges::find_if(found, [](std::uint8_t b) { return b != 0; });
  return byte == found.end() ? Holds()
                             : Broken(fmt::format("{:#04x} at offset {} after WRITE_ZEROES", *byte,
                                                  middle.begin + static_cast<std::uint64_t>(byte - found.begin())),
                                      "zeroes");
}

bool OffersFastZero(const Entered& entered) { return (entered.info.flags & TransmissionFlag::kSendFastZero) != 0; }

// The answer to WRITE_ZEROES of what was just filled with data.
std::expected<Answer, Judgement> ZeroIt(Writing& filled, std::uint16_t flags) {
  auto answer = filled.entered.session.Ask(RequestFor(CommandType::kWriteZeroes, filled.range, flags));
  if (!answer) {
    return std::unexpected(AsJudgement(answer.error()));
  }
  return std::move(*answer);
}

// Broken when WRITE_ZEROES with one of `all` gets `error`.
Judgement NeverFailsWith(CheckContext& context, std::uint32_t error, std::initializer_list<std::uint16_t> all) {
  for (const std::uint16_t flags : all) {
    NBDSPEC_TRY(filled, Fill(context));
    NBDSPEC_TRY(answer, ZeroIt(filled, flags));
    if (answer.error() == error) {
      return Broken(
          fmt::format("WRITE_ZEROES with the flags {}: {}", engine::CommandFlagNames(flags), engine::ErrorName(error)),
          "success or another error");
    }
  }
  return Holds();
}

Judgement NoEnotsupWhenNotFast(CheckContext& context) {
  return NeverFailsWith(context, NbdError::kEnotsup, {0, CommandFlag::kNoHole});
}

Judgement UnadvertisedNoEnotsup(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter(WithStructured(context)));
  return OffersFastZero(entered) ? NotApplicable("SEND_FAST_ZERO is set")
                                 : NeverFailsWith(context, NbdError::kEnotsup, {0, CommandFlag::kNoHole});
}

Judgement UnadvertisedEinval(CheckContext& context) {
  NBDSPEC_TRY(filled, Fill(context));
  if (OffersFastZero(filled.entered)) {
    return NotApplicable("SEND_FAST_ZERO is set");
  }
  Request request = RequestFor(CommandType::kWriteZeroes, filled.range, CommandFlag::kFastZero);
  request.cookie = filled.entered.session.NextCookie();
  return JudgeRefusal(AskOnce(filled.entered.session, request, /*legal=*/false), {NbdError::kEinval});
}

Judgement FastNoAlter(CheckContext& context) {
  NBDSPEC_TRY(filled, Fill(context));
  NBDSPEC_TRY(answer, ZeroIt(filled, CommandFlag::kFastZero));
  if (answer.error() != NbdError::kEnotsup) {
    return NotApplicable("WRITE_ZEROES with FAST_ZERO: " + engine::ErrorName(answer.error()));
  }
  NBDSPEC_TRY(found, ReadBytes(filled.entered.session, filled.range));
  return found == filled.data ? Holds()
                              : Broken("NBD_ENOTSUP, and other bytes than before", "the contents stay as they are");
}

// A quarter of the export in one request: more than the maximum payload where the export is large.
Judgement FastNoEoverflow(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter(WithStructured(context)));
  const std::uint64_t grid = GridOf(entered);
  const std::uint64_t quarter = std::min<std::uint64_t>(UsableBytes(entered) / 4, 1U << 30) / grid * grid;
  if (quarter == 0) {
    return NotApplicable("the export is too small");
  }
  const std::uint64_t begin = UsableBytes(entered) / 2 / grid * grid;
  NBDSPEC_TRY(answer,
              entered.session.Ask(RequestFor(CommandType::kWriteZeroes, {.begin = begin, .end = begin + quarter},
                                             CommandFlag::kFastZero)));
  return answer.error() == NbdError::kEoverflow
             ? Broken(fmt::format("WRITE_ZEROES of {} bytes with FAST_ZERO: NBD_EOVERFLOW", quarter),
                      "success or NBD_ENOTSUP, whatever the length")
             : Holds();
}

constexpr Features kWriteZeroes = {Feature::kWriteZeroes, Feature::kWritable};
constexpr Features kFastZero = {Feature::kWriteZeroes, Feature::kFastZero, Feature::kWritable};

}  // namespace

std::vector<Check> ZeroingChecks() {
  return {
      {.id = spec::kTrimZeroNoDisconnect,
       .needs = {Feature::kTrim, Feature::kWritable},
       .claim = "After a TRIM of length 0 the connection goes on.",
       .run = ZeroTrim},
      {.id = spec::kWriteZeroesZeroNoDisconnect,
       .needs = kWriteZeroes,
       .claim = "After a WRITE_ZEROES of length 0 the connection goes on.",
       .run = ZeroWriteZeroes},
      {.id = spec::kWriteZeroesReadsZero,
       .needs = kWriteZeroes,
       .claim = "READ after the reply to WRITE_ZEROES gives zeroes.",
       .run = ReadsZero<0>},
      {.id = spec::kSub<spec::kWriteZeroesReadsZero, "no-hole">,
       .needs = kWriteZeroes,
       .claim = "So it does after WRITE_ZEROES with NO_HOLE.",
       .run = ReadsZero<CommandFlag::kNoHole>},
      {.id = spec::kSub<spec::kWriteZeroesReadsZero, "fast">,
       .needs = kFastZero,
       .claim = "So it does after WRITE_ZEROES with FAST_ZERO that succeeds.",
       .run = ReadsZero<CommandFlag::kFastZero>},
      {.id = spec::kWriteZeroesNoFastNoEnotsup,
       .needs = kFastZero,
       .claim = "WRITE_ZEROES without FAST_ZERO does not get NBD_ENOTSUP.",
       .run = NoEnotsupWhenNotFast},
      {.id = spec::kWriteZeroesFastNoEoverflow,
       .needs = kFastZero,
       .claim = "A long WRITE_ZEROES with FAST_ZERO does not get NBD_EOVERFLOW.",
       .run = FastNoEoverflow},
      {.id = spec::kWriteZeroesFastNoAlter,
       .needs = kFastZero,
       .claim = "WRITE_ZEROES with FAST_ZERO that gets NBD_ENOTSUP changes nothing.",
       .run = FastNoAlter},
      {.id = spec::kWriteZeroesUnadvertisedNoEnotsup,
       .needs = kWriteZeroes,
       .claim = "Where FAST_ZERO is not offered WRITE_ZEROES does not get NBD_ENOTSUP.",
       .run = UnadvertisedNoEnotsup},
      {.id = spec::kWriteZeroesUnadvertisedEinval,
       .needs = kWriteZeroes,
       .claim = "Where FAST_ZERO is not offered it gets NBD_EINVAL.",
       .run = UnadvertisedEinval},
  };
}

}  // namespace nbdspec::conformance
