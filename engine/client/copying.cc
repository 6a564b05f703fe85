// SPDX-License-Identifier: BSD-3-Clause
#include "engine/client/copying.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <utility>

#include "engine/base/byte_range.h"
#include "engine/base/mix.h"

namespace nbdspec::engine {

namespace {

constexpr std::uint64_t kSectorBytes = 512;  // Where nothing is known. block-size.default.client-512
constexpr std::uint64_t kRequestBytesUsual = 128 * kKiB;
constexpr std::uint64_t kRequestsWanted = 4;  // Also of a small export, so that several are in flight.

std::uint64_t RoundUp(std::uint64_t value, std::uint64_t to) { return (value + to - 1) / to * to; }

// Sizes of requests for one export.
struct RequestSizes {
  std::uint64_t unit;   // All begin and end there, or at the export's end.
  std::uint64_t usual;  // A multiple of it.
};

RequestSizes SizesFor(const ClientConnection& on) {
  const Negotiated& agreed = on.negotiated();
  const ClientFailings& lacks = on.failings();
  const std::uint64_t wanted = on.conduct().transfer.request_bytes;
  const bool is_known = agreed.has_block_size;
  if (is_known ? lacks.ignores_block_size : lacks.ignores_unknown_size_limits) {
    return {.unit = 1, .usual = std::max<std::uint64_t>(1, wanted)};
  }
  const std::uint64_t unit = is_known ? std::max(1U, agreed.block_size.minimum) : kSectorBytes;
  const std::uint64_t most =
      std::max(unit, std::min<std::uint64_t>(kPayloadBytesDefaultMax, agreed.block_size.maximum) / unit * unit);
  // block-size.client.align-preferred
  const std::uint64_t step = std::max<std::uint64_t>(unit, agreed.block_size.preferred / unit * unit);
  const std::uint64_t shared = RoundUp(on.export_bytes() / kRequestsWanted + 1, step);
  const std::uint64_t usual =
      wanted != 0 ? RoundUp(std::min(wanted, most), unit) : std::min(shared, std::max(step, kRequestBytesUsual));
  return {.unit = unit,
          .usual = std::min(lacks.ignores_preferred_size ? RoundUp(3 * kSectorBytes, unit) : usual, most)};
}

// `whole` in pieces that are requested one by one, in the order of the conduct.
std::deque<ByteRange> Pieces(const ClientConnection& on, ByteRange whole) {
  const TransferConduct& how = on.conduct().transfer;
  const RequestSizes sizes = SizesFor(on);
  std::deque<ByteRange> pieces;
  for (std::uint64_t at = whole.begin; at < whole.end; at = pieces.back().end) {
    const std::uint64_t units = sizes.usual / sizes.unit;
    const std::uint64_t size =
        how.varies_sizes ? (1 + Mixed(pieces.size()) % std::max<std::uint64_t>(1, units)) * sizes.unit : sizes.usual;
    pieces.push_back({.begin = at, .end = std::min(whole.end, at + size)});
  }
  if (how.order == TransferConduct::Order::kBackwards) {
    std::ranges::reverse(pieces);
  } else if (how.order == TransferConduct::Order::kShuffled) {
    std::ranges::sort(pieces, {}, [](ByteRange each) { return Mixed(each.begin); });
  }
  return pieces;
}

Request For(std::uint16_t type, ByteRange range, std::uint16_t flags = 0) {
  return {.flags = flags, .type = type, .offset = range.begin, .length = range.length()};
}

OrGivesUp<void> JudgeSize(const ClientConnection& on) {
  const std::uint64_t size = on.export_bytes();
  if (size > on.job().export_bytes_max) {
    return Soft("an export of " + std::to_string(size) + " bytes is too large to be held in memory");
  }
  const std::uint64_t block = std::max(1U, on.negotiated().block_size.minimum);
  if (size % block != 0 && !on.failings().ignores_block_size) {
    return Soft("the end of the export is no multiple of its minimum block size, and so out of reach");
  }
  return {};
}

// The ranges of the export that are to be read.
OrGivesUp<std::vector<ByteRange>> RangesToRead(ClientConnection& on) {
  const ByteRange all = {.begin = 0, .end = on.export_bytes()};
  if (!on.conduct().transfer.skips_zeroes || on.contexts.empty()) {
    return std::vector{all};
  }
  NBDSPEC_ASSIGN_OR_RETURN(map, MapExport(on));
  const std::uint64_t unit = SizesFor(on).unit;
  std::vector<ByteRange> ranges;
  for (const ClientExtent& each : map) {
    if ((each.flags & AllocationFlag::kZero) == 0) {
      const std::uint64_t begin = each.offset / unit * unit;
      ranges.push_back({.begin = ranges.empty() ? begin : std::max(begin, ranges.back().end),
                        .end = std::min(all.end, RoundUp(each.offset + each.length, unit))});
    }
  }
  return ranges;
}

// Reads all into `into`.
OrGivesUp<void> ReadAll(Connections& connections, Bytes& into) {
  ClientConnection& first = *connections.front();
  const TransferConduct& how = first.conduct().transfer;
  NBDSPEC_ASSIGN_OR_RETURN(ranges, RangesToRead(first));
  std::deque<Request> todo;
  for (const ByteRange range : ranges) {
    for (const ByteRange piece : Pieces(first, range)) {
      if (how.caches_first) {
        todo.push_back(For(CommandType::kCache, piece));
      }
      const bool df = how.df && Offers(first, TransmissionFlag::kSendDf);
      todo.push_back(For(CommandType::kRead, piece, df ? CommandFlag::kDf : std::uint16_t{0}));
    }
  }
  OrGivesUp<void> shut_down;
  const auto done = Exchanges(connections, todo, [&](Answered& answered) -> OrGivesUp<void> {
    if (answered.error == NbdError::kEshutdown && first.failings().goes_on_after_eshutdown) {
      shut_down = std::unexpected(Failed(answered));
      return {};
    }
    if (answered.request.type == CommandType::kCache) {
      return {};  // It only was a hint.
    }
    if (answered.error != NbdError::kOk) {
      return std::unexpected(Failed(answered));
    }
    const std::uint64_t room = into.size() - std::min<std::uint64_t>(into.size(), answered.request.offset);
    std::copy_n(answered.data.begin(), std::min<std::uint64_t>(room, answered.data.size()),
                into.begin() + static_cast<std::ptrdiff_t>(answered.request.offset));
    return {};
  });
  return done ? shut_down : done;
}

}  // namespace

bool Offers(const ClientConnection& on, std::uint16_t transmission_flag) {
  return on.failings().sends_commands_unoffered || on.negotiated().Has(transmission_flag);
}

OrGivesUp<void> SendFirstRequests(Connections& connections) {
  for (const Request& each : connections.front()->conduct().transfer.first_requests) {
    connections.front()->SendRequest(each);
    NBDSPEC_RETURN_IF_ERROR(connections.front()->NextAnswered());
  }
  return {};
}

OrGivesUp<Bytes> CopyOut(Connections& connections) {
  ClientConnection& first = *connections.front();
  NBDSPEC_RETURN_IF_ERROR(JudgeSize(first));
  Bytes bytes(first.export_bytes());
  NBDSPEC_RETURN_IF_ERROR(ReadAll(connections, bytes));
  if (first.failings().reads_past_end) {
    first.SendRequest({.type = CommandType::kRead, .offset = first.export_bytes(), .length = kSectorBytes});
    NBDSPEC_RETURN_IF_ERROR(first.NextAnswered());
  }
  if (first.conduct().transfer.reads_twice) {
    Bytes again(bytes.size());
    NBDSPEC_RETURN_IF_ERROR(ReadAll(connections, again));
    if (again != bytes) {
      return Soft("the bytes are others when they are read again");
    }
  }
  return bytes;
}

// --- Writes ---

namespace {

class Writer {
 public:
  Writer(Connections& connections, ByteView bytes)
      : connections_(connections), first_(*connections.front()), how_(first_.conduct().transfer), bytes_(bytes) {
    const bool has_flush = Offers(first_, TransmissionFlag::kSendFlush);
    const bool has_fua = Offers(first_, TransmissionFlag::kSendFua);
    fua_ = has_fua && (how_.fua || !has_flush) ? CommandFlag::kFua : std::uint16_t{0};
  }

