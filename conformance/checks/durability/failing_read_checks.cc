// SPDX-License-Identifier: BSD-3-Clause
// Checks of READ on a disk that fails, and of the connection after errors. Spec: proto.md, "NBD_CMD_READ", "Structured
// reply chunk message", "Terminating the transmission phase".
//
// A READ may succeed where the disk failed it (it was tried again, or the bytes were in memory): its bytes are judged.
#include "conformance/checks/durability/power_cuts.h"
#include "engine/wire/fields.h"

namespace nbdspec::conformance {

namespace {

using engine::DiskFailure;

constexpr std::uint64_t kStage = 512 * kKiB;
constexpr std::uint64_t kStageStride = 1024 * kKiB;  // So that what is read ahead on one stage is not on the next.

// Fails at once; after some bytes; and after the first READ of the disk. Each has a stage of its own.
constexpr DiskFailure kReadFailures[] = {
    {.operations = DiskFailure::kReads, .error = NbdError::kEio},
    {.operations = DiskFailure::kReads, .error = NbdError::kEio, .bytes_done = kKiB},
    {.operations = DiskFailure::kReads, .error = NbdError::kEio, .succeed_first = 1},
};

constexpr std::size_t kHeaderBytes = 16;  // Of a simple reply; that of a chunk has its cookie at the same place.

bool IsHeaderOf(ByteView bytes, std::uint64_t cookie) {
  if (bytes.size() < kHeaderBytes) {
    return false;
  }
  const auto magic = GetBigEndian<std::uint32_t>(bytes);
  return (magic == kSimpleReplyMagic || magic == kChunkMagic || magic == kExtendedChunkMagic) &&
         GetBigEndian<std::uint64_t>(bytes, 8) == cookie;
}

// Whether a reply with `cookie` begins within `bytes`. What we write has no zero byte, and our cookies are small.
bool HasHeaderOf(ByteView bytes, std::uint64_t cookie) {
  for (std::size_t i = 0; i + kHeaderBytes <= bytes.size(); ++i) {
    if (IsHeaderOf(bytes.subspan(i, kHeaderBytes), cookie)) {
      return true;
    }
  }
  return false;
}

bool IsContent(std::uint16_t type) { return type == ChunkType::kOffsetData || type == ChunkType::kOffsetHole; }

// What answered a READ while the disk failed, and another request once it worked.
struct FailedRead {
  Request request = {};
  Bytes truth = {};               // What stands there.
  std::uint64_t next_cookie = 0;  // Of the other request.
  bool is_answered = false;
  bool is_next_answered = false;
  std::optional<SimpleReply> simple = {};
  std::vector<Chunk> chunks = {};          // Up to the one with DONE.
  std::vector<Chunk> late = {};            // After that one.
  std::optional<ReceiveError> ended = {};  // Why the other request was not answered.
  Bytes cut = {};                          // Of a message that is not whole.

  // Whether the server said that it failed.
  [[nodiscard]] bool has_error() const {
    return (simple && simple->error != NbdError::kOk) || std::ranges::any_of(chunks, &Chunk::is_error);
  }
  [[nodiscard]] bool has_content() const {
    return std::ranges::any_of(chunks, [](const Chunk& chunk) { return IsContent(chunk.type); });
  }
  // Whether its answer ends within a message.
  [[nodiscard]] bool is_cut() const { return !is_answered && IsHeaderOf(cut, request.cookie); }
  [[nodiscard]] bool is_disconnected_within() const { return is_cut() && ended && ended->is_disconnect(); }

  // The bytes of its replies where only data may stand.
  [[nodiscard]] std::vector<ByteView> DataParts() const {
    std::vector<ByteView> parts;
    if (simple) {
      parts.emplace_back(simple->data);
    }
    for (const Chunk& chunk : chunks) {
      if (chunk.type == ChunkType::kOffsetData) {
        parts.emplace_back(chunk.payload);
      }
    }
    if (is_cut()) {
      parts.push_back(ByteView(cut).subspan(kHeaderBytes));
    }
    return parts;
  }
  // Whether a reply to the READ itself, or to the other request, begins where data should be.
  [[nodiscard]] bool IsBrokenOffBy(std::uint64_t cookie) const {
    return std::ranges::any_of(DataParts(), [&](ByteView part) { return HasHeaderOf(part, cookie); });
  }
  [[nodiscard]] bool is_broken_off() const { return IsBrokenOffBy(request.cookie) || IsBrokenOffBy(next_cookie); }

