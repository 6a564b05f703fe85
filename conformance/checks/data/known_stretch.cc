// SPDX-License-Identifier: BSD-3-Clause
#include "conformance/checks/data/known_stretch.h"

#include <set>

namespace nbdspec::conformance {

namespace {

constexpr std::uint64_t kPieceBytes = kMiB;       // Of what is filled and read back: no server refuses those.
constexpr std::uint64_t kMarginBytes = 4 * kKiB;  // So that what is rounded to pages is noticed.

std::uint64_t PieceBytes(const Entered& entered) { return std::min(kPieceBytes, PayloadBytesMax(entered)); }

}  // namespace

KnownStretch KnownStretch::Around(const Entered& entered, ByteRange range, std::uint64_t margin) {
  const std::uint64_t grid = GridOf(entered);
  const std::uint64_t begin = (range.begin - std::min(range.begin, margin)) / grid * grid;
  const std::uint64_t end = std::min(UsableBytes(entered), (range.end + margin + grid - 1) / grid * grid);
  return KnownStretch({.begin = std::min(begin, end), .end = end});
}

Step KnownStretch::Fill(Entered& entered, std::uint64_t seed) {
  bytes_ = Pattern(range_.length(), seed);
  unknown_ = {};
  for (const ByteRange piece : PiecesOf(range_, PieceBytes(entered))) {
    const Request write = WriteOf(piece.begin, BytesOf(piece));
    NBDSPEC_TRY(answer, entered.session.Ask(write));
    if (answer.error() != NbdError::kOk) {
      const std::string saw = fmt::format("{}: {}", Describe(write), ErrorName(answer.error()));
      return Stop(answer.error() == NbdError::kEnospc ? NotApplicable(saw) : Inconclusive(saw));
    }
  }
  return {};
}

Step KnownStretch::Learn(Entered& entered, std::uint64_t piece_bytes) {
  for (const ByteRange piece : PiecesOf(range_, std::max(piece_bytes, GridOf(entered)))) {
    NBDSPEC_TRY(found, ReadBytes(entered.session, piece));
    std::ranges::copy(found, bytes_.begin() + static_cast<std::ptrdiff_t>(piece.begin - range_.begin));
  }
  return {};
}

void KnownStretch::Apply(const Request& request) {
  const ByteRange asked = RangeOf(request);
  const ByteRange here = Intersect(asked, range_);
  const auto first = bytes_.begin() + static_cast<std::ptrdiff_t>(here.begin - range_.begin);
  if (here.empty()) {
    return;
  }
  if (request.type == CommandType::kWrite) {
    std::ranges::copy(ByteView(request.payload).subspan(here.begin - asked.begin, here.length()), first);
  } else if (request.type == CommandType::kWriteZeroes) {
    std::fill_n(first, here.length(), std::uint8_t{0});
  } else if (request.type == CommandType::kTrim) {
    Forget(here);
  }
}

Bytes KnownStretch::BytesOf(ByteRange range) const {
  const auto begin = bytes_.begin() + static_cast<std::ptrdiff_t>(range.begin - range_.begin);
  return {begin, begin + static_cast<std::ptrdiff_t>(range.length())};
}

std::optional<std::uint64_t> KnownStretch::FirstNeither(const Bytes& found, const Request& write) const {
  for (std::size_t i = 0; i < found.size(); ++i) {
    const std::uint64_t at = range_.begin + i;
    if (found[i] != bytes_[i] && found[i] != write.payload[i] && !unknown_.Contains(at)) {
      return at;
    }
  }
  return {};
}

Judgement KnownStretch::Compare(Entered& entered, std::string_view after, std::string_view allowed) const {
  for (const ByteRange piece : PiecesOf(range_, PieceBytes(entered))) {
    NBDSPEC_TRY(found, ReadBytes(entered.session, piece));
    Bytes wanted = BytesOf(piece);
    const ByteRange unknown = Intersect(unknown_, piece);
    std::copy_n(found.begin() + static_cast<std::ptrdiff_t>(unknown.begin - piece.begin), unknown.length(),
                wanted.begin() + static_cast<std::ptrdiff_t>(unknown.begin - piece.begin));
    Judgement judgement = conformance::Compare(found, wanted, piece.begin, allowed);
    if (!judgement.holds()) {
      judgement.saw = fmt::format("after {}: {}", after, judgement.saw);
      return judgement;
    }
  }
  return Holds();
}

bool Attempts::Take(const Request& request, std::uint32_t error) {
  if (error == NbdError::kOk) {
    ++done_count_;
    return true;
  }
  if (refusal_.empty()) {
    refusal_ = fmt::format("{}: {}", Describe(request), ErrorName(error));
  }
  return false;
}

std::expected<bool, Judgement> Attempts::Ask(Entered& entered, const Request& request) {
  NBDSPEC_TRY(answer, entered.session.Ask(request));
  return Take(request, answer.error());
}

std::expected<std::optional<Bytes>, Judgement> Attempts::Read(Entered& entered, ByteRange range, std::uint16_t flags) {
  Request read = RequestFor(CommandType::kRead, range, flags);
  read.cookie = entered.session.NextCookie();
  entered.session.Send(read);
  return Await(entered, read);
}

std::expected<std::optional<Bytes>, Judgement> Attempts::Await(Entered& entered, const Request& read) {
  NBDSPEC_TRY(answer, entered.session.NextAnswer(read.cookie));
  if (!Take(read, answer.error())) {
    return std::nullopt;
  }
  auto bytes = BytesRead(read, answer);
  if (!bytes) {
    return Stop(About(SubjectOf(read),
                      Broken(fmt::format("{} succeeds, but gives some bytes twice or not at all", Describe(read)),
                             "each byte that is asked for, once")));
  }
  return std::move(bytes);
}

Judgement Attempts::Conclude() const {
  if (done_count_ > 0) {
    return Holds();
  }
  return NotApplicable(refusal_.empty() ? "the export is too small"
                                        : "every request was refused; the first, " + refusal_);
}

Step JudgeAmidData(CheckContext& context, Entered& entered, Attempts& attempts, const Request& request,
                   std::string_view allowed) {
  KnownStretch stretch = KnownStretch::Around(entered, RangeOf(request), kMarginBytes);
  NBDSPEC_TRY(filled, stretch.Fill(entered, context.random()));
  NBDSPEC_TRY(is_done, attempts.Ask(entered, request));
  if (is_done) {
    stretch.Apply(request);
    Judgement judgement = stretch.Compare(entered, Describe(request), allowed);
    if (!judgement.holds()) {
      return Stop(std::move(judgement));
    }
  }
  return {};
}

Request CommandOn(CheckContext& context, std::uint16_t command, std::uint16_t flags, ByteRange range) {
  return command == CommandType::kWrite ? WriteOf(range.begin, Pattern(range.length(), context.random()), flags)
                                        : RequestFor(command, range, flags);
}

std::vector<ByteRange> EdgeRanges(const Entered& entered, std::uint64_t length_max) {
  const std::uint64_t unit = UnitOf(entered);
  const std::uint64_t base = UsableBytes(entered) / 4 / (64 * kKiB) * (64 * kKiB);
  std::set<std::uint64_t> lengths = {unit};
  for (const std::uint64_t edge : {std::uint64_t{512}, 4 * kKiB, 64 * kKiB, kMiB}) {
    for (const std::uint64_t length : {edge - std::min(edge, unit), edge, edge + unit}) {
      lengths.insert(length);
    }
  }
  std::vector<ByteRange> ranges;
  for (const std::uint64_t length : lengths) {
    std::set<std::uint64_t> offsets = {0, unit};
    if (length < kMiB / 2) {
      offsets.insert({512 - std::min<std::uint64_t>(512, unit), 4 * kKiB - std::min(4 * kKiB, unit), 64 * kKiB - unit});
    }
    for (const std::uint64_t offset : offsets) {
      const ByteRange range = {.begin = base + offset, .end = base + offset + length};
      if (length % unit == 0 && length > 0 && length <= length_max && range.end <= UsableBytes(entered)) {
        ranges.push_back(range);
      }
    }
  }
  return ranges;
}

std::vector<ByteRange> RangesAtTheEnd(const Entered& entered) {
  const std::uint64_t end = std::min(entered.size(), kExportBytesMax) / UnitOf(entered) * UnitOf(entered);
  std::vector<ByteRange> ranges;
  for (const std::uint64_t length : {UnitOf(entered), GridOf(entered), 3 * GridOf(entered)}) {
    if (length <= end) {
      ranges.push_back({.begin = end - length, .end = end});
    }
  }
  return ranges;
}

std::vector<ByteRange> RangesOverPowersOf2(const Entered& entered, ByteRange powers) {
  const std::uint64_t unit = UnitOf(entered);
  std::vector<ByteRange> ranges;
  const std::uint64_t end = std::min(powers.end, UsableBytes(entered) - std::min(UsableBytes(entered), 64 * kKiB));
  for (std::uint64_t power = powers.begin; power < end; power *= 2) {
    const std::uint64_t far = std::max(32 * unit, 4 * kKiB / unit * unit);
    for (const auto& [before, after] : {std::pair{unit, unit}, {7 * unit, 9 * unit}, {unit, far}}) {
      const bool is_inside = before <= power && power + after <= UsableBytes(entered);
      if (is_inside && power % unit == 0 && before + after <= PayloadBytesMax(entered)) {
        ranges.push_back({.begin = power - before, .end = power + after});
      }
    }
  }
  return ranges;
}

}  // namespace nbdspec::conformance