  OrGivesUp<void> Run() {
    std::deque<Request> todo;
    const bool trims = how_.trims_first && Offers(first_, TransmissionFlag::kSendTrim);
    for (const ByteRange piece : Pieces(first_, {.begin = 0, .end = bytes_.size()})) {
      todo.push_back(trims ? For(CommandType::kTrim, piece, fua_) : WriteOf(piece));
    }
    if (first_.failings().flushes_too_early) {
      todo.push_back({.type = CommandType::kFlush});
    }
    return Exchanges(connections_, todo, [&](Answered& answered) { return After(answered, todo); });
  }

 private:
  // WRITE, or what does the same.
  Request WriteOf(ByteRange piece) {
    const ByteView data = bytes_.subspan(piece.begin, piece.length());
    const bool is_zero = std::ranges::all_of(data, [](std::uint8_t byte) { return byte == 0; });
    if (is_zero && how_.zeroes && Offers(first_, TransmissionFlag::kSendWriteZeroes)) {
      const bool is_fast = how_.fast_zero && Offers(first_, TransmissionFlag::kSendFastZero);
      const std::uint16_t no_hole = how_.no_hole ? CommandFlag::kNoHole : std::uint16_t{0};
      return For(CommandType::kWriteZeroes, piece,
                 fua_ | no_hole | (is_fast ? CommandFlag::kFastZero : std::uint16_t{0}));
    }
    return PlainWriteOf(piece);
  }

