// SPDX-License-Identifier: BSD-3-Clause
// Checks that each of several exports has its own bytes and its own end. Spec: proto.md, NBD_OPT_LIST, NBD_CMD_WRITE.
#include "conformance/checks/data/known_stretch.h"

namespace nbdspec::conformance {

namespace {

// A connection to another export, and one to the export under test.
struct Two {
  Entered other;
  Entered own;
};

std::expected<Two, Judgement> EnterBoth(CheckContext& context, const std::string& own_name) {
  NBDSPEC_TRY(other, context.EnterWithChunks());
  const std::string other_name = std::exchange(context.export_name, own_name);
  auto own = context.EnterWithChunks();
  context.export_name = other_name;
  if (!own) {
    return Stop(std::move(own).error());
  }
  return Two{.other = std::move(other), .own = std::move(*own)};
}

// Where the two have different bytes at the same offset, which shows that they do not share these bytes. Two names may
// stand for one export, and one export may be a part of another.
std::expected<std::optional<ByteRange>, Judgement> FindDifference(Two& two) {
  constexpr std::uint64_t kLookedAtBytes = 64 << 10;
  const std::uint64_t grid = std::max(GridOf(two.own), GridOf(two.other));
  const std::uint64_t end = std::min({UsableBytes(two.own), UsableBytes(two.other), kLookedAtBytes}) / grid * grid;
  for (std::uint64_t begin = 0; begin < end; begin += grid) {
    const ByteRange cell = {.begin = begin, .end = begin + grid};
    NBDSPEC_TRY(own, ReadBytes(two.own.session, cell));
    NBDSPEC_TRY(other, ReadBytes(two.other.session, cell));
    if (own != other) {
      return cell;
    }
  }
  return std::nullopt;
}

// Writes to the export of `own_name`; the one of the context must stay as it is.
Judgement StaysAsItIs(CheckContext& context, const std::string& own_name) {
  NBDSPEC_TRY(two, EnterBoth(context, own_name));
  NBDSPEC_TRY(cell, FindDifference(two));
  if (!cell) {
    return NotApplicable("it may be the export under test by another name");
  }
  NBDSPEC_TRY(before, ReadBytes(two.other.session, *cell));
  Attempts attempts;
  NBDSPEC_TRY(is_done, attempts.Ask(two.own, CommandOn(context, CommandType::kWrite, 0, *cell)));
  if (!is_done) {
    return attempts.Conclude();
  }
  two.own.session.Disconnect();
  NBDSPEC_TRY(again, context.EnterWithChunks());
  NBDSPEC_TRY(after, ReadBytes(again.session, *cell));
  return Compare(after, before, cell->begin, "what is written to one export changes no other");
}

Judgement OthersStay(CheckContext& context) {
  const std::string own_name = context.export_name;
  return OnOtherExports([&](CheckContext& other) { return StaysAsItIs(other, own_name); })(context);
}

Judgement IsReadToItsEnd(CheckContext& context) {
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  const std::uint64_t usable = UsableBytes(entered);
  if (usable == 0) {
    return NotApplicable("it is too small to be read");
  }
  const Request last = RequestFor(CommandType::kRead, CellAt(entered, usable - GridOf(entered)));
  NBDSPEC_TRY(answer, entered.session.Ask(last));
  return Require(answer.error() != NbdError::kEinval,
                 fmt::format("{} of {} bytes: NBD_EINVAL", Describe(last), entered.size()),
                 "all of the bytes that its size says can be read");
}

}  // namespace

std::vector<Check> SeveralExportsChecks() {
  return {
      {kSub<kTransmissionWriteThenReply, "other-exports">, "WRITE to one export changes no other that is listed.",
       OthersStay, kWritable | Feature::kList},
      {kSub<kBaselineReadServer, "other-exports">, "Each listed export can be read to the end that its size says.",
       OnOtherExports(IsReadToItsEnd), Feature::kList},
  };
}

}  // namespace nbdspec::conformance
