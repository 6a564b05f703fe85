// SPDX-License-Identifier: BSD-3-Clause
// Checks of what is in flight: READs beside a WRITE, requests before DISC, and the data of a WRITE that is refused.
// Spec: proto.md, NBD_CMD_DISC, NBD_CMD_WRITE.
#include "conformance/checks/data/known_stretch.h"

namespace nbdspec::conformance {

namespace {

// --- READ beside WRITE -----------------------------------------------------------------------------------------

// READs right before and behind a WRITE over data and, where the server has them, zeroes.
Judgement ShowsEither(CheckContext& context) {
  constexpr std::uint64_t kPartBytes = 64 * kKiB;
  constexpr std::string_view kAllowed = "what was there before the WRITE, or what it leaves";
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  const std::uint64_t base = UsableBytes(entered) / 4 / kPartBytes * kPartBytes;
  const ByteRange all = {.begin = base, .end = base + 2 * kPartBytes};
  Attempts attempts;
  for (int round = 0; round < 8; ++round) {
    KnownStretch before = KnownStretch::Around(entered, all, 0);
    NBDSPEC_TRY(filled, before.Fill(entered, context.random()));
    const Request zeroes = RequestFor(CommandType::kWriteZeroes, {.begin = base + kPartBytes, .end = all.end});
    if (IsOffered(entered, CommandType::kWriteZeroes)) {
      NBDSPEC_TRY(is_zeroed, attempts.Ask(entered, zeroes));
      is_zeroed ? before.Apply(zeroes) : before.Forget(RangeOf(zeroes));
    }
    Request write = CommandOn(context, CommandType::kWrite, 0, before.range());
    write.cookie = entered.session.NextCookie();
    std::vector<ClientMessage> messages = {write};
    for (int i = 0; i < 3; ++i) {
      Request read = RequestFor(CommandType::kRead, before.range());
      read.cookie = entered.session.NextCookie();
      messages.insert(i == 0 ? messages.begin() : messages.end(), read);
    }
    entered.session.SendTogether(messages);
    for (const ClientMessage& message : messages) {
      const auto& request = std::get<Request>(message);
      if (request.type == CommandType::kWrite) {
        NBDSPEC_TRY(written, entered.session.NextAnswer(request.cookie));
        continue;
      }
      NBDSPEC_TRY(found, attempts.Await(entered, request));
      const auto either = found ? before.FirstNeither(*found, write) : std::nullopt;
      if (either) {
        return About(SubjectOf(request),
                     Broken(fmt::format("a READ in flight with {} shows byte {} at {}", Describe(write),
                                        (*found)[*either - request.offset], *either),
                            kAllowed));
      }
    }
  }
  return attempts.Conclude();
}

// --- DISC ------------------------------------------------------------------------------------------------------

constexpr std::uint64_t kCookie = 0x6461746100000000;  // Of the first request.

// Requests for parts of a range, and which of them were answered.
struct Leaving {
  ByteRange range = {};
  std::vector<Request> requests = {};
  std::vector<std::optional<std::uint32_t>> errors = {};  // Of each; nothing where no reply came.
};

// Sends all requests and DISC as one piece of bytes, and receives all until the end.
void SendAndLeave(Session& session, Leaving& leaving) {
  for (std::size_t i = 0; i < leaving.requests.size(); ++i) {
    leaving.requests[i].cookie = kCookie + i;
  }
  std::vector<ClientMessage> messages(leaving.requests.begin(), leaving.requests.end());
  messages.push_back(Request{.type = CommandType::kDisc, .cookie = ~kCookie});
  leaving.errors.resize(leaving.requests.size());
  session.SendTogether(messages);
  for (auto received = session.Next(); received; received = session.Next()) {
    const auto head = HeadOf(*received);
    const auto* simple = std::get_if<SimpleReply>(&*received);
    if (head && simple != nullptr && head->cookie - kCookie < leaving.errors.size()) {
      leaving.errors[head->cookie - kCookie] = simple->error;
    }
  }
}

// WRITEs of 64 KiB, with WRITE_ZEROES of other parts between them where the server has that.
std::vector<Request> ManyChanges(CheckContext& context, const Entered& entered, ByteRange range) {
  constexpr std::uint64_t kPartBytes = 64 * kKiB;
  std::vector<Request> requests;
  for (std::uint64_t begin = range.begin; begin + kPartBytes <= range.end; begin += kPartBytes) {
    const bool zeroes = requests.size() % 3 == 1 && IsOffered(entered, CommandType::kWriteZeroes);
    requests.push_back(CommandOn(context, zeroes ? CommandType::kWriteZeroes : CommandType::kWrite, 0,
                                 {.begin = begin, .end = begin + kPartBytes}));
  }
  return requests;
}

// Whether what a connection writes is there for the next one: a server may keep each one's apart (copy on write).
std::expected<bool, Judgement> Stays(CheckContext& context, ByteRange range) {
  NBDSPEC_TRY(entered, context.Enter());
  KnownStretch stretch = KnownStretch::Around(entered, range, 0);
  NBDSPEC_TRY(filled, stretch.Fill(entered, context.random()));
  entered.session.Disconnect();
  NBDSPEC_TRY(again, context.Enter());
  return stretch.Compare(again, "", "").holds();
}

// Reads where the requests were to change something, those that were not refused; `all` of them, or those that were
// answered. Broken at the first that is not there, unless none is there and nothing ever stays.
Judgement FindEffects(CheckContext& context, const Leaving& leaving, bool all) {
  NBDSPEC_TRY(entered, context.Enter());
  Judgement lost = Holds();
  std::size_t there_count = 0;
  for (std::size_t i = 0; i < leaving.requests.size(); ++i) {
    const Request& request = leaving.requests[i];
    if (leaving.errors[i].value_or(all ? NbdError::kOk : NbdError::kEio) != NbdError::kOk) {
      continue;
    }
    KnownStretch part = KnownStretch::Around(entered, RangeOf(request), 0);
    part.Apply(request);
    Judgement judgement = Holds();
    const auto is_there = [&] {
      judgement = part.Compare(
          entered, fmt::format("{} {}NBD_CMD_DISC", Describe(request), leaving.errors[i] ? "(answered) and " : "and "),
          "requests before NBD_CMD_DISC are done, then the connection ends");
      return !judgement.is_broken();
    };
    leaving.errors[i] ? is_there() : BecomesSo(context, is_there);
    there_count += judgement.holds() ? 1 : 0;
    lost = lost.holds() ? std::move(judgement) : std::move(lost);
  }
  if (!lost.is_broken() || there_count > 0) {
    return there_count > 0 || !lost.holds() ? lost : NotApplicable("no request in flight at NBD_CMD_DISC succeeded");
  }
  NBDSPEC_TRY(stays, Stays(context, leaving.range));
  return stays ? std::move(lost) : NotApplicable("what one connection writes is never there on the next one");
}

Judgement IsThereAfterOneDisc(CheckContext& context, bool all) {
  NBDSPEC_TRY(entered, context.Enter());
  const std::uint64_t base = UsableBytes(entered) / 4 / (64 * kKiB) * (64 * kKiB);
  KnownStretch before = KnownStretch::Around(entered, {.begin = base, .end = base + 768 * kKiB}, 0);
  NBDSPEC_TRY(filled, before.Fill(entered, context.random()));
  Leaving leaving = {.range = before.range(), .requests = ManyChanges(context, entered, before.range())};
  SendAndLeave(entered.session, leaving);
  return FindEffects(context, leaving, all);
}

// How many requests a server answers before it sees DISC is chance: some try has one.
template <bool all>
Judgement IsThereAfterDisc(CheckContext& context) {
  constexpr int kTriesMax = 8;
  Judgement judgement = IsThereAfterOneDisc(context, all);
  for (int i = 1; i < kTriesMax && judgement.kind == Judgement::Kind::kNotApplicable; ++i) {
    judgement = IsThereAfterOneDisc(context, all);
  }
  return judgement;
}

// --- The data of a WRITE that is refused -----------------------------------------------------------------------

enum class Wrong { kPastEnd, kOverEnd, kWraps, kUnknownFlag };

// READs one after the other, as many as fit: a server that takes the data for requests answers them.
Bytes DataLikeRequests(Entered& entered, ByteRange scratch, std::uint64_t length) {
  Request read = RequestFor(CommandType::kRead, scratch);
  read.cookie = entered.session.NextCookie();
  const Bytes request = Encode(ClientMessage(read));
  Bytes data(length);
  for (std::uint64_t at = 0; at + request.size() <= length; at += request.size()) {
    std::ranges::copy(request, data.begin() + static_cast<std::ptrdiff_t>(at));
  }
  return data;
}

Request WrongWrite(Entered& entered, Wrong wrong, ByteRange scratch, std::uint64_t length) {
  Request write = WriteOf(scratch.begin, DataLikeRequests(entered, scratch, length));
  const std::uint64_t grid = GridOf(entered);
  const std::uint64_t end = UsableBytes(entered) + grid;
  switch (wrong) {
    case Wrong::kPastEnd:
      write.offset = end;
      break;
    case Wrong::kOverEnd:
      write.offset = end - std::min(UsableBytes(entered), length);
      break;
    case Wrong::kWraps:
      write.offset = ~std::uint64_t{0} - grid + 1;
      break;
    case Wrong::kUnknownFlag:
      write.flags = 1U << 15;
  }
  return write;
}

constexpr std::string_view kConsumed = "the data of a WRITE that fails is no request, and the next request is answered";

// Two wrong WRITEs, a right one, and a READ, which must give what the right one wrote.
Judgement NextIsAnswered(CheckContext& context, Wrong wrong, std::uint64_t length) {
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  NBDSPEC_TRY(scratch, ScratchRange(entered, 2));
  const Request refused = WrongWrite(entered, wrong, scratch, length);
  const Request right = WriteOf(scratch.begin, Pattern(scratch.length(), context.random()));
  Session& session = entered.session;
  const auto judge_end = [&](const ReceiveError& ended) {
    if (!session.unmatched().empty()) {
      return Broken("the data was answered: " + Describe(session.unmatched().front()), kConsumed);
    }
    return ended.is_disconnect() ? NotApplicable(
                                       "the server ended the connection, as it may with a client that breaks a "
                                       "rule")
                                 : Broken("after " + Describe(refused) + ": " + ended.text, kConsumed);
  };
  for (int i = 0; i < 2; ++i) {
    const auto answer = session.Ask(refused);
    if (!answer) {
      return judge_end(answer.error());
    }
    if (answer->error() == NbdError::kOk) {
      return NotApplicable(Describe(refused) + ", which ought to fail, succeeded");
    }
  }
  const auto written = session.Ask(right);
  if (!written) {
    return judge_end(written.error());
  }
  if (written->error() != NbdError::kOk) {
    return Inconclusive(fmt::format("{}: {}", Describe(right), ErrorName(written->error())));
  }
  NBDSPEC_TRY(found, ReadBytes(session, scratch));
  if (!session.unmatched().empty()) {
    return Broken("the data was answered: " + Describe(session.unmatched().front()), kConsumed);
  }
  return Compare(found, right.payload, scratch.begin, "what the WRITE after the refused ones wrote");
}

// With little data and with much.
template <Wrong wrong>
Judgement ConsumesData(CheckContext& context) {
  NBDSPEC_TRY(entered, context.Enter());
  const std::uint64_t much = std::min(PayloadBytesMax(entered), 1024 * kKiB);
  for (const std::uint64_t length : {2 * GridOf(entered), much}) {
    Judgement judgement = NextIsAnswered(context, wrong, length);
    if (!judgement.holds()) {
      return judgement;
    }
  }
  return Holds();
}

}  // namespace

std::vector<Check> InFlightChecks() {
  return {
      {kTransmissionReadBesideWrite, "A READ in flight with a WRITE shows what was there before, or what that leaves.",
       ShowsEither, kWritable},
      {kSub<kTransmissionWriteThenReply, "before-disc">,
       "What was answered with success before the connection ended by DISC is there on the next one.",
       IsThereAfterDisc</*all=*/false>, kWritable},
      {kSub<kDiscHandleOutstanding, "one-segment">,
       "WRITEs and WRITE_ZEROES that come in one segment with DISC are done.", IsThereAfterDisc</*all=*/true>,
       kWritable},
      {kSub<kTransmissionWriteConsumeOnError, "over-end">,
       "After WRITEs over the end of the export the next requests are answered.", ConsumesData<Wrong::kOverEnd>,
       kWritable},
      {kSub<kTransmissionWriteConsumeOnError, "past-end">,
       "After WRITEs past the end of the export the next requests are answered.", ConsumesData<Wrong::kPastEnd>,
       kWritable},
      {kSub<kTransmissionWriteConsumeOnError, "wraps">,
       "After WRITEs whose end passes 2^64 the next requests are answered.", ConsumesData<Wrong::kWraps>, kWritable},
      {kSub<kTransmissionWriteConsumeOnError, "unknown-flag">,
       "After WRITEs with flag bit 15 the next requests are answered.", ConsumesData<Wrong::kUnknownFlag>, kWritable},
  };
}

}  // namespace nbdspec::conformance