  Request PlainWriteOf(ByteRange piece) {
    Request write = For(CommandType::kWrite, piece, fua_);
    const ByteView data = bytes_.subspan(piece.begin, piece.length());
    write.payload.assign(data.begin(), data.end());
    return write;
  }

  OrGivesUp<void> After(const Answered& answered, std::deque<Request>& todo) {
    const ByteRange piece = RangeOf(answered.request);
    const bool is_fast = (answered.request.flags & CommandFlag::kFastZero) != 0;
    if (is_fast && answered.error == NbdError::kEnotsup) {
      todo.push_front(PlainWriteOf(piece));
      return {};
    }
    if (answered.error != NbdError::kOk) {
      return std::unexpected(Failed(answered));
    }
    if (answered.request.type == CommandType::kTrim) {
      todo.push_front(WriteOf(piece));
    } else if (answered.request.type != CommandType::kFlush && how_.flushes_often &&
               Offers(first_, TransmissionFlag::kSendFlush)) {
      todo.push_front({.type = CommandType::kFlush});
    }
    return {};
  }

  Connections& connections_;
  ClientConnection& first_;
  const TransferConduct& how_;
  ByteView bytes_;
  std::uint16_t fua_ = 0;
};

}  // namespace

OrGivesUp<void> FlushExport(Connections& connections) {
  ClientConnection& first = *connections.front();
  if (!Offers(first, TransmissionFlag::kSendFlush) || first.failings().never_flushes ||
      first.failings().flushes_too_early) {
    return {};
  }
  std::deque<Request> todo = {{.type = CommandType::kFlush}};
  return Exchanges(connections, todo, [](Answered& answered) -> OrGivesUp<void> {
    return answered.error == NbdError::kOk ? OrGivesUp<void>() : std::unexpected(Failed(answered));
  });
}

OrGivesUp<void> CopyIn(Connections& connections, ByteView bytes) {
  ClientConnection& first = *connections.front();
  NBDSPEC_RETURN_IF_ERROR(JudgeSize(first));
  if (bytes.size() != first.export_bytes()) {
    return Soft("the export has " + std::to_string(first.export_bytes()) + " bytes, not " +
                std::to_string(bytes.size()));
  }
  if (first.negotiated().Has(TransmissionFlag::kReadOnly)) {
    return Soft("the export is read-only");
  }
  NBDSPEC_RETURN_IF_ERROR(Writer(connections, bytes).Run());
  NBDSPEC_RETURN_IF_ERROR(FlushExport(connections));
  if (first.conduct().transfer.reads_back) {
    Bytes there(bytes.size());
    NBDSPEC_RETURN_IF_ERROR(ReadAll(connections, there));
    if (!std::ranges::equal(there, bytes)) {
      return Soft("what is read is not what was written");
    }
  }
  return {};
}

}  // namespace nbdspec::engine