  void Take(ServerMessage message) {
    const auto head = HeadOf(message);
    if (!head || head->cookie != request.cookie) {
      is_next_answered = is_next_answered || (head && head->cookie == next_cookie && head->ends);
      return;
    }
    auto* chunk = std::get_if<Chunk>(&message);
    if (chunk == nullptr) {
      simple = std::get<SimpleReply>(std::move(message));
    } else {
      (is_answered ? late : chunks).push_back(std::move(*chunk));
    }
    is_answered = is_answered || head->ends;
  }
};

// Takes messages until the READ, or the other request, is answered.
void TakeUntil(Session& session, bool FailedRead::* is_answered, FailedRead& read) {
  read.ended.reset();
  for (std::uint32_t count = 0; count < session.limits().messages_max && !(read.*is_answered); ++count) {
    auto next = session.Next();
    if (!next) {
      read.ended = next.error();
      break;
    }
    read.Take(std::move(*next));
  }
}

std::expected<FailedRead, Judgement> ReadWhileItFails(CheckContext& context, const Request& request, const Bytes& truth,
                                                      const DiskFailure& failure, bool structured) {
  NBDSPEC_TRY(entered, context.Enter({.structured_replies = structured}));
  Session& session = entered.session;
  FailedRead read{.request = request, .truth = truth};
  read.request.cookie = session.NextCookie();
  Request next = RequestFor(CommandType::kRead, CellAt(entered, request.offset));
  read.next_cookie = next.cookie = session.NextCookie();
  SetDisk(context, failure);
  session.Send(read.request);
  TakeUntil(session, &FailedRead::is_answered, read);
  SetDisk(context, {});
  session.Send(next);
  TakeUntil(session, &FailedRead::is_next_answered, read);
  const ByteView pending = session.pending();
  read.cut.assign(pending.begin(), pending.end());
  return read;
}

Step Restart(CheckContext& context) {
  const auto up = CutPowerOf(context, {.keeps = engine::PowerCut::Keeps::kEverything});
  if (!up) {
    return Stop(Inconclusive("the server does not start again: " + up.error().sentence));
  }
  return {};
}

// What a READ of a stage has to give.
struct ReadStage {
  Request request;
  Bytes truth;
};

// Stages of data and of what was between them, and nothing of them in the server's memory.
std::expected<std::vector<ReadStage>, Judgement> PrepareStages(CheckContext& context) {
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  NBDSPEC_TRY(taken, MayHavePayload(entered, kStage));
  const std::uint64_t bytes = (std::size(kReadFailures) - 1) * kStageStride + kStage;
  NBDSPEC_TRY(range, ScratchRange(entered, bytes / GridOf(entered)));
  constexpr std::uint64_t kPart = kStage / 4;
  for (std::uint64_t begin = range.begin; begin < range.end; begin += kStageStride) {
    for (const std::uint64_t offset : {begin, begin + 2 * kPart, begin + 3 * kPart}) {
      NBDSPEC_TRY(answer, entered.session.Ask(WriteOf(offset, Pattern(kPart, context.random()))));
      if (answer.error() != NbdError::kOk) {
        return Stop(Inconclusive("WRITE: " + ErrorName(answer.error())));
      }
    }
  }
  if (IsOffered(entered, CommandType::kFlush)) {  // What a server kept in memory would be no data afterwards.
    NBDSPEC_TRY(flushed, entered.session.Ask(RequestFor(CommandType::kFlush, {})));
  }
  NBDSPEC_TRY(settled, Restart(context));
  NBDSPEC_TRY(looking, context.EnterWithChunks());
  std::vector<ReadStage> stages;
  for (std::uint64_t begin = range.begin; begin < range.end; begin += kStageStride) {
    const ByteRange stage = {.begin = begin, .end = begin + kStage};
    NBDSPEC_TRY(truth, ReadBytes(looking.session, stage));
    stages.push_back({.request = RequestFor(CommandType::kRead, stage), .truth = std::move(truth)});
  }
  NBDSPEC_TRY(forgotten, Restart(context));
  return stages;
}

// Judges a READ of data and hole while the disk fails, in each way: broken where one is broken, not applicable where
// none can be judged.
CheckRun OnFailingReads(bool structured, Judgement (*judge)(const FailedRead& read)) {
  return [=](CheckContext& context) -> Judgement {
    NBDSPEC_TRY(stages, PrepareStages(context));
    Judgement all = NotApplicable("no READ failed");
    for (std::size_t i = 0; i < stages.size(); ++i) {
      NBDSPEC_TRY(read, ReadWhileItFails(context, stages[i].request, stages[i].truth, kReadFailures[i], structured));
      Judgement judgement = judge(read);
      if (judgement.is_broken()) {
        return judgement;
      }
      all = all.holds() ? all : judgement;
    }
    return all;
  };
}

// --- The bytes ---

// The first byte of `data`, read at `offset`, that is not what stands there, and for which `is_excused` does not hold.
template <typename IsExcused>
std::optional<std::string> FirstWrong(const FailedRead& read, ByteView data, std::uint64_t offset,
                                      IsExcused is_excused) {
  for (std::size_t i = 0; i < data.size(); ++i) {
    const std::uint64_t at = offset + i - read.request.offset;
    if (at < read.truth.size() && data[i] != read.truth[at] && !is_excused(offset + i, data[i])) {
      return fmt::format("{:#04x} at offset {}, where {:#04x} stands", data[i], offset + i, read.truth[at]);
    }
  }
  return {};
}

Judgement SimpleSaysSo(const FailedRead& read) {
  if (!read.is_answered || !read.simple || read.is_broken_off()) {
    return NotApplicable("no READ was answered while the disk failed");
  }
  if (read.has_error()) {
    return Holds();
  }
  const auto wrong = FirstWrong(read, read.simple->data, read.request.offset, [](auto, auto) { return false; });
  return Require(!wrong, "success, and " + wrong.value_or(""), "an error, or the bytes that stand there");
}

// Which bytes the error chunks of an answer say are not good.
bool IsSaidBad(const FailedRead& read, const OffsetData& data, std::uint64_t offset) {
  return std::ranges::any_of(read.chunks, [&](const Chunk& chunk) {
    const auto error = chunk.is_error() ? DecodeErrorPayload(chunk.type, chunk.payload) : std::nullopt;
    const bool is_within =
        error && error->offset && *error->offset >= data.offset && *error->offset - data.offset < data.data.size();
    return error && (!error->offset || (is_within && *error->offset <= offset));
  });
}

Judgement ChunksSaySo(const FailedRead& read) {
  if (!read.is_answered || read.is_broken_off()) {
    return NotApplicable("no READ was answered while the disk failed");
  }
  constexpr std::string_view kAllowed = "the bytes that stand there, or an error chunk for those that are others";
  std::uint64_t content_bytes = 0;
  for (const Chunk& chunk : read.chunks) {
    auto data = chunk.type == ChunkType::kOffsetData ? DecodePayload<OffsetData>(chunk.payload) : std::nullopt;
    const auto hole = chunk.type == ChunkType::kOffsetHole ? DecodePayload<OffsetHole>(chunk.payload) : std::nullopt;
    if (hole) {
      data = OffsetData{.offset = hole->offset, .data = Bytes(std::min<std::uint64_t>(hole->length, kStage))};
    }
    if (!data) {
      continue;
    }
    content_bytes += data->data.size();
    const auto wrong = FirstWrong(read, data->data, data->offset,
                                  [&](std::uint64_t offset, std::uint8_t) { return IsSaidBad(read, *data, offset); });
    if (wrong) {
      return Broken(*wrong, kAllowed);
    }
  }
  return Require(read.has_error() || content_bytes >= read.request.length,
                 fmt::format("{} of {} bytes, and no error chunk", content_bytes, read.request.length), kAllowed);
}

// --- Where an error came late ---

template <bool also_own>
Judgement EndsAtOnce(const FailedRead& read) {
  if (read.IsBrokenOffBy(read.next_cookie) || (also_own && read.IsBrokenOffBy(read.request.cookie))) {
    return Broken("another reply begins within the data of READ",
                  "after a header that says success: all of the data, or the end of the connection");
  }
  return read.is_disconnected_within() ? Holds() : NotApplicable("no READ failed after its reply had begun");
}

Judgement IfHalfWay(const FailedRead& read) {
  return read.has_content() && read.has_error() ? Holds() : NotApplicable("no READ failed after content was sent");
}

Judgement ChunkIsCompleted(const FailedRead& read) {
  if (read.is_broken_off() || read.is_disconnected_within()) {
    return Broken(read.is_broken_off() ? "another reply begins within a chunk" : read.ended->text,
                  "a chunk that was begun is sent as a whole");
  }
  return IfHalfWay(read);
}

Judgement PaddingIsUsed(const FailedRead& read) {
  return read.is_broken_off() ? Broken("another reply begins within the data of a chunk",
                                       "padding in place of the data that could not be read")
                              : IfHalfWay(read);
}

// Bytes that stand there are no padding.
Judgement PaddingIsZero(const FailedRead& read) {
  if (!read.has_error() || read.is_broken_off()) {
    return NotApplicable("no READ failed after content was sent");
  }
  for (const Chunk& chunk : read.chunks) {
    const auto data = chunk.type == ChunkType::kOffsetData ? DecodePayload<OffsetData>(chunk.payload) : std::nullopt;
    const auto wrong =
        data ? FirstWrong(read, data->data, data->offset, [](std::uint64_t, std::uint8_t byte) { return byte == 0; })
             : std::nullopt;
    if (wrong) {
      return Broken(*wrong + ", in an answer with an error chunk", "zeroes for what could not be read");
    }
  }
  return IfHalfWay(read);
}

bool IsDoneContent(const Chunk& chunk) { return IsContent(chunk.type) && (chunk.flags & ChunkFlag::kDone) != 0; }

// Whether the chunk that is not whole is content with DONE. Its flags and type follow its magic.
bool IsCutDoneContent(const FailedRead& read) {
  const ByteView cut = read.cut;
  return read.is_cut() && GetBigEndian<std::uint32_t>(cut) != kSimpleReplyMagic &&
         (GetBigEndian<std::uint16_t>(cut, 4) & ChunkFlag::kDone) != 0 &&
         IsContent(GetBigEndian<std::uint16_t>(cut, 6));
}

Judgement DoneIsCertain(const FailedRead& read) {
  constexpr std::string_view kAllowed = "no DONE on content that may still turn out not to be readable";
  const bool has_done_content = std::ranges::any_of(read.chunks, IsDoneContent);
  if (IsCutDoneContent(read) || (has_done_content && read.is_broken_off())) {
    return Broken("a content chunk with DONE that is not whole", kAllowed);
  }
  if (has_done_content && std::ranges::any_of(read.late, &Chunk::is_error)) {
    return Broken("an error chunk after a content chunk with DONE", kAllowed);
  }
  return read.has_error() ? Holds() : NotApplicable("no READ failed");
}

// --- The connection ---

Judgement GoesOnAfterRead(const FailedRead& read) {
  if (read.is_next_answered || !read.ended) {
    return read.has_error() ? Holds() : NotApplicable("no READ failed");
  }
  return MayNotDisconnect(*read.ended, "after a READ that the disk failed ", "the connection goes on");
}

// Requests that change something, all in flight while the disk fails, then a READ while it works.
struct FailedChanges {
  Batch batch = {};
  bool were_answered = false;  // While it failed.
  bool is_read_answered = false;
};

std::expected<FailedChanges, Judgement> ChangeWhileItFails(CheckContext& context) {
  NBDSPEC_TRY(entered, context.EnterWithChunks());
  NBDSPEC_TRY(range, ScratchRange(entered, 8));
  std::vector<Request> requests = {WriteOf(range.begin, Pattern(range.length(), 1))};
  for (const std::uint16_t command : {CommandType::kWriteZeroes, CommandType::kTrim, CommandType::kFlush}) {
    if (IsOffered(entered, command)) {
      requests.push_back(RequestFor(command, command == CommandType::kFlush ? ByteRange{} : range));
    }
  }
  requests.push_back(WriteOf(range.begin, Pattern(range.length(), 2)));
  for (Request& request : requests) {
    request.cookie = entered.session.NextCookie();
  }
  constexpr std::uint8_t kAllButReads =
      DiskFailure::kWrites | DiskFailure::kZeroes | DiskFailure::kTrims | DiskFailure::kFlushes;
  FailedChanges changes;
  SetDisk(context, DiskFailure{.operations = kAllButReads, .error = NbdError::kEio});
  changes.were_answered = AskAll(entered, requests, changes.batch);
  SetDisk(context, {});
  Request read = RequestFor(CommandType::kRead, CellAt(entered, range.begin));
  read.cookie = entered.session.NextCookie();
  changes.is_read_answered = AskAll(entered, {&read, 1}, changes.batch);
  return changes;
}

Judgement GoesOnAfterChanges(CheckContext& context) {
  NBDSPEC_TRY(changes, ChangeWhileItFails(context));
  return changes.is_read_answered
             ? Holds()
             : MayNotDisconnect(changes.batch.endings.back(), "while the disk failed ", "the connection goes on");
}

Judgement EachIsAnsweredOnce(CheckContext& context) {
  NBDSPEC_TRY(changes, ChangeWhileItFails(context));
  const Batch& batch = changes.batch;
  if (changes.were_answered && !batch.late.empty()) {
    return About(SubjectOf(batch.late.front()),
                 Broken(fmt::format("{}, for a request that was answered already", Describe(batch.late.front())),
                        "one reply to each request"));
  }
  if (changes.were_answered && changes.is_read_answered) {
    return Holds();
  }
  if (changes.is_read_answered && batch.late.empty()) {
    const auto silent = std::ranges::find_if(
        batch.exchanges, [](const Exchange& each) { return each.answer.end() == engine::Answer::End::kSilent; });
    if (silent != batch.exchanges.end()) {
      return About(SubjectOf(*silent), Broken(fmt::format("no reply to {}, though the READ after it was answered",
                                                          Describe(silent->request)),
                                              "a reply to each request while the connection is up"));
    }
  }
  return Inconclusive(batch.endings.empty() ? "a reply came late" : batch.endings.back().text);
}

}  // namespace

std::vector<Check> FailingReadChecks() {
  const auto check = [](std::string_view id, std::string_view claim, CheckRun run, Features needs = 0) {
    return Check{id, claim, std::move(run), kWritable | needs, Setup::kOnStorage};
  };
  const auto simple = [&](std::string_view id, std::string_view claim, Judgement (*judge)(const FailedRead&)) {
    return check(id, claim, OnFailingReads(/*structured=*/false, judge));
  };
  const auto chunks = [&](std::string_view id, std::string_view claim, Judgement (*judge)(const FailedRead&)) {
    return check(id, claim, OnFailingReads(/*structured=*/true, judge), kChunks);
  };
  return {
      chunks(kStructuredDoneNotWhileErrorPossible, "No content chunk with DONE turns out to be cut short or wrong.",
             DoneIsCertain),
      simple(kSub<kTransmissionReadSimpleErrorCode, "failing-disk">,
             "A READ that the disk fails gets an error, or the right bytes.", SimpleSaysSo),
      simple(kTransmissionReadLateErrorDisconnect,
             "When the disk fails a READ whose reply has begun, the server answers nothing more.", EndsAtOnce<false>),
      simple(kTransmissionReadLateErrorNoData,
             "When the disk fails a READ whose reply has begun, the server sends nothing more.", EndsAtOnce<true>),
      chunks(kStructuredReadCompleteChunk, "When the disk fails a READ, a chunk that was begun is sent as a whole.",
             ChunkIsCompleted),
      chunks(kStructuredReadPadUsed, "When the disk fails a READ, padding stands for the rest of a data chunk.",
             PaddingIsUsed),
      chunks(kStructuredReadPadZero, "When the disk fails a READ, the padding of a data chunk is zero.", PaddingIsZero),
      chunks(kSub<kStructuredReadErrorChunk, "failing-disk">,
             "When the disk fails a READ, each byte is right, or an error chunk says that it is not.", ChunksSaySo),
      check(kSub<kTransmissionDisconnectOnlyAllowedServer, "failing-disk">,
            "Changes that the disk fails do not end the connection.", GoesOnAfterChanges),
      chunks(kSub<kTransmissionDisconnectOnlyAllowedServer, "failing-read">,
             "With structured replies, a READ that the disk fails does not end the connection.", GoesOnAfterRead),
      check(kSub<kTransmissionReplyPerRequest, "failing-disk">, "Each change that the disk fails gets one reply.",
            EachIsAnsweredOnce),
  };
}

}  // namespace nbdspec::conformance
